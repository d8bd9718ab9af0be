"""One outpatient visit: its items from the HIS, one payment for all of them, each item undone by
itself (GZ-19).
"""

from datetime import datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Text, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models import ledger
from models.db import Base, Moment, new_id
from models.ledger import AccountKind, Line, Take
from models.machine import Machine
from policies.access import Actor
from policies.lots import spend_oldest_first
from policies.refusals import NotFound


class VisitState(StrEnum):
    """OPEN: to be paid. PAID: all items. CANCELLED: never paid."""

    OPEN = "OPEN"
    PAID = "PAID"
    CANCELLED = "CANCELLED"


class Visit(Machine, Base):
    """One visit of one patient; ``visit_no`` is the HIS's."""

    __tablename__ = "visit"
    __table_args__ = (UniqueConstraint("hospital_id", "visit_no"),)
    MOVES = {
        VisitState.OPEN: frozenset({VisitState.PAID, VisitState.CANCELLED}),
        VisitState.CANCELLED: frozenset({VisitState.PAID}),  # surprise: a payment came too late
        VisitState.PAID: frozenset(),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"))
    visit_no: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, default=VisitState.OPEN)
    content_hash: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime] = mapped_column(Moment)
    order_id: Mapped[UUID | None]

    @classmethod
    def seen_by(cls, db: Session, actor: Actor, visit_id: UUID, *, lock: bool = False) -> Self:
        """The visit, if this actor may know of it; NotFound otherwise."""
        query = select(cls).where(cls.id == visit_id, cls.hospital_id == actor.hospital_id)
        visit = db.scalar(query.with_for_update() if lock else query)
        own = visit is not None and visit.patient_id == actor.patient_id
        if visit is None or not (own or actor.may("hospital:read")):
            raise NotFound("VISIT_UNKNOWN")
        return visit

    def items(self, db: Session) -> list["VisitItem"]:
        """The items in the HIS's order."""
        return list(
            db.scalars(
                select(VisitItem).where(VisitItem.visit_id == self.id).order_by(VisitItem.position)
            )
        )

    def paid(self, db: Session, order_id: UUID, now: datetime) -> None:
        """Spend the payment on the items, each by its own ledger transaction, oldest lot first.

        A payment that comes when the visit is paid already stays stored, to be refunded.
        """
        if self.state == VisitState.PAID:
            return
        self.move(db, VisitState.PAID, at=now, by="channel")
        self.order_id = order_id
        for item in self.items(db):
            self._spend(db, item, now)

    @classmethod
    def keep_item(cls, db: Session, refund_id: UUID, now: datetime) -> None:
        """The refund of an item was rejected: what it had given back is spent on the item again."""
        item = db.scalar(select(VisitItem).where(VisitItem.refund_id == refund_id))
        if item is not None:
            visit = db.get_one(cls, item.visit_id, with_for_update=True)
            visit._spend(db, item, now)

    def _spend(self, db: Session, item: "VisitItem", now: datetime) -> None:
        owner = str(self.id)
        lots = ledger.open_lots(db, self.hospital_id, AccountKind.VISIT_PAYMENT, owner)
        ledger.post(
            db,
            hospital_id=self.hospital_id,
            key=item.booking_key,
            kind="VISIT_ITEM",
            why=item.order_no,
            by="system",
            at=now,
            lines=[
                Line(AccountKind.VISIT_PAYMENT, owner, item.amount_fen),
                Line(AccountKind.REVENUE, "OUTPATIENT", -item.amount_fen),
            ],
            takes=[
                Take(lot.id, fen, "SPEND") for lot, fen in spend_oldest_first(lots, item.amount_fen)
            ],
        )


class VisitItem(Base):
    """One order of a visit: what it is and what it costs; ``refund_id``: its last refund, rejected
    or not.
    """

    __tablename__ = "visit_item"
    __table_args__ = (
        UniqueConstraint("visit_id", "order_no"),
        CheckConstraint("amount_fen > 0", name="amount_positive"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    visit_id: Mapped[UUID] = mapped_column(ForeignKey("visit.id"))
    position: Mapped[int]
    order_no: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int]
    refund_id: Mapped[UUID | None]

    @property
    def booking_key(self) -> str:
        """The key under which its price is booked: anew after each rejected refund."""
        return f"visit-item:{self.id}" + (f":{self.refund_id}" if self.refund_id else "")
