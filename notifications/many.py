"""One word to each of many patients: stored and queued by three statements for all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.dialects.postgresql import insert as insert_once
from sqlalchemy.orm import Session as Db

from models.db import new_id
from models.machine import StateMove
from models.message import Message, MessageState
from models.queue import defer_all
from notifications.routes import routes_of
from notifications.wording import wording_of


@dataclass(frozen=True, slots=True)
class Word:
    """What one patient is told; ``key`` and ``values`` as ``messages.tell`` takes them."""

    key: str
    patient_id: UUID
    values: Mapping[str, str | int | date]


def tell_all(
    db: Db, *, hospital_id: UUID, template: str, words: Sequence[Word], at: datetime
) -> int:
    """Do what ``messages.tell`` does, for all of them; how many had not been told before."""
    if not words:
        return 0
    wording, route = wording_of(template), routes_of(template)[0]
    stored = db.scalars(
        insert_once(Message)
        .on_conflict_do_nothing(index_elements=["hospital_id", "key"])
        .returning(Message.id),
        [
            {
                "id": new_id(),
                "hospital_id": hospital_id,
                "key": word.key,
                "patient_id": word.patient_id,
                "template": template,
                "values": wording.complete(word.values),
                "state": MessageState.QUEUED,
                "route": route,
                "attempts": 0,
                "answer": "",
                "created_at": at,
                "next_try_at": at,
            }
            for word in words
        ],
    ).all()
    _start(db, hospital_id, stored, template, at)
    defer_all(
        db,
        "deliver_message",
        [{"hospital_id": str(hospital_id), "message_id": str(new)} for new in stored],
    )
    return len(stored)


def _start(db: Db, hospital_id: UUID, stored: Sequence[UUID], template: str, at: datetime) -> None:
    """The first row of each message's trail, as ``Machine.start`` leaves it."""
    moves = [
        {
            "id": new_id(),
            "hospital_id": hospital_id,
            "machine": Message.__name__,
            "entity_id": new,
            "here": None,
            "there": MessageState.QUEUED,
            "at": at,
            "by": "system",
            "why": template,
        }
        for new in stored
    ]
    if moves:
        db.execute(insert(StateMove), moves)
