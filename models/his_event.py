"""What the HIS told us and what we answered: said again, an event gets the same answer."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, LargeBinary, Text, UniqueConstraint, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id
from policies.refusals import Conflict


class HisEvent(Base):
    """One event of a HIS, by its own number. It exists if and only if what it told is done."""

    __tablename__ = "his_event"
    __table_args__ = (UniqueConstraint("hospital_id", "source_event_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    source_event_id: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    body_hash: Mapped[bytes] = mapped_column(LargeBinary)
    # JSON and not JSONB: the answer keeps the order of its fields, so it is the same to the byte.
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    by: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime] = mapped_column(Moment)

    @classmethod
    def claim(
        cls,
        db: Session,
        *,
        hospital_id: UUID,
        source_event_id: str,
        kind: str,
        body_hash: bytes,
        by: str,
        at: datetime,
    ) -> Self:
        """This event's row, locked by us; with an ``answer`` if it was done before.

        A twin that is being done at this moment is waited for. Another body under the same number:
        Conflict EVENT_ID_REUSED.
        """
        row = {"kind": kind, "body_hash": body_hash, "by": by, "received_at": at}
        db.execute(
            insert(cls)
            .values(id=new_id(), hospital_id=hospital_id, source_event_id=source_event_id, **row)
            .on_conflict_do_nothing(index_elements=["hospital_id", "source_event_id"])
        )
        event = db.scalars(
            select(cls)
            .where(cls.hospital_id == hospital_id, cls.source_event_id == source_event_id)
            .with_for_update()
        ).one()
        if (event.kind, bytes(event.body_hash)) != (kind, body_hash):
            raise Conflict("EVENT_ID_REUSED", source_event_id=source_event_id)
        return event
