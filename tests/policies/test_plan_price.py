"""No fen of a course is lost or doubled: its parts add up to the whole (GZ-9)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.plan_price import next_unit_fen, used_fen

UNITS = st.integers(1, 400)


def test_a_price_that_does_not_divide_is_rounded_for_the_payer():
    assert [next_unit_fen(10_000, 3, used) for used in range(3)] == [3_333, 3_333, 3_334]


@given(st.data(), UNITS, st.integers(1, 10**10))
def test_parts_add_up_to_the_price_and_to_what_was_used(data, units, more):
    price = units + more
    used = data.draw(st.integers(0, units))
    parts = [next_unit_fen(price, units, no) for no in range(units)]
    assert sum(parts) == price
    assert min(parts) >= 1
    assert max(parts) - min(parts) <= 1
    assert sum(parts[:used]) == used_fen(price, units, used)
    assert used_fen(price, units, used) * units <= price * used, "never more than the exact share"


@pytest.mark.parametrize("wrong", [(100, 0, 0), (100, 3, 4), (100, 3, -1), (-1, 3, 1)])
def test_what_cannot_be_is_an_error(wrong):
    with pytest.raises(ValueError, match="fen"):
        used_fen(*wrong)
