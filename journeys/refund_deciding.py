"""A request for stored money is reviewed and confirmed by two further people, held and let go by
two, or refused, each step with its reason (GZ-7 T3, T6, T7).
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session as Db

from journeys.counterparts import Counterparts
from journeys.refund_request_view import request_for, view_request
from models.db import Session
from models.hospital import setting
from models.payee import Payee
from models.refund_hold import RefundHold
from models.refund_request import RefundRequest, RequestState
from models.staff import refund_checker_present
from notifications.messages import tell
from payments import refunds
from payments.refund_requests import end, hold_or_let_go, judge
from policies.access import Actor
from policies.money import yuan
from policies.refusals import Conflict, Refused


def review(
    actor: Actor,
    outside: Counterparts,
    request_id: UUID,
    *,
    reason: str,
    papers_seen: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The second person has looked at the request, its papers and the payee; said again by the same
    person it changes nothing.

    Refused SAME_PERSON_FORBIDDEN, PAPERS_NOT_CHECKED, REFUND_REQUEST_HELD. The answer may be HELD.
    """
    now = outside.now()
    with Session.begin() as db:
        request = request_for(db, actor, request_id)
        if request.reviewed_by != actor.name:
            _refuse_same_person(actor, request.accepted_by, request.rejected_by)
            _refuse_held(request)
            _check_papers(db, actor, request, papers_seen, now)
            if _nothing_wrong(db, actor, request, now):
                request.move(db, RequestState.REVIEWED, at=now, by=actor.name, why=reason)
                request.reviewed_by, request.reviewed_at = actor.name, now
                _verify_payee(db, actor, request, now)
    return view_request(actor, request_id)


def confirm(
    actor: Actor, outside: Counterparts, request_id: UUID, *, reason: str
) -> dict[str, Any]:
    """The third person: the refunds are approved and their legs go out; said again by the same
    person it changes nothing.

    Refused SAME_PERSON_FORBIDDEN, REFUND_ABOVE_LIMIT (the head of finance may),
    REFUND_CHECKER_MISSING, REFUND_REQUEST_HELD. The answer may be HELD.
    """
    now = outside.now()
    with Session.begin() as db:
        request = request_for(db, actor, request_id)
        if request.confirmed_by != actor.name:
            if not refund_checker_present(db, actor.hospital_id):
                raise Refused("REFUND_CHECKER_MISSING")
            others = (request.accepted_by, request.reviewed_by, request.rejected_by)
            _refuse_same_person(actor, *others)
            _refuse_held(request)
            _refuse_above_limit(db, actor, request)
            if _nothing_wrong(db, actor, request, now):
                request.move(db, RequestState.CONFIRMED, at=now, by=actor.name, why=reason)
                request.confirmed_by, request.confirmed_at = actor.name, now
                for refund in request.refunds(db):
                    refunds.approve(db, refund, by=actor.name, now=now)
    return view_request(actor, request_id)


def release(
    actor: Actor, outside: Counterparts, request_id: UUID, *, reason: str
) -> dict[str, Any]:
    """One of the two people who must say, each with a reason, that a held request may go on.

    Refused PAYEE_MISMATCH: papers or another payee mend that, not a word; SAME_PERSON_FORBIDDEN.
    """
    now = outside.now()
    with Session.begin() as db:
        request = request_for(db, actor, request_id)
        _refuse_same_person(actor, request.accepted_by, request.rejected_by)
        holds = RefundHold.of(db, request.id)
        if any(hold.code == "PAYEE_MISMATCH" and hold.closed_at is None for hold in holds):
            raise Refused("PAYEE_MISMATCH")
        if not any(_say_yes(hold, actor, reason, now) for hold in holds):
            raise Conflict("STATE_CHANGED")
        db.flush()
        hold_or_let_go(db, request, by=actor.name, now=now)
    return view_request(actor, request_id)


def reject(actor: Actor, outside: Counterparts, request_id: UUID, *, reason: str) -> dict[str, Any]:
    """A reviewer or confirmer says no while no money has left: all of it goes back to the balances;
    the patient is told and may appeal.

    Refused SAME_PERSON_FORBIDDEN, REFUND_PARTLY_PAID.
    """
    now = outside.now()
    with Session.begin() as db:
        request = request_for(db, actor, request_id)
        if (request.state, request.rejected_by) != (RequestState.REJECTED, actor.name):
            _refuse_same_person(actor, request.accepted_by, request.rejected_by)
            end(db, request, RequestState.REJECTED, by=actor.name, now=now, note=reason)
            request.rejected_by = actor.name
            tell(
                db,
                hospital_id=request.hospital_id,
                key=f"refund-declined:{request.id}:{request.round}",
                patient_id=request.patient_id,
                template="REFUND_DECLINED",
                values={"amount": yuan(request.amount_fen)},
                at=now,
            )
    return view_request(actor, request_id)


def _refuse_same_person(actor: Actor, *others: str | None) -> None:
    if actor.name in others:
        raise Refused("SAME_PERSON_FORBIDDEN")


def _refuse_held(request: RefundRequest) -> None:
    if request.state == RequestState.HELD:
        raise Refused("REFUND_REQUEST_HELD")


def _refuse_above_limit(db: Db, actor: Actor, request: RefundRequest) -> None:
    """A checker confirms up to the hospital's limit; above it only the head of finance (GZ-4)."""
    limit = setting(db, request.hospital_id, "refund_limit_fen")
    if limit and request.amount_fen > int(limit) and "FINANCE_HEAD" not in actor.roles:
        raise Refused("REFUND_ABOVE_LIMIT", limit_fen=int(limit))


def _nothing_wrong(db: Db, actor: Actor, request: RefundRequest, now: datetime) -> bool:
    """Judge the risk again, with who is about to take the step: others may have asked meanwhile."""
    judge(db, request, now, by=actor.name, device_id=actor.device_id)
    return request.state != RequestState.HELD


def _check_papers(
    db: Db, actor: Actor, request: RefundRequest, seen: tuple[str, ...], now: datetime
) -> None:
    """The second look at every paper: its copies are named one by one (D-42, D-43)."""
    papers = request.papers(db)
    if {paper.sha256 for paper in papers} != set(seen):
        raise Refused("PAPERS_NOT_CHECKED")
    _refuse_same_person(actor, *(paper.taken_by for paper in papers))
    for paper in papers:
        paper.checked_by, paper.checked_at = actor.name, now


def _verify_payee(db: Db, actor: Actor, request: RefundRequest, now: datetime) -> None:
    if request.payee_id:
        payee = db.get_one(Payee, request.payee_id)
        payee.verified_by, payee.verified_at = actor.name, now


def _say_yes(hold: RefundHold, actor: Actor, reason: str, now: datetime) -> bool:
    """Whether this hold heard the person: as its first or second word, or once more."""
    if actor.name in (hold.first_by, hold.second_by):
        if hold.closed_at is None:
            raise Refused("SAME_PERSON_FORBIDDEN")
        return True
    if hold.closed_at is not None:
        return False
    if hold.first_by is None:
        hold.first_by, hold.first_at, hold.first_why = actor.name, now, reason
    else:
        hold.second_by, hold.second_at, hold.second_why = actor.name, now, reason
        hold.closed_at = now
    return True
