"""The HIS announces a stay, and what changes about it: place, doctor, diagnosis, or who it is."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session as Db

from journeys.his_intake import Clock, Facts, once, stay_of
from models.admission import Admission, AdmissionState, AdmissionStep, took_step
from models.db import new_id
from models.patient import OLD_CARD, Patient
from models.work_item import open_item
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
        patient = _patient(db, actor, facts["patient"], at)
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
            patient = _patient(db, actor, facts["patient"], at)
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


def _patient(db: Db, actor: Actor, said: dict[str, Any], at: datetime) -> Patient:
    """The patient of this number in the HIS's index; what the HIS does not know stays as it is.

    A row that an old card made of the same identity number and name becomes the HIS's patient, with
    its money. Never by the name alone: where only the number is the same, somebody finds out.
    """
    number, id_type = said["his_patient_no"], said.get("id_type", "01")
    id_no = said.get("id_no", "")
    proven = id_no != "" and id_type == "01"
    if proven:
        id_no = read_id_no(id_no)
    _one_at_a_time(db, actor, number)
    patient = _numbered(db, actor, number)
    if patient is None and proven:
        patient = _of_an_old_card(db, actor, id_no, said.get("name", ""), number)
    if patient is None:
        patient = Patient(
            id=new_id(), hospital_id=actor.hospital_id, his_patient_no=number, sex="", id_type="99"
        )
        db.add(patient)
    if proven:
        patient.born_on = born_on(id_no)
    for field, value in (("name", said.get("name")), ("phone", said.get("phone"))):
        if value:
            setattr(patient, field, value)
    if id_no:
        patient.id_no, patient.id_type = id_no, id_type
    patient.born_on = said.get("born_on") or patient.born_on
    patient.sex = said.get("sex") or patient.sex
    db.flush()
    if proven:
        _ask_about_another_name(db, patient, at)
    return patient


def _one_at_a_time(db: Db, actor: Actor, number: str) -> None:
    """Two events about one number of the HIS, while it has no row yet, wait for each other."""
    key = f"his-patient:{actor.hospital_id}:{number}"
    db.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key, 0))))


def _numbered(db: Db, actor: Actor, number: str) -> Patient | None:
    query = select(Patient).where(
        Patient.hospital_id == actor.hospital_id, Patient.his_patient_no == number
    )
    return db.scalar(query.with_for_update(key_share=True))


def _of_an_old_card(db: Db, actor: Actor, id_no: str, name: str, number: str) -> Patient | None:
    for row in Patient.named(db, actor.hospital_id, id_no, name, lock=True):
        if row.his_patient_no.startswith(OLD_CARD):
            row.his_patient_no = number
            return row
    return None


def _ask_about_another_name(db: Db, patient: Patient, at: datetime) -> None:
    """An old card has this identity number under another name: one of the two is wrong."""
    query = select(Patient.id).where(
        Patient.hospital_id == patient.hospital_id,
        Patient.id_no_index == patient.id_no_index,
        Patient.his_patient_no.startswith(OLD_CARD),
    )
    same = {row.id for row in patient.same_person(db, [patient.hospital_id])}
    if set(db.scalars(query)) - same:
        open_item(
            db,
            hospital_id=patient.hospital_id,
            kind="OLD_CARD_NAME_DIFFERS",
            subject=f"patient:{patient.id}",
            at=at,
            note="旧卡持卡人与该患者身份证号相同、姓名不同，余额没有合在一起：请核对证件，"
            "改正旧卡数据后重新导入，或请HIS改正姓名",
        )
