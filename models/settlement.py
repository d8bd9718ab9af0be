"""A settlement: one run over all payers of one stay, from the trial to the closed bill, and back
when it is undone.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id
from models.machine import Machine
from policies.refusals import NotFound


class SettlementState(StrEnum):
    """TRIAL: shown, not agreed. CONFIRMED: agreed, the insurer is asked. INSURED: its share is
    final.

    CLAIMED: the aid agency was asked. DUE: booked, the patient owes the rest. CLOSED: the bill is
    closed. UNDOING and UNDONE: taken back everywhere.
    """

    TRIAL = "TRIAL"
    CONFIRMED = "CONFIRMED"
    INSURED = "INSURED"
    CLAIMED = "CLAIMED"
    DUE = "DUE"
    CLOSED = "CLOSED"
    UNDOING = "UNDOING"
    UNDONE = "UNDONE"


class Settlement(Machine, Base):
    """One run. ``round`` counts the runs of a stay; only the last one may be alive.

    ``trial`` and ``amounts`` are the insurer's figures in fen (payments/insurance/amounts.py);
    ``trial_digest`` is what the patient agreed to: another trial result needs another agreement.
    """

    __tablename__ = "settlement"
    __table_args__ = (
        UniqueConstraint("hospital_id", "admission_id", "round"),
        Index(
            "uq_settlement_alive",
            "admission_id",
            unique=True,
            postgresql_where="state <> 'UNDONE'",
        ),
        Index(None, "hospital_id", "state"),
        CheckConstraint("total_fen >= 0", name="total_not_negative"),
    )
    MOVES = {
        SettlementState.TRIAL: frozenset({SettlementState.CONFIRMED, SettlementState.UNDONE}),
        # Back to TRIAL: the insurer's final figures differ from those agreed to, or it said no.
        SettlementState.CONFIRMED: frozenset({SettlementState.INSURED, SettlementState.TRIAL}),
        SettlementState.INSURED: frozenset({SettlementState.CLAIMED, SettlementState.UNDOING}),
        SettlementState.CLAIMED: frozenset(
            {SettlementState.DUE, SettlementState.CLOSED, SettlementState.UNDOING}
        ),
        SettlementState.DUE: frozenset({SettlementState.CLOSED, SettlementState.UNDOING}),
        SettlementState.CLOSED: frozenset({SettlementState.DUE, SettlementState.UNDOING}),
        SettlementState.UNDOING: frozenset({SettlementState.UNDONE}),
        SettlementState.UNDONE: frozenset(),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    admission_id: Mapped[UUID] = mapped_column(ForeignKey("admission.id"))
    round: Mapped[int]
    state: Mapped[str] = mapped_column(Text, default=SettlementState.TRIAL)
    total_fen: Mapped[int]
    insured: Mapped[bool]
    trial: Mapped[dict[str, Any]] = mapped_column(JSONB)
    trial_digest: Mapped[str] = mapped_column(Text)
    aid_estimate_fen: Mapped[int | None]
    amounts: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    personal_fen: Mapped[int | None]
    applied_fen: Mapped[int] = mapped_column(default=0)
    booking: Mapped[int] = mapped_column(default=0)
    opened_at: Mapped[datetime] = mapped_column(Moment)
    confirmed_by: Mapped[str | None] = mapped_column(Text)
    confirmed_at: Mapped[datetime | None] = mapped_column(Moment)
    signature_sha256: Mapped[str | None] = mapped_column(Text)
    closed_at: Mapped[datetime | None] = mapped_column(Moment)
    rule_pack: Mapped[str] = mapped_column(Text, default="")

    @classmethod
    def locked(cls, db: Session, settlement_id: UUID) -> Self:
        """The settlement under its row lock."""
        if run := db.get(cls, settlement_id, with_for_update=True, populate_existing=True):
            return run
        raise NotFound("SETTLEMENT_UNKNOWN")

    @classmethod
    def alive(cls, db: Session, admission_id: UUID) -> Self | None:
        """The run of this stay that has not been undone."""
        return db.scalar(
            select(cls).where(cls.admission_id == admission_id, cls.state != SettlementState.UNDONE)
        )

    @classmethod
    def latest(cls, db: Session, admission_id: UUID) -> Self | None:
        """The last run of this stay, undone or not."""
        return db.scalar(
            select(cls).where(cls.admission_id == admission_id).order_by(cls.round.desc()).limit(1)
        )


class ClaimState(StrEnum):
    """ASKED: sent, no answer yet. PENDING: the agency has it and decides later."""

    ASKED = "ASKED"
    PENDING = "PENDING"
    APPROVED = "APPROVED"
    REFUSED = "REFUSED"
    WITHDRAWN = "WITHDRAWN"


class AidClaim(Machine, Base):
    """One claim of one settlement at the medical-aid office (CQ-5.2). ``number`` is our id:
    repeating it asks, not doubles.
    """

    __tablename__ = "aid_claim"
    __table_args__ = (
        UniqueConstraint("settlement_id"),
        Index(None, "hospital_id", "state"),
        CheckConstraint("approved_fen >= 0", name="approved_not_negative"),
    )
    MOVES = {
        ClaimState.ASKED: frozenset(
            {ClaimState.PENDING, ClaimState.APPROVED, ClaimState.REFUSED, ClaimState.WITHDRAWN}
        ),
        ClaimState.PENDING: frozenset(
            {ClaimState.APPROVED, ClaimState.REFUSED, ClaimState.WITHDRAWN}
        ),
        ClaimState.APPROVED: frozenset({ClaimState.WITHDRAWN}),
        ClaimState.REFUSED: frozenset({ClaimState.WITHDRAWN}),
        ClaimState.WITHDRAWN: frozenset(),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    settlement_id: Mapped[UUID] = mapped_column(ForeignKey("settlement.id"))
    state: Mapped[str] = mapped_column(Text, default=ClaimState.ASKED)
    asked_fen: Mapped[int]
    expected_fen: Mapped[int]
    approved_fen: Mapped[int | None]
    asked_at: Mapped[datetime] = mapped_column(Moment)
    decided_at: Mapped[datetime | None] = mapped_column(Moment)

    @classmethod
    def of(cls, db: Session, settlement_id: UUID) -> Self | None:
        """The claim of a run, if one was made."""
        return db.scalar(select(cls).where(cls.settlement_id == settlement_id))

    @property
    def number(self) -> str:
        """The claim's number at the agency."""
        return self.id.hex

    @classmethod
    def locked(cls, db: Session, claim_id: UUID) -> Self:
        """The claim under its row lock."""
        if claim := db.get(cls, claim_id, with_for_update=True, populate_existing=True):
            return claim
        raise NotFound("SETTLEMENT_UNKNOWN")


class SettlementDelay(Base):
    """Why a discharge is not settled yet or was settled late (GZ-19). The last row of a stay
    counts; append-only.
    """

    __tablename__ = "settlement_delay"
    __table_args__ = (Index(None, "admission_id", "at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    admission_id: Mapped[UUID] = mapped_column(ForeignKey("admission.id"))
    reason: Mapped[str] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime] = mapped_column(Moment)
    by: Mapped[str] = mapped_column(Text)
