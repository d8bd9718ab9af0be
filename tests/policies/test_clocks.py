"""The clocks of a discharge, on the days on which they were ever counted wrong (GZ-19)."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import SHANGHAI
from policies import workdays
from policies.clocks import Case, Clocks, clocks, kpi
from policies.packs import NoValue, rules_of

RULES = rules_of(["guizhou", "national"])


def at(
    year: int, month: int, day: int, hour: int = 10, minute: int = 0, second: int = 0
) -> datetime:
    return datetime(year, month, day, hour, minute, second, tzinfo=SHANGHAI)


def started(moment: datetime, **more) -> Clocks:
    found = clocks(moment, moment, RULES, more.pop("overrides", {}), **more)
    assert found is not None
    return found


def without(year: int):
    return lambda day: None if day.year == year else workdays.published(day)


@pytest.mark.parametrize(
    ("left", "due", "target"),
    [
        pytest.param(
            at(2025, 7, 4),
            date(2025, 7, 9),
            at(2025, 7, 5),
            id="a weekend",
            marks=pytest.mark.clause("GZ-19", "T1"),
        ),
        pytest.param(
            at(2025, 9, 30),
            date(2025, 10, 11),
            at(2025, 10, 1),
            id="the national holidays and a working Saturday",
            marks=pytest.mark.clause("GZ-19", "T2"),
        ),
        pytest.param(
            at(2025, 9, 26),
            date(2025, 9, 30),
            at(2025, 9, 27),
            id="a working Sunday",
            marks=pytest.mark.clause("GZ-19", "T3"),
        ),
        pytest.param(
            at(2025, 12, 31),
            date(2026, 1, 6),
            at(2026, 1, 1),
            id="over the year",
            marks=pytest.mark.clause("GZ-19", "T4"),
        ),
    ],
)
def test_due_day_and_target(left, due, target):
    found = started(left)
    assert (found.due_on, found.target_at, found.warnings) == (due, target, ())


@pytest.mark.clause("GZ-19", "T4")
def test_a_year_without_a_table_is_counted_provisionally_and_says_so():
    found = started(at(2025, 12, 31), table=without(2026))
    assert found.due_on == date(2026, 1, 5)  # Thu, Fri, Mon: nobody knows of the holiday yet
    assert found.warnings == ("HOLIDAY_TABLE_MISSING",)


def test_a_missing_table_of_another_year_is_no_news():
    assert started(at(2025, 7, 4), table=without(2026)).warnings == ()


def test_the_hospitals_own_table_wins():
    overrides = {date(2026, 1, 1): False, date(2026, 1, 2): False, date(2026, 1, 4): True}
    found = started(at(2025, 12, 31), overrides=overrides, table=without(2026))
    assert found.due_on == date(2026, 1, 6)
    assert found.warnings == ("HOLIDAY_TABLE_MISSING",)  # the 5th and 6th are still a guess

    whole = {date(2026, 1, day): day not in {1, 2, 3} for day in range(1, 10)}
    assert started(at(2025, 12, 31), overrides=whole, table=without(2026)).warnings == ()


@pytest.mark.clause("GZ-19", "T5")
def test_the_last_second_of_the_day_is_in_time():
    found = started(at(2025, 9, 30))
    assert found.on_time(at(2025, 10, 11, 23, 59, 59))
    assert not found.on_time(at(2025, 10, 12, 0, 0, 0))


def test_the_last_moment_of_the_24_hours_counts():
    found = started(at(2025, 7, 4))
    assert found.on_target(at(2025, 7, 5, 10))
    assert not found.on_target(at(2025, 7, 5, 10) + timedelta(microseconds=1))


@pytest.mark.parametrize("swap", [False, True])
def test_the_clock_starts_with_the_later_of_order_and_bed(swap):
    """D-26; and a Shanghai evening is a Shanghai day, whatever UTC says."""
    moments = at(2025, 7, 4, 10), at(2025, 7, 7, 0, 30)
    found = clocks(*(reversed(moments) if swap else moments), RULES, {})
    assert found is not None
    assert (found.started_at, found.due_on) == (moments[1], date(2025, 7, 10))


def test_no_clock_before_both_have_happened():
    assert clocks(at(2025, 7, 4), None, RULES, {}) is None
    assert clocks(None, at(2025, 7, 4), RULES, {}) is None


def test_no_clock_before_the_rules():
    with pytest.raises(NoValue):
        started(at(2025, 6, 29))


@given(st.integers(0, 535), st.integers(0, 86_399))
def test_three_working_days_lie_between(days, seconds):
    left = at(2025, 7, 1, 0) + timedelta(days=days, seconds=seconds)
    due = started(left).due_on
    day, working = left.date(), 0
    while day < due:
        day += timedelta(days=1)
        working += bool(workdays.published(day))
    assert working == 3
    assert workdays.published(due)


@pytest.mark.clause("GZ-19", "T6")
def test_the_kpi_of_a_hundred_discharges():
    running = started(at(2025, 7, 4))
    in_a_day, in_time, too_late = at(2025, 7, 5), at(2025, 7, 9), at(2025, 7, 10)
    settled = [in_a_day] * 61 + [in_time] * 32 + [too_late] * 7
    cases = [
        Case(UUID(int=n), running, moment, "INSURANCE_REPLY" if moment == too_late else "")
        for n, moment in enumerate(settled)
    ]
    found = kpi(cases, at(2025, 7, 20))
    assert (found.discharges, found.on_time, found.on_target, found.waiting) == (100, 93, 61, 0)
    assert found.late == tuple(cases[93:])
    assert {case.reason for case in found.late} == {"INSURANCE_REPLY"}


def test_the_unsettled_wait_until_their_day_is_over():
    waiting = Case(UUID(int=1), started(at(2025, 7, 4)), None)
    before, after = kpi([waiting], at(2025, 7, 9, 23)), kpi([waiting], at(2025, 7, 10, 0))
    assert (before.waiting, before.late) == (1, ())
    assert (after.waiting, after.late) == (0, (waiting,))
    settled = replace(waiting, settled_at=at(2025, 7, 9))
    assert kpi([settled], at(2025, 7, 10)).on_time == 1
