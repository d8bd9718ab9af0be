"""How far the clearance is, how it will stand at the deadline, and what it costs (GZ-7)."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from math import ceil
from pathlib import Path
from typing import Any

import yaml

PACE_DAYS = 28
"""The forecast carries the pace of so many last days on."""

FORESEEABLE_DAYS = 3650
"""Whatever would take longer is not going to happen at this pace."""

ALARMS = (90, 60, 30, 7)
"""Days before the deadline on which finance is reminded (requirements A3)."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """``left_fen`` at the deadline at the present pace; ``done_on`` when nothing would be left, if
    that is foreseeable.
    """

    deadline: date
    per_day_fen: int
    left_fen: int
    done_on: date | None


def forecast(
    left_fen: int, cleared_by_day: dict[date, int], today: date, deadline: date
) -> Forecast:
    """Carry the mean of the last PACE_DAYS days on, the days without any counted too.

    The deadline binds the hospital, not the patient (T9): after it the forecast goes on counting
    from today.
    """
    since = today - timedelta(days=PACE_DAYS)
    recent = sum(fen for day, fen in cleared_by_day.items() if since < day <= today)
    per_day = Decimal(recent) / PACE_DAYS
    days = max((deadline - today).days, 0)
    left = max(0, left_fen - int(per_day * days))
    needs = ceil(left_fen / per_day) if per_day else None if left_fen else 0
    seen = needs is not None and needs <= FORESEEABLE_DAYS
    done = today + timedelta(days=needs or 0) if seen else None
    return Forecast(deadline, int(per_day), left, done)


def percent(part_fen: int, whole_fen: int) -> str:
    """A share with one decimal, rounded half up; 100.0 of nothing."""
    if not whole_fen:
        return "100.0"
    share = Decimal(part_fen) * 100 / whole_fen
    return str(share.quantize(Decimal("0.1"), ROUND_HALF_UP))


def cost_per_yuan(cost_fen: int, paid_fen: int) -> str | None:
    """Yuan spent for each yuan given back, four decimals; None while nothing was."""
    if not paid_fen:
        return None
    return str((Decimal(cost_fen) / paid_fen).quantize(Decimal("0.0001"), ROUND_HALF_UP))


@cache
def board_words() -> dict[str, Any]:
    """How the exported ledger names its columns, states and reasons (texts/clearance.yaml)."""
    path = Path(__file__).parent / "texts" / "clearance.yaml"
    words: dict[str, Any] = yaml.safe_load(path.read_text("utf8"))
    return words
