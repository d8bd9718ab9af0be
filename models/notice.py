"""The inbox: a verified notice is committed here as it came before it is answered, once for each
event, and applied later; and which kinds of notices were refused.
"""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.db import Base, Moment, at_once, new_id
from policies.refusals import NotFound


class ChannelNotice(Base):
    """What a channel told us about one order or refund. ``answer`` holds states, numbers and fen,
    nobody's person.

    ``body`` are the bytes as they came and ``proof`` the headers that prove them: who paid stands
    in them only encrypted, under a key that is not in the database. None of both: kept before 0032.
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
    body: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    proof: Mapped[dict[str, str] | None] = mapped_column(JSONB, deferred=True)
    received_at: Mapped[datetime] = mapped_column(Moment)
    applied_at: Mapped[datetime | None] = mapped_column(Moment)
    outcome: Mapped[str] = mapped_column(Text, default="")

    @staticmethod
    def keep(hospital_code: str, body: bytes, **values: Any) -> bool:
        """Store it and queue the job that applies it, in a transaction of its own; False: a copy.

        NotFound HOSPITAL_UNKNOWN.
        """
        said = {"id": new_id(), "outcome": "", **values}
        ((kept,),) = at_once(
            "SELECT keep_notice(%s, %s::jsonb, %b)",
            hospital_code,
            json.dumps(said, default=str),
            body,
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


class RefusedNotice(Base):
    """When the trail last got a row about notices refused for this reason: one an hour at most."""

    __tablename__ = "refused_notice"

    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"), primary_key=True)
    reason: Mapped[str] = mapped_column(Text, primary_key=True)
    hour: Mapped[datetime] = mapped_column(Moment)

    @staticmethod
    def note(hospital_code: str, reason: str, at: datetime) -> bool:
        """Write it into the trail, the first time in this hour; True if it was.

        A process that did so in this hour does not ask again, so a flood of forged notices costs
        the database nothing. ``reason`` is one of our own codes, never a word of the sender.
        """
        which, hour = (hospital_code, reason), at.replace(minute=0, second=0, microsecond=0)
        if _noted.get(which) == hour:
            return False
        ((first,),) = at_once("SELECT note_refused_notice(%s, %s, %s)", *which, at)
        _noted[which] = hour
        return bool(first)


_noted: dict[tuple[str, str], datetime] = {}
