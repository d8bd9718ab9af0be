"""Working days by the State Council's table; a year without one counts Mon-Fri and says so."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import chinese_calendar

HOLIDAY_TABLE_MISSING = "HOLIDAY_TABLE_MISSING"


@dataclass(frozen=True, slots=True)
class Counted:
    """A day that was counted to. ``warnings`` says when it is only provisional."""

    day: date
    warnings: tuple[str, ...] = ()


def published(day: date) -> bool | None:
    """Whether the State Council's table makes this a working day; None: no table for that year."""
    try:
        return bool(chinese_calendar.is_workday(day))
    except NotImplementedError:
        return None


def after(
    start: date,
    days: int,
    overrides: Mapping[date, bool],
    table: Callable[[date], bool | None] = published,
) -> Counted:
    """The nth working day after a day, which is itself not counted (Civil Code art. 201).

    ``overrides``: day -> works, from the hospital's own table; it wins over the published one.
    """
    day, left, missing = start, days, False
    while left:
        day += timedelta(days=1)
        works = overrides.get(day, table(day))
        if works is None:
            missing, works = True, day.weekday() < 5
        left -= works
    return Counted(day, (HOLIDAY_TABLE_MISSING,) if missing else ())
