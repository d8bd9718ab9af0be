"""What is remembered of each day's reconciliation (对账) with a payment channel."""

from collections.abc import Collection, Iterable
from datetime import date, datetime
from enum import StrEnum
from typing import LiteralString, Self
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    any_,
    delete,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id, within
from models.machine import Machine

WECHAT = "WECHAT"


class DayState(StrEnum):
    """UNKNOWN: no bill yet that could be read. LEVEL: it was compared, and nothing differs."""

    UNKNOWN = "UNKNOWN"
    LEVEL = "LEVEL"
    DIFFERS = "DIFFERS"


class ReconciledDay(Machine, Base):
    """One calendar day in Shanghai of one channel. ``there_…`` counts the bill, ``here_…`` our
    rows; ``answer``: why there is no bill yet; ``bill_sha1``: of the file that was compared.
    """

    __tablename__ = "reconciled_day"
    __table_args__ = (
        UniqueConstraint("hospital_id", "channel", "day"),
        UniqueConstraint("hospital_id", "id"),
        CheckConstraint("(state = 'UNKNOWN') = (compared_at IS NULL)", name="known_was_compared"),
    )
    MOVES = {
        DayState.UNKNOWN: frozenset({DayState.LEVEL, DayState.DIFFERS}),
        DayState.LEVEL: frozenset({DayState.DIFFERS}),
        DayState.DIFFERS: frozenset({DayState.LEVEL}),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    channel: Mapped[str] = mapped_column(Text)
    day: Mapped[date] = mapped_column(Date)
    state: Mapped[str] = mapped_column(Text, default=DayState.UNKNOWN)
    tried_at: Mapped[datetime | None] = mapped_column(Moment)
    answer: Mapped[str] = mapped_column(Text, default="")
    compared_at: Mapped[datetime | None] = mapped_column(Moment)
    bill_sha1: Mapped[bytes | None] = mapped_column(LargeBinary)
    there_payments: Mapped[int] = mapped_column(default=0)
    there_payments_fen: Mapped[int] = mapped_column(default=0)
    there_refunds: Mapped[int] = mapped_column(default=0)
    there_refunds_fen: Mapped[int] = mapped_column(default=0)
    here_payments: Mapped[int] = mapped_column(default=0)
    here_payments_fen: Mapped[int] = mapped_column(default=0)
    here_refunds: Mapped[int] = mapped_column(default=0)
    here_refunds_fen: Mapped[int] = mapped_column(default=0)

    @property
    def subject(self) -> str:
        """Of the work item for what is too much to be listed one by one."""
        return f"reconciled-day:{self.id}"

    @classmethod
    def locked(cls, db: Session, hospital_id: UUID, day: date) -> Self:
        """The row of a day under its lock, made if it is new: of two who compare one waits."""
        new = {"id": new_id(), "hospital_id": hospital_id, "channel": WECHAT, "day": day}
        row = {"state": DayState.UNKNOWN, "answer": "", **dict.fromkeys(COUNTS, 0), **new}
        db.execute(insert(cls).values(row).on_conflict_do_nothing())
        mine = (cls.hospital_id == hospital_id, cls.channel == WECHAT, cls.day == day)
        return db.scalars(select(cls).where(*mine).with_for_update()).one()


COUNTS = tuple(
    f"{side}_{sort}{unit}"
    for side in ("there", "here")
    for sort in ("payments", "refunds")
    for unit in ("", "_fen")
)
"""The columns of a day that count."""


class DifferenceState(StrEnum):
    """WAITING: the next day's bill may have it. OPEN: a person must look. GONE: it is none now."""

    WAITING = "WAITING"
    OPEN = "OPEN"
    GONE = "GONE"


class ReconciliationDifference(Machine, Base):
    """One difference of a day; the same one is the same row, however often the day is compared.

    ``number``: the merchant's number of the payment or refund, or which of the totals.
    """

    __tablename__ = "reconciliation_difference"
    __table_args__ = (
        ForeignKeyConstraint(
            ["hospital_id", "day_id"], ["reconciled_day.hospital_id", "reconciled_day.id"]
        ),
        UniqueConstraint("hospital_id", "day_id", "kind", "number"),
        Index(None, "hospital_id", "state"),
    )
    MOVES = {
        DifferenceState.WAITING: frozenset({DifferenceState.OPEN, DifferenceState.GONE}),
        DifferenceState.OPEN: frozenset({DifferenceState.GONE}),
        DifferenceState.GONE: frozenset({DifferenceState.WAITING, DifferenceState.OPEN}),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID]
    day_id: Mapped[UUID]
    state: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    number: Mapped[str] = mapped_column(Text)
    there_fen: Mapped[int]
    here_fen: Mapped[int]
    found_at: Mapped[datetime] = mapped_column(Moment)
    gone_at: Mapped[datetime | None] = mapped_column(Moment)

    @property
    def subject(self) -> str:
        """Of its work item."""
        return f"reconciliation:{self.id}"


_KEEP_ROWS: LiteralString = """
INSERT INTO row_of_another_day (hospital_id, day, sort, number)
SELECT %(hospital)s, %(day)s, sort, number
FROM unnest(%(sorts)s::text[], %(numbers)s::text[]) AS of_bill (sort, number)
RETURNING day
"""


class RowOfAnotherDay(Base):
    """A row that stands in the bill of ``day`` and belongs to another day here, or to none yet: on
    that day it is not missed.
    """

    __tablename__ = "row_of_another_day"
    __table_args__ = (Index(None, "hospital_id", "day"),)

    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"), primary_key=True)
    number: Mapped[str] = mapped_column(Text, primary_key=True)
    sort: Mapped[str] = mapped_column(Text, primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)

    @classmethod
    def elsewhere(
        cls, db: Session, hospital_id: UUID, day: date, numbers: Collection[str]
    ) -> set[tuple[str, str]]:
        """Which of these numbers stand in the bills of other days, with their sort."""
        query = select(cls.sort, cls.number).where(
            cls.hospital_id == hospital_id,
            cls.number == any_(literal(list(numbers), ARRAY(Text))),
            cls.day != day,
        )
        return {(sort, number) for sort, number in db.execute(query)}

    @classmethod
    def replace(
        cls, db: Session, hospital_id: UUID, day: date, keys: Iterable[tuple[str, str]]
    ) -> None:
        """Write down those of this day's bill."""
        db.execute(delete(cls).where(cls.hospital_id == hospital_id, cls.day == day))
        ordered = sorted(keys)
        within(
            db,
            _KEEP_ROWS,
            hospital=hospital_id,
            day=day,
            sorts=[str(sort) for sort, _ in ordered],
            numbers=[number for _, number in ordered],
        )
