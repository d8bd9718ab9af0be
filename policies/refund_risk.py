"""When a request for stored money is held until two people have looked at it: facts in, reasons
out (GZ-7: risk control, T7). Pure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from config import SHANGHAI, today
from policies.money import yuan
from policies.workdays import published

CARD_WINDOW = timedelta(days=7)
PHONE_WINDOW = timedelta(days=30)
BURST_WINDOW = timedelta(hours=12)
ROUND_TRIP_WINDOW = timedelta(days=30)
FRESH = timedelta(hours=72)
NIGHT = (time(20), time(7))
"""From when until when nobody is expected at a window (Shanghai)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """From which counts and amounts on a request is held; ``amount_fen`` is the hospital's own."""

    amount_fen: int
    card_patients: int = 3
    phone_patients: int = 4
    burst: int = 5
    elsewhere_fen: int = 10_000
    fresh_fen: int = 50_000


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one request at this moment; whatever is not known is nothing.

    ``card_patients``: how many people's requests named its bank card in `CARD_WINDOW`;
    ``phone_patients``: for how many people its WeChat account asked in `PHONE_WINDOW`;
    ``burst``: how many the staff member who accepted it accepted outside of working hours in
    `BURST_WINDOW`. ``recent_elsewhere_fen``: paid within `ROUND_TRIP_WINDOW` and not going back the
    way it came; ``others_elsewhere_fen``: paid by somebody else's WeChat, and not going back there.
    ``leaves_remotely``: to a card that was named or a WeChat account, nobody comes to a window.
    ``bound_for``: how long ago the phone was bound; ``bound_twice``: another phone is bound too.
    """

    amount_fen: int
    card_patients: int = 0
    phone_patients: int = 0
    burst: int = 0
    staff_is_payee: bool = False
    one_desk: bool = False
    recent_elsewhere_fen: int = 0
    others_elsewhere_fen: int = 0
    leaves_remotely: bool = False
    bound_for: timedelta | None = None
    bound_twice: bool = False


@dataclass(frozen=True, slots=True)
class Risk:
    """One reason to hold: a code of texts/refund_holds.yaml and its facts, all of them JSON."""

    reason: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def risks(facts: Facts, limits: Limits) -> list[Risk]:
    """Every reason to hold this request; none: it goes on."""
    return [risk for look in _LOOKS if (risk := look(facts, limits))]


def off_hours(
    moment: datetime,
    overrides: Mapping[date, bool],
    table: Callable[[date], bool | None] = published,
) -> bool:
    """Whether it is night in Shanghai, or no working day; a year without a table counts Mon-Fri."""
    day, clock = today(moment), moment.astimezone(SHANGHAI).time()
    works = overrides.get(day, table(day))
    if works is None:
        works = day.weekday() < 5
    return not works or clock >= NIGHT[0] or clock < NIGHT[1]


def said(reason: str, facts: Mapping[str, Any]) -> str:
    """The reason as one Chinese sentence for the people who decide; ``x_fen`` is said in yuan."""
    words = {
        f"{name[:-4]}_yuan" if name.endswith("_fen") else name: (
            yuan(fact) if name.endswith("_fen") else str(fact)
        )
        for name, fact in facts.items()
    }
    return _sentences()[reason].format_map(words)


def _same_card(facts: Facts, limits: Limits) -> Risk | None:
    if facts.card_patients < limits.card_patients:
        return None
    return Risk("SAME_CARD", {"patients": facts.card_patients})


def _staff_is_payee(facts: Facts, limits: Limits) -> Risk | None:
    return Risk("STAFF_IS_PAYEE") if facts.staff_is_payee else None


def _one_desk(facts: Facts, limits: Limits) -> Risk | None:
    return Risk("ONE_DESK") if facts.one_desk else None


def _others_paid(facts: Facts, limits: Limits) -> Risk | None:
    if facts.others_elsewhere_fen < limits.elsewhere_fen:
        return None
    return Risk("OTHERS_PAID", {"amount_fen": facts.others_elsewhere_fen})


def _round_trip(facts: Facts, limits: Limits) -> Risk | None:
    if facts.recent_elsewhere_fen < limits.elsewhere_fen:
        return None
    return Risk("ROUND_TRIP", {"amount_fen": facts.recent_elsewhere_fen})


def _burst(facts: Facts, limits: Limits) -> Risk | None:
    return Risk("OFF_HOURS_BURST", {"count": facts.burst}) if facts.burst >= limits.burst else None


def _above_limit(facts: Facts, limits: Limits) -> Risk | None:
    if facts.amount_fen <= limits.amount_fen:
        return None
    return Risk("LARGE_AMOUNT", {"amount_fen": facts.amount_fen, "limit_fen": limits.amount_fen})


def _one_phone(facts: Facts, limits: Limits) -> Risk | None:
    if facts.phone_patients < limits.phone_patients:
        return None
    return Risk("ONE_PHONE", {"patients": facts.phone_patients})


def _fresh_binding(facts: Facts, limits: Limits) -> Risk | None:
    """A first phone of one's own is no risk for small money: many bind it to ask for just that."""
    if facts.bound_for is None or facts.bound_for >= FRESH or not facts.leaves_remotely:
        return None
    if not facts.bound_twice and facts.amount_fen < limits.fresh_fen:
        return None
    return Risk("FRESH_BINDING", {"hours": int(facts.bound_for / timedelta(hours=1))})


_LOOKS: tuple[Callable[[Facts, Limits], Risk | None], ...] = (
    _same_card,
    _staff_is_payee,
    _one_desk,
    _others_paid,
    _round_trip,
    _burst,
    _above_limit,
    _one_phone,
    _fresh_binding,
)


@cache
def _sentences() -> dict[str, str]:
    path = Path(__file__).parent / "texts" / "refund_holds.yaml"
    sentences: dict[str, str] = yaml.safe_load(path.read_text("utf8"))
    return sentences
