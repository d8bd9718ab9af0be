"""One visit, one payment (GZ-19): the HIS lists the items, one payment settles them, each can be
given back alone.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from journeys.counterparts import Counterparts
from models import ledger
from models.db import ReadSession, Session
from models.ledger import AccountKind
from models.patient import Patient
from models.payment_order import PaymentOrder, Purpose
from models.receipt import Receipt
from models.refund import Refund, RefundState
from models.visit import Visit, VisitItem, VisitState
from payments import orders, refunds
from payments.collection import Payment, claim_all_due, may_pay_by, place, wish_of
from policies.access import Actor
from policies.digest import digest
from policies.refusals import Conflict, NotFound, Refused


@dataclass(frozen=True, slots=True)
class Item:
    """One order of a visit as the HIS names it."""

    order_no: str
    name: str
    amount_fen: int


def open_visit(
    actor: Actor, outside: Counterparts, *, visit_no: str, his_patient_no: str, items: list[Item]
) -> dict[str, Any]:
    """Take a visit's items from the HIS; the same visit again is harmless, with other items a
    Conflict.
    """
    content = digest(his_patient_no, [[i.order_no, i.name, i.amount_fen] for i in items])
    with Session.begin() as db:
        patient_id = _patient_locked(db, actor, his_patient_no)
        visit = db.scalar(
            select(Visit).where(Visit.hospital_id == actor.hospital_id, Visit.visit_no == visit_no)
        )
        if visit is None:
            visit = _new_visit(db, actor, outside, visit_no, patient_id, content)
            for position, item in enumerate(items):
                db.add(
                    VisitItem(
                        hospital_id=visit.hospital_id,
                        visit_id=visit.id,
                        position=position,
                        order_no=item.order_no,
                        name=item.name,
                        amount_fen=item.amount_fen,
                    )
                )
        elif visit.content_hash != content:
            raise Conflict("VISIT_CHANGED")
        visit_id = visit.id
    with ReadSession() as db:
        return _shown(db, db.get_one(Visit, visit_id))


def pay_visit(
    actor: Actor, outside: Counterparts, visit_id: UUID, payment: Payment
) -> dict[str, Any]:
    """Pay all items of a visit at once, exactly; one order at a time."""
    may_pay_by(actor, payment.route)
    with Session.begin() as db:
        visit = Visit.seen_by(db, actor, visit_id, lock=True)
        order = _claimed(db, actor, outside, visit, payment)
    place(
        order,
        outside.wechat_pay,
        outside.now,
        notify_url=outside.notify_url("payment"),
        payment=payment,
    )
    return view_visit(actor, visit_id)


def refund_item(
    actor: Actor, outside: Counterparts, visit_id: UUID, item_id: UUID, *, reason: str
) -> dict[str, Any]:
    """Give one item back: its booking is mirrored and its price goes home; another person approves.

    Asked again it is the same refund, unless that one was rejected. Refused VISIT_NOT_PAID.
    """
    now = outside.now()
    with Session.begin() as db:
        visit = Visit.seen_by(db, actor, visit_id, lock=True)
        item = db.get(VisitItem, item_id)
        if item is None or item.visit_id != visit.id:
            raise NotFound("VISIT_UNKNOWN")
        if visit.state != VisitState.PAID:
            raise Refused("VISIT_NOT_PAID")
        if item.refund_id is None or _rejected(db, item.refund_id):
            booked = item.booking_key
            ledger.reverse(
                db,
                hospital_id=visit.hospital_id,
                transaction_id=ledger.find(db, visit.hospital_id, booked),
                key=f"{booked}:back",
                why=reason,
                by=actor.name,
                at=now,
            )
            item.refund_id = _asked_back(db, actor, visit, booked, item.amount_fen, now)
    return view_visit(actor, visit_id)


def refund_surplus(actor: Actor, outside: Counterparts, visit_id: UUID) -> UUID:
    """Give back what was paid twice for a visit; another person approves.

    Refused NOTHING_TO_REFUND.
    """
    with Session.begin() as db:
        visit = Visit.seen_by(db, actor, visit_id, lock=True)
        owner = str(visit.id)
        lots = ledger.open_lots(db, visit.hospital_id, AccountKind.VISIT_PAYMENT, owner)
        if visit.state != VisitState.PAID or not lots:
            raise Refused("NOTHING_TO_REFUND")
        key = f"visit-surplus:{visit.id}:{lots[0].id}:{lots[0].parts}"
        fen = sum(lot.remaining_fen for lot in lots)
        return _asked_back(db, actor, visit, key, fen, outside.now())


def view_visit(actor: Actor, visit_id: UUID) -> dict[str, Any]:
    """A visit with its items, its payment and its one receipt."""
    with ReadSession() as db:
        return _shown(db, Visit.seen_by(db, actor, visit_id))


def _asked_back(
    db: Db, actor: Actor, visit: Visit, key: str, amount_fen: int, now: datetime
) -> UUID:
    return refunds.request(
        db,
        refunds.drawn_up(
            hospital_id=visit.hospital_id,
            key=key,
            reason="VISIT_ITEM",
            kind=AccountKind.VISIT_PAYMENT,
            owner=str(visit.id),
            subject_id=visit.id,
            patient_id=visit.patient_id,
            amount_fen=amount_fen,
            by=actor.name,
            now=now,
        ),
    ).id


def _patient_locked(db: Db, actor: Actor, his_patient_no: str) -> UUID:
    """Under the patient's lock the same visit, said twice at once, is one visit."""
    patient_id = db.scalar(
        select(Patient.id)
        .where(Patient.hospital_id == actor.hospital_id, Patient.his_patient_no == his_patient_no)
        .with_for_update()
    )
    if patient_id is None:
        raise NotFound("PATIENT_UNKNOWN")
    return patient_id


def _new_visit(
    db: Db, actor: Actor, outside: Counterparts, visit_no: str, patient_id: UUID, content: str
) -> Visit:
    visit = Visit(
        hospital_id=actor.hospital_id,
        patient_id=patient_id,
        visit_no=visit_no,
        state=VisitState.OPEN,
        content_hash=content,
        opened_at=outside.now(),
    )
    db.add(visit)
    db.flush()
    visit.start(db, at=outside.now(), by=actor.name)
    return visit


def _claimed(
    db: Db, actor: Actor, outside: Counterparts, visit: Visit, payment: Payment
) -> PaymentOrder:
    wish = wish_of(actor, visit.id, visit.patient_id, Purpose.VISIT, payment)
    if order := orders.find(db, wish):
        return order
    if visit.state != VisitState.OPEN:
        raise Refused("VISIT_NOT_OPEN")
    total_fen = sum(item.amount_fen for item in visit.items(db))
    return claim_all_due(db, wish, total_fen, outside.now())


def _rejected(db: Db, refund_id: UUID) -> bool:
    return db.get_one(Refund, refund_id).state == RefundState.REJECTED


def _shown(db: Db, visit: Visit) -> dict[str, Any]:
    paper = Receipt.of(db, Purpose.VISIT, visit.order_id) if visit.order_id else None
    mine = (visit.hospital_id, visit.id)
    latest = PaymentOrder.latest_id(db, *mine, Purpose.VISIT, visit.opened_at)
    items = visit.items(db)
    return {
        "id": visit.id,
        "visit_no": visit.visit_no,
        "state": visit.state,
        "total_fen": sum(item.amount_fen for item in items),
        "order_id": visit.order_id or latest,
        "receipt_no": paper.number if paper else None,
        "items": [
            {
                "id": item.id,
                "order_no": item.order_no,
                "name": item.name,
                "amount_fen": item.amount_fen,
                "refund_id": item.refund_id,
            }
            for item in items
        ],
    }
