"""The inbox: a verified notice is committed here before it is answered, once for each event, and
applied later.
"""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id


class ChannelNotice(Base):
    """What a channel told us about one order or refund. ``answer`` holds states, numbers and fen,
    nobody's person.
    """

    __tablename__ = "channel_notice"
    __table_args__ = (
        UniqueConstraint("hospital_id", "event"),
        Index(None, "hospital_id", "applied_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    event: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    number: Mapped[str] = mapped_column(Text)
    body_sha256: Mapped[str] = mapped_column(Text)
    answer: Mapped[dict[str, Any]] = mapped_column(JSONB)
    received_at: Mapped[datetime] = mapped_column(Moment)
    applied_at: Mapped[datetime | None] = mapped_column(Moment)
    outcome: Mapped[str] = mapped_column(Text, default="")

    @classmethod
    def keep(cls, db: Session, **values: Any) -> UUID | None:
        """Store it unless this event is already there; the new row's id, or None for a copy."""
        return db.scalar(
            insert(cls)
            .values(id=new_id(), outcome="", **values)
            .on_conflict_do_nothing(index_elements=["hospital_id", "event"])
            .returning(cls.id)
        )

    @classmethod
    def locked(cls, db: Session, notice_id: UUID) -> Self | None:
        """The notice under its row lock."""
        return db.get(cls, notice_id, with_for_update=True, populate_existing=True)
