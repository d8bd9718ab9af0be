"""What a stay cost, line by line as the HIS reported it: append-only, by month, entered in sets."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, LiteralString
from uuid import UUID

from psycopg.errors import LockNotAvailable
from sqlalchemy import (
    CheckConstraint,
    Computed,
    ForeignKey,
    Index,
    LargeBinary,
    Numeric,
    Text,
    func,
    select,
    text,
)
from sqlalchemy import Sequence as SqlSequence
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, named_at_once, new_id, within
from policies.charges import Charge
from policies.outcome import NotNow
from policies.refusals import Conflict

_numbers = SqlSequence("charge_line_seq")

Verdicts = dict[int, tuple[str, str]]
"""place of a line in its batch -> what became of it, and the member that is to blame."""

_TAKE: LiteralString = (
    "SELECT take_charge_batch(%(event)s::jsonb, %(today)s, %(stays)s, %(lines)s,"
    " %(late_task)s::jsonb) AS told"
)
_INGEST = text(
    "SELECT ingest_charges(:hospital_id, :source_event_id, :at, :today, :stays, :lines,"
    " CAST(:late_task AS jsonb))"
)


_LINE_HASH = r"""sha256(replace(source_line_id || '|' || item_name || '|' || specification || '|'
    || unit || '|' || quantity || '|' || unit_price || '|' || amount_fen, '\', '\\')::bytea)"""


class ChargeLine(Base):
    """One charge, or the reversal of one (negative). ``seq`` grows in the order of arrival.

    Codes are the insurance platform's: ``category`` med_chrgitm_type 01-14, ``insurance_level``
    chrgitm_lv 01 甲, 02 乙, 03 丙, ``national_code`` med_list_codg, ``hospital_code``
    medins_list_codg. ``line_hash``: SHA-256 of what a printed list shows of the line.
    """

    __tablename__ = "charge_line"
    __table_args__ = (
        # The order in which every question is asked: the lines of a stay, then those of a day.
        Index(None, "admission_id", "occurred_on", "seq"),
        Index(None, "hospital_id", "occurred_on"),
        CheckConstraint(
            "occurred_on = (occurred_at AT TIME ZONE 'Asia/Shanghai')::date", name="shanghai_day"
        ),
        CheckConstraint("(reverses IS NULL) = (quantity > 0)", name="only_reversals_are_negative"),
        CheckConstraint("sign(amount_fen) IN (0, sign(quantity))", name="sign_of_quantity"),
        {"postgresql_partition_by": "RANGE (occurred_on)"},
    )

    occurred_on: Mapped[date] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(
        _numbers, primary_key=True, server_default=_numbers.next_value()
    )
    hospital_id: Mapped[UUID]
    admission_id: Mapped[UUID] = mapped_column(ForeignKey("admission.id"))
    source_line_id: Mapped[str] = mapped_column(Text)
    occurred_at: Mapped[datetime] = mapped_column(Moment)
    item_name: Mapped[str] = mapped_column(Text)
    specification: Mapped[str] = mapped_column(Text)
    unit: Mapped[str] = mapped_column(Text)
    quantity: Mapped[Decimal] = mapped_column(Numeric(16, 4))
    unit_price: Mapped[Decimal] = mapped_column(Numeric(16, 6))
    amount_fen: Mapped[int]
    category: Mapped[str] = mapped_column(Text)
    insurance_level: Mapped[str] = mapped_column(Text)
    self_pay_ratio: Mapped[Decimal | None] = mapped_column(Numeric(5, 4))
    national_code: Mapped[str] = mapped_column(Text)
    hospital_code: Mapped[str] = mapped_column(Text)
    department_code: Mapped[str] = mapped_column(Text)
    department_name: Mapped[str] = mapped_column(Text)
    doctor_code: Mapped[str] = mapped_column(Text)
    doctor_name: Mapped[str] = mapped_column(Text)
    reverses: Mapped[str | None] = mapped_column(Text)
    source_event_id: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(Moment)
    line_hash: Mapped[bytes] = mapped_column(LargeBinary, Computed(_LINE_HASH, persisted=True))

    def as_charge(self, inpatient_no: str) -> Charge:
        """The line as it was reported for the stay with this number."""
        said: dict[str, Any] = {name: getattr(self, name, inpatient_no) for name in Charge._fields}
        return Charge(**said)


class ChargeSource(Base):
    """Every line ever taken and where it is: the key that a partitioned table cannot hold.

    Like a line it holds no foreign key to its hospital: only ``ingest`` writes it, for stays that
    it found in that hospital and locked.
    """

    __tablename__ = "charge_source"

    hospital_id: Mapped[UUID] = mapped_column(primary_key=True)
    source_line_id: Mapped[str] = mapped_column(Text, primary_key=True)
    occurred_on: Mapped[date]
    seq: Mapped[int]


@dataclass(frozen=True, slots=True)
class Batch:
    """Sound lines of one event, as policies/charge_rows.py writes them, and whose they are.

    ``late_task``: what a person must do about a stay whose bill was closed when lines came.
    """

    hospital_id: UUID
    source_event_id: str
    at: datetime
    today: date
    stays: Collection[str]
    rows: Sequence[str]
    late_task: dict[str, Any]

    @property
    def arguments(self) -> dict[str, Any]:
        """What both set functions are told."""
        return {
            "today": self.today,
            "stays": list(self.stays),
            "lines": "\n".join(self.rows),
            "late_task": json.dumps(self.late_task, default=str),
        }


def take_batch(batch: Batch, *, body_hash: bytes, by: str, refused: Verdicts) -> Verdicts:
    """Take the lines with their event and its answer, in one statement: its own transaction.

    The verdicts of the lines that were not accepted, with those ``refused`` before; if the event
    was taken before, those of then. Conflict EVENT_ID_REUSED if that one said something else.
    """
    event = {
        "id": new_id(),
        "hospital_id": batch.hospital_id,
        "source_event_id": batch.source_event_id,
        "kind": "charge-batch",
        "body_hash": f"\\x{body_hash.hex()}",
        "answer": refused,
        "by": by,
        "received_at": batch.at,
    }
    (row,) = named_at_once(_TAKE, event=json.dumps(event, default=str), **batch.arguments)
    if row["told"] is None:
        raise Conflict("EVENT_ID_REUSED", source_event_id=batch.source_event_id)
    return _by_place(row["told"])


def ingest(db: Session, batch: Batch) -> Verdicts:
    """Take the lines in the caller's transaction; the verdicts of those that were not accepted."""
    if not batch.rows:
        return {}
    event = {
        "hospital_id": batch.hospital_id,
        "source_event_id": batch.source_event_id,
        "at": batch.at,
    }
    return _by_place(db.scalar(_INGEST, event | batch.arguments))


def _by_place(told: dict[str, list[str]]) -> Verdicts:
    return {int(place): (verdict, field) for place, (verdict, field) in told.items()}


def make_months(db: Session, first: date, months: int) -> int:
    """Have a partition for each of these months, but for those of which the default partition has
    lines: no line ever moves. How many were made now. NotNow when the tables are in use.
    """
    try:
        return int(db.scalar(select(func.make_charge_months(first, months))) or 0)
    except OperationalError as trouble:
        if isinstance(trouble.orig, LockNotAvailable):
            raise NotNow("CHARGE_LINES_IN_USE") from trouble
        raise


OF_STAY: LiteralString = """
    FROM charge_line line
    WHERE line.admission_id = %(stay)s
        AND line.occurred_on >= coalesce(
            (SELECT first_charged_on FROM admission WHERE id = %(stay)s), '-infinity')
"""
"""All lines of a stay; months before its first charge are not opened."""

_TOTAL: LiteralString = f"SELECT coalesce(sum(line.amount_fen), 0)::bigint AS fen {OF_STAY}"


def total_fen(db: Session, admission_id: UUID) -> int:
    """What the stay cost so far, in fen, reversals taken off."""
    (row,) = within(db, _TOTAL, stay=admission_id)
    return int(row["fen"])
