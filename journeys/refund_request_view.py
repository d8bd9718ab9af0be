"""Requests for stored money as their patients and the staff see them (GZ-7)."""

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from config import SHANGHAI
from models.db import ReadSession
from models.hospital import consortium_of
from models.machine import StateMove
from models.patient import Patient
from models.payee import Payee
from models.prepay_account import PrepayAccount
from models.refund import Refund, RefundLeg
from models.refund_hold import RefundHold
from models.refund_request import RefundRequest, RequestItem, requests_of
from policies.access import Actor
from policies.refund_risk import said
from policies.refund_why import read, sentence
from policies.refusals import NotFound

MACHINE = RefundRequest.__name__
MOST = 500


def request_for(db: Db, actor: Actor, request_id: UUID) -> RefundRequest:
    """The request under its lock, if the actor may act on it; else NotFound."""
    return _seen(db, actor, RefundRequest.locked(db, request_id))


def view_request(actor: Actor, request_id: UUID) -> dict[str, Any]:
    """One request with its refunds, holds and steps."""
    with ReadSession() as db:
        request = db.get(RefundRequest, request_id)
        if request is None:
            raise NotFound("REFUND_REQUEST_UNKNOWN")
        return _shown(db, actor, _seen(db, actor, request))


def requests_of_patient(actor: Actor, patient_id: UUID) -> list[dict[str, Any]]:
    """A person's requests wherever their identity was verified, newest first."""
    with ReadSession() as db:
        patient = Patient.seen_by(db, actor, patient_id)
        ids = _same_person(db, patient) if actor.patient_id == patient_id else {patient_id}
        return [_shown(db, actor, request) for request in requests_of(db, ids)]


def list_requests(actor: Actor, state: str | None) -> list[dict[str, Any]]:
    """The hospital's requests in a state, oldest first: finance's queue (at most 500)."""
    with ReadSession() as db:
        query = select(RefundRequest).where(RefundRequest.hospital_id == actor.hospital_id)
        if state:
            query = query.where(RefundRequest.state == state)
        query = query.order_by(RefundRequest.accepted_at, RefundRequest.id).limit(MOST)
        return [_shown(db, actor, request) for request in db.scalars(query)]


def four_eyes(actor: Actor, day: date) -> list[dict[str, Any]]:
    """What moved on one Shanghai day, and who decided: the daily list for another pair of eyes."""
    start = datetime.combine(day, time(), SHANGHAI)
    moved = select(StateMove.entity_id).where(
        StateMove.hospital_id == actor.hospital_id,
        StateMove.machine == MACHINE,
        StateMove.at >= start,
        StateMove.at < start + timedelta(days=1),
    )
    with ReadSession() as db:
        query = select(RefundRequest).where(RefundRequest.id.in_(moved))
        found = db.scalars(query.order_by(RefundRequest.accepted_at, RefundRequest.id))
        return [_shown(db, actor, request) for request in found]


def _seen(db: Db, actor: Actor, request: RefundRequest) -> RefundRequest:
    if actor.may("own:read"):
        patient = db.get(Patient, actor.patient_id) if actor.patient_id else None
        mine = patient is not None and request.patient_id in _same_person(db, patient)
        if mine or request.accepted_by == actor.name:
            return request
    else:
        accepted = request.accepted_by == f"{actor.name}@{actor.hospital_id}"
        if request.hospital_id == actor.hospital_id or accepted:
            return request
    raise NotFound("REFUND_REQUEST_UNKNOWN")


def _same_person(db: Db, patient: Patient) -> set[UUID]:
    homes = [home.id for home in consortium_of(db, patient.hospital_id)]
    return {row.id for row in patient.same_person(db, homes)}


def _shown(db: Db, actor: Actor, request: RefundRequest) -> dict[str, Any]:
    at_work = actor.may("hospital:read")
    return {
        "id": request.id,
        "state": request.state,
        "asker": request.asker,
        "amount_fen": request.amount_fen,
        "accepted_at": request.accepted_at,
        "paid_at": request.paid_at,
        "payee": _payee(db, request),
        "papers": [{"kind": each.kind, "sha256": each.sha256} for each in request.papers(db)],
        "items": [_item(db, item) for item in request.items(db)],
        "holds": [_hold(hold) if at_work else _told(hold) for hold in _holds(db, request, at_work)],
        "steps": _steps(db, request, named=at_work),
    }


def _payee(db: Db, request: RefundRequest) -> dict[str, Any] | None:
    if request.payee_id is None:
        return None
    payee = db.get_one(Payee, request.payee_id)
    return {
        "card": payee.masked_card,
        "bank_name": payee.bank_name,
        "verified": payee.verified_at is not None,
    }


def _item(db: Db, item: RequestItem) -> dict[str, Any]:
    refund = db.get_one(Refund, item.refund_id)
    return {
        "account_id": item.account_id,
        "card": db.get_one(PrepayAccount, item.account_id).masked_card,
        "kind": item.kind,
        "amount_fen": item.amount_fen,
        "refund_id": refund.id,
        "refund_state": refund.state,
        "legs": [
            {
                "route": leg.route,
                "amount_fen": leg.amount_fen,
                "why": sentence(read(leg.why)),
                "closes_at": leg.closes_at,
            }
            for leg in RefundLeg.of(db, refund.id)
        ],
    }


def _holds(db: Db, request: RefundRequest, at_work: bool) -> list[RefundHold]:
    """All of them for staff, those that are open for the patient."""
    return [hold for hold in RefundHold.of(db, request.id) if at_work or hold.closed_at is None]


def _told(hold: RefundHold) -> dict[str, Any]:
    """What the one who asked may know: what to mend, and never how risks are found."""
    mendable = hold.code == "PAYEE_MISMATCH"
    return _hold(hold) | {
        "reason": hold.reason if mendable else "",
        "say": said(hold.reason if mendable else "FOR_PATIENTS", {}),
        "released": [],
    }


def _hold(hold: RefundHold) -> dict[str, Any]:
    return {
        "code": hold.code,
        "reason": hold.reason,
        "say": said(hold.reason, hold.facts),
        "at": hold.at,
        "open": hold.closed_at is None,
        "released": [
            {"by": by, "at": at, "why": why}
            for by, at, why in (
                (hold.first_by, hold.first_at, hold.first_why),
                (hold.second_by, hold.second_at, hold.second_why),
            )
            if by
        ],
    }


def _steps(db: Db, request: RefundRequest, *, named: bool) -> list[dict[str, Any]]:
    """Every move; patients see what happened and when, not who of the staff did it."""
    query = select(StateMove).where(StateMove.entity_id == request.id).order_by(StateMove.id)
    return [
        {
            "state": move.there,
            "at": move.at,
            "by": move.by if named else "",
            "reason": move.why if named else "",
        }
        for move in db.scalars(query)
    ]
