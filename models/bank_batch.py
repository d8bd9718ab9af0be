"""Refunds to bank accounts, paid together by a file that one person makes and another releases."""

from datetime import datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id
from models.machine import Machine
from policies.refusals import NotFound


class BatchState(StrEnum):
    """BUILT: nothing has left. RELEASED: the bank may have it. SETTLED: it answered every row."""

    BUILT = "BUILT"
    RELEASED = "RELEASED"
    SETTLED = "SETTLED"
    WITHDRAWN = "WITHDRAWN"


class BankBatch(Machine, Base):
    """One file for the bank. Its rows are the refund legs that name it; ``number`` is printed on
    it. The count and total are those that the second person saw.
    """

    __tablename__ = "bank_batch"
    __table_args__ = (
        Index(None, "hospital_id", "state", "built_at"),
        CheckConstraint("row_count > 0 AND total_fen > 0", name="not_empty"),
        CheckConstraint("released_by IS NULL OR released_by <> built_by", name="two_people"),
    )
    MOVES = {
        BatchState.BUILT: frozenset({BatchState.RELEASED, BatchState.WITHDRAWN}),
        BatchState.RELEASED: frozenset({BatchState.SETTLED}),
        BatchState.SETTLED: frozenset(),
        BatchState.WITHDRAWN: frozenset(),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    state: Mapped[str] = mapped_column(Text, default=BatchState.BUILT)
    number: Mapped[str] = mapped_column(Text)
    row_count: Mapped[int]
    total_fen: Mapped[int]
    built_by: Mapped[str] = mapped_column(Text)
    built_at: Mapped[datetime] = mapped_column(Moment)
    released_by: Mapped[str | None] = mapped_column(Text)
    released_at: Mapped[datetime | None] = mapped_column(Moment)
    settled_at: Mapped[datetime | None] = mapped_column(Moment)

    @classmethod
    def locked(cls, db: Session, hospital_id: UUID, batch_id: UUID) -> Self:
        """The batch under its row lock; NotFound outside the hospital."""
        batch = db.get(cls, batch_id, with_for_update=True, populate_existing=True)
        if batch and batch.hospital_id == hospital_id:
            return batch
        raise NotFound("BANK_BATCH_UNKNOWN")


class BankAnswer(Base):
    """One answer file of the bank that was taken in. Append-only; the same file is taken once."""

    __tablename__ = "bank_answer"
    __table_args__ = (UniqueConstraint("batch_id", "file_hash"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    batch_id: Mapped[UUID] = mapped_column(ForeignKey("bank_batch.id"))
    file_hash: Mapped[bytes]
    paid_count: Mapped[int]
    rejected_count: Mapped[int]
    returned_count: Mapped[int] = mapped_column(server_default="0")
    taken_by: Mapped[str] = mapped_column(Text)
    taken_at: Mapped[datetime] = mapped_column(Moment)
