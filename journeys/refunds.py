"""The second person, the window and the sweep: refunds approved, rejected, paid and rerouted."""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from journeys.counterparts import Counterparts
from journeys.settings import refund_checker_present
from models.db import ReadSession, Session
from models.hospital import setting
from models.paid_ahead import PaidAhead
from models.refund import LegState, Refund, RefundLeg, RefundState
from models.refund_request import RefundRequest, RequestState
from models.visit import Visit
from payments import leg_news, refund_legs, refunds
from policies.access import Actor
from policies.refund_why import read, sentence
from policies.refusals import NotFound, Refused


def check_refund(
    actor: Actor, outside: Counterparts, refund_id: UUID, *, approve: bool, note: str
) -> dict[str, Any]:
    """Approve or reject a refund as its second person (GZ-4, GZ-7).

    Refused REFUND_CHECKER_MISSING when nobody in the hospital holds the role, SAME_PERSON_FORBIDDEN
    for the requester, REFUND_ABOVE_LIMIT above what a checker may approve, REFUND_OF_A_REQUEST for
    what belongs to a request that is not confirmed: there more people must agree.
    """
    now = outside.now()
    with Session.begin() as db:
        refund = _own(Refund.locked(db, refund_id), actor)
        if not refund_checker_present(db, actor.hospital_id):
            raise Refused("REFUND_CHECKER_MISSING")
        actor.needs("refund:check")
        over = RefundRequest.over(db, refund.id)
        if over is not None and over.state not in {RequestState.CONFIRMED, RequestState.PAYING}:
            raise Refused("REFUND_OF_A_REQUEST")
        if approve:
            _within_limit(db, refund, actor)
            refunds.approve(db, refund, by=actor.name, now=now)
        elif refund.requested_by == actor.name:
            raise Refused("SAME_PERSON_FORBIDDEN")
        elif refund.state != RefundState.REJECTED:
            refunds.reject(db, refund, by=actor.name, now=now, note=note)
            Visit.keep_item(db, refund.id, now)
            RefundRequest.follow(db, refund.id, at=now, by=actor.name)
            PaidAhead.go_on(db, refund.id, by=actor.name, at=now)
    return view_refund(actor, refund_id)


def hand_over(
    actor: Actor, outside: Counterparts, refund_id: UUID, leg_id: UUID, *, proof: str
) -> dict[str, Any]:
    """A person gives a leg back; ``proof`` is the signature's SHA-256, or the number of the slip or
    of Alipay's refund.
    """
    with Session.begin() as db:
        leg = RefundLeg.locked(db, leg_id)
        if leg.refund_id != refund_id:
            raise NotFound("REFUND_UNKNOWN")
        _own(Refund.locked(db, refund_id), actor)
        leg_news.pay_by_hand(db, leg, by=actor.name, proof=proof, now=outside.now())
    return view_refund(actor, refund_id)


def reroute_refund(actor: Actor, outside: Counterparts, refund_id: UUID) -> dict[str, Any]:
    """Send what failed along another route; needs a second person again."""
    with Session.begin() as db:
        RefundLeg.of(db, refund_id, lock=True)
        refund = _own(Refund.locked(db, refund_id), actor)
        refunds.reroute(db, refund, by=actor.name, now=outside.now())
    return view_refund(actor, refund_id)


def pay_leg(outside: Counterparts, leg_id: UUID) -> None:
    """One question to WeChat Pay about one leg, from the queue."""
    refund_legs.pay_leg(leg_id, outside.wechat_pay, outside.now, notify_url=outside.notify_url)


def confirmation(
    actor: Actor, outside: Counterparts, refund_id: UUID, leg_id: UUID
) -> dict[str, str]:
    """What the patient's mini-program hands to ``wx.requestMerchantTransfer``; NotFound while there
    is nothing to confirm, and for every other WeChat account.
    """
    with ReadSession() as db:
        leg = db.get(RefundLeg, leg_id)
        if leg is None or leg.refund_id != refund_id:
            raise NotFound("REFUND_UNKNOWN")
        _own(db.get_one(Refund, refund_id), actor)
    if leg.state != LegState.PROCESSING or not leg.confirm_package or leg.openid != actor.openid:
        raise NotFound("NOTHING_TO_CONFIRM")
    return outside.wechat_pay.transfers.confirmation(leg.confirm_package)


def cancel_transfer(
    actor: Actor, outside: Counterparts, refund_id: UUID, leg_id: UUID
) -> dict[str, Any]:
    """Take back a transfer that nobody confirmed, so that it can go another way. Said again it
    changes nothing; Declined when the patient was faster.
    """
    with ReadSession() as db:
        leg = db.get(RefundLeg, leg_id)
        if leg is None or leg.refund_id != refund_id:
            raise NotFound("REFUND_UNKNOWN")
        _own(db.get_one(Refund, refund_id), actor)
    if leg.route != "TRANSFER" or leg.state not in {LegState.ASKED, LegState.PROCESSING}:
        raise Refused("TRANSFER_NOT_OPEN")
    outside.wechat_pay.transfers.cancel(leg.number)
    with Session.begin() as db:
        RefundLeg.locked(db, leg_id).next_try_at = outside.now()
    pay_leg(outside, leg_id)
    return view_refund(actor, refund_id)


def sweep_legs(outside: Counterparts, hospital_id: UUID) -> int:
    """Ask about every leg whose fate is open and due; how many were asked about."""
    due = refund_legs.unfinished(hospital_id, outside.now())
    for leg_id in due:
        pay_leg(outside, leg_id)
    return len(due)


def view_refund(actor: Actor, refund_id: UUID) -> dict[str, Any]:
    """One refund with its legs, for its patient and for staff; NotFound for everybody else."""
    with ReadSession() as db:
        refund = db.get(Refund, refund_id)
        if refund is None:
            raise NotFound("REFUND_UNKNOWN")
        _own(refund, actor)
        return _shown(refund, RefundLeg.of(db, refund_id))


def list_refunds(actor: Actor, state: str | None) -> list[dict[str, Any]]:
    """The refunds of the hospital in a state, oldest first: finance's queue (at most 500)."""
    with ReadSession() as db:
        query = select(Refund).where(Refund.hospital_id == actor.hospital_id)
        if state:
            query = query.where(Refund.state == state)
        found = db.scalars(query.order_by(Refund.requested_at, Refund.id).limit(500)).all()
        return [_shown(refund, RefundLeg.of(db, refund.id)) for refund in found]


def _within_limit(db: Db, refund: Refund, actor: Actor) -> None:
    """A checker approves up to the hospital's limit; above it only the head of finance (GZ-4)."""
    limit = setting(db, refund.hospital_id, "refund_limit_fen")
    if limit and refund.amount_fen > int(limit) and "FINANCE_HEAD" not in actor.roles:
        raise Refused("REFUND_ABOVE_LIMIT", limit_fen=int(limit))


def _own(refund: Refund, actor: Actor) -> Refund:
    mine = refund.patient_id == actor.patient_id
    if refund.hospital_id != actor.hospital_id or not (mine or actor.may("hospital:read")):
        raise NotFound("REFUND_UNKNOWN")
    return refund


def _shown(refund: Refund, legs: list[RefundLeg]) -> dict[str, Any]:
    return {
        "id": refund.id,
        "state": refund.state,
        "reason": refund.reason,
        "subject_id": refund.subject_id,
        "amount_fen": refund.amount_fen,
        "requested_by": refund.requested_by,
        "requested_at": refund.requested_at,
        "checked_by": refund.checked_by,
        "checked_at": refund.checked_at,
        "paid_at": refund.paid_at,
        "note": refund.note,
        "legs": [
            {
                "id": leg.id,
                "route": leg.route,
                "amount_fen": leg.amount_fen,
                "state": leg.state,
                "paid_at": leg.paid_at,
                "answer": leg.answer,
                "why": sentence(read(leg.why)),
                "closes_at": leg.closes_at,
            }
            for leg in legs
        ],
    }
