"""The HIS announces a stay, and what changes about it: place, doctor, diagnosis, or who it is."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session as Db

from journeys.his_intake import Clock, Facts, once, stay_of
from models.admission import Admission, AdmissionState, AdmissionStep, took_step
from models.db import new_id
from models.patient import Patient
from policies.access import Actor
from policies.identity_number import born_on, read_id_no
from policies.refusals import Conflict, Refused

CHANGEABLE = (
    "ward",
    "ward_name",
    "bed",
    "department_code",
    "department_name",
    "doctor_code",
    "doctor_name",
    "diagnosis_code",
    "diagnosis_name",
)


def announce(actor: Actor, facts: Facts, now: Clock) -> Facts:
    """Make the admission slip, and the patient if the index did not have them.

    The identity may be unknown: an emergency is admitted without a number or a name. Conflict
    ADMISSION_KNOWN when another event announced this stay before.
    """

    def take(db: Db, at: datetime) -> Facts:
        patient = _patient(db, actor, facts["patient"])
        stay = Admission(
            id=new_id(),
            hospital_id=actor.hospital_id,
            patient_id=patient.id,
            inpatient_no=facts["inpatient_no"],
            admitted_at=facts["admitted_at"],
            state=AdmissionState.SLIP,
            **{field: facts.get(field, "") for field in CHANGEABLE},
        )
        if _known(db, actor, stay.inpatient_no):
            raise Conflict("ADMISSION_KNOWN", inpatient_no=stay.inpatient_no)
        db.add(stay)
        db.flush()
        stay.start(db, at=at, by=actor.name)
        took_step(db, stay, actor, "slip", at, source_event_id=facts["source_event_id"])
        return _answer(stay)

    return once(actor, "admission", facts, now, take)


def change(actor: Actor, facts: Facts, now: Clock) -> Facts:
    """Take over what the event names; a field that a newer event changed keeps the newer value.

    Refused STAY_SETTLED or ADMISSION_CANCELLED: a closed stay does not change.
    """

    def take(db: Db, at: datetime) -> Facts:
        stay = stay_of(db, actor, facts["inpatient_no"])
        if stay.state == AdmissionState.SETTLED:
            raise Refused("STAY_SETTLED")
        if stay.state == AdmissionState.CANCELLED:
            raise Refused("ADMISSION_CANCELLED")
        said_at = facts["occurred_at"]
        newer = _changed_since(db, stay, said_at)
        changed: dict[str, list[str]] = {}
        for field in CHANGEABLE:
            if field in facts and field not in newer and facts[field] != getattr(stay, field):
                changed[field] = [getattr(stay, field), facts[field]]
                setattr(stay, field, facts[field])
        if facts.get("patient"):
            patient = _patient(db, actor, facts["patient"])
            if patient.id != stay.patient_id:
                changed["patient_id"] = [str(stay.patient_id), str(patient.id)]
                stay.patient_id = patient.id
        said = {field: facts[field] for field in CHANGEABLE if field in facts}
        took_step(
            db,
            stay,
            actor,
            "change",
            at,
            source_event_id=facts["source_event_id"],
            occurred_at=said_at.isoformat(),
            said=sorted(said),
            changed=changed,
        )
        return _answer(stay) | {"changed": sorted(changed), "outdated": sorted(newer & set(said))}

    return once(actor, "admission-change", facts, now, take)


def _answer(stay: Admission) -> Facts:
    return {
        "admission_id": str(stay.id),
        "patient_id": str(stay.patient_id),
        "state": str(stay.state),
    }


def _known(db: Db, actor: Actor, inpatient_no: str) -> bool:
    query = select(Admission.id).where(
        Admission.hospital_id == actor.hospital_id, Admission.inpatient_no == inpatient_no
    )
    return db.scalar(query) is not None


def _changed_since(db: Db, stay: Admission, said_at: datetime) -> set[str]:
    """The fields about which a later word was already heard; events may overtake each other."""
    steps = db.scalars(
        select(AdmissionStep.facts).where(
            AdmissionStep.admission_id == stay.id, AdmissionStep.step == "change"
        )
    )
    return {
        field
        for facts in steps
        if datetime.fromisoformat(facts["occurred_at"]) > said_at
        for field in facts["said"]
    }


def _patient(db: Db, actor: Actor, said: dict[str, Any]) -> Patient:
    """The patient of this number in the HIS's index; what the HIS does not know stays as it is."""
    number = said["his_patient_no"]
    db.execute(
        insert(Patient)
        .values(id=new_id(), hospital_id=actor.hospital_id, his_patient_no=number, sex="")
        .on_conflict_do_nothing(index_elements=["hospital_id", "his_patient_no"])
    )
    patient = db.scalars(
        select(Patient)
        .where(Patient.hospital_id == actor.hospital_id, Patient.his_patient_no == number)
        .with_for_update()
    ).one()
    id_no, id_type = said.get("id_no", ""), said.get("id_type", "01")
    if id_no and id_type == "01":
        id_no = read_id_no(id_no)
        patient.born_on = born_on(id_no)
    for field, value in (("name", said.get("name")), ("phone", said.get("phone"))):
        if value:
            setattr(patient, field, value)
    if id_no:
        patient.id_no, patient.id_type = id_no, id_type
    patient.born_on = said.get("born_on") or patient.born_on
    patient.sex = said.get("sex") or patient.sex
    return patient
