"""Stored money is spent oldest first."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.lots import Lot, spend_oldest_first
from policies.refusals import Refused

NOW = datetime(2025, 12, 20, 4, tzinfo=UTC)


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


days = st.sampled_from([1, 200, 364, 365, 800]).map(lambda days: NOW - days * timedelta(days=1))
lots = st.lists(st.tuples(st.integers(1, 60), days), min_size=1, max_size=6).map(
    lambda found: [lot(number, fen, paid_at=at) for number, (fen, at) in enumerate(found)]
)


@given(lots, st.integers(0, 400))
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
