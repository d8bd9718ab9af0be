"""Money in: one order is one attempt of one payer to pay one amount, and its number is ours before
anyone is asked.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlalchemy.orm.attributes import set_committed_value

from models.db import Base, Moment, new_id
from models.machine import Machine
from policies.refusals import NotFound


class OrderState(StrEnum):
    """CREATED: our row, perhaps unknown to the channel. WAITING: the payer's turn. Else: over."""

    CREATED = "CREATED"
    WAITING = "WAITING"
    PAID = "PAID"
    CLOSED = "CLOSED"
    REFUSED = "REFUSED"


OPEN_STATES = (OrderState.CREATED, OrderState.WAITING)


class Purpose(StrEnum):
    """What the money is for. DEPOSIT is under the quota (GZ-17); TOP_UP is outpatient prepayment
    and needs a filed exception (GZ-6); PAID_AHEAD pays a plan of article 9 (GZ-9); the others pay a
    bill that exists."""

    DEPOSIT = "DEPOSIT"
    SETTLEMENT = "SETTLEMENT"
    VISIT = "VISIT"
    TOP_UP = "TOP_UP"
    PAID_AHEAD = "PAID_AHEAD"


class Route(StrEnum):
    """How the payer pays. BALANCE: with outpatient money that is stored here (D-06)."""

    MINI_PROGRAM = "MINI_PROGRAM"
    QR = "QR"
    PAYMENT_CODE = "PAYMENT_CODE"
    CASH = "CASH"
    CARD = "CARD"
    BALANCE = "BALANCE"


CHANNEL_OF = {
    Route.MINI_PROGRAM: "WECHAT",
    Route.QR: "WECHAT",
    Route.PAYMENT_CODE: "WECHAT",
    Route.CASH: "CASH",
    Route.CARD: "CARD",
    Route.BALANCE: "BALANCE",
}
"""route -> the channel in whose books the money is."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """That the money of an order is there. ``by``: who says so, ``at``: when it is written down;
    ``transaction``: what the channel knows it by.
    """

    at: datetime
    by: str
    transaction: str
    paid_at: datetime


class PaymentOrder(Machine, Base):
    """One order. ``number`` is its id in hexadecimal: 32 characters, the longest WeChat Pay takes.

    ``client_key`` is the caller's Idempotency-Key; ``request_hash`` says whether it comes with the
    same content. ``shown`` is what the payer needs (mini-program parameters or the QR's content).
    """

    __tablename__ = "payment_order"
    __table_args__ = (
        UniqueConstraint("hospital_id", "asked_by", "client_key"),
        Index(None, "hospital_id", "subject_id", "state"),
        Index(None, "hospital_id", "state", "created_at"),
        Index(
            "ix_payment_order_of_the_bill",
            "hospital_id",
            "paid_at",
            postgresql_where="route IN ('MINI_PROGRAM', 'QR', 'PAYMENT_CODE')",
        ),
        CheckConstraint("amount_fen > 0", name="amount_positive"),
        CheckConstraint("state <> 'PAID' OR paid_at IS NOT NULL", name="paid_has_moment"),
    )
    MOVES = {
        OrderState.CREATED: frozenset(
            {OrderState.WAITING, OrderState.PAID, OrderState.CLOSED, OrderState.REFUSED}
        ),
        OrderState.WAITING: frozenset({OrderState.PAID, OrderState.CLOSED, OrderState.REFUSED}),
        # The surprise: the channel took money for an order that we had given up.
        OrderState.CLOSED: frozenset({OrderState.PAID}),
        OrderState.REFUSED: frozenset({OrderState.PAID}),
        OrderState.PAID: frozenset(),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    state: Mapped[str] = mapped_column(Text, default=OrderState.CREATED)
    purpose: Mapped[str] = mapped_column(Text)
    subject_id: Mapped[UUID]
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"))
    route: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int]
    client_key: Mapped[str] = mapped_column(Text)
    request_hash: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[str] = mapped_column(Text)
    step_channel: Mapped[str] = mapped_column(Text)
    device_id: Mapped[UUID | None]
    payer_openid: Mapped[str | None] = mapped_column(Text)
    slip_no: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    asked_at: Mapped[datetime | None] = mapped_column(Moment)
    given_up_at: Mapped[datetime | None] = mapped_column(Moment)
    shown: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    channel_transaction: Mapped[str | None] = mapped_column(Text)
    paid_at: Mapped[datetime | None] = mapped_column(Moment)
    answer: Mapped[str] = mapped_column(Text, default="")

    @property
    def number(self) -> str:
        """``out_trade_no``."""
        return self.id.hex

    @property
    def channel(self) -> str:
        """WECHAT, CASH, CARD, or BALANCE: nothing new comes in."""
        return CHANNEL_OF[Route(self.route)]

    @property
    def may_be_placed(self) -> bool:
        """Whether the channel may still be asked for what the payer needs: WeChat Pay may have the
        order while its answer was lost.
        """
        shows_nothing = self.shown is None and self.route != Route.PAYMENT_CODE
        return self.state == OrderState.CREATED or (
            self.state == OrderState.WAITING and shows_nothing
        )

    def arrival(
        self, at: datetime, by: str, transaction: str | None = None, paid_at: datetime | None = None
    ) -> Arrival:
        """What is known of the money; at the window nobody but us says when it was paid."""
        known_by = transaction or self.slip_no or self.number
        return Arrival(at, by, known_by, paid_at or at)

    def is_stored_as(self, row: dict[str, Any]) -> None:
        """This order, not written down by us, is this row: its own, or the one that its key made
        before.
        """
        self.id, self.state, self.answer = UUID(row["id"]), row["state"], row["answer"]
        self.expires_at = datetime.fromisoformat(row["expires_at"])
        self.paid_at = row["paid_at"] and datetime.fromisoformat(row["paid_at"])

    def has_come(self, came: Arrival) -> None:
        """What the database wrote down of it (`order_paid`), known here without reading it."""
        for name, value in (
            ("state", OrderState.PAID),
            ("channel_transaction", came.transaction),
            ("paid_at", came.paid_at),
        ):
            set_committed_value(self, name, value)

    @classmethod
    def locked(cls, db: Session, order_id: UUID) -> Self:
        """The order under its row lock."""
        if order := db.get(cls, order_id, with_for_update=True, populate_existing=True):
            return order
        raise NotFound("ORDER_UNKNOWN")

    @classmethod
    def pending_fen(cls, db: Session, hospital_id: UUID, subject_id: UUID, purpose: Purpose) -> int:
        """Fen in open orders of a subject: money that may arrive at any moment."""
        mine = (cls.hospital_id == hospital_id, cls.subject_id == subject_id)
        total = db.scalar(
            select(func.coalesce(func.sum(cls.amount_fen), 0)).where(
                *mine, cls.purpose == purpose, cls.state.in_(OPEN_STATES)
            )
        )
        return int(total or 0)

    @classmethod
    def latest_id(
        cls, db: Session, hospital_id: UUID, subject_id: UUID, purpose: Purpose, since: datetime
    ) -> UUID | None:
        """The subject's newest order since then: whoever has to pay asks what became of it."""
        return db.scalar(
            select(cls.id)
            .where(cls.hospital_id == hospital_id, cls.subject_id == subject_id)
            .where(cls.purpose == purpose, cls.created_at >= since)
            .order_by(cls.created_at.desc(), cls.id.desc())
            .limit(1)
        )
