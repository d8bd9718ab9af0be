"""A call nobody answered: find out before anything else is asked, let a person decide, sweep up the
rest.
"""

from uuid import UUID

from sqlalchemy import select

from models.db import ReadSession, Session
from models.insurance import CallState, Encounter, InsuranceCall
from payments.insurance import lost
from payments.insurance.calls import Calls
from payments.insurance.encounters import registered, settled, undone
from policies.access import Actor
from policies.refusals import Busy, NotFound, Refusal, Refused


def clear_way(calls: Calls, encounter_id: UUID, by: Actor) -> Encounter:
    """Find out what became of an earlier lost call of this stay before anything else is asked; the
    encounter as it stands then, not locked.

    Raises Refused INSURANCE_HUMAN_NEEDED, Busy INSURANCE_CALL_OPEN, INSURANCE_TOO_EARLY,
    INSURANCE_NO_ANSWER, NotFound INSURANCE_ENCOUNTER_UNKNOWN.
    """
    with ReadSession() as db:
        stay, call = InsuranceCall.beside(db, encounter_id)
    if stay.hospital_id != by.hospital_id:
        raise NotFound("INSURANCE_ENCOUNTER_UNKNOWN")
    if call is None:
        return stay
    if call.state != CallState.HUMAN and recover(calls, call.id, by) != CallState.HUMAN:
        with ReadSession() as db:
            return db.get_one(Encounter, encounter_id)
    with ReadSession() as db:
        call = db.get_one(InsuranceCall, call.id)
    raise Refused("INSURANCE_HUMAN_NEEDED", call=str(call.id), task=call.task)


def recover(calls: Calls, call_id: UUID, by: Actor) -> str:
    """The call's state after trying; one in HUMAN is tried again, which is how a person orders a
    reversal.
    """
    with Session.begin() as db:
        call = InsuranceCall.locked(db, call_id)
        if call.hospital_id != by.hospital_id:
            raise NotFound("INSURANCE_CALL_UNKNOWN")
        if call.state == CallState.ASKED:
            if not calls.is_stale(call):
                raise Busy("INSURANCE_CALL_OPEN")
            there = CallState.UNKNOWN if call.holds else CallState.LOST
            call.move(db, there, at=calls.now(), by=by.name, why="nobody waits any more")
        if call.state not in (CallState.UNKNOWN, CallState.HUMAN):
            return call.state
        if call.quiet_until and calls.now() < call.quiet_until:
            raise Busy("INSURANCE_TOO_EARLY")
        stay = db.get_one(Encounter, call.encounter_id)
    return lost.WAYS[call.infno](calls, call, stay, by)


def decide(
    calls: Calls,
    call_id: UUID,
    *,
    happened: bool,
    by: Actor,
    why: str,
    mdtrt_id: str = "",
    setl_id: str = "",
) -> str:
    """What a person found out at the bureau; a settlement that happened is read by 5203."""
    with Session.begin() as db:
        call = InsuranceCall.locked(db, call_id)
        if call.hospital_id != by.hospital_id:
            raise NotFound("INSURANCE_CALL_UNKNOWN")
        if call.state not in (CallState.UNKNOWN, CallState.HUMAN):
            raise Refused("INSURANCE_CALL_DECIDED", state=call.state)
        stay = db.get_one(Encounter, call.encounter_id)
    if not happened:
        return calls.resolve(call, CallState.REFUSED, by, why)
    if call.infno == "2304":
        effect = settled(lost.read_settlement(calls, call, stay, setl_id, by))
    elif call.infno == "2305":
        effect = undone(lost.negated(stay))
    elif call.infno == "2401":
        if not mdtrt_id:
            raise Refused("INSURANCE_FACT_MISSING", field="就诊ID mdtrt_id")
        effect = registered(mdtrt_id)
    else:
        raise Refused("INSURANCE_NOT_FOR_PEOPLE", infno=call.infno)
    return calls.resolve(call, CallState.SUCCEEDED, by, why, effect=effect)


def sweep(calls: Calls, by: Actor) -> list[UUID]:
    """Recover every open call that nobody waits for; the ids that are still open afterwards."""
    with ReadSession() as db:
        open_now = db.scalars(
            select(InsuranceCall)
            .where(
                InsuranceCall.hospital_id == by.hospital_id,
                InsuranceCall.state.in_([CallState.ASKED, CallState.UNKNOWN]),
            )
            .order_by(InsuranceCall.asked_at)
        ).all()
    left = []
    for call in open_now:
        if call.state == CallState.ASKED and not calls.is_stale(call):
            continue
        try:
            if recover(calls, call.id, by) == CallState.HUMAN:
                left.append(call.id)
        except Refusal:
            left.append(call.id)
    return left
