"""The choices over lots, against every choice there is."""

from datetime import UTC, datetime, timedelta
from itertools import combinations
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.lots import WECHAT_PARTS, Lot, plan_original_route, spend_oldest_first
from policies.refusals import Refused

NOW = datetime(2025, 12, 20, 4, tzinfo=UTC)
LAST_MOMENT = timedelta(days=365) - timedelta(minutes=15)


def lot(number: int, fen: int, **more) -> Lot:
    facts = {
        "channel": "WECHAT",
        "channel_transaction": f"tx{number}",
        "order_id": None,
        "paid_at": NOW - timedelta(days=number),
        "amount_fen": fen,
        "remaining_fen": fen,
        "paid_fen": fen,
        "parts": 0,
        "last_refund_at": None,
    }
    return Lot(id=UUID(int=number), **(facts | more))


@st.composite
def some_lots(draw):
    found = []
    for number in range(1, draw(st.integers(1, 6)) + 1):
        channel = draw(st.sampled_from(["WECHAT", "WECHAT", "CASH", "CARD"]))
        found.append(
            lot(
                number,
                draw(st.integers(1, 60)),
                channel=channel,
                paid_at=NOW - draw(st.sampled_from([1, 200, 364, 365, 800])) * timedelta(days=1),
                parts=draw(st.sampled_from([0, 48, 49, 50])),
                channel_transaction=draw(st.sampled_from(["shared", f"tx{number}"])),
            )
        )
    return found


def can_carry(lots) -> bool:
    """Whether these lots may all be legs of one refund along their original routes."""
    legs: dict[str, int] = {}
    for each in lots:
        if each.channel != "WECHAT":
            continue
        if each.paid_at + LAST_MOMENT <= NOW:
            return False
        legs[each.channel_transaction] = legs.get(each.channel_transaction, 0) + 1
        if each.parts + legs[each.channel_transaction] > WECHAT_PARTS:
            return False
    return True


def same_parts(lots) -> bool:
    """Lots of one channel transaction know the same count of parts, as the database reads them."""
    known: dict[str, int] = {}
    return all(
        known.setdefault(x.channel_transaction, x.parts) == x.parts
        for x in lots
        if x.channel == "WECHAT"
    )


@given(some_lots().filter(same_parts), st.integers(1, 400))
def test_the_plan_is_the_best_of_all_plans(lots, amount):
    whole = sum(each.remaining_fen for each in lots)
    if amount > whole:
        with pytest.raises(Refused, match="BALANCE_TOO_LOW"):
            plan_original_route(lots, amount, NOW)
        return
    legs, rest = plan_original_route(lots, amount, NOW)

    assert sum(fen for _, fen in legs) + rest == amount
    assert all(0 < fen <= each.remaining_fen for each, fen in legs)
    assert len({each.id for each, _ in legs}) == len(legs)
    possible = [
        chosen
        for size in range(len(lots) + 1)
        for chosen in combinations(lots, size)
        if can_carry(chosen)
    ]
    most = max(sum(each.remaining_fen for each in chosen) for chosen in possible)
    assert rest == max(0, amount - most)
    enough = [c for c in possible if sum(x.remaining_fen for x in c) >= amount - rest]
    assert len(legs) == min(len(chosen) for chosen in enough)
    assert can_carry([each for each, _ in legs])


@given(some_lots(), st.integers(0, 400))
def test_spending_empties_the_oldest_first(lots, amount):
    if amount > sum(each.remaining_fen for each in lots):
        with pytest.raises(Refused, match="BALANCE_TOO_LOW"):
            spend_oldest_first(lots, amount)
        return
    taken = spend_oldest_first(lots, amount)
    oldest = sorted(lots, key=lambda each: (each.paid_at, each.id))

    assert sum(fen for _, fen in taken) == amount
    assert [each for each, _ in taken] == oldest[: len(taken)]
    assert all(fen == each.remaining_fen for each, fen in taken[:-1])
    assert all(0 < fen <= each.remaining_fen for each, fen in taken)


def test_a_payment_goes_back_to_wechat_until_a_quarter_of_an_hour_before_its_year_is_over():
    just = lot(1, 100, paid_at=NOW - LAST_MOMENT + timedelta(seconds=1))
    gone = lot(1, 100, paid_at=NOW - LAST_MOMENT)
    assert plan_original_route([just], 100, NOW) == ([(just, 100)], 0)
    assert plan_original_route([gone], 100, NOW) == ([], 100)


def test_the_fiftieth_part_is_the_last():
    assert plan_original_route([lot(1, 100, parts=49)], 1, NOW)[1] == 0
    assert plan_original_route([lot(1, 100, parts=50)], 1, NOW)[1] == 1


def test_a_payment_without_its_number_has_no_way_back():
    assert plan_original_route([lot(1, 100, channel_transaction=None)], 100, NOW) == ([], 100)


def test_old_cash_still_goes_to_the_window():
    old = lot(1, 100, channel="CASH", paid_at=NOW - timedelta(days=3_000))
    assert plan_original_route([old], 60, NOW) == ([(old, 60)], 0)


def test_one_leg_where_one_is_enough():
    small, large = lot(1, 300), lot(2, 5_000)
    assert plan_original_route([small, large], 500, NOW) == ([(large, 500)], 0)
