"""A request for stored money, from acceptance to payment: who asked with which papers, which
balances it covers, and the different people who reviewed and confirmed it (GZ-7).
"""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    select,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id
from models.machine import Machine
from models.refund import UNDER_WAY_LEGS, Refund, RefundLeg, RefundState
from models.sealing import Sealed
from policies.refusals import NotFound


class RequestState(StrEnum):
    """CONFIRMED: approved, nothing has left. PAYING: some of the money has left, or may have."""

    ACCEPTED = "ACCEPTED"
    HELD = "HELD"
    REVIEWED = "REVIEWED"
    CONFIRMED = "CONFIRMED"
    PAYING = "PAYING"
    PAID = "PAID"
    REJECTED = "REJECTED"
    WITHDRAWN = "WITHDRAWN"


UNDECIDED = (RequestState.ACCEPTED, RequestState.HELD, RequestState.REVIEWED)
"""Nobody has confirmed yet: payee and papers may still change."""

_BACK = frozenset({RequestState.REJECTED, RequestState.WITHDRAWN})


class RefundRequest(Machine, Base):
    """One request at one hospital. Its money is out of the balances from acceptance on, in one
    `Refund` an item.

    ``accepted_by``: the patient's phone, the window, or finance; reviewer and confirmer are two
    further people, and neither is the one who rejected it before an appeal. ``signature_sha256``:
    the sheet signed at the window. ``held_from``: where a released hold leads back to. ``round``
    counts how often the money was taken out: once, and again when the payee changed or an appeal
    opened it.
    """

    __tablename__ = "refund_request"
    __table_args__ = (
        UniqueConstraint("hospital_id", "accepted_by", "client_key"),
        Index(None, "hospital_id", "state", "accepted_at"),
        Index(None, "patient_id"),
        Index(None, "accepted_by", "accepted_at"),
        CheckConstraint("amount_fen > 0", name="amount_positive"),
        CheckConstraint("reviewed_by <> accepted_by", name="reviewer_is_another"),
        CheckConstraint(
            "confirmed_by <> accepted_by AND confirmed_by <> reviewed_by",
            name="confirmer_is_another",
        ),
        CheckConstraint(
            "state = 'REJECTED' OR (reviewed_by <> rejected_by AND confirmed_by <> rejected_by)",
            name="appeal_is_decided_by_others",
        ),
        CheckConstraint("(state = 'HELD') = (held_from IS NOT NULL)", name="held_whole"),
    )
    MOVES = {
        RequestState.ACCEPTED: frozenset({RequestState.REVIEWED, RequestState.HELD}) | _BACK,
        RequestState.HELD: frozenset({RequestState.ACCEPTED, RequestState.REVIEWED}) | _BACK,
        RequestState.REVIEWED: frozenset({RequestState.CONFIRMED, RequestState.HELD}) | _BACK,
        RequestState.CONFIRMED: frozenset({RequestState.PAYING}) | _BACK,
        RequestState.PAYING: frozenset({RequestState.PAID, RequestState.REJECTED}),
        RequestState.PAID: frozenset({RequestState.PAYING}),  # surprise: a bank sent it back
        RequestState.REJECTED: frozenset({RequestState.ACCEPTED}),
        RequestState.WITHDRAWN: frozenset(),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    state: Mapped[str] = mapped_column(Text, default=RequestState.ACCEPTED)
    held_from: Mapped[str | None] = mapped_column(Text)
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"))
    amount_fen: Mapped[int]
    round: Mapped[int] = mapped_column(default=1)
    client_key: Mapped[str] = mapped_column(Text)
    request_hash: Mapped[str] = mapped_column(Text)
    asker: Mapped[str] = mapped_column(Text)
    asker_name_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    asker_id_no_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    payee_id: Mapped[UUID | None] = mapped_column(ForeignKey("payee.id"))
    signature_sha256: Mapped[str | None] = mapped_column(Text)
    withdrawal_sha256: Mapped[str | None] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text, default="")
    channel: Mapped[str] = mapped_column(Text)
    device_id: Mapped[UUID | None]
    off_hours: Mapped[bool]
    accepted_by: Mapped[str] = mapped_column(Text)
    accepted_at: Mapped[datetime] = mapped_column(Moment)
    reviewed_by: Mapped[str | None] = mapped_column(Text)
    reviewed_at: Mapped[datetime | None] = mapped_column(Moment)
    confirmed_by: Mapped[str | None] = mapped_column(Text)
    confirmed_at: Mapped[datetime | None] = mapped_column(Moment)
    rejected_by: Mapped[str | None] = mapped_column(Text)
    appealed_by: Mapped[str | None] = mapped_column(Text)
    paid_at: Mapped[datetime | None] = mapped_column(Moment)

    asker_name = Sealed()
    asker_id_no = Sealed()

    @classmethod
    def by_key(cls, db: Session, hospital_id: UUID, accepted_by: str, key: str) -> Self | None:
        """The request that this caller's key made, if it made one."""
        return db.scalar(
            select(cls).filter_by(hospital_id=hospital_id, accepted_by=accepted_by, client_key=key)
        )

    @classmethod
    def locked(cls, db: Session, request_id: UUID) -> Self:
        """The request under its row lock, after its refunds: everybody takes them in this order."""
        mine = select(RequestItem.refund_id).where(RequestItem.request_id == request_id)
        query = select(Refund).where(Refund.id.in_(mine)).order_by(Refund.id).with_for_update()
        db.scalars(query.execution_options(populate_existing=True)).all()
        if request := db.get(cls, request_id, with_for_update=True, populate_existing=True):
            return request
        raise NotFound("REFUND_REQUEST_UNKNOWN")

    @classmethod
    def over(cls, db: Session, refund_id: UUID) -> Self | None:
        """The request that this refund belongs to, under its row lock; None for any other refund.

        The caller holds the refund's lock.
        """
        mine = select(RequestItem.request_id).where(RequestItem.refund_id == refund_id)
        return db.scalar(select(cls).where(cls.id.in_(mine)).with_for_update())

    def items(self, db: Session) -> "list[RequestItem]":
        """What it covers."""
        query = select(RequestItem).where(RequestItem.request_id == self.id)
        return list(db.scalars(query.order_by(RequestItem.id)))

    def papers(self, db: Session) -> "list[RequestPaper]":
        """What was brought, in that order."""
        query = select(RequestPaper).where(RequestPaper.request_id == self.id)
        return list(db.scalars(query.order_by(RequestPaper.id)))

    def refunds(self, db: Session) -> list[Refund]:
        """Its refunds of this round."""
        query = select(Refund).join(RequestItem, RequestItem.refund_id == Refund.id)
        query = query.where(RequestItem.request_id == self.id).order_by(Refund.id)
        return list(db.scalars(query.execution_options(populate_existing=True)))

    @classmethod
    def follow(cls, db: Session, refund_id: UUID, *, at: datetime, by: str) -> None:
        """Move a confirmed request to where its refunds are. The caller holds the refund's lock."""
        request = cls.over(db, refund_id)
        if request is None or request.state not in _CONFIRMED:
            return
        db.flush()
        states = {refund.state for refund in request.refunds(db)}
        if request.state == RequestState.PAID and not states <= _OVER:
            request.move(db, RequestState.PAYING, at=at, by=by, why="sent back")
            request.paid_at = None
        if request.state == RequestState.CONFIRMED and request._money_left(db):
            request.move(db, RequestState.PAYING, at=at, by=by)
        if states == {RefundState.REJECTED}:
            request.move(db, RequestState.REJECTED, at=at, by=by)
        elif states <= _OVER and request.state != RequestState.PAID:
            request.move(db, RequestState.PAID, at=at, by=by)
            request.paid_at = at

    def _money_left(self, db: Session) -> bool:
        legs = select(RefundLeg.id).join(RequestItem, RequestItem.refund_id == RefundLeg.refund_id)
        legs = legs.where(RequestItem.request_id == self.id, RefundLeg.state.in_(UNDER_WAY_LEGS))
        return db.scalar(legs.limit(1)) is not None


_OVER = {RefundState.PAID, RefundState.REJECTED}
_CONFIRMED = {RequestState.CONFIRMED, RequestState.PAYING, RequestState.PAID}


class RequestItem(Base):
    """One balance that a request covers: ``kind`` OUTPATIENT_PREPAY, or TREASURY_TURNED_OVER."""

    __tablename__ = "refund_request_item"
    __table_args__ = (
        UniqueConstraint("request_id", "account_id", "kind"),
        UniqueConstraint("refund_id"),
        Index(None, "account_id"),
        CheckConstraint("amount_fen > 0", name="amount_positive"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    request_id: Mapped[UUID] = mapped_column(ForeignKey("refund_request.id"))
    account_id: Mapped[UUID] = mapped_column(ForeignKey("prepay_account.id"))
    kind: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int]
    refund_id: Mapped[UUID] = mapped_column(ForeignKey("refund.id"))


class RequestPaper(Base):
    """A copy of one paper. ``checked_by``: the second person who saw it."""

    __tablename__ = "refund_request_paper"
    __table_args__ = (
        UniqueConstraint("request_id", "kind", "sha256"),
        CheckConstraint("checked_by <> taken_by", name="checker_is_another"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    request_id: Mapped[UUID] = mapped_column(ForeignKey("refund_request.id"))
    kind: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(Text)
    taken_by: Mapped[str] = mapped_column(Text)
    taken_at: Mapped[datetime] = mapped_column(Moment)
    checked_by: Mapped[str | None] = mapped_column(Text)
    checked_at: Mapped[datetime | None] = mapped_column(Moment)


def requests_of(
    db: Session, patient_ids: Collection[UUID], states: Collection[str] = ()
) -> list[RefundRequest]:
    """The requests for these patients' money, newest first."""
    query = select(RefundRequest).where(RefundRequest.patient_id.in_(patient_ids))
    if states:
        query = query.where(RefundRequest.state.in_(states))
    return list(db.scalars(query.order_by(RefundRequest.id.desc())))
