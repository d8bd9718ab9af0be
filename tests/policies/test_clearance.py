"""The forecast, the shares and the cost of the clearance (GZ-7, rank 9)."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from policies.clearance import PACE_DAYS, board_words, cost_per_yuan, forecast, percent
from policies.turnover import Reason

TODAY, DEADLINE = date(2025, 10, 1), date(2025, 12, 31)


def test_the_pace_of_four_weeks_is_carried_on():
    by_day = {TODAY - timedelta(days=n): 1_000 for n in range(60)}
    ahead = forecast(100_000, by_day, TODAY, DEADLINE)
    assert (ahead.per_day_fen, ahead.left_fen) == (1_000, 9_000)  # 91 days
    assert ahead.done_on == date(2026, 1, 9)


def test_days_without_any_count_too():
    ahead = forecast(2_800, {TODAY: 2_800}, TODAY, DEADLINE)
    assert (ahead.per_day_fen, ahead.left_fen) == (100, 0)
    assert ahead.done_on == TODAY + timedelta(days=28)


def test_without_any_pace_nothing_is_promised():
    ahead = forecast(500, {TODAY - timedelta(days=PACE_DAYS): 900}, TODAY, DEADLINE)
    assert (ahead.per_day_fen, ahead.left_fen, ahead.done_on) == (0, 500, None)
    assert forecast(0, {}, TODAY, DEADLINE).done_on == TODAY


@given(
    st.integers(0, 10**9),
    st.dictionaries(
        st.dates(TODAY - timedelta(days=60), TODAY), st.integers(0, 10**7), max_size=30
    ),
    st.integers(-400, 400),
)
def test_a_forecast_is_never_less_than_nothing(left, by_day, days):
    ahead = forecast(left, by_day, TODAY, TODAY + timedelta(days=days))
    assert 0 <= ahead.left_fen <= left
    assert ahead.done_on is None or ahead.done_on >= TODAY


def test_shares_and_cost():
    assert [percent(*pair) for pair in ((1, 3), (2, 3), (0, 5), (5, 5), (0, 0))] == [
        "33.3",
        "66.7",
        "0.0",
        "100.0",
        "100.0",
    ]
    assert (cost_per_yuan(450, 100_000), cost_per_yuan(1, 0)) == ("0.0045", None)


def test_every_state_and_reason_has_words():
    words = board_words()
    assert set(Reason) <= set(words["reasons"])
    assert len(words["header"]) == 10
