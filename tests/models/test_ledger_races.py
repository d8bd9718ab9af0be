"""Many hands at once: one effect for one key, exact sums, no deadlock, nobody is paid twice.

``LEDGER_RACES=500`` plays the refund race in its full size.
"""

import os
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from models.ledger import AccountKind, Take
from policies.refusals import Refusal
from tests.models import stored_money as money
from tests.models.stored_money import DEPOSIT

CASH, REVENUE, TRANSIT = AccountKind.CASH, AccountKind.REVENUE, AccountKind.REFUND_IN_TRANSIT
ONE_AT_A_TIME = threading.Lock()
REFUNDS = int(os.environ.get("LEDGER_RACES", "40"))


@pytest.fixture
def house(engine):
    return money.a_hospital()


def at_once(hands, act):
    """Call ``act(n)`` in as many threads as hands, started together; their answers or refusals."""
    start = threading.Barrier(hands)

    def one(n):
        start.wait()
        try:
            return act(n)
        except Refusal as no:
            return no.code

    with ThreadPoolExecutor(hands) as pool:
        return list(pool.map(one, range(hands)))


def test_eight_hands_with_the_same_key_have_one_effect(house):
    for again in range(5):
        answers = at_once(8, lambda n, r=again: money.collect(house, f"same{r}", "stay-1", 100))
        assert len(set(answers)) == 1
        assert money.held(house, "stay-1") == 100 * (again + 1)
    assert money.findings(house) == []


def test_the_same_key_with_other_content_loses_in_a_race_too(house):
    answers = at_once(8, lambda n: money.collect(house, "same", "stay-1", 100 + n % 2))
    won = {answer for answer in answers if answer != "LEDGER_KEY_REUSED"}
    assert len(won) == 1
    assert answers.count("LEDGER_KEY_REUSED") == 4


def test_twenty_hands_on_one_account_sum_exactly(house):
    def ten_each(n):
        for i in range(10):
            money.collect(house, f"{n}-{i}", "stay-1", 7)

    at_once(20, ten_each)
    assert money.held(house, "stay-1") == 20 * 10 * 7
    assert money.balance(house, CASH, "WECHAT") == 20 * 10 * 7
    assert money.findings(house) == []


def test_refunds_asked_twice_at_once_are_paid_once(house):
    for n in range(REFUNDS):
        money.collect(house, f"c{n}", f"stay-{n}", 100 + n)
    lots = [money.lots(house, f"stay-{n}")[0] for n in range(REFUNDS)]
    twice = iter([(n, side) for n in range(REFUNDS) for side in "ab"])
    answers = Counter()

    def refund(n, side):
        fen = 100 + n
        return money.post(
            house,
            f"r{n}{side}",
            (DEPOSIT, f"stay-{n}", fen),
            (TRANSIT, f"r{n}{side}", -fen),
            takes=[Take(lots[n].id, fen, "REFUND")],
        )

    def until_none_is_left(_):
        while asked := next_of(twice):
            try:
                refund(*asked)
                answers.update(["done"])
            except Refusal as no:
                answers.update([no.code])

    at_once(20, until_none_is_left)
    assert answers == {"done": REFUNDS, "BALANCE_TOO_LOW": REFUNDS}
    assert sum(money.held(house, f"stay-{n}") for n in range(REFUNDS)) == 0
    assert money.findings(house) == []


def test_movements_undone_twice_at_once_are_undone_once(house):
    booked = [money.collect(house, f"c{n}", "stay-1", 100) for n in range(10)]
    answers = at_once(20, lambda n: money.reverse(house, booked[n // 2], f"undo{n}"))
    assert answers.count("LEDGER_ALREADY_REVERSED") == 10
    assert money.held(house, "stay-1") == 0
    assert money.findings(house) == []


def test_the_same_reversal_by_eight_hands_is_one(house):
    for again in range(20):
        booked = money.collect(house, f"c{again}", "stay-1", 100)
        answers = at_once(8, lambda n, b=booked, r=again: money.reverse(house, b, f"undo{r}"))
        assert len(set(answers)) == 1
    assert money.held(house, "stay-1") == 0


def test_opposite_orders_do_not_deadlock(house):
    """Half of the hands name the accounts forwards, half backwards, some of them new each time."""

    def act(n):
        for i in range(20):
            names = ("a", *(f"new{i}-{j}" for j in range(20)), "z")
            lines = [(AccountKind.SUSPENSE, name, 1) for name in names]
            lines.append((REVENUE, "", -22))
            money.post(house, f"{n}-{i}", *(lines if n % 2 else reversed(lines)))

    assert at_once(8, act) == [None] * 8
    assert money.balance(house, REVENUE, "") == -22 * 8 * 20
    assert money.findings(house) == []


def test_two_spenders_of_one_lot_do_not_overdraw_it(house):
    money.collect(house, "c", "stay-1", 100)
    money.collect(house, "d", "stay-1", 1_000)
    first, _ = money.lots(house, "stay-1")

    def spend(n):
        return money.post(
            house,
            f"s{n}",
            (DEPOSIT, "stay-1", 60),
            (REVENUE, "", -60),
            takes=[Take(first.id, 60, "SPEND")],
        )

    answers = at_once(4, spend)
    assert answers.count("LOTS_CHANGED") == 3
    assert money.held(house, "stay-1") == 1_040


def next_of(work):
    with ONE_AT_A_TIME:
        return next(work, None)
