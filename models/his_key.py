"""The keys with which a hospital's own systems sign their requests; two may live at once, so that
one can be rolled."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.db import Base, Moment, new_id
from models.sealing import Sealed


class HisKey(Base):
    """One HMAC-SHA256 secret of one system (``system``: HIS, LIS, ...)."""

    __tablename__ = "his_key"
    __table_args__ = (UniqueConstraint("hospital_id", "key_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    system: Mapped[str] = mapped_column(Text)
    key_id: Mapped[str] = mapped_column(Text)
    secret_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    made_at: Mapped[datetime] = mapped_column(Moment)
    retired_at: Mapped[datetime | None] = mapped_column(Moment)

    secret = Sealed()
