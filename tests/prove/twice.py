"""Two at once: the same refund pressed twice, and two cashiers who settle the same stay.

``python -m tests.prove twice`` asks for 500 refunds of a whole deposit at two windows at once,
hands each over twice at once, and lets two cashiers settle each of 200 stays at once. Ten pairs are
at work at the same time: twenty threads start from one barrier.
"""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import func, select

from journeys import discharge, refunds
from models.admission import Admission
from models.db import Session
from models.ledger import AccountKind
from models.refund import Refund
from models.settlement import Settlement
from tests import till
from tests.prove.ground import Said, at_once, findings, ground
from tests.prove.report import Figure
from tests.stage import Stage

DEPOSIT_FEN, BILL_FEN = 10_000, 7_500
REFUNDS, ROUNDS = 500, 200
THREADS = 20
PAIRS = THREADS // 2
"""How many pairs are at work at the same time."""

ONE_OF_TWO = ["BALANCE_TOO_LOW", "done"]
"""What the two windows are told."""

T = TypeVar("T")


def run(seed: int, _operations: int) -> list[Figure]:
    """Both figures. What interleaves is threads: the seed is only noted."""
    with ground() as stage:
        return [refund_twice(stage, REFUNDS, seed), settle_twice(stage, ROUNDS, seed)]


def refund_twice(stage: Stage, count: int, seed: int = 0) -> Figure:
    """Each whole deposit is asked back by two at once, and what is approved handed over by two."""
    begun = time.monotonic()
    stays = [_stay(stage) for _ in range(count)]
    asked, handed, unlike = Counter[str](), Counter[str](), 0
    with ThreadPoolExecutor(THREADS) as pool:
        for some in _tens(stays):
            presses = [press for stay in some for press in _two_wishes(stage, stay)]
            words = [_word(said) for said in at_once(presses, pool)]
            asked.update(words)
            unlike += sum(sorted(two) != ONE_OF_TWO for two in zip(*[iter(words)] * 2, strict=True))
        for few in _tens(till.refunds_of(stage)):
            for refund in few:
                till.check(stage, refund.id)
            presses = [press for refund in few for press in _two_hands(stage, refund.id)]
            handed.update(_word(said) for said in at_once(presses, pool))
    wrong = sum(
        (
            unlike != 0,
            handed != Counter({"done": 2 * count}),
            _number(stage, Refund) != count,
            any(till.held(stage, stay) for stay in stays),
            till.balance(stage, AccountKind.CASH, "CASH") != 0,
            findings(stage) != 0,
        )
    )
    return Figure(
        "the same refund twice at once",
        f"{count} deposits each asked back whole at two windows at once, each refund handed over"
        f" by two presses at once; {min(THREADS, 2 * count)} threads from a barrier",
        "one of two is done, the other refused; given once; balances exact",
        f"{unlike} of {count} pairs not one done and one refused ({asked['done']}"
        f" done, {asked['BALANCE_TOO_LOW']} refused); cash off by"
        f" {till.balance(stage, AccountKind.CASH, 'CASH')} fen; {wrong} of 6 checks failed;"
        f" with seed {seed}",
        seed,
        time.monotonic() - begun,
        wrong == 0,
    )


def settle_twice(stage: Stage, rounds: int, seed: int = 0) -> Figure:
    """Two cashiers agree to the same trial at the same moment; every fourth stay is insured."""
    begun = time.monotonic()
    before = len(settled_there(stage))
    stays = [_stay(stage, insured=number % 4 == 0) for number in range(rounds)]
    with ThreadPoolExecutor(THREADS) as pool:
        for some in _tens(stays):
            for stay in some:
                stage.charge(stay, BILL_FEN)
                stage.leaving(stay)
            at_once([press for stay in some for press in _two_cashiers(stage, stay)], pool)
    till.later(stage, minutes=2)
    winners = sum(_settled_once(stay) for stay in stays)
    earned = -till.balance(stage, AccountKind.REVENUE, "INPATIENT")
    claims, insured = len(settled_there(stage)) - before, (rounds + 3) // 4
    held = winners == rounds and earned == rounds * BILL_FEN and claims == insured
    return Figure(
        "two cashiers settle one stay",
        f"{rounds} stays, two cashiers each; {min(THREADS, 2 * rounds)} threads from a barrier;"
        " every fourth stay insured",
        "one settlement, one bill, one rest to give back, one claim at the insurance platform",
        f"{rounds - winners} of {rounds} settlements doubled or lost ({winners} winners);"
        f" {claims} claims for {insured} insured stays;"
        f" {earned - rounds * BILL_FEN} fen too much earned; {findings(stage)} findings of the"
        f" ledger's proof; with seed {seed}",
        seed,
        time.monotonic() - begun,
        held and findings(stage) == 0,
    )


def _stay(stage: Stage, *, insured: bool = False) -> Admission:
    patient = stage.patient()
    if insured:
        stage.insured(patient, fixed={"hifp_pay": "50.00"})
    stay = stage.stay(patient)
    if insured:
        stage.register_insurance(stay)
    till.pay_cash(stage, stay, DEPOSIT_FEN)
    return stay


def _tens(things: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many as make twenty threads, and those after them."""
    for first in range(0, len(things), PAIRS):
        yield things[first : first + PAIRS]


def _two_wishes(stage: Stage, stay: Admission) -> list[Any]:
    return [partial(till.ask_back, stage, stay, DEPOSIT_FEN)] * 2


def _two_hands(stage: Stage, refund_id: UUID) -> list[Any]:
    (leg,) = till.legs_of(refund_id)
    cashier = stage.actor("CASHIER")
    give = partial(refunds.hand_over, cashier, stage.outside, refund_id, leg.id, proof="signed-1")
    return [give, give]


def _two_cashiers(stage: Stage, stay: Admission) -> list[Any]:
    cashiers = [stage.actor("CASHIER", f"staff:cashier {number}") for number in range(2)]
    agreed = discharge.try_settlement(cashiers[0], stage.outside, stay.id)["agree_to"]
    return [
        partial(
            discharge.settle_discharge,
            cashier,
            stage.outside,
            stay.id,
            agreed=agreed,
            signature_sha256=None,
        )
        for cashier in cashiers
    ]


def _word(said: Said) -> str:
    return said.refused or "done"


def _settled_once(stay: Admission) -> bool:
    """One settlement, closed, and one rest of the deposit to give back."""
    with Session() as db:
        runs = db.scalars(select(Settlement.state).filter_by(admission_id=stay.id)).all()
        rests = db.scalars(select(Refund.id).filter_by(subject_id=stay.id)).all()
    return runs == ["CLOSED"] and len(rests) == 1


def _number(stage: Stage, table: Any) -> int:
    with Session() as db:
        mine = select(func.count()).select_from(table)
        return db.scalar(mine.where(table.hospital_id == stage.hospital_id)) or 0


def settled_there(stage: Stage) -> list[dict[str, Any]]:
    """The platform's settlements of this world that stand."""
    found = stage.simulator.get(f"/_sim/insurance/{stage.world_code}/settlements")["settlements"]
    return [each for each in found if each["state"] == "ACTIVE" and not each["undoes"]]
