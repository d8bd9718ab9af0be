"""Why a request for stored money was held, and the two people who let it go on (GZ-7)."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id


class RefundHold(Base):
    """One reason. ``code``: RISK_HOLD or PAYEE_MISMATCH. Open until ``closed_at``: released by two
    people, each with a reason, or cured by another payee or by papers (nobody named).

    ``payee_id``: the payee of that moment; what was released for it is not held for it again.
    """

    __tablename__ = "refund_hold"
    __table_args__ = (
        Index(
            "uq_refund_hold_open",
            "request_id",
            "reason",
            unique=True,
            postgresql_where="closed_at IS NULL",
        ),
        CheckConstraint("code IN ('RISK_HOLD', 'PAYEE_MISMATCH')", name="code_known"),
        CheckConstraint("second_by <> first_by", name="two_people"),
        CheckConstraint("second_by IS NULL OR closed_at IS NOT NULL", name="released_whole"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    request_id: Mapped[UUID] = mapped_column(ForeignKey("refund_request.id"), index=True)
    code: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    facts: Mapped[dict[str, Any]]
    payee_id: Mapped[UUID | None] = mapped_column(ForeignKey("payee.id"))
    at: Mapped[datetime] = mapped_column(Moment)
    first_by: Mapped[str | None] = mapped_column(Text)
    first_at: Mapped[datetime | None] = mapped_column(Moment)
    first_why: Mapped[str] = mapped_column(Text, default="")
    second_by: Mapped[str | None] = mapped_column(Text)
    second_at: Mapped[datetime | None] = mapped_column(Moment)
    second_why: Mapped[str] = mapped_column(Text, default="")
    closed_at: Mapped[datetime | None] = mapped_column(Moment)

    @classmethod
    def of(cls, db: Session, request_id: UUID) -> list[Self]:
        """All holds of a request, oldest first."""
        return list(db.scalars(select(cls).where(cls.request_id == request_id).order_by(cls.id)))

    @classmethod
    def open_of(cls, db: Session, request_id: UUID) -> list[Self]:
        """Those that still hold it."""
        return [hold for hold in cls.of(db, request_id) if hold.closed_at is None]
