"""One word to each of many patients: stored and queued by two statements for all of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session as Db

from models.db import new_id
from models.message import Message, MessageState
from models.queue import defer_all
from notifications.routes import priority_of, routes_of
from notifications.wording import wording_of

# The messages, and for each the first row of its trail, as ``Machine.start`` leaves it.
STORE = text("""
    WITH word AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(CAST(:words AS jsonb))
            AS word (id uuid, move_id uuid, key text, patient_id uuid, said jsonb)
    ), stored AS (
        INSERT INTO message (id, hospital_id, key, patient_id, template, "values", state, route,
            attempts, answer, created_at, next_try_at)
        SELECT id, :hospital_id, key, patient_id, :template, said, :state, :route, 0, '', :at, :at
        FROM word
        ON CONFLICT (hospital_id, key) DO NOTHING
        RETURNING id
    ), moved AS (
        INSERT INTO state_move (id, hospital_id, machine, entity_id, there, at, by, why)
        SELECT move_id, :hospital_id, :machine, id, :state, :at, 'system', :template
        FROM stored JOIN word USING (id)
    )
    SELECT id FROM stored
""")


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
    wording = wording_of(template)
    told = [
        {
            "id": str(new_id()),
            "move_id": str(new_id()),
            "key": word.key,
            "patient_id": str(word.patient_id),
            "said": wording.complete(word.values),
        }
        for word in words
    ]
    values = {
        "words": json.dumps(told, ensure_ascii=False),
        "hospital_id": hospital_id,
        "template": template,
        "state": MessageState.QUEUED,
        "route": routes_of(template)[0],
        "machine": Message.__name__,
        "at": at,
    }
    stored = db.scalars(STORE, values).all()
    arguments = [{"hospital_id": str(hospital_id), "message_id": str(new)} for new in stored]
    defer_all(db, "deliver_message", arguments, priority=priority_of(template))
    return len(stored)
