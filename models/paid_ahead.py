"""Money paid ahead for a named purpose, which article 9 does not call a prepayment: a course of
several visits, a group's check-ups, tests before surgery (GZ-9)."""

from datetime import datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models import ledger
from models.db import Base, Moment, new_id
from models.ledger import AccountKind, Line, Take
from models.machine import Machine
from policies.access import Actor
from policies.lots import spend_oldest_first
from policies.refusals import NotFound


class AheadState(StrEnum):
    """TO_APPROVE: waits for the second person. OPEN: may be paid. RUNNING: paid, being used.
    STOPPED: the rest is on its way back. REPAID: an employer has it.
    """

    TO_APPROVE = "TO_APPROVE"
    REFUSED = "REFUSED"
    OPEN = "OPEN"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    REPAID = "REPAID"


class PaidAhead(Machine, Base):
    """One plan; its id owns an account COURSE_PREPAY. A patient's, or an employer's for its people.

    ``units``: visits or people, each at its part of ``price_fen``; 0 where each use has its own
    price. ``proof``: number of the booking, contract, surgery order or appointment, or of the
    special disease's registration. ``reason`` and ``approved_by`` are those of OTHER.
    """

    __tablename__ = "paid_ahead"
    __table_args__ = (
        UniqueConstraint("hospital_id", "opened_by", "client_key"),
        Index(None, "hospital_id", "code", "state"),
        Index(None, "patient_id"),
        CheckConstraint("price_fen > 0 AND units >= 0 AND price_fen >= units", name="price"),
        CheckConstraint("(employer IS NULL) = (code <> 'GROUP_EXAM')", name="group_has_employer"),
        CheckConstraint("(patient_id IS NULL) = (code = 'GROUP_EXAM')", name="else_a_patient"),
        CheckConstraint("approved_by <> opened_by", name="two_people"),
        CheckConstraint(
            "code <> 'OTHER' OR state IN ('TO_APPROVE', 'REFUSED') OR approved_by IS NOT NULL",
            name="other_is_approved",
        ),
        CheckConstraint("repaid_by <> stopped_by", name="two_people_repay"),
    )
    MOVES = {
        AheadState.TO_APPROVE: frozenset({AheadState.OPEN, AheadState.REFUSED}),
        AheadState.REFUSED: frozenset(),
        AheadState.OPEN: frozenset({AheadState.RUNNING}),
        AheadState.RUNNING: frozenset({AheadState.STOPPED}),
        AheadState.STOPPED: frozenset({AheadState.RUNNING, AheadState.REPAID}),
        AheadState.REPAID: frozenset(),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    state: Mapped[str] = mapped_column(Text)
    code: Mapped[str] = mapped_column(Text)
    patient_id: Mapped[UUID | None] = mapped_column(ForeignKey("patient.id"))
    employer: Mapped[str | None] = mapped_column(Text)
    course: Mapped[str | None] = mapped_column(Text)
    units: Mapped[int]
    price_fen: Mapped[int]
    proof: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    opened_by: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime] = mapped_column(Moment)
    client_key: Mapped[str] = mapped_column(Text)
    request_hash: Mapped[str] = mapped_column(Text)
    approved_by: Mapped[str | None] = mapped_column(Text)
    stopped_by: Mapped[str | None] = mapped_column(Text)
    refund_id: Mapped[UUID | None] = mapped_column(ForeignKey("refund.id"))
    repaid_by: Mapped[str | None] = mapped_column(Text)
    repaid_slip: Mapped[str | None] = mapped_column(Text)

    @classmethod
    def seen_by(cls, db: Session, actor: Actor, plan_id: UUID, *, lock: bool = False) -> Self:
        """The plan, if this actor may know of it; NotFound otherwise."""
        query = select(cls).where(cls.id == plan_id, cls.hospital_id == actor.hospital_id)
        plan = db.scalar(query.with_for_update() if lock else query)
        own = plan is not None and plan.patient_id in {actor.patient_id} - {None}
        if plan is None or not (own or actor.may("hospital:read")):
            raise NotFound("PAID_AHEAD_UNKNOWN")
        return plan

    @classmethod
    def go_on(cls, db: Session, refund_id: UUID, *, by: str, at: datetime) -> None:
        """The refund of the rest was rejected: the money is back, and the plan runs on."""
        plan = db.scalar(select(cls).where(cls.refund_id == refund_id).with_for_update())
        if plan is not None and plan.state == AheadState.STOPPED:
            plan.move(db, AheadState.RUNNING, at=at, by=by, why="the refund was rejected")

    def held_fen(self, db: Session) -> int:
        """What is left of the money."""
        return ledger.held(db, self.hospital_id, AccountKind.COURSE_PREPAY, str(self.id))

    def uses(self, db: Session) -> list["AheadUse"]:
        """What was used and not taken back, oldest first."""
        query = select(AheadUse).where(AheadUse.plan_id == self.id, AheadUse.undone_at.is_(None))
        return list(db.scalars(query.order_by(AheadUse.at, AheadUse.id)))

    def spend(self, db: Session, use: "AheadUse") -> None:
        """Book one use, oldest money first. Refused BALANCE_TOO_LOW."""
        owner, kind = str(self.id), AccountKind.COURSE_PREPAY
        lots = ledger.open_lots(db, self.hospital_id, kind, owner)
        ledger.post(
            db,
            hospital_id=self.hospital_id,
            key=use.booking_key,
            kind="PAID_AHEAD_USED",
            why=self.code,
            by=use.by,
            at=use.at,
            lines=[
                Line(kind, owner, use.amount_fen),
                Line(AccountKind.REVENUE, "OUTPATIENT", -use.amount_fen),
            ],
            takes=[
                Take(lot.id, fen, "SPEND") for lot, fen in spend_oldest_first(lots, use.amount_fen)
            ],
        )


class AheadUse(Base):
    """One visit of a course, one person of a group, or one charge; never deleted, but taken back.

    ``use_no``: the HIS's number of the treatment or check-up.
    """

    __tablename__ = "paid_ahead_use"
    __table_args__ = (
        Index(
            "uq_paid_ahead_use_live",
            "plan_id",
            "use_no",
            unique=True,
            postgresql_where=text("undone_at IS NULL"),
        ),
        CheckConstraint("amount_fen > 0", name="amount_positive"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    plan_id: Mapped[UUID] = mapped_column(ForeignKey("paid_ahead.id"))
    use_no: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int]
    at: Mapped[datetime] = mapped_column(Moment)
    by: Mapped[str] = mapped_column(Text)
    undone_at: Mapped[datetime | None] = mapped_column(Moment)
    undone_by: Mapped[str | None] = mapped_column(Text)

    @property
    def booking_key(self) -> str:
        """The key under which its price is booked."""
        return f"paid-ahead-use:{self.id}"
