"""Coming in: register the stay, register its insurance, set its quota; each step on any channel,
each twice if need be.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from config import today
from journeys.counterparts import Counterparts
from journeys.patient_scope import stay_for, stays_of
from models import ledger
from models.admission import Admission, AdmissionState, AdmissionStep, took_step
from models.db import ReadSession, Session
from models.document import Document
from models.insurance import Encounter
from models.ledger import AccountKind
from models.patient import Patient
from models.payment_order import PaymentOrder, Purpose
from payments.insurance.facts import PersonCard
from payments.insurance.stay import stay_facts
from policies.access import Actor
from policies.refusals import Refused


def register(
    actor: Actor, outside: Counterparts, admission_id: UUID, *, phone: str | None
) -> dict[str, Any]:
    """Complete the HIS's admission slip: the stay begins for us (GZ-20). Repeating it changes
    nothing.
    """
    now = outside.now()
    with Session.begin() as db:
        stay = stay_for(db, actor, admission_id, "OWN", lock=True)
        if stay.state == AdmissionState.SLIP:
            if phone:
                Patient.locked(db, stay.patient_id).phone = phone
            stay.move(db, AdmissionState.IN_HOUSE, at=now, by=actor.name)
            took_step(db, stay, actor, "registration", now)
        elif stay.state == AdmissionState.CANCELLED:
            raise Refused("ADMISSION_CANCELLED")
    return view_stay(actor, admission_id)


def register_insurance(
    actor: Actor,
    outside: Counterparts,
    admission_id: UUID,
    *,
    card_kind: str,
    card_number: str,
    insutype: str,
) -> dict[str, Any]:
    """Find the person at the platform, choose the cover in force, register the stay there (1101,
    2001, 2401).

    Refused ADMISSION_NOT_IN_HOUSE, INSURANCE_IDENTITY_MISSING and whatever the desk refuses; Busy
    when the platform gave no answer: the same call goes on where it stopped.
    """
    with ReadSession() as db:
        stay = stay_for(db, actor, admission_id, "OWN")
        if stay.state not in {AdmissionState.IN_HOUSE, AdmissionState.LEAVING}:
            raise Refused("ADMISSION_NOT_IN_HOUSE")
        patient = db.get_one(Patient, stay.patient_id)
        encounter = Encounter.active(db, stay.id)
    if not patient.id_no:
        raise Refused("INSURANCE_IDENTITY_MISSING")
    if encounter is None:
        card = PersonCard(
            name=patient.name, id_no=patient.id_no, kind=card_kind, number=card_number
        )
        person = outside.insurance.look_up(card, actor)
        cover = outside.insurance.choose(person, insutype)
        with Session.begin() as db:
            stay = stay_for(db, actor, admission_id, "OWN", lock=True)
            stay.identities = [identity.code for identity in person.identities]
            encounter = outside.insurance.open_encounter(
                db,
                admission_id=admission_id,
                patient_id=patient.id,
                person=person,
                cover=cover,
                by=actor,
            )
    outside.insurance.register(encounter.id, stay_facts(stay, patient), actor)
    with Session.begin() as db:
        stay = stay_for(db, actor, admission_id, "OWN", lock=True)
        if not _done(db, stay.id, "insurance"):
            took_step(db, stay, actor, "insurance", outside.now(), insutype=encounter.insutype)
    return view_stay(actor, admission_id)


def set_quota(
    actor: Actor, outside: Counterparts, admission_id: UUID, *, quota_fen: int, basis: str
) -> dict[str, Any]:
    """Finance enters the most that may be held for this stay (GZ-17), with the reason; each change
    leaves a step.
    """
    with Session.begin() as db:
        stay = stay_for(db, actor, admission_id, "OWN", lock=True)
        if stay.quota_fen != quota_fen:
            stay.quota_fen = quota_fen
            took_step(db, stay, actor, "quota", outside.now(), quota_fen=quota_fen, basis=basis)
    return view_stay(actor, admission_id)


def hand_in_document(
    actor: Actor, outside: Counterparts, admission_id: UUID, *, kind: str, form: str, sha256: str
) -> None:
    """Register a handed-in paper. Refused ORIGINAL_RETENTION_FORBIDDEN for anything but a copy
    (CQ-3.1).
    """
    if form != "COPY":
        raise Refused("ORIGINAL_RETENTION_FORBIDDEN")
    now = outside.now()
    with Session.begin() as db:
        stay = stay_for(db, actor, admission_id, "OWN", lock=True)
        if any(paper.kind == kind for paper in Document.kept(db, stay.id)):
            return
        db.add(
            Document(
                hospital_id=stay.hospital_id,
                admission_id=stay.id,
                kind=kind,
                form=form,
                sha256=sha256,
                taken_at=now,
                taken_by=actor.name,
            )
        )
        took_step(db, stay, actor, "document", now, kind=kind)


def list_stays(actor: Actor) -> list[dict[str, Any]]:
    """The stays this actor may see: a patient's own and consented ones, a nurse's ward, a desk's
    hospital.
    """
    with ReadSession() as db:
        stays = stays_of(db, actor)
        names = dict(_masked_names(db, {stay.patient_id for stay in stays}))
        return [_line(stay, names[stay.patient_id]) for stay in stays]


def view_stay(actor: Actor, admission_id: UUID) -> dict[str, Any]:
    """One stay: where it stands, its deposit and room, and its trail of steps over all channels
    (GZ-20 T1).
    """
    with ReadSession() as db:
        stay = stay_for(db, actor, admission_id, "VIEW")
        name = dict(_masked_names(db, {stay.patient_id}))[stay.patient_id]
        held = ledger.held(db, stay.hospital_id, AccountKind.INPATIENT_DEPOSIT, str(stay.id))
        encounter = Encounter.active(db, stay.id)
        steps = db.scalars(
            select(AdmissionStep)
            .where(AdmissionStep.admission_id == stay.id)
            .order_by(AdmissionStep.at, AdmissionStep.id)
        )
        return _line(stay, name) | {
            "quota_fen": stay.quota_fen,
            "deposit_held_fen": held,
            "deposit_pending_fen": PaymentOrder.pending_fen(
                db, stay.hospital_id, stay.id, Purpose.DEPOSIT
            ),
            "insurance": encounter.insutype if encounter else None,
            "insurance_state": encounter.state if encounter else None,
            "ordered_at": stay.ordered_at,
            "left_at": stay.left_at,
            "steps": [
                {"step": s.step, "at": s.at, "by": s.by, "channel": s.channel} for s in steps
            ],
        }


def _line(stay: Admission, masked_name: str) -> dict[str, Any]:
    return {
        "id": stay.id,
        "inpatient_no": stay.inpatient_no,
        "patient_name": masked_name,
        "state": stay.state,
        "ward": stay.ward,
        "ward_name": stay.ward_name,
        "department_name": stay.department_name,
        "bed": stay.bed,
        "admitted_on": today(stay.admitted_at),
    }


def _masked_names(db: Db, patient_ids: set[UUID]) -> list[tuple[UUID, str]]:
    found = db.scalars(select(Patient).where(Patient.id.in_(patient_ids)))
    return [(patient.id, patient.masked_name) for patient in found]


def _done(db: Db, admission_id: UUID, step: str) -> bool:
    return (
        db.scalar(
            select(AdmissionStep.id)
            .where(AdmissionStep.admission_id == admission_id, AdmissionStep.step == step)
            .limit(1)
        )
        is not None
    )
