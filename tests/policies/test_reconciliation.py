"""The comparison of a bill with our rows: exactly what was planted is found, and the borders."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config import SHANGHAI
from policies.reconciliation import (
    FITS,
    Around,
    BillRow,
    Difference,
    Here,
    Kind,
    OwnRow,
    Sort,
    There,
    Totals,
    bounds,
    compare,
)
from tests.planted import DAY, Books, books, plant, totals_of

NOON = datetime(2026, 11, 21, 12, tzinfo=SHANGHAI)
LATE = datetime(2026, 11, 21, 23, 59, 59, tzinfo=SHANGHAI)
FEN = 31_2472


def there(sort=Sort.PAYMENT, number="a" * 32, fen=FEN, state=There.PAID, at=NOON):
    return BillRow(sort, number, fen, state, at)


def here(sort=Sort.PAYMENT, number="a" * 32, fen=FEN, state=Here.PAID, at=NOON, code=False):
    return OwnRow(sort, number, fen, state, at.astimezone(UTC) if at else None, code)


def found(bill, own, around=None, totals=None):
    return compare(DAY, bill, totals, own, around or Around())


def kinds(outcome):
    return [each.kind for each in outcome.differences], [each.kind for each in outcome.waiting]


@settings(max_examples=150, deadline=None)
@given(
    rows=st.integers(20, 80),
    seed=st.integers(0, 10**9),
    wanted=st.lists(st.sampled_from([*Kind]), max_size=15),
)
def test_exactly_what_was_planted_is_found(rows, seed, wanted):
    """Whatever is planted where, in any number: it is found, with both amounts, and nothing else;
    and the two sides' sums differ by exactly these differences."""
    sound = books(rows, seed)
    assert compare(DAY, sound.bill, totals_of(sound.bill), sound.own).differences == []
    spoiled, planted = plant(sound, wanted, seed)
    outcome = compare(DAY, spoiled.bill, spoiled.totals, spoiled.own)
    assert Counter(outcome.differences) == Counter(planted)
    assert outcome.waiting == []
    for sort, name in ((Sort.PAYMENT, "PAYMENT"), (Sort.REFUND, "REFUND")):
        told = [each for each in planted if each.kind.startswith(name)]
        gap = outcome.there[sort].fen - outcome.here[sort].fen
        assert gap == sum(each.there_fen - each.here_fen for each in told)


@given(rows=st.integers(0, 60), seed=st.integers(0, 10**9))
def test_books_that_agree_have_equal_sums(rows, seed):
    sound = books(rows, seed)
    outcome = compare(DAY, sound.bill, totals_of(sound.bill), sound.own)
    assert (outcome.differences, outcome.waiting) == ([], [])
    assert outcome.there == outcome.here
    assert outcome.there[Sort.PAYMENT].rows + outcome.there[Sort.REFUND].rows == rows


def test_the_day_is_shanghai_s():
    assert bounds(date(2026, 11, 21)) == (
        datetime(2026, 11, 20, 16, tzinfo=UTC),
        datetime(2026, 11, 21, 16, tzinfo=UTC),
    )


def test_a_payment_of_the_last_second_may_stand_in_the_next_bill():
    """It waits for that one, is none if it stands there, and is one if it does not."""
    mine = here(at=LATE)
    assert kinds(found([], [mine])) == ([], [Kind.PAYMENT_NOT_THERE])
    assert kinds(found([], [mine], Around(next_is_in=True))) == ([Kind.PAYMENT_NOT_THERE], [])
    elsewhere = Around({(Sort.PAYMENT, mine.number)}, next_is_in=True)
    assert kinds(found([], [mine], elsewhere)) == ([], [])


def test_one_that_was_not_near_midnight_does_not_wait():
    early = here(at=datetime(2026, 11, 21, 23, 49, 59, tzinfo=SHANGHAI))
    assert kinds(found([], [early])) == ([Kind.PAYMENT_NOT_THERE], [])
    first = here(at=datetime(2026, 11, 21, tzinfo=SHANGHAI))
    assert kinds(found([], [first])) == ([Kind.PAYMENT_NOT_THERE], [])


@pytest.mark.parametrize("at", [LATE + timedelta(seconds=1), NOON - timedelta(days=1), None])
def test_a_row_of_the_bill_is_ours_whatever_day_it_has_here(at):
    mine = here(at=at, state=Here.PAID)
    outcome = found([there(at=LATE)], [mine])
    assert kinds(outcome) == ([], [])
    assert outcome.of_other_days == {(Sort.PAYMENT, mine.number)}
    assert outcome.there == outcome.here


def test_a_row_of_another_day_is_not_missed_on_this_one():
    for at in (LATE + timedelta(seconds=1), bounds(DAY)[0] - timedelta(seconds=1), None):
        assert kinds(found([], [here(at=at)])) == ([], [])


def test_what_is_open_here_and_not_there_is_no_difference():
    own = [here(state=state, at=None) for state in Here if state != Here.PAID]
    assert kinds(found([], own)) == ([], [])


@pytest.mark.parametrize("state", [each for each in Here if each != Here.PAID])
def test_paid_there_and_not_here(state):
    outcome = found([there()], [here(state=state, at=None)])
    assert outcome.differences == [Difference(Kind.PAYMENT_STATE, "a" * 32, FEN, 0)]


@pytest.mark.parametrize("said", There)
@pytest.mark.parametrize("state", Here)
def test_every_pair_of_what_became_of_a_refund(said, state):
    row = there(Sort.REFUND, state=said)
    outcome = found([row], [here(Sort.REFUND, state=state, at=NOON if state == "PAID" else None)])
    assert kinds(outcome) == ([] if state in FITS[said] else [Kind.REFUND_STATE], [])


def test_another_amount_explains_another_state():
    outcome = found([there(fen=FEN + 1)], [here(state=Here.OPEN, at=None)])
    assert outcome.differences == [Difference(Kind.PAYMENT_AMOUNT, "a" * 32, FEN + 1, FEN)]


def test_a_payment_code_that_was_taken_back_leaves_nothing():
    closed = here(state=Here.OVER, at=None, code=True)
    paid, back = there(at=LATE), there(Sort.REVERSAL, at=LATE)
    assert kinds(found([paid, back], [closed])) == ([], [])
    part = back._replace(amount_fen=FEN - 1)
    assert kinds(found([paid, part], [closed])) == ([Kind.REFUND_AMOUNT], [])
    # The reversal may have come after midnight: then it stands in the next bill.
    assert kinds(found([paid], [closed])) == ([], [Kind.PAYMENT_STATE])
    assert kinds(found([there()], [closed])) == ([Kind.PAYMENT_STATE], [])
    assert kinds(found([paid], [closed], Around(next_is_in=True))) == ([Kind.PAYMENT_STATE], [])
    elsewhere = Around({(Sort.REVERSAL, closed.number)}, next_is_in=True)
    assert kinds(found([paid], [closed], elsewhere)) == ([], [])
    alone = found([back], [closed])
    assert kinds(alone) == ([], [])
    assert alone.of_other_days == {(Sort.REVERSAL, closed.number)}


def test_a_reversal_of_what_we_count_as_paid_is_a_refund_that_we_do_not_know():
    outcome = found([there(), there(Sort.REVERSAL)], [here()])
    assert outcome.differences == [Difference(Kind.REFUND_NOT_HERE, "a" * 32, FEN, 0)]


def test_each_total_is_looked_at():
    bill = [there(), there(Sort.REFUND, "b" * 32, 5)]
    own = [here(), here(Sort.REFUND, "b" * 32, 5)]
    for said, name, is_ in (
        (Totals(3, FEN, 5), "rows", 2),
        (Totals(2, FEN + 1, 5), "payments_fen", FEN),
        (Totals(2, FEN, 4), "refunds_fen", 5),
    ):
        (told,) = found(bill, own, totals=said).differences
        assert told == Difference(Kind.TOTALS, name, getattr(said, name), is_)


def test_the_books_of_these_tests_hold_every_sort():
    sound = books(500, 1)
    assert isinstance(sound, Books)
    assert {row.sort for row in sound.bill} == set(Sort)
    assert {row.state for row in sound.own} >= {Here.PAID, Here.OPEN, Here.OVER}
    assert replace(sound, own=[]).own == []
