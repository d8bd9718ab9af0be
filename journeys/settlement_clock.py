"""The two clocks of every discharge (GZ-19): the queue by due time, why one is late, and how a
month did.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session as Db

from config import SHANGHAI
from journeys.counterparts import Counterparts
from journeys.patient_scope import stay_for
from models.admission import Admission, AdmissionState
from models.db import ReadSession, Session
from models.hospital import Hospital
from models.refund import Refund
from models.settlement import Settlement, SettlementDelay, SettlementState
from models.workday_override import overrides_of
from policies.access import Actor
from policies.clocks import Case, Clocks, clocks, kpi
from policies.packs import NoValue, Rules, rules_of
from policies.refusals import Refused

REASONS = {
    "INSURANCE_REPLY": "等医保结果",
    "MISSING_RECORD": "病历资料不全",
    "UNREVIEWED_FEE": "费用还没审核",
    "PATIENT_ABSENT": "患者或家属没有来办",
    "SYSTEM_FAULT": "系统故障",
    "OTHER": "其他",
}
"""Why a discharge is not settled yet (GZ-19); what the ward picks from."""


def give_reason(
    actor: Actor, outside: Counterparts, admission_id: UUID, *, reason: str, note: str
) -> None:
    """Say what blocks a settlement or made it late; a stay's last word counts, all are kept."""
    with Session.begin() as db:
        stay = stay_for(db, actor, admission_id, "OWN")
        if stay.ordered_at is None:
            raise Refused("DISCHARGE_NOT_ORDERED")
        db.add(
            SettlementDelay(
                hospital_id=stay.hospital_id,
                admission_id=stay.id,
                reason=reason,
                note=note,
                at=outside.now(),
                by=actor.name,
            )
        )


def waiting_discharges(actor: Actor) -> list[dict[str, Any]]:
    """Who has been told to leave and is not settled, the most urgent first: the ward's and the
    office's list.
    """
    open_ones = select(Admission).where(
        Admission.hospital_id == actor.hospital_id, Admission.state == AdmissionState.LEAVING
    )
    if not actor.may("hospital:read"):
        open_ones = open_ones.where(Admission.ward.in_(actor.wards))
    with ReadSession() as db:
        cases = _cases(db, actor.hospital_id, open_ones)
        return sorted((_shown(db, case) for case in cases), key=lambda case: case["late_from"])


def settlement_kpi(
    actor: Actor, outside: Counterparts, *, first: date, last: date
) -> dict[str, Any]:
    """How the discharges of these Shanghai days did: in three working days, in 24 hours, and each
    late one.
    """
    start = datetime.combine(first, time(), SHANGHAI)
    end = datetime.combine(last + timedelta(days=1), time(), SHANGHAI)
    left = select(Admission).where(
        Admission.hospital_id == actor.hospital_id,
        Admission.ordered_at >= start,
        Admission.ordered_at < end,
        Admission.state.in_([AdmissionState.LEAVING, AdmissionState.SETTLED]),
    )
    with ReadSession() as db:
        found = kpi(_cases(db, actor.hospital_id, left), outside.now())
        return {
            "discharges": found.discharges,
            "on_time": found.on_time,
            "on_target": found.on_target,
            "waiting": found.waiting,
            "late": [_shown(db, case) for case in found.late],
        }


def _cases(db: Db, hospital_id: UUID, stays: Select[Admission]) -> list[Case]:
    rules = rules_of(db.get_one(Hospital, hospital_id).rule_packs)
    overrides = overrides_of(db, hospital_id)
    found = []
    for stay in db.scalars(stays.order_by(Admission.ordered_at, Admission.id)):
        if running := _clocks(stay, rules, overrides):
            found.append(Case(stay.id, running, _closed_at(db, stay.id), _reason(db, stay.id)))
    return found


def _clocks(stay: Admission, rules: Rules, overrides: Mapping[date, bool]) -> Clocks | None:
    # A bed whose release the HIS never reports must not stop the clock: then the order alone
    # counts.
    with suppress(NoValue):  # discharged before any rule was in force
        return clocks(stay.ordered_at, stay.left_at or stay.ordered_at, rules, overrides)
    return None


def _closed_at(db: Db, admission_id: UUID) -> datetime | None:
    return db.scalar(
        select(Settlement.closed_at)
        .where(
            Settlement.admission_id == admission_id,
            Settlement.state.in_([SettlementState.CLOSED, SettlementState.DUE]),
        )
        .order_by(Settlement.round.desc())
        .limit(1)
    )


def _reason(db: Db, admission_id: UUID) -> str:
    last = (
        select(SettlementDelay.reason)
        .where(SettlementDelay.admission_id == admission_id)
        .order_by(SettlementDelay.at.desc(), SettlementDelay.id.desc())
        .limit(1)
    )
    return db.scalar(last) or ""


def _shown(db: Db, case: Case) -> dict[str, Any]:
    stay = db.get_one(Admission, case.admission_id)
    refunded = select(Refund.paid_at).where(
        Refund.subject_id == stay.id, Refund.reason == "SETTLEMENT_REST"
    )
    return {
        "admission_id": stay.id,
        "inpatient_no": stay.inpatient_no,
        "ward": stay.ward,
        "started_at": case.clocks.started_at,
        "due_on": case.clocks.due_on,
        "late_from": case.clocks.late_from,
        "target_at": case.clocks.target_at,
        "settled_at": case.settled_at,
        "refund_paid_at": db.scalar(refunded.order_by(Refund.requested_at.desc()).limit(1)),
        "reason": case.reason,
        "reason_text": REASONS.get(case.reason, ""),
        "warnings": list(case.clocks.warnings),
    }
