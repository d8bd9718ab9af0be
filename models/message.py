"""A word to a patient: stored with what happened, and carried by one route after another."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id
from models.machine import Machine
from policies.refusals import NotFound


class MessageState(StrEnum):
    """QUEUED: due at ``next_try_at``. SENDING: claimed, somebody is asking. SENT: it was taken.

    UNKNOWN: nobody knows whether it was taken. FAILED: no route is left, a person must look.
    """

    QUEUED = "QUEUED"
    SENDING = "SENDING"
    SENT = "SENT"
    DELIVERED = "DELIVERED"
    PRINTED = "PRINTED"
    UNKNOWN = "UNKNOWN"
    FAILED = "FAILED"


class MessageRoute(StrEnum):
    """Who carries it. PRINT: the ward prints it and hands it over."""

    SUBSCRIPTION = "SUBSCRIPTION"
    SMS = "SMS"
    PRINT = "PRINT"


class Message(Machine, Base):
    """One message to one patient. ``key`` says what it is about, once in a hospital.

    ``values`` holds amounts, days and receipt numbers; the name is filled in as it leaves.
    ``attempts`` counts the tries on the present ``route``; ``next_try_at`` is when the present
    state is to be looked at again, None when nothing more is expected. ``serial_no`` is the SMS
    carrier's.
    """

    __tablename__ = "message"
    __table_args__ = (
        # One key for both: nobody is told what another hospital has to say.
        ForeignKeyConstraint(["hospital_id", "patient_id"], ["patient.hospital_id", "patient.id"]),
        UniqueConstraint("hospital_id", "key"),
        Index(None, "hospital_id", "state", "next_try_at"),
        Index(None, "hospital_id", "serial_no"),
        Index(None, "patient_id", "created_at"),
        CheckConstraint("attempts >= 0", name="attempts_not_negative"),
        CheckConstraint("state <> 'SENDING' OR claimed_at IS NOT NULL", name="sending_claimed"),
    )
    MOVES = {
        MessageState.QUEUED: frozenset(
            {MessageState.SENDING, MessageState.SENT, MessageState.FAILED}
        ),
        MessageState.SENDING: frozenset(
            {MessageState.SENT, MessageState.QUEUED, MessageState.UNKNOWN, MessageState.FAILED}
        ),
        MessageState.UNKNOWN: frozenset(
            {MessageState.SENT, MessageState.DELIVERED, MessageState.QUEUED, MessageState.FAILED}
        ),
        # Back to QUEUED: the carrier took it and could not deliver it, so the next route is tried.
        MessageState.SENT: frozenset(
            {
                MessageState.DELIVERED,
                MessageState.PRINTED,
                MessageState.QUEUED,
                MessageState.FAILED,
            }
        ),
        # The surprise: a receipt comes after we had given up.
        MessageState.FAILED: frozenset({MessageState.DELIVERED}),
        MessageState.DELIVERED: frozenset(),
        MessageState.PRINTED: frozenset(),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID]
    key: Mapped[str] = mapped_column(Text)
    patient_id: Mapped[UUID]
    template: Mapped[str] = mapped_column(Text)
    values: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(Text, default=MessageState.QUEUED)
    route: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(Moment)
    next_try_at: Mapped[datetime | None] = mapped_column(Moment)
    claimed_at: Mapped[datetime | None] = mapped_column(Moment)
    serial_no: Mapped[str | None] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text, default="")

    @classmethod
    def locked(cls, db: Session, message_id: UUID) -> Self:
        """The message under its row lock."""
        if found := db.get(cls, message_id, with_for_update=True, populate_existing=True):
            return found
        raise NotFound("MESSAGE_UNKNOWN")

    @classmethod
    def to_look_at(
        cls, db: Session, hospital_id: UUID, now: datetime, *states: MessageState, limit: int = 200
    ) -> list[Self]:
        """The messages in these states whose time has come, longest waiting first. Not locked."""
        return list(
            db.scalars(
                select(cls)
                .where(cls.hospital_id == hospital_id, cls.state.in_(states))
                .where(cls.next_try_at <= now)
                .order_by(cls.next_try_at)
                .limit(limit)
            )
        )

    @classmethod
    def by_serial_no(cls, db: Session, hospital_id: UUID, serial_no: str) -> Self | None:
        """The message under its row lock that the SMS carrier knows by this number."""
        return db.scalar(
            select(cls)
            .where(cls.hospital_id == hospital_id, cls.serial_no == serial_no)
            .with_for_update()
        )


class SubscriptionAccount(Base):
    """How many subscription messages of one template a WeChat account still accepts.

    WeChat tells nobody; each «accept» in the mini-program buys one message and we count them.
    """

    __tablename__ = "subscription_account"
    __table_args__ = (
        UniqueConstraint("hospital_id", "openid", "template"),
        CheckConstraint("accepts >= 0", name="accepts_not_negative"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    openid: Mapped[str] = mapped_column(Text)
    template: Mapped[str] = mapped_column(Text)
    accepts: Mapped[int]

    @classmethod
    def add(
        cls, db: Session, hospital_id: UUID, openid: str, template: str, *, count: int = 1
    ) -> None:
        """The account accepted ``count`` more messages of this template."""
        row = insert(cls).values(
            id=new_id(), hospital_id=hospital_id, openid=openid, template=template, accepts=count
        )
        db.execute(
            row.on_conflict_do_update(
                index_elements=["hospital_id", "openid", "template"],
                set_={"accepts": cls.accepts + row.excluded.accepts},
            )
        )

    @classmethod
    def take(cls, db: Session, hospital_id: UUID, openid: str, template: str) -> bool:
        """Use one accepted message up; False if none is left."""
        taken = db.scalar(
            update(cls)
            .where(cls.hospital_id == hospital_id, cls.openid == openid, cls.template == template)
            .where(cls.accepts > 0)
            .values(accepts=cls.accepts - 1)
            .returning(cls.id)
        )
        return taken is not None

    @classmethod
    def empty(cls, db: Session, hospital_id: UUID, openid: str, template: str) -> None:
        """WeChat says that none is left (43101): our count was wrong."""
        db.execute(
            update(cls)
            .where(cls.hospital_id == hospital_id, cls.openid == openid, cls.template == template)
            .values(accepts=0)
        )


class PrintJob(Base):
    """One message that a ward prints and hands over; ``printed_at`` is when somebody said so."""

    __tablename__ = "print_job"
    __table_args__ = (
        UniqueConstraint("hospital_id", "message_id"),
        Index(None, "hospital_id", "ward", "printed_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    message_id: Mapped[UUID] = mapped_column(ForeignKey("message.id"))
    admission_id: Mapped[UUID] = mapped_column(ForeignKey("admission.id"))
    ward: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment)
    printed_at: Mapped[datetime | None] = mapped_column(Moment)
    printed_by: Mapped[str | None] = mapped_column(Text)
