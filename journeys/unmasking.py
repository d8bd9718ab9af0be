"""Staff see a patient's full name and numbers only by saying why, and every such look is in the
audit trail."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from journeys.patient_scope import stay_for
from models.audit import audit
from models.db import Session
from models.patient import Patient
from policies.access import Actor


@dataclass(frozen=True, slots=True)
class Identity:
    """What is otherwise masked."""

    name: str
    id_no: str
    phone: str


def unmask(actor: Actor, admission_id: UUID, reason: str, now: Callable[[], datetime]) -> Identity:
    """The patient of a stay in the actor's scope, in clear; NotFound ADMISSION_UNKNOWN
    elsewhere."""
    with Session.begin() as db:
        stay = stay_for(db, actor, admission_id, "OWN")
        patient = db.get_one(Patient, stay.patient_id)
        subject, facts = f"patient:{patient.id}", {"reason": reason}
        audit(db, actor.hospital_id, actor.name, "identity unmasked", subject, facts, at=now())
        return Identity(patient.name, patient.id_no, patient.phone)
