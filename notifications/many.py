"""One word to each of many patients: stored and queued by one statement for all of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session as Db

from models.db import new_id
from notifications.routes import priority_of, routes_of
from notifications.wording import wording_of

_TELL = text("SELECT tell_patients(CAST(:said AS jsonb))")


@dataclass(frozen=True, slots=True)
class Word:
    """What one patient is told; ``key`` and ``values`` as ``messages.tell`` takes them."""

    key: str
    patient_id: UUID
    values: Mapping[str, str | int | date]


def tell_all(
    db: Db, *, hospital_id: UUID, template: str, words: Sequence[Word], at: datetime
) -> list[UUID]:
    """Do what ``messages.tell`` does, for all of them; the new messages."""
    if not words:
        return []
    said = json.dumps(letter(hospital_id, template, words, at), ensure_ascii=False, default=str)
    return list(db.execute(_TELL, {"said": said}).scalar_one())


def letter(hospital_id: UUID, template: str, words: Sequence[Word], at: datetime) -> dict[str, Any]:
    """The words that `tell_all` stores, for a function of the database that stores them."""
    wording = wording_of(template)
    return {
        "hospital_id": hospital_id,
        "template": template,
        "route": routes_of(template)[0],
        "priority": priority_of(template),
        "at": at,
        "words": [
            {
                "id": new_id(),
                "move_id": new_id(),
                "key": word.key,
                "patient_id": word.patient_id,
                "values": wording.complete(word.values),
            }
            for word in words
        ],
    }
