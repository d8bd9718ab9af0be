"""That a patient wants to store money for outpatient care, until they no longer do (GZ-6)."""

from datetime import datetime
from typing import Self
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id


class PrepayConsent(Base):
    """One consent: which text, when, on which device, who signed, and who saw it; never deleted.

    ``signature_sha256``: the signed sheet or screen; None where patients agreed on their own phone,
    which has no ``witness`` either. ``refund_id``: of what was left when it was withdrawn.
    """

    __tablename__ = "prepay_consent"
    __table_args__ = (
        Index(
            "uq_prepay_consent_live",
            "patient_id",
            unique=True,
            postgresql_where=text("withdrawn_at IS NULL"),
        ),
        CheckConstraint("(signature_sha256 IS NULL) = (witness IS NULL)", name="seen_or_own_phone"),
        CheckConstraint("signer IN ('PATIENT', 'GUARDIAN', 'RELATIVE')", name="signer_known"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"))
    text_version: Mapped[str] = mapped_column(Text)
    given_at: Mapped[datetime] = mapped_column(Moment)
    channel: Mapped[str] = mapped_column(Text)
    device_id: Mapped[UUID | None]
    signer: Mapped[str] = mapped_column(Text)
    signature_sha256: Mapped[str | None] = mapped_column(Text)
    witness: Mapped[str | None] = mapped_column(Text)
    withdrawn_at: Mapped[datetime | None] = mapped_column(Moment)
    withdrawn_by: Mapped[str | None] = mapped_column(Text)
    refund_id: Mapped[UUID | None] = mapped_column(ForeignKey("refund.id"))

    @classmethod
    def live(cls, db: Session, patient_id: UUID) -> Self | None:
        """The patient's consent that is not withdrawn, if there is one."""
        return db.scalar(
            select(cls).where(cls.patient_id == patient_id, cls.withdrawn_at.is_(None))
        )

    @classmethod
    def latest(cls, db: Session, patient_id: UUID) -> Self | None:
        """The patient's newest consent, withdrawn or not."""
        query = select(cls).where(cls.patient_id == patient_id)
        return db.scalar(query.order_by(cls.given_at.desc(), cls.id.desc()).limit(1))
