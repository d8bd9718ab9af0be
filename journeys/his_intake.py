"""An event of the HIS is taken once: said again it gets its first answer, changed it is refused."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from models.admission import Admission
from models.db import Session
from models.his_event import HisEvent
from models.sealing import fingerprint
from policies.access import Actor
from policies.refusals import NotFound

Facts = dict[str, Any]
Clock = Callable[[], datetime]


def once(
    actor: Actor, kind: str, facts: Facts, now: Clock, take: Callable[[Db, datetime], Facts]
) -> Facts:
    """Do what the event tells, in one transaction with its answer.

    Conflict EVENT_ID_REUSED when the same number came with another body. A refusal is not
    remembered: the HIS may send the same event again when its reason is gone.
    """
    actor.needs("his:report")
    at = now()
    with Session.begin() as db:
        event = HisEvent.claim(
            db,
            hospital_id=actor.hospital_id,
            source_event_id=facts["source_event_id"],
            kind=kind,
            body_hash=_hash(facts),
            by=actor.name,
            at=at,
        )
        if event.answer is None:
            event.answer = take(db, at)
        return event.answer


def stay_of(db: Db, actor: Actor, inpatient_no: str) -> Admission:
    """The stay with this number in the HIS's hospital, locked; NotFound ADMISSION_UNKNOWN."""
    query = select(Admission).where(
        Admission.hospital_id == actor.hospital_id, Admission.inpatient_no == inpatient_no
    )
    if stay := db.scalar(query.with_for_update()):
        return stay
    raise NotFound("ADMISSION_UNKNOWN")


def _hash(facts: Facts) -> bytes:
    return fingerprint(json.dumps(facts, sort_keys=True, default=str).encode())
