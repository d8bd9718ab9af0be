"""A WeChat account proves to be a patient: name and identity number must be those of the HIS
patient index."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session as SqlSession

from models.audit import audit
from models.binding import WeChatBinding
from models.db import ReadSession, Session
from models.patient import Patient
from policies.access import Actor
from policies.identity_number import read_id_no
from policies.refusals import Conflict, Refused


def bind(actor: Actor, name: str, id_no: str, now: Callable[[], datetime]) -> Patient:
    """Bind the actor's WeChat account to the patient; again for the same patient changes nothing.

    Refused ID_NUMBER_INVALID; Refused BINDING_NOT_MATCHED alike for an unknown number and a wrong
    name;
    Conflict BINDING_EXISTS when this account already is another patient.
    """
    number = read_id_no(id_no)
    with Session.begin() as db:
        binding = _own(db, actor)
        rows = Patient.named(db, actor.hospital_id, number, name)
        if not rows:
            raise Refused("BINDING_NOT_MATCHED")
        patient = next((row for row in rows if row.id == binding.patient_id), rows[0])
        if binding.patient_id not in (None, patient.id):
            raise Conflict("BINDING_EXISTS")
        if binding.patient_id is None:
            binding.patient_id, binding.bound_at = patient.id, now()
            _audited(db, actor, "account bound", patient.id, now())
    return patient


def unbind(actor: Actor, now: Callable[[], datetime]) -> None:
    """Let the account act for nobody again, as before a phone is given away. Said twice, it stays
    done."""
    with Session.begin() as db:
        binding = _own(db, actor)
        if binding.patient_id is not None:
            patient_id, binding.patient_id, binding.bound_at = binding.patient_id, None, None
            _audited(db, actor, "account unbound", patient_id, now())


def bound_patient(actor: Actor) -> Patient | None:
    """Who the account is."""
    with ReadSession() as db:
        return db.get(Patient, actor.patient_id) if actor.patient_id else None


def _own(db: SqlSession, actor: Actor) -> WeChatBinding:
    return db.scalars(select(WeChatBinding).filter_by(id=actor.id).with_for_update()).one()


def _audited(db: SqlSession, actor: Actor, what: str, patient_id: object, at: datetime) -> None:
    db.flush()
    audit(db, actor.hospital_id, actor.name, what, f"patient:{patient_id}", at=at)
