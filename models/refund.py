"""Money out: a refund is asked by one person, approved by another, and leaves in legs along the
original routes.
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


class RefundState(StrEnum):
    """STUCK: a leg failed for good; a person must choose another route."""

    REQUESTED = "REQUESTED"
    PAYING = "PAYING"
    STUCK = "STUCK"
    PAID = "PAID"
    REJECTED = "REJECTED"


class Refund(Machine, Base):
    """One refund of one account's stored money. Its amount stands in REFUND_IN_TRANSIT from request
    to arrival. ``payee_id``: the bank account that was named for it, if one was.
    """

    __tablename__ = "refund"
    __table_args__ = (
        UniqueConstraint("hospital_id", "key"),
        Index(None, "hospital_id", "state", "requested_at"),
        CheckConstraint("amount_fen > 0", name="amount_positive"),
        CheckConstraint("checked_by IS NULL OR checked_by <> requested_by", name="two_people"),
    )
    MOVES = {
        RefundState.REQUESTED: frozenset({RefundState.PAYING, RefundState.REJECTED}),
        RefundState.PAYING: frozenset({RefundState.PAID, RefundState.STUCK, RefundState.REJECTED}),
        RefundState.STUCK: frozenset({RefundState.REQUESTED, RefundState.PAID}),
        RefundState.PAID: frozenset({RefundState.STUCK}),  # surprise: a bank sent it back
        RefundState.REJECTED: frozenset(),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    state: Mapped[str] = mapped_column(Text, default=RefundState.REQUESTED)
    key: Mapped[str] = mapped_column(Text)
    request_hash: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    account_kind: Mapped[str] = mapped_column(Text)
    account_owner: Mapped[str] = mapped_column(Text)
    subject_id: Mapped[UUID] = mapped_column(index=True)
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"))
    payee_id: Mapped[UUID | None] = mapped_column(ForeignKey("payee.id"))
    amount_fen: Mapped[int]
    requested_by: Mapped[str] = mapped_column(Text)
    requested_at: Mapped[datetime] = mapped_column(Moment)
    checked_by: Mapped[str | None] = mapped_column(Text)
    checked_at: Mapped[datetime | None] = mapped_column(Moment)
    paid_at: Mapped[datetime | None] = mapped_column(Moment)
    note: Mapped[str] = mapped_column(Text, default="")

    @classmethod
    def locked(cls, db: Session, refund_id: UUID) -> Self:
        """The refund under its row lock."""
        if refund := db.get(cls, refund_id, with_for_update=True, populate_existing=True):
            return refund
        raise NotFound("REFUND_UNKNOWN")


class LegState(StrEnum):
    """PLANNED: not asked. ASKED: asked, answer unknown or not yet. RETURNED: it was paid, and the
    payee's bank sent it back (退汇). The channel says the rest.
    """

    PLANNED = "PLANNED"
    ASKED = "ASKED"
    PROCESSING = "PROCESSING"
    PAID = "PAID"
    CLOSED = "CLOSED"
    ABNORMAL = "ABNORMAL"
    REFUSED = "REFUSED"
    RETURNED = "RETURNED"
    REROUTED = "REROUTED"


UNFINISHED_LEGS = (LegState.PLANNED, LegState.ASKED, LegState.PROCESSING)
FAILED_LEGS = (LegState.CLOSED, LegState.ABNORMAL, LegState.REFUSED, LegState.RETURNED)
UNDER_WAY_LEGS = (LegState.ASKED, LegState.PROCESSING, LegState.PAID)
"""The money has left, or may have left."""


class RefundLeg(Machine, Base):
    """One payment of a refund by one route. ``number`` (``out_refund_no``) is never changed while
    its fate is open.

    ``channel_transaction`` and ``order_total_fen`` name the payment that is given back, ``lot_id``
    its lot where it is one; the ledger has all that the refund took. ``why``: the planner's
    reasons. From ``closes_at`` on the channel no longer takes the payment back. ``payee_id``: to
    whose bank account, ``batch_id``: in which file for the bank. ``openid``: to whose WeChat, where
    ``confirm_package`` opens the confirmation. What the window hands over is proven by a signature
    or slip (``proof``). ``returned_at``: when its payment came back; then it never arrived, and
    ``paid_at`` is empty again.
    """

    __tablename__ = "refund_leg"
    __table_args__ = (
        Index(None, "refund_id"),
        Index(None, "hospital_id", "state", "next_try_at"),
        Index(
            "ix_refund_leg_of_the_bill",
            "hospital_id",
            "paid_at",
            postgresql_where="route = 'WECHAT'",
        ),
        CheckConstraint("amount_fen > 0", name="amount_positive"),
    )
    _FAILED = frozenset({LegState.CLOSED, LegState.ABNORMAL, LegState.REFUSED})
    # A failed leg may still surprise us: the channel says later that it paid after all.
    MOVES = {
        LegState.PLANNED: frozenset(
            {LegState.ASKED, LegState.PAID, LegState.REFUSED, LegState.REROUTED}
        ),
        LegState.ASKED: frozenset({LegState.PROCESSING, LegState.PAID}) | _FAILED,
        LegState.PROCESSING: frozenset({LegState.PAID, LegState.CLOSED, LegState.ABNORMAL}),
        LegState.CLOSED: frozenset({LegState.REROUTED, LegState.PAID}),
        LegState.ABNORMAL: frozenset({LegState.REROUTED, LegState.PAID, LegState.CLOSED}),
        LegState.REFUSED: frozenset({LegState.REROUTED, LegState.PAID}),
        LegState.PAID: frozenset({LegState.RETURNED}),
        LegState.RETURNED: frozenset({LegState.REROUTED}),
        LegState.REROUTED: frozenset(),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    refund_id: Mapped[UUID] = mapped_column(ForeignKey("refund.id"))
    state: Mapped[str] = mapped_column(Text, default=LegState.PLANNED)
    route: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int]
    lot_id: Mapped[UUID | None]
    channel_transaction: Mapped[str | None] = mapped_column(Text)
    order_total_fen: Mapped[int]
    why: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    payee_id: Mapped[UUID | None] = mapped_column(ForeignKey("payee.id"))
    batch_id: Mapped[UUID | None] = mapped_column(ForeignKey("bank_batch.id"), index=True)
    openid: Mapped[str | None] = mapped_column(Text)
    confirm_package: Mapped[str | None] = mapped_column(Text)
    closes_at: Mapped[datetime | None] = mapped_column(Moment)
    next_try_at: Mapped[datetime] = mapped_column(Moment)
    asked_at: Mapped[datetime | None] = mapped_column(Moment)
    tries: Mapped[int] = mapped_column(default=0)
    answer: Mapped[str] = mapped_column(Text, default="")
    channel_refund: Mapped[str | None] = mapped_column(Text)
    paid_at: Mapped[datetime | None] = mapped_column(Moment)
    paid_by: Mapped[str | None] = mapped_column(Text)
    returned_at: Mapped[datetime | None] = mapped_column(Moment)
    proof: Mapped[str | None] = mapped_column(Text)

    @property
    def number(self) -> str:
        """``out_refund_no``."""
        return self.id.hex

    @classmethod
    def locked(cls, db: Session, leg_id: UUID) -> Self:
        """The leg under its row lock."""
        if leg := db.get(cls, leg_id, with_for_update=True, populate_existing=True):
            return leg
        raise NotFound("REFUND_UNKNOWN")

    @classmethod
    def of(cls, db: Session, refund_id: UUID, *, lock: bool = False) -> list[Self]:
        """All legs of a refund, oldest first. Legs are locked before their refund, by everybody."""
        query = select(cls).where(cls.refund_id == refund_id).order_by(cls.id)
        return list(db.scalars(query.with_for_update() if lock else query))
