"""The two clocks of a discharge (GZ-19): three working days that bind, 24 hours to aim at."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from uuid import UUID

from config import SHANGHAI, today
from policies import workdays
from policies.packs import Rules


@dataclass(frozen=True, slots=True)
class Clocks:
    """``due_on``: the last Shanghai day in time. ``late_from``: the first moment after it."""

    started_at: datetime
    due_on: date
    late_from: datetime
    target_at: datetime
    warnings: tuple[str, ...] = ()

    def on_time(self, settled_at: datetime) -> bool:
        """Settled before the third working day was over."""
        return settled_at < self.late_from

    def on_target(self, settled_at: datetime) -> bool:
        """Settled within the target hours, the last moment included."""
        return settled_at <= self.target_at


def clocks(
    ordered_at: datetime | None,
    left_at: datetime | None,
    rules: Rules,
    overrides: Mapping[date, bool],
    table: Callable[[date], bool | None] = workdays.published,
) -> Clocks | None:
    """Both clocks, from the later of order signed and bed released (D-26); None without both.

    Death and transfer are discharges like others. Raises NoValue before the rules were in force.
    """
    if ordered_at is None or left_at is None:
        return None
    started = max(ordered_at, left_at)
    day = today(started)
    due = workdays.after(day, rules.value("settlement.due_working_days", day), overrides, table)
    over = datetime.combine(due.day + timedelta(days=1), time(), SHANGHAI)
    return Clocks(
        started_at=started,
        due_on=due.day,
        late_from=over,
        target_at=started + timedelta(hours=rules.value("settlement.target_hours", day)),
        warnings=due.warnings,
    )


@dataclass(frozen=True, slots=True)
class Case:
    """One discharge. ``settled_at``: the bill was closed (D-27). ``reason``: why not in time."""

    admission_id: UUID
    clocks: Clocks
    settled_at: datetime | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Kpi:
    """How a list of discharges did. ``late``: all that missed their day, settled or not."""

    discharges: int
    on_time: int
    on_target: int
    waiting: int
    late: tuple[Case, ...]


def kpi(cases: Sequence[Case], now: datetime) -> Kpi:
    """Count discharges: they are on time, waiting or late, and each late one is listed."""
    settled = [(case, case.settled_at) for case in cases if case.settled_at is not None]
    late = tuple(case for case in cases if not case.clocks.on_time(case.settled_at or now))
    on_time = sum(case.clocks.on_time(at) for case, at in settled)
    return Kpi(
        discharges=len(cases),
        on_time=on_time,
        on_target=sum(case.clocks.on_target(at) for case, at in settled),
        waiting=len(cases) - on_time - len(late),
        late=late,
    )
