"""The HIS says that a patient leaves, when the bed was released, or that they stay after all."""

from datetime import datetime

from sqlalchemy.orm import Session as Db

from journeys.his_intake import Clock, Facts, once, stay_of
from models.admission import Admission, AdmissionState, took_step
from models.settlement import Settlement, SettlementState
from policies.access import Actor
from policies.refusals import Conflict, Refused


def order(actor: Actor, facts: Facts, now: Clock) -> Facts:
    """The signed discharge order: the stay is leaving. The bed's release may come by a later event.

    The later of the two starts the settlement clocks (GZ-19). Refused ADMISSION_NOT_IN_HOUSE before
    the registration, STAY_SETTLED after the settlement.
    """

    def take(db: Db, at: datetime) -> Facts:
        stay = stay_of(db, actor, facts["inpatient_no"])
        if stay.state == AdmissionState.SETTLED:
            raise Refused("STAY_SETTLED")
        if stay.state not in (AdmissionState.IN_HOUSE, AdmissionState.LEAVING):
            raise Refused("ADMISSION_NOT_IN_HOUSE")
        if stay.state == AdmissionState.IN_HOUSE:
            stay.move(db, AdmissionState.LEAVING, at=at, by=actor.name)
        stay.ordered_at = facts.get("ordered_at") or stay.ordered_at or at
        stay.left_at = facts.get("left_at") or stay.left_at
        stay.leaving_way = facts.get("leaving_way") or stay.leaving_way
        if stay.left_at and stay.left_at < stay.admitted_at:
            raise Refused("LEFT_BEFORE_ADMITTED")
        took_step(db, stay, actor, "discharge-order", at, source_event_id=facts["source_event_id"])
        return _answer(stay)

    return once(actor, "discharge-order", facts, now, take)


def cancel(actor: Actor, facts: Facts, now: Clock) -> Facts:
    """The patient stays after all.

    Refused STAY_SETTLED or, once the trial was agreed to, SETTLEMENT_RUNNING: undo it first.
    """

    def take(db: Db, at: datetime) -> Facts:
        stay = stay_of(db, actor, facts["inpatient_no"])
        if stay.state == AdmissionState.SETTLED:
            raise Refused("STAY_SETTLED")
        if stay.state != AdmissionState.LEAVING:
            raise Conflict("NOT_LEAVING")
        run = Settlement.alive(db, stay.id)
        if run and run.state != SettlementState.TRIAL:
            raise Refused("SETTLEMENT_RUNNING")
        stay.move(db, AdmissionState.IN_HOUSE, at=at, by=actor.name)
        stay.ordered_at = stay.left_at = None
        stay.leaving_way = ""
        took_step(db, stay, actor, "discharge-cancel", at, source_event_id=facts["source_event_id"])
        return _answer(stay)

    return once(actor, "discharge-cancel", facts, now, take)


def _answer(stay: Admission) -> Facts:
    return {
        "admission_id": str(stay.id),
        "state": str(stay.state),
        "ordered_at": stay.ordered_at.isoformat() if stay.ordered_at else None,
        "left_at": stay.left_at.isoformat() if stay.left_at else None,
        "leaving_way": stay.leaving_way,
    }
