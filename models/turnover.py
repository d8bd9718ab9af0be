"""What is turned over to the treasury each 31 December, what the hospital paid first when a holder
came back, and what it claims back (GZ-8.2, GZ-8.3)."""

from datetime import date, datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    ScalarSelect,
    Text,
    UniqueConstraint,
    func,
    select,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id
from models.machine import Machine
from policies.refusals import NotFound


class BatchState(StrEnum):
    """RECEIPTED: the treasury has the money; only then it counts as turned over (T8)."""

    DRAFT = "DRAFT"
    APPROVED = "APPROVED"
    RECEIPTED = "RECEIPTED"
    CANCELLED = "CANCELLED"


class TurnoverBatch(Machine, Base):
    """The balances of one year that go to the treasury. One person drafts, another approves."""

    __tablename__ = "turnover_batch"
    __table_args__ = (
        Index(
            "uq_turnover_batch_year",
            "hospital_id",
            "year",
            unique=True,
            postgresql_where="state <> 'CANCELLED'",
        ),
        CheckConstraint("approved_by IS NULL OR approved_by <> made_by", name="two_people"),
        CheckConstraint(
            "state <> 'RECEIPTED' OR (treasury_receipt_no <> '' AND paid_on IS NOT NULL)",
            name="receipted_has_receipt",
        ),
    )
    MOVES = {
        BatchState.DRAFT: frozenset({BatchState.APPROVED, BatchState.CANCELLED}),
        BatchState.APPROVED: frozenset({BatchState.RECEIPTED, BatchState.CANCELLED}),
        BatchState.RECEIPTED: frozenset(),
        BatchState.CANCELLED: frozenset(),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    state: Mapped[str] = mapped_column(Text, default=BatchState.DRAFT)
    year: Mapped[int]
    as_of: Mapped[date]
    reading: Mapped[str] = mapped_column(Text)
    rule_pack: Mapped[str] = mapped_column(Text)
    accounts: Mapped[int]
    total_fen: Mapped[int]
    made_by: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime] = mapped_column(Moment)
    approved_by: Mapped[str | None] = mapped_column(Text)
    approved_at: Mapped[datetime | None] = mapped_column(Moment)
    treasury_receipt_no: Mapped[str] = mapped_column(Text, default="")
    paid_on: Mapped[date | None]

    @classmethod
    def locked(cls, db: Session, hospital_id: UUID, batch_id: UUID) -> Self:
        """The batch under its row lock; NotFound outside the hospital."""
        batch = db.get(cls, batch_id, with_for_update=True, populate_existing=True)
        if batch is None or batch.hospital_id != hospital_id:
            raise NotFound("TURNOVER_UNKNOWN")
        return batch


class TurnoverItem(Base):
    """One account of a batch. ``moved_fen`` went over to the treasury with the holder's claim kept;
    ``returned_fen`` had meanwhile been given back or used, so the hospital paid it first.
    """

    __tablename__ = "turnover_item"
    __table_args__ = (
        Index(None, "account_id"),
        CheckConstraint("amount_fen > 0", name="amount_positive"),
        CheckConstraint(
            "moved_fen >= 0 AND returned_fen >= 0 AND moved_fen + returned_fen <= amount_fen",
            name="not_beyond",
        ),
        Index(
            "ix_turnover_item_unfinished",
            "hospital_id",
            "batch_id",
            postgresql_where="moved_fen + returned_fen < amount_fen",
        ),
    )

    batch_id: Mapped[UUID] = mapped_column(ForeignKey("turnover_batch.id"), primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("prepay_account.id"), primary_key=True)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    amount_fen: Mapped[int]
    last_activity_on: Mapped[date]
    reason: Mapped[str] = mapped_column(Text)
    moved_fen: Mapped[int] = mapped_column(server_default="0")
    returned_fen: Mapped[int] = mapped_column(server_default="0")


class HospitalAdvance(Base):
    """What the hospital paid first for money that the treasury holds (GZ-8.3).

    ``budget_year``: whose budget it is asked back from, the year after the payment. ``refund_id``:
    the refund that paid it. ``undone_fen``: what of it the payee's bank sent back before a claim
    named it; nothing else of a row ever changes.
    """

    __tablename__ = "hospital_advance"
    __table_args__ = (
        UniqueConstraint("hospital_id", "key"),
        Index(None, "account_id"),
        Index(None, "hospital_id", "budget_year"),
        Index(None, "refund_id"),
        CheckConstraint("amount_fen > 0", name="amount_positive"),
        CheckConstraint("undone_fen BETWEEN 0 AND amount_fen", name="undone_within"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    account_id: Mapped[UUID] = mapped_column(ForeignKey("prepay_account.id"))
    batch_id: Mapped[UUID] = mapped_column(ForeignKey("turnover_batch.id"))
    refund_id: Mapped[UUID | None] = mapped_column(ForeignKey("refund.id"))
    key: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int]
    undone_fen: Mapped[int] = mapped_column(server_default="0")
    paid_on: Mapped[date]
    budget_year: Mapped[int]

    @hybrid_property
    def standing_fen(self) -> int:
        """What of it is still paid."""
        return self.amount_fen - self.undone_fen

    @classmethod
    def claimed_fen(cls) -> ScalarSelect[int]:
        """What living claims ask back of an advance, as part of a query over advances."""
        asked = select(func.coalesce(func.sum(ClaimItem.amount_fen), 0))
        asked = asked.join(ClaimBatch, ClaimBatch.id == ClaimItem.claim_id)
        return asked.where(
            ClaimItem.advance_id == cls.id, ClaimBatch.state != ClaimBatchState.REFUSED
        ).scalar_subquery()


class ClaimBatchState(StrEnum):
    """FILED: the health department applies for it. ALLOCATED: the budget paid it back."""

    DRAFT = "DRAFT"
    FILED = "FILED"
    ALLOCATED = "ALLOCATED"
    REFUSED = "REFUSED"


class ClaimBatch(Machine, Base):
    """What is asked back for one budget year; never more than was turned over, all years together
    (D-09, D-10).
    """

    __tablename__ = "claim_batch"
    __table_args__ = (
        CheckConstraint("filed_by IS NULL OR filed_by <> made_by", name="two_people"),
        CheckConstraint("amount_fen > 0", name="amount_positive"),
        Index(None, "hospital_id", "budget_year"),
    )
    MOVES = {
        ClaimBatchState.DRAFT: frozenset({ClaimBatchState.FILED, ClaimBatchState.REFUSED}),
        ClaimBatchState.FILED: frozenset({ClaimBatchState.ALLOCATED, ClaimBatchState.REFUSED}),
        ClaimBatchState.ALLOCATED: frozenset(),
        ClaimBatchState.REFUSED: frozenset(),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    state: Mapped[str] = mapped_column(Text, default=ClaimBatchState.DRAFT)
    budget_year: Mapped[int]
    amount_fen: Mapped[int]
    made_by: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime] = mapped_column(Moment)
    filed_by: Mapped[str | None] = mapped_column(Text)
    filing_no: Mapped[str] = mapped_column(Text, default="")
    receipt_no: Mapped[str] = mapped_column(Text, default="")

    @classmethod
    def locked(cls, db: Session, hospital_id: UUID, claim_id: UUID) -> Self:
        """The claim under its row lock; NotFound outside the hospital."""
        claim = db.get(cls, claim_id, with_for_update=True, populate_existing=True)
        if claim is None or claim.hospital_id != hospital_id:
            raise NotFound("TREASURY_CLAIM_UNKNOWN")
        return claim


class ClaimItem(Base):
    """How much of one advance a claim asks back. Append-only."""

    __tablename__ = "claim_item"
    __table_args__ = (
        Index(None, "advance_id"),
        CheckConstraint("amount_fen > 0", name="amount_positive"),
    )

    claim_id: Mapped[UUID] = mapped_column(ForeignKey("claim_batch.id"), primary_key=True)
    advance_id: Mapped[UUID] = mapped_column(ForeignKey("hospital_advance.id"), primary_key=True)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    amount_fen: Mapped[int]
