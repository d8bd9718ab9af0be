"""Papers that a patient handed in: copies only, and each goes back when the bill is closed (CQ-3.1,
CQ-3.2).
"""

from datetime import datetime
from typing import Self
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Text, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id


class Document(Base):
    """One paper in the hospital's keeping. An original may not be kept: the database refuses it."""

    __tablename__ = "document"
    __table_args__ = (
        UniqueConstraint("admission_id", "kind"),
        CheckConstraint("form = 'COPY'", name="copies_only"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    admission_id: Mapped[UUID] = mapped_column(ForeignKey("admission.id"))
    kind: Mapped[str] = mapped_column(Text)
    form: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(Text)
    taken_at: Mapped[datetime] = mapped_column(Moment)
    taken_by: Mapped[str] = mapped_column(Text)
    returned_at: Mapped[datetime | None] = mapped_column(Moment)
    returned_by: Mapped[str | None] = mapped_column(Text)
    signature_sha256: Mapped[str | None] = mapped_column(Text)

    @classmethod
    def kept(cls, db: Session, admission_id: UUID) -> list[Self]:
        """What has not been returned yet."""
        return list(
            db.scalars(
                select(cls).where(cls.admission_id == admission_id, cls.returned_at.is_(None))
            )
        )
