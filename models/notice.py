"""The inbox: a verified notice is committed here before it is answered, once for each event, and
applied later.
"""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.db import Base, Moment, at_once, new_id
from policies.refusals import NotFound


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

    @staticmethod
    def keep(hospital_code: str, **values: Any) -> bool:
        """Store it and queue the job that applies it, in a transaction of its own; False: a copy.

        NotFound HOSPITAL_UNKNOWN.
        """
        said = {"id": new_id(), "outcome": "", **values}
        ((kept,),) = at_once(
            "SELECT keep_notice(%s, %s::jsonb)", hospital_code, json.dumps(said, default=str)
        )
        if kept is None:
            raise NotFound("HOSPITAL_UNKNOWN")
        return bool(kept)

    @staticmethod
    def was_applied(notice_id: UUID, at: datetime, outcome: str) -> None:
        """Write down what came of it; the first word stands."""
        at_once(
            "UPDATE channel_notice SET applied_at = %s, outcome = %s"
            " WHERE id = %s AND applied_at IS NULL RETURNING id",
            at,
            outcome,
            notice_id,
        )
