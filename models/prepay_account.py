"""One stored outpatient balance: an old system's card, or the account that a patient has here."""

from collections.abc import Collection
from datetime import date
from enum import StrEnum
from typing import Self
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, new_id
from models.patient import Patient


class AccountSource(StrEnum):
    """OWN: opened here, at a top-up that an exception allowed. CENSUS: found in an old system."""

    OWN = "OWN"
    CENSUS = "CENSUS"


class PrepayAccount(Base):
    """One balance of one holder; its id is the ledger's owner of OUTPATIENT_PREPAY, and of
    TREASURY_TURNED_OVER once the money was turned over (GZ-7, GZ-8).

    A patient has one account of their own, whose id is the patient's, and any number of old cards
    (D-45). ``last_activity_on``: what the holder last did with it (D-08), as the old system said or
    as happened here since.
    """

    __tablename__ = "prepay_account"
    __table_args__ = (
        UniqueConstraint("hospital_id", "card_no"),
        Index(None, "patient_id"),
        CheckConstraint("source IN ('OWN', 'CENSUS')", name="source_known"),
        CheckConstraint("(source = 'OWN') = (id = patient_id)", name="own_is_the_patients"),
        CheckConstraint("source = 'OWN' OR card_no IS NOT NULL", name="card_has_a_number"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"))
    source: Mapped[str] = mapped_column(Text)
    card_no: Mapped[str | None] = mapped_column(Text)
    opened_on: Mapped[date | None]
    last_activity_on: Mapped[date]

    @classmethod
    def own(cls, db: Session, patient: Patient, on: date) -> UUID:
        """The id of the patient's own account, opened if need be; ``on`` is its last activity."""
        row = insert(cls).values(
            id=patient.id,
            hospital_id=patient.hospital_id,
            patient_id=patient.id,
            source=AccountSource.OWN,
            opened_on=on,
            last_activity_on=on,
        )
        db.execute(
            row.on_conflict_do_update(
                index_elements=[cls.id], set_={"last_activity_on": row.excluded.last_activity_on}
            )
        )
        return patient.id

    @property
    def masked_card(self) -> str:
        """What of the card's number is shown; empty for the patient's own account."""
        return f"尾号{self.card_no[-4:]}" if self.card_no else ""

    @classmethod
    def of(cls, db: Session, patient_id: UUID) -> list[Self]:
        """All accounts of a patient, those with the longest silence first."""
        return cls._of(db, [patient_id])

    @classmethod
    def of_person(cls, db: Session, patient: Patient) -> list[Self]:
        """The same, also of this person's other rows in this hospital's index: one of the HIS's and
        one that an old card made (D-45).
        """
        rows = patient.same_person(db, [patient.hospital_id])
        return cls._of(db, [row.id for row in rows])

    @classmethod
    def _of(cls, db: Session, patient_ids: Collection[UUID]) -> list[Self]:
        query = select(cls).where(cls.patient_id.in_(patient_ids))
        return list(db.scalars(query.order_by(cls.last_activity_on, cls.id)))
