"""What the insurance office does unasked and by hand: nightly fee upload, lost calls, the daily
reconciliation.
"""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select

from config import today
from journeys.counterparts import Counterparts
from models.admission import Admission, AdmissionState
from models.db import ReadSession, Session
from models.insurance import CallState, Encounter, EncounterState, InsuranceCall
from models.work_item import close_open, open_item
from payments.insurance.stay import fee_lines
from policies.access import Actor, system
from policies.refusals import Busy, NotFound, Refused


def upload_fees(outside: Counterparts, hospital_id: UUID) -> int:
    """Send the new charge lines of every insured stay (2301), as the platform wants it daily; how
    many stays.

    A stay whose lines were refused becomes a task; silence is left to the next night and to the
    trial.
    """
    with ReadSession() as db:
        waiting = db.execute(
            select(Encounter.id, Encounter.admission_id)
            .join(Admission, Admission.id == Encounter.admission_id)
            .where(
                Encounter.hospital_id == hospital_id,
                Encounter.state == EncounterState.REGISTERED,
                Admission.state.in_([AdmissionState.IN_HOUSE, AdmissionState.LEAVING]),
            )
        ).all()
    for encounter_id, admission_id in waiting:
        with ReadSession() as db:
            lines = fee_lines(db, admission_id)
        try:
            outside.insurance.upload(encounter_id, lines, system(hospital_id))
        except Busy:
            continue
        except Refused as no:
            _task(hospital_id, "FEES_REFUSED", f"admission:{admission_id}", outside, no)
    return len(waiting)


def sweep_insurance(outside: Counterparts, hospital_id: UUID) -> int:
    """Find out what became of lost calls; each that only a person can tell is a task. How many."""
    outside.insurance.sweep(system(hospital_id))
    with Session.begin() as db:
        left = db.scalars(_for_people(hospital_id)).all()
        for call in left:
            open_item(
                db,
                hospital_id=hospital_id,
                kind="INSURANCE_CALL",
                subject=f"insurance-call:{call.id}",
                at=outside.now(),
                note=call.task,
                facts={"msgid": call.msgid, "infno": call.infno},
            )
    return len(left)


def reconcile_insurance(outside: Counterparts, hospital_id: UUID) -> int:
    """Compare yesterday's settlements with the platform (3201, 3202); differences become tasks."""
    day = today(outside.now()) - timedelta(days=1)
    findings = outside.insurance.reconcile(day, system(hospital_id))
    open_ones = [finding for finding in findings if finding.kind != "LEVEL"]
    for finding in open_ones:
        with Session.begin() as db:
            open_item(
                db,
                hospital_id=hospital_id,
                kind="INSURANCE_DIFFERS",
                subject=f"{day}:{finding.kind}:{finding.msgid or finding.setl_id}",
                at=outside.now(),
                note=finding.detail,
                facts={"insutype": finding.insutype},
            )
    return len(open_ones)


def list_calls(actor: Actor) -> list[dict[str, Any]]:
    """The calls whose outcome a person must find out, oldest first."""
    with ReadSession() as db:
        return [
            {"id": call.id, "msgid": call.msgid, "infno": call.infno, "task": call.task}
            for call in db.scalars(_for_people(actor.hospital_id))
        ]


def decide_call(
    actor: Actor, outside: Counterparts, call_id: UUID, *, happened: bool, why: str, **numbers: str
) -> str:
    """The insurance office found out what became of a call; ``numbers``: mdtrt_id or setl_id, if it
    happened.
    """
    with ReadSession() as db:
        call = db.get(InsuranceCall, call_id)
    if call is None or call.hospital_id != actor.hospital_id:
        raise NotFound("INSURANCE_CALL_UNKNOWN")
    state = outside.insurance.decide(call_id, happened=happened, by=actor, why=why, **numbers)
    with Session.begin() as db:
        close_open(
            db,
            hospital_id=actor.hospital_id,
            kind="INSURANCE_CALL",
            subject=f"insurance-call:{call_id}",
            by=actor.name,
            at=outside.now(),
            outcome=why,
        )
    return state


def _for_people(hospital_id: UUID) -> Select[InsuranceCall]:
    """The calls whose outcome only a person can find out, oldest first."""
    return (
        select(InsuranceCall)
        .where(InsuranceCall.hospital_id == hospital_id, InsuranceCall.state == CallState.HUMAN)
        .order_by(InsuranceCall.id)
    )


def _task(hospital_id: UUID, kind: str, subject: str, outside: Counterparts, no: Refused) -> None:
    with Session.begin() as db:
        open_item(
            db,
            hospital_id=hospital_id,
            kind=kind,
            subject=subject,
            at=outside.now(),
            note="医保平台没有接收费用明细，请医保办核对",
            facts={"code": no.code},
        )
