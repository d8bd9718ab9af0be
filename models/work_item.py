"""Things that a person of the hospital must do, because no rule of ours may decide them alone."""

import json
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id
from policies.refusals import Conflict, NotFound


class WorkItem(Base):
    """One task: what is to be done (``note``) about what (``subject``, as ``admission:<id>``).

    ``by`` and ``outcome``: who closed it, and how. One open task for each kind and subject.
    """

    __tablename__ = "work_item"
    __table_args__ = (
        Index(
            "uq_work_item_open",
            "hospital_id",
            "kind",
            "subject",
            unique=True,
            postgresql_where="closed_at IS NULL",
        ),
        Index(None, "hospital_id", "closed_at", "due_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    kind: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    opened_at: Mapped[datetime] = mapped_column(Moment)
    due_at: Mapped[datetime | None] = mapped_column(Moment)
    closed_at: Mapped[datetime | None] = mapped_column(Moment)
    by: Mapped[str | None] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text, default="")
    outcome: Mapped[str] = mapped_column(Text, default="")

    @classmethod
    def locked(cls, db: Session, hospital_id: UUID, item_id: UUID) -> Self:
        """The item under its row lock; NotFound outside the hospital."""
        query = select(cls).where(cls.id == item_id, cls.hospital_id == hospital_id)
        if item := db.scalar(query.with_for_update()):
            return item
        raise NotFound("WORK_ITEM_UNKNOWN")

    def close(self, *, by: str, at: datetime, outcome: str) -> None:
        """Write down who did it and how; closed once. The caller holds the row's lock."""
        if self.closed_at is not None:
            raise Conflict("WORK_ITEM_CLOSED")
        self.closed_at, self.by, self.outcome = at, by, outcome


_OPEN = text("SELECT open_work_item(CAST(:said AS jsonb))")


def open_item(
    db: Session,
    *,
    hospital_id: UUID,
    kind: str,
    subject: str,
    at: datetime,
    due_at: datetime | None = None,
    note: str = "",
    facts: dict[str, Any] | None = None,
) -> UUID:
    """Open the task, or add these facts to the one already open for the same kind and subject.

    ``note`` says in plain Chinese what is to be done; neither it nor the facts hold personal data.
    """
    item = task(hospital_id, kind, subject, at, due_at=due_at, note=note, facts=facts)
    return UUID(str(db.scalar(_OPEN, {"said": json.dumps(item, default=str)})))


def task(
    hospital_id: UUID,
    kind: str,
    subject: str,
    at: datetime,
    *,
    due_at: datetime | None = None,
    note: str = "",
    facts: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The item that `open_item` opens, for a function of the database that opens it."""
    return {
        "id": new_id(),
        "hospital_id": hospital_id,
        "kind": kind,
        "subject": subject,
        "opened_at": at,
        "due_at": due_at,
        "facts": facts or {},
        "note": note,
        "outcome": "",
    }


def close_open(
    db: Session, *, hospital_id: UUID, kind: str, subject: str, by: str, at: datetime, outcome: str
) -> None:
    """Close the open task of this kind and subject, if there is one: what it asked for was done."""
    item = db.scalar(
        select(WorkItem)
        .where(
            WorkItem.hospital_id == hospital_id,
            WorkItem.kind == kind,
            WorkItem.subject == subject,
            WorkItem.closed_at.is_(None),
        )
        .with_for_update()
    )
    if item is not None:
        item.close(by=by, at=at, outcome=outcome)
