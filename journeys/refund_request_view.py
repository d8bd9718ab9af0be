"""Requests for stored money as their patients and the staff see them (GZ-7)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
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
from models.refund_request import RefundRequest, RequestItem, RequestPaper, requests_of
from policies.access import Actor
from policies.refund_risk import said
from policies.refund_why import read, sentence
from policies.refusals import NotFound

MACHINE = RefundRequest.__name__
MOST = 500


@dataclass(frozen=True, slots=True)
class Beside:
    """What is shown with some requests, by the id that leads to it: read for all of them at once,
    because finance's queue has hundreds.
    """

    papers: Mapping[UUID, list[RequestPaper]]
    items: Mapping[UUID, list[RequestItem]]
    holds: Mapping[UUID, list[RefundHold]]
    moves: Mapping[UUID, list[StateMove]]
    legs: Mapping[UUID, list[RefundLeg]]
    refunds: Mapping[UUID, Refund]
    cards: Mapping[UUID, PrepayAccount]
    payees: Mapping[UUID, Payee]

    @classmethod
    def of(cls, db: Db, requests: Sequence[RefundRequest]) -> "Beside":
        """A statement for each kind, however many requests there are."""
        ids = [request.id for request in requests]
        items = _by(db, _in(RequestItem, RequestItem.request_id, ids), "request_id")
        every = [item for own in items.values() for item in own]
        refunds = {item.refund_id for item in every}
        cards = {item.account_id for item in every}
        payees = {request.payee_id for request in requests} - {None}
        return cls(
            papers=_by(db, _in(RequestPaper, RequestPaper.request_id, ids), "request_id"),
            items=items,
            holds=_by(db, _in(RefundHold, RefundHold.request_id, ids), "request_id"),
            moves=_by(db, _in(StateMove, StateMove.entity_id, ids), "entity_id"),
            legs=_by(db, _in(RefundLeg, RefundLeg.refund_id, refunds), "refund_id"),
            refunds={one.id: one for one in db.scalars(_in(Refund, Refund.id, refunds))},
            cards={one.id: one for one in db.scalars(_in(PrepayAccount, PrepayAccount.id, cards))},
            payees={one.id: one for one in db.scalars(_in(Payee, Payee.id, payees))},
        )


def request_for(db: Db, actor: Actor, request_id: UUID) -> RefundRequest:
    """The request under its lock, if the actor may act on it; else NotFound."""
    return _seen(db, actor, RefundRequest.locked(db, request_id))


def view_request(actor: Actor, request_id: UUID) -> dict[str, Any]:
    """One request with its refunds, holds and steps."""
    with ReadSession() as db:
        request = db.get(RefundRequest, request_id)
        if request is None:
            raise NotFound("REFUND_REQUEST_UNKNOWN")
        (shown,) = _shown(db, actor, [_seen(db, actor, request)])
        return shown


def requests_of_patient(actor: Actor, patient_id: UUID) -> list[dict[str, Any]]:
    """A person's requests wherever their identity was verified, newest first."""
    with ReadSession() as db:
        patient = Patient.seen_by(db, actor, patient_id)
        ids = _same_person(db, patient) if actor.patient_id == patient_id else {patient_id}
        return _shown(db, actor, requests_of(db, ids))


def list_requests(actor: Actor, state: str | None) -> list[dict[str, Any]]:
    """The hospital's requests in a state, oldest first: finance's queue (at most 500)."""
    with ReadSession() as db:
        query = select(RefundRequest).where(RefundRequest.hospital_id == actor.hospital_id)
        if state:
            query = query.where(RefundRequest.state == state)
        query = query.order_by(RefundRequest.accepted_at, RefundRequest.id).limit(MOST)
        return _shown(db, actor, db.scalars(query).all())


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
        return _shown(db, actor, found.all())


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


def _shown(db: Db, actor: Actor, requests: Sequence[RefundRequest]) -> list[dict[str, Any]]:
    beside, at_work = Beside.of(db, requests), actor.may("hospital:read")
    return [_one(beside, request, at_work) for request in requests]


def _one(beside: Beside, request: RefundRequest, at_work: bool) -> dict[str, Any]:
    return {
        "id": request.id,
        "state": request.state,
        "asker": request.asker,
        "amount_fen": request.amount_fen,
        "accepted_at": request.accepted_at,
        "paid_at": request.paid_at,
        "payee": _payee(beside.payees[request.payee_id]) if request.payee_id else None,
        "papers": [
            {"kind": each.kind, "sha256": each.sha256} for each in beside.papers[request.id]
        ],
        "items": [_item(beside, item) for item in beside.items[request.id]],
        "holds": _holds(beside.holds[request.id], at_work),
        "steps": [_step(move, at_work) for move in beside.moves[request.id]],
    }


def _payee(payee: Payee) -> dict[str, Any]:
    return {
        "card": payee.masked_card,
        "bank_name": payee.bank_name,
        "verified": payee.verified_at is not None,
    }


def _item(beside: Beside, item: RequestItem) -> dict[str, Any]:
    refund = beside.refunds[item.refund_id]
    return {
        "account_id": item.account_id,
        "card": beside.cards[item.account_id].masked_card,
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
            for leg in beside.legs[refund.id]
        ],
    }


def _holds(holds: Sequence[RefundHold], at_work: bool) -> list[dict[str, Any]]:
    """All of them for staff, those that are open for the patient."""
    if at_work:
        return [_hold(hold) for hold in holds]
    return [_told(hold) for hold in holds if hold.closed_at is None]


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


def _step(move: StateMove, at_work: bool) -> dict[str, Any]:
    """A move; patients see what happened and when, not who of the staff did it."""
    return {
        "state": move.there,
        "at": move.at,
        "by": move.by if at_work else "",
        "reason": move.why if at_work else "",
    }


def _in(kind: type[Any], column: Any, ids: Any) -> Select[Any]:
    """All of a kind that these ids lead to, oldest first."""
    return select(kind).where(column.in_(ids)).order_by(kind.id)


def _by(db: Db, query: Select[Any], name: str) -> Mapping[UUID, list[Any]]:
    found: defaultdict[UUID, list[Any]] = defaultdict(list)
    for one in db.scalars(query):
        found[getattr(one, name)].append(one)
    return found
