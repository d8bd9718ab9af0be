"""Receipts: numbered without gaps within a hospital and a year, never changed, each print on
record.
"""

import json
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id


class Receipt(Base):
    """What one payer holds in hand about one movement of money. ``facts`` are fen and masked names
    only.
    """

    __tablename__ = "receipt"
    __table_args__ = (
        UniqueConstraint("hospital_id", "number"),
        UniqueConstraint("hospital_id", "kind", "subject_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    number: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    subject_id: Mapped[UUID] = mapped_column(index=True)
    issued_at: Mapped[datetime] = mapped_column(Moment)
    by: Mapped[str] = mapped_column(Text)
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB)

    @classmethod
    def of(cls, db: Session, kind: str, subject_id: UUID) -> Self | None:
        """The receipt of one movement, if it was issued."""
        return db.scalar(select(cls).where(cls.kind == kind, cls.subject_id == subject_id))


class ReceiptCounter(Base):
    """The last number given out in a hospital's year; the row lock makes numbers gapless."""

    __tablename__ = "receipt_counter"
    __table_args__ = (UniqueConstraint("hospital_id", "year"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    year: Mapped[int]
    last: Mapped[int]


class ReceiptPrint(Base):
    """One look at or print of a receipt: who and when (reprints are visible). Append-only."""

    __tablename__ = "receipt_print"
    __table_args__ = (Index(None, "receipt_id", "at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    receipt_id: Mapped[UUID] = mapped_column(ForeignKey("receipt.id"))
    at: Mapped[datetime] = mapped_column(Moment)
    by: Mapped[str] = mapped_column(Text)


_ISSUE = text("SELECT issue_receipt(CAST(:said AS jsonb))")


def issue(
    db: Session,
    *,
    hospital_id: UUID,
    kind: str,
    subject_id: UUID,
    year: int,
    at: datetime,
    by: str,
    facts: dict[str, Any],
) -> str:
    """Give out the next number in the caller's transaction; a movement that has its receipt keeps
    it.
    """
    paper = drawn_up(hospital_id, kind, subject_id, year, at=at, by=by, facts=facts)
    return str(db.scalar(_ISSUE, {"said": json.dumps(paper, default=str)}))


def drawn_up(
    hospital_id: UUID,
    kind: str,
    subject_id: UUID,
    year: int,
    *,
    at: datetime,
    by: str,
    facts: dict[str, Any],
) -> dict[str, Any]:
    """The receipt that `issue` gives out, for a function of the database that gives it out."""
    return {
        "id": new_id(),
        "hospital_id": hospital_id,
        "kind": kind,
        "subject_id": subject_id,
        "issued_at": at,
        "by": by,
        "facts": facts,
        "year": year,
        "counter_id": new_id(),
    }
