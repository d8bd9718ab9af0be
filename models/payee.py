"""The bank account that a refund goes to: the holder's own, or an agent's by papers; sealed."""

from datetime import datetime
from typing import Self
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id
from models.sealing import Sealed


class Payee(Base):
    """One account at one bank, named for one patient. Nothing is paid to it before it is verified.

    ``papers``: it is not the patient's own (guardian, heir, agent), and papers say that it may be
    used. ``card_no_index`` finds the patients who named the same card (GZ-7 T7).
    """

    __tablename__ = "payee"
    __table_args__ = (
        Index(None, "patient_id"),
        Index(None, "hospital_id", "card_no_index"),
        CheckConstraint("(verified_by IS NULL) = (verified_at IS NULL)", name="verified_whole"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"))
    name_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    card_no_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    card_no_index: Mapped[bytes] = mapped_column(LargeBinary)
    bank_name: Mapped[str] = mapped_column(Text)
    papers: Mapped[bool] = mapped_column(default=False)
    verified_by: Mapped[str | None] = mapped_column(Text)
    verified_at: Mapped[datetime | None] = mapped_column(Moment)

    name = Sealed()
    card_no = Sealed()

    @classmethod
    def own_card(cls, db: Session, patient_id: UUID) -> Self | None:
        """The patient's own account that was verified last, if there is one."""
        return db.scalar(
            select(cls)
            .where(cls.patient_id == patient_id, ~cls.papers, cls.verified_at.is_not(None))
            .order_by(cls.verified_at.desc(), cls.id.desc())
            .limit(1)
        )

    @property
    def masked_card(self) -> str:
        """尾号1234 is all that anybody is shown."""
        return f"尾号{self.card_no[-4:]}"
