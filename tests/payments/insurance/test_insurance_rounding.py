"""Ratios are rounded; what payers and patient pay is the bill nevertheless, to the fen."""

import random
from decimal import Decimal

from payments.insurance import amounts
from payments.insurance.profile import FundCodes
from policies.settlement import Share, split
from simulator.insurance.benefits import FUNDS, Insured, split_stay
from simulator.insurance.lines import Item, Parts, charged
from simulator.insurance.money import cents
from tests.figures import SEED, Figures, size

CODES = FundCodes(frozenset(), frozenset(), {"390100": "BASIC"})
IDENTITIES = ("2301", "2303", "2305")


def test_shares_and_rest_of_any_bill_are_its_total(figures: Figures) -> None:
    bills, dice, off, fractions = size(1_000, 100_000), random.Random(SEED), 0, 0
    for _ in range(bills):
        lines = [_line(dice) for _ in range(dice.randint(1, 4))]
        ours = sum(amounts.fen(line.det) for line in lines)
        read = amounts.read(*_platform(lines, dice), CODES)
        shares = [Share(payer, fen) for payer, fen in read.payer_lines() if payer != "CASH"]
        bill = split(ours, shares, dice.randrange(2 * ours + 1))
        parts = sum(share.amount_fen for share in bill.shares) + bill.applied_fen + bill.due_fen
        off += abs(parts - ours) + abs(bill.personal_fen - read.cash)
        fractions += any(line.preselfpay and line.inscp for line in lines)
    assert off == 0
    assert fractions > bills / 2
    figures.add(
        "rounding",
        f"{bills:,} bills of random lines, ratios, ceilings and insured people, {fractions:,} with"
        " a ratio that had to be rounded",
        "insurers and patient pay the total, to the fen",
        f"0 of {bills:,} bills off by a fen under these ratios with seed {SEED}",
    )


def _line(dice: random.Random) -> Parts:
    """A charge under an entry of the insurance list, as the platform splits it."""
    ceiling = Decimal(dice.randrange(1, 9_000_000)).scaleb(-4)
    item = Item(dice.choice(["01", "02", "02", "03"]), _ratio(dice), ceiling)
    price = Decimal(dice.randrange(1, 9_000_000)).scaleb(-4)
    count = Decimal(dice.randrange(1, 40)) / 4
    return charged(item, max(cents(price * count), Decimal("0.01")), count, price)


def _platform(lines: list[Parts], dice: random.Random) -> tuple[dict, list[dict]]:
    """setlinfo and setldetail of these lines for somebody."""
    person = Insured(
        dice.choice(["310", "390"]),
        dice.random() < 0.2,
        frozenset(dice.sample(IDENTITIES, dice.randrange(3))),
        Decimal(dice.randrange(100_000)).scaleb(-2),
        Decimal(dice.randrange(100_000)).scaleb(-2),
    )
    told = split_stay(sum(lines, Parts()), person, dice.choice(["0", "1", "2"]), _ratio(dice))
    rows = [{"fund_pay_type": "390100", "fund_payamt": told[name]} for name in FUNDS]
    return told, rows


def _ratio(dice: random.Random) -> Decimal:
    return Decimal(dice.randrange(10_001)).scaleb(-4)
