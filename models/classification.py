"""What kind of money it was, by which version of the classifier and on what answers (GZ-5)."""

from datetime import date, datetime
from typing import Any, Self
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id
from models.filing import PrepayFiling
from models.prepay_consent import PrepayConsent
from policies.money_kind import PENDING_INVOICE, VERSION


class Classification(Base):
    """One answer. ``subject_id``: the payment order or the plan that it was asked for, if any.

    ``proof``: the paper that was seen. ``rules``: the decision as packs.decision makes it.
    ``filing_id``, ``consent_id``: what a top-up rested on; neither, where the rules only advise or
    did not hold yet.
    """

    __tablename__ = "classification"
    __table_args__ = (
        UniqueConstraint("hospital_id", "asked_by", "client_key"),
        Index(None, "subject_id"),
        Index(
            "ix_classification_without_invoice",
            "hospital_id",
            "at",
            postgresql_where=text(f"answer = '{PENDING_INVOICE}' AND invoice_no = ''"),
        ),
        CheckConstraint("amount_fen > 0", name="amount_positive"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    patient_id: Mapped[UUID | None] = mapped_column(ForeignKey("patient.id"))
    subject_id: Mapped[UUID | None]
    amount_fen: Mapped[int]
    answer: Mapped[str] = mapped_column(Text)
    order_ids: Mapped[list[str]] = mapped_column(ARRAY(Text))
    proof: Mapped[str] = mapped_column(Text, default="")
    invoice_no: Mapped[str] = mapped_column(Text, default="")
    invoiced_at: Mapped[datetime | None] = mapped_column(Moment)
    version: Mapped[str] = mapped_column(Text, default=VERSION)
    rules: Mapped[dict[str, Any]]
    filing_id: Mapped[UUID | None] = mapped_column(ForeignKey("prepay_filing.id"))
    consent_id: Mapped[UUID | None] = mapped_column(ForeignKey("prepay_consent.id"))
    asked_by: Mapped[str] = mapped_column(Text)
    client_key: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Moment)

    @classmethod
    def by_key(cls, db: Session, hospital_id: UUID, asked_by: str, key: str) -> Self | None:
        """What this caller's key asked, if it asked."""
        return db.scalar(
            select(cls).filter_by(hospital_id=hospital_id, asked_by=asked_by, client_key=key)
        )

    @classmethod
    def of(cls, db: Session, subject_id: UUID) -> Self:
        """The answer on which an order or a plan rests."""
        return db.scalars(select(cls).where(cls.subject_id == subject_id)).one()

    @classmethod
    def without_invoice(cls, db: Session, hospital_id: UUID, before: datetime) -> list[Self]:
        """Payments for orders that had no invoice by a moment, oldest first (at most 500)."""
        query = select(cls).where(
            cls.hospital_id == hospital_id,
            cls.answer == PENDING_INVOICE,
            cls.invoice_no == "",
            cls.at < before,
        )
        return list(db.scalars(query.order_by(cls.at, cls.id).limit(500)))


def may_still_keep(db: Session, order_id: UUID, day: date) -> bool:
    """Whether what a top-up was allowed by still holds: the filing in force, the consent given.

    True where it rested on neither: the rules only advise there, or did not hold yet.
    """
    asked = Classification.of(db, order_id)
    if asked.filing_id is None or asked.consent_id is None:
        return True
    consent = db.get_one(PrepayConsent, asked.consent_id)
    filing = db.get_one(PrepayFiling, asked.filing_id)
    return consent.withdrawn_at is None and filing.in_force(day)
