"""Outpatient money that became an inpatient deposit, and the consent to it (GZ-3)."""

from datetime import datetime
from typing import Self
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Text, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id


class PrepayTransfer(Base):
    """One transfer: what was agreed to, by whom, on which channel, and its movement. Append-only.

    ``signature_sha256``: the signed sheet or screen; None where patients agreed on their own phone.
    """

    __tablename__ = "prepay_transfer"
    __table_args__ = (
        UniqueConstraint("hospital_id", "asked_by", "client_key"),
        CheckConstraint("amount_fen > 0", name="amount_positive"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"))
    admission_id: Mapped[UUID] = mapped_column(ForeignKey("admission.id"), index=True)
    amount_fen: Mapped[int]
    client_key: Mapped[str] = mapped_column(Text)
    request_hash: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Moment)
    channel: Mapped[str] = mapped_column(Text)
    text_version: Mapped[str] = mapped_column(Text)
    signature_sha256: Mapped[str | None] = mapped_column(Text)
    transaction_id: Mapped[UUID] = mapped_column(ForeignKey("ledger_transaction.id"))

    @classmethod
    def by_key(cls, db: Session, hospital_id: UUID, asked_by: str, key: str) -> Self | None:
        """The transfer that this caller's key made, if it made one."""
        return db.scalar(
            select(cls).filter_by(hospital_id=hospital_id, asked_by=asked_by, client_key=key)
        )
