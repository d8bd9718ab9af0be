"""The daily bill (一日清单, CQ-5.3): a list a day for each inpatient; versions are never edited."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    TextClause,
    UniqueConstraint,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.dialects.postgresql import BIGINT as BigInt
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id
from policies.refusals import Conflict, NotFound

_TELL = "SELECT tell_of_bills(:hospital_id, :at, CAST(:words AS jsonb), array_agg(made.id)) FROM "
_MAKE = text(f"{_TELL} make_daily_bills(:hospital_id, :day, :at) AS made (id)")
_CORRECT = text(f"{_TELL} correct_daily_bills(:hospital_id, :at) AS made (id)")


class DailyBill(Base):
    """One version of a day of a stay. A late charge makes the next one of its day, and of the days
    after it, whose running totals it changes. Only the opening may change.

    ``running_total_fen``: the stay up to and with this day. ``deposit_held_fen`` and
    ``estimated_personal_fen`` (None: no trial settlement yet) as they stood at ``made_at``.
    ``items_hash``: SHA-256 over the hashes of the lines in their order (ChargeLine.line_hash), to
    compare a printed list with the stored one.
    """

    __tablename__ = "daily_bill"
    __table_args__ = (
        # One key for both: a bill cannot name a hospital that is not its stay's.
        ForeignKeyConstraint(
            ["hospital_id", "admission_id"], ["admission.hospital_id", "admission.id"]
        ),
        UniqueConstraint("hospital_id", "admission_id", "day", "version"),
        Index(None, "hospital_id", "day"),
        CheckConstraint("version > 0", name="version_counts_from_one"),
        CheckConstraint("line_count = cardinality(line_seqs)", name="every_line_listed"),
        CheckConstraint("added_seqs = '{}' OR added_seqs <@ line_seqs", name="added_lines_listed"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID]
    admission_id: Mapped[UUID]
    day: Mapped[date]
    version: Mapped[int]
    line_seqs: Mapped[list[int]] = mapped_column(ARRAY(BigInt))
    added_seqs: Mapped[list[int]] = mapped_column(ARRAY(BigInt))
    line_count: Mapped[int]
    total_fen: Mapped[int]
    running_total_fen: Mapped[int]
    deposit_held_fen: Mapped[int]
    estimated_personal_fen: Mapped[int | None]
    items_hash: Mapped[bytes] = mapped_column(LargeBinary)
    made_at: Mapped[datetime] = mapped_column(Moment)
    opened_at: Mapped[datetime | None] = mapped_column(Moment)
    opened_by: Mapped[str | None] = mapped_column(Text)


class UnbilledDay(Base):
    """A day of a stay that got a line after it was over: its bill needs another look."""

    __tablename__ = "unbilled_day"

    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"), primary_key=True)
    admission_id: Mapped[UUID] = mapped_column(ForeignKey("admission.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    since: Mapped[datetime] = mapped_column(Moment)


class BillQuestion(Base):
    """Somebody asked about a line; the ward answers once. One open question a line and asker."""

    __tablename__ = "bill_question"
    __table_args__ = (
        Index(
            "uq_bill_question_open",
            "admission_id",
            "line_seq",
            "asked_by",
            unique=True,
            postgresql_where="answered_at IS NULL",
        ),
        Index(None, "hospital_id", "answered_at"),
        CheckConstraint(
            "(answered_at IS NULL) = (answered_by IS NULL)", name="answered_by_somebody"
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    admission_id: Mapped[UUID] = mapped_column(ForeignKey("admission.id"))
    day: Mapped[date]
    line_seq: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    asked_at: Mapped[datetime] = mapped_column(Moment)
    asked_by: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text, default="")
    answered_at: Mapped[datetime | None] = mapped_column(Moment)
    answered_by: Mapped[str | None] = mapped_column(Text)

    @classmethod
    def ask(cls, db: Session, **question: Any) -> "BillQuestion":
        """Store the question; asked again it is the same one, another on the line is a Conflict."""
        row = insert(cls).values(id=new_id(), answer="", **question)
        db.execute(
            row.on_conflict_do_nothing(
                index_elements=["admission_id", "line_seq", "asked_by"],
                index_where=cls.answered_at.is_(None),
            )
        )
        asked = db.scalars(
            select(cls).where(
                cls.admission_id == question["admission_id"],
                cls.line_seq == question["line_seq"],
                cls.asked_by == question["asked_by"],
                cls.answered_at.is_(None),
            )
        ).one()
        if asked.text != question["text"]:
            raise Conflict("QUESTION_OPEN")
        return asked

    @classmethod
    def locked(cls, db: Session, hospital_id: UUID, question_id: UUID) -> "BillQuestion":
        """The question under its row lock; NotFound outside the hospital."""
        query = select(cls).where(cls.id == question_id, cls.hospital_id == hospital_id)
        if question := db.scalar(query.with_for_update()):
            return question
        raise NotFound("QUESTION_UNKNOWN")


def make(db: Session, hospital_id: UUID, day: date, at: datetime, words: Mapping[str, Any]) -> int:
    """The bills of this day that are still missing, for the whole hospital, each with a message to
    its patient; how many. One statement.
    """
    return _made(db, _MAKE, hospital_id=hospital_id, day=day, at=at, words=words)


def correct(db: Session, hospital_id: UUID, at: datetime, words: Mapping[str, Any]) -> int:
    """The next version of every bill whose day got lines since, told likewise; how many. Later
    bills of these stays get one too, for their running totals; these are not told or counted."""
    return _made(db, _CORRECT, hospital_id=hospital_id, at=at, words=words)


def missing(db: Session, hospital_id: UUID, day: date) -> Sequence[UUID]:
    """Stays in the house on this day without a bill of it; none, if all is well (CQ-5.3 T5)."""
    in_house = func.in_house_on(hospital_id, day).table_valued("admission_id")
    billed = select(DailyBill.admission_id).where(
        DailyBill.hospital_id == hospital_id, DailyBill.day == day
    )
    query = select(in_house.c.admission_id).where(in_house.c.admission_id.not_in(billed))
    return db.scalars(query.order_by(in_house.c.admission_id)).all()


def _made(db: Session, statement: TextClause, words: Mapping[str, Any], **values: Any) -> int:
    return int(db.execute(statement, values | {"words": json.dumps(words)}).scalar_one())
