"""Giving handed-in papers back (CQ-3.2), and the hospital's list of things that only a person can
do.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import select

from journeys.counterparts import Counterparts
from journeys.patient_scope import stay_for
from models.admission import took_step
from models.db import ReadSession, Session
from models.document import Document
from models.work_item import WorkItem, close_open
from policies.access import Actor
from policies.refusals import Refused


def return_documents(
    actor: Actor, outside: Counterparts, admission_id: UUID, *, signature_sha256: str
) -> None:
    """Hand everything back against a signature; the task is done. Refused NO_PAPERS_TO_RETURN."""
    now = outside.now()
    with Session.begin() as db:
        stay = stay_for(db, actor, admission_id, "OWN", lock=True)
        papers = Document.kept(db, stay.id)
        if not papers:
            raise Refused("NO_PAPERS_TO_RETURN")
        for paper in papers:
            paper.returned_at, paper.returned_by = now, actor.name
            paper.signature_sha256 = signature_sha256
        took_step(db, stay, actor, "documents-returned", now, papers=len(papers))
        close_open(
            db,
            hospital_id=stay.hospital_id,
            kind="RETURN_DOCUMENTS",
            subject=f"admission:{stay.id}",
            by=actor.name,
            at=now,
            outcome=signature_sha256,
        )


def list_work(actor: Actor, kind: str | None) -> list[dict[str, Any]]:
    """What is open in the hospital, the most urgent first (at most 500)."""
    query = select(WorkItem).where(
        WorkItem.hospital_id == actor.hospital_id, WorkItem.closed_at.is_(None)
    )
    if kind:
        query = query.where(WorkItem.kind == kind)
    with ReadSession() as db:
        found = db.scalars(query.order_by(WorkItem.due_at.nulls_last(), WorkItem.id).limit(500))
        return [
            {
                "id": item.id,
                "kind": item.kind,
                "subject": item.subject,
                "note": item.note,
                "facts": item.facts,
                "opened_at": item.opened_at,
                "due_at": item.due_at,
            }
            for item in found
        ]


def close_work(actor: Actor, outside: Counterparts, item_id: UUID, *, outcome: str) -> None:
    """Say that a task was done, and how. Conflict WORK_ITEM_CLOSED when somebody did before."""
    with Session.begin() as db:
        item = WorkItem.locked(db, actor.hospital_id, item_id)
        item.close(by=actor.name, at=outside.now(), outcome=outcome)
