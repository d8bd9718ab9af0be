"""Whether a charge line of the HIS can be taken: its fields, codes and money; pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from config import SHANGHAI

TEXTS = Path(__file__).parent / "texts" / "charge_verdicts.yaml"

CATEGORIES = frozenset(f"{number:02d}" for number in range(1, 15))
"""med_chrgitm_type: the fourteen classes of the platform, which are also those of the e-invoice."""

LEVELS = frozenset({"01", "02", "03"})
"""chrgitm_lv: 甲, 乙, 丙."""

SELF_PAID = "03"
MAX_AHEAD = timedelta(hours=24)
"""A ward may post the coming night's bed today; more than that is a wrong date."""

EARLIEST = datetime(2000, 1, 1, tzinfo=SHANGHAI)
CONTROL = r"\x00-\x1f\x7f\ud800-\udfff"
"""Control characters and halves of surrogate pairs: a database text cannot hold all of them."""

UNSTORABLE = re.compile(f"[{CONTROL}]")

NUMBER = {places: re.compile(rf"[0-9]{{1,10}}(\.[0-9]{{1,{places}}})?") for places in (4, 6)}
"""decimal places -> how a number of so many is written."""


class Verdict(StrEnum):
    """What became of a line. ACCEPTED and DUPLICATE mean that the hospital's bill contains it."""

    ACCEPTED = "ACCEPTED"
    DUPLICATE = "DUPLICATE"
    CONFLICT = "CONFLICT"
    MALFORMED = "MALFORMED"
    AMOUNT_MISMATCH = "AMOUNT_MISMATCH"
    NOT_WHOLE_FEN = "NOT_WHOLE_FEN"
    IN_THE_FUTURE = "IN_THE_FUTURE"
    UNKNOWN_CATEGORY = "UNKNOWN_CATEGORY"
    UNKNOWN_LEVEL = "UNKNOWN_LEVEL"
    NATIONAL_CODE_MISSING = "NATIONAL_CODE_MISSING"
    UNKNOWN_ADMISSION = "UNKNOWN_ADMISSION"
    ADMISSION_CANCELLED = "ADMISSION_CANCELLED"
    AFTER_SETTLEMENT = "AFTER_SETTLEMENT"
    REVERSES_UNKNOWN = "REVERSES_UNKNOWN"
    REVERSES_TOO_MUCH = "REVERSES_TOO_MUCH"


class NotTaken(Exception):
    """The line is refused; the others of its batch are not touched. ``field`` names the culprit."""

    def __init__(self, verdict: Verdict, field: str = "") -> None:
        super().__init__(f"{verdict} {field}".strip())
        self.verdict, self.field = verdict, field


class Charge(NamedTuple):
    """A line whose fields are sound. Quantity and amount are negative when it ``reverses`` one.

    A tuple, because a thousand come at a time and a frozen dataclass takes half as long again.
    """

    source_line_id: str
    inpatient_no: str
    occurred_at: datetime
    item_name: str
    specification: str
    unit: str
    quantity: Decimal
    unit_price: Decimal
    amount_fen: int
    category: str
    insurance_level: str
    self_pay_ratio: Decimal | None
    national_code: str
    hospital_code: str
    department_code: str
    department_name: str
    doctor_code: str
    doctor_name: str
    reverses: str | None = None


def check(raw: Mapping[str, Any], now: datetime) -> Charge:
    """The charge that a line of a batch describes; NotTaken with the first thing that is wrong."""
    charge = Charge(
        source_line_id=_text(raw, "source_line_id", 64, needed=True),
        inpatient_no=_text(raw, "inpatient_no", 64, needed=True),
        occurred_at=moment_of(raw.get("occurred_at"), now),
        item_name=_text(raw, "item_name", 200, needed=True),
        specification=_text(raw, "specification", 200),
        unit=_text(raw, "unit", 32),
        quantity=_above_zero(raw, "quantity", places=4),
        unit_price=_number(raw, "unit_price", places=6),
        amount_fen=_fen(raw),
        category=_text(raw, "category", 2, needed=True),
        insurance_level=_text(raw, "insurance_level", 2, needed=True),
        self_pay_ratio=_ratio(raw),
        national_code=_text(raw, "national_code", 64),
        hospital_code=_text(raw, "hospital_code", 64, needed=True),
        department_code=_text(raw, "department_code", 64, needed=True),
        department_name=_text(raw, "department_name", 100),
        doctor_code=_text(raw, "doctor_code", 64),
        doctor_name=_text(raw, "doctor_name", 100),
    )
    _codes(charge)
    if not fits(charge.quantity, charge.unit_price, charge.amount_fen):
        raise NotTaken(Verdict.AMOUNT_MISMATCH, "amount")
    return charge


def fits(quantity: Decimal, unit_price: Decimal, amount_fen: int) -> bool:
    """One fen of difference is the rounding of the HIS; more is another price or quantity."""
    return abs(quantity * unit_price * 100 - amount_fen) <= 1


def moment_of(said: Any, now: datetime) -> datetime:
    """When it happened, in Shanghai if nothing else is said; NotTaken for what cannot be."""
    try:
        moment = datetime.fromisoformat(said)
    except (TypeError, ValueError):
        raise NotTaken(Verdict.MALFORMED, "occurred_at") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=SHANGHAI)
    if moment < EARLIEST:
        raise NotTaken(Verdict.MALFORMED, "occurred_at")
    if moment > now + MAX_AHEAD:
        raise NotTaken(Verdict.IN_THE_FUTURE, "occurred_at")
    return moment


@dataclass(frozen=True, slots=True)
class Reversal:
    """A reversal as reported: so much of a line is taken back, in positive numbers."""

    source_line_id: str
    inpatient_no: str
    reverses: str
    occurred_at: datetime
    quantity: Decimal
    amount_fen: int


def check_reversal(raw: Mapping[str, Any], now: datetime) -> Reversal:
    """The reversal that a line describes; NotTaken with the first thing that is wrong with it."""
    return Reversal(
        source_line_id=_text(raw, "source_line_id", 64, needed=True),
        inpatient_no=_text(raw, "inpatient_no", 64, needed=True),
        reverses=_text(raw, "reverses", 64, needed=True),
        occurred_at=moment_of(raw.get("occurred_at"), now),
        quantity=_above_zero(raw, "quantity", places=4),
        amount_fen=_fen(raw),
    )


def take_back(
    original: Charge | None, reversal: Reversal, taken_quantity: Decimal, taken_fen: int
) -> Charge:
    """The negative line for a reversal of ``original``, of which so much was taken back before.

    Quantity and amount must run out together, so that a line taken back whole leaves no fen behind.
    """
    if original is None:
        raise NotTaken(Verdict.REVERSES_UNKNOWN, "reverses")
    quantity_left = original.quantity - taken_quantity - reversal.quantity
    fen_left = original.amount_fen - taken_fen - reversal.amount_fen
    if quantity_left < 0 or fen_left < 0:
        raise NotTaken(Verdict.REVERSES_TOO_MUCH, "quantity" if quantity_left < 0 else "amount")
    if quantity_left == 0 and fen_left != 0:
        raise NotTaken(Verdict.AMOUNT_MISMATCH, "amount")
    if quantity_left > 0 and not fits(reversal.quantity, original.unit_price, reversal.amount_fen):
        raise NotTaken(Verdict.AMOUNT_MISMATCH, "amount")
    return original._replace(
        source_line_id=reversal.source_line_id,
        occurred_at=reversal.occurred_at,
        quantity=-reversal.quantity,
        amount_fen=-reversal.amount_fen,
        reverses=reversal.reverses,
    )


@cache
def reason(verdict: str, field: str = "") -> str:
    """The verdict in one plain Chinese sentence for those who run the HIS."""
    return _sentences()[verdict].format(field=field)


@cache
def _sentences() -> dict[str, str]:
    found: dict[str, str] = yaml.safe_load(TEXTS.read_text("utf8"))
    return found


def _codes(charge: Charge) -> None:
    if charge.category not in CATEGORIES:
        raise NotTaken(Verdict.UNKNOWN_CATEGORY, "category")
    if charge.insurance_level not in LEVELS:
        raise NotTaken(Verdict.UNKNOWN_LEVEL, "insurance_level")
    if not charge.national_code and charge.insurance_level != SELF_PAID:
        raise NotTaken(Verdict.NATIONAL_CODE_MISSING, "national_code")


def _text(raw: Mapping[str, Any], field: str, longest: int, *, needed: bool = False) -> str:
    value = raw.get(field)
    if value is None:
        value = ""
    if not isinstance(value, str) or len(value) > longest:
        raise NotTaken(Verdict.MALFORMED, field)
    # Nearly every text is printable, and asking for that is ten times faster than the search.
    if not value.isprintable() and UNSTORABLE.search(value):
        raise NotTaken(Verdict.MALFORMED, field)
    value = value.strip()
    if needed and not value:
        raise NotTaken(Verdict.MALFORMED, field)
    return value


def _number(raw: Mapping[str, Any], field: str, *, places: int) -> Decimal:
    # A JSON number has been through somebody's binary float; money and quantities are strings.
    value = raw.get(field)
    if not isinstance(value, str) or not NUMBER[places].fullmatch(value):
        raise NotTaken(Verdict.MALFORMED, field)
    return Decimal(value)


def _above_zero(raw: Mapping[str, Any], field: str, *, places: int) -> Decimal:
    value = _number(raw, field, places=places)
    if not value:
        raise NotTaken(Verdict.MALFORMED, field)
    return value


def _fen(raw: Mapping[str, Any]) -> int:
    fen = _number(raw, "amount", places=6) * 100
    if fen != int(fen):
        raise NotTaken(Verdict.NOT_WHOLE_FEN, "amount")
    return int(fen)


def _ratio(raw: Mapping[str, Any]) -> Decimal | None:
    if raw.get("self_pay_ratio") is None:
        return None
    ratio = _number(raw, "self_pay_ratio", places=4)
    if ratio > 1:
        raise NotTaken(Verdict.MALFORMED, "self_pay_ratio")
    return ratio
