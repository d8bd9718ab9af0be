"""Collecting an inpatient deposit on any channel, never above the quota of the stay, and giving
part of it back.
"""

import json
from typing import Any
from uuid import UUID

import segno
from sqlalchemy.orm import Session as Db

from journeys.counterparts import Counterparts
from journeys.patient_scope import knows_stay, reach, stay_for
from models.admission import step_of, took_step
from models.db import ReadSession, Session, at_once
from models.ledger import AccountKind
from models.payment_order import OrderState, PaymentOrder, Purpose
from models.receipt import Receipt
from payments import orders, refunds
from payments.booking import deposit_booking
from payments.collection import Payment, may_pay_by, place, wish_of
from policies.access import Actor
from policies.refusals import Conflict, NotFound, Refusal, Refused

REFUSALS: dict[str, type[Refusal]] = {
    "ADMISSION_UNKNOWN": NotFound,
    "IDEMPOTENCY_CONFLICT": Conflict,
    "ADMISSION_NOT_IN_HOUSE": Refused,
    "QUOTA_NOT_SET": Refused,
    "DEPOSIT_CAP_EXCEEDED": Refused,
}
"""What the database's `collect_deposit` answers instead of an order -> how we say it."""


def collect_deposit(
    actor: Actor, outside: Counterparts, admission_id: UUID, payment: Payment
) -> dict[str, Any]:
    """Take a deposit, or go on with the one that this key began (GZ-10, GZ-17, GZ-20).

    The room under the quota is checked under the stay's lock, with open orders counted as if paid:
    two nurses at once cannot exceed it. Refused DEPOSIT_CAP_EXCEEDED, QUOTA_NOT_SET,
    ADMISSION_NOT_IN_HOUSE; Busy CHANNEL_SILENT (repeat with the same key).
    """
    may_pay_by(actor, payment.route)
    order, receipt_no = _collected(actor, outside, admission_id, payment)
    if order.channel != "WECHAT":
        return _shown(order, receipt_no)
    place(
        order,
        outside.wechat_pay,
        outside.now,
        notify_url=outside.notify_url("payment"),
        payment=payment,
    )
    return view_order(actor, order.id)


def look_at_payment(actor: Actor, outside: Counterparts, order_id: UUID) -> dict[str, Any]:
    """What became of an order, asking the channel if it is still open: what a phone does on return
    from paying.
    """
    view_order(actor, order_id)
    orders.refresh(order_id, outside.wechat_pay, outside.now)
    return view_order(actor, order_id)


def sweep_orders(outside: Counterparts, hospital_id: UUID) -> int:
    """Ask about every open order that was placed a while ago: finds lost callbacks within two
    minutes (rank 6).
    """
    open_orders = orders.waiting(hospital_id, outside.now())
    for order_id in open_orders:
        orders.refresh(order_id, outside.wechat_pay, outside.now)
    return len(open_orders)


def refund_part(
    actor: Actor,
    outside: Counterparts,
    admission_id: UUID,
    *,
    amount_fen: int,
    key: str,
    reason: str,
) -> UUID:
    """Ask for part of a held deposit back during the stay; another person must approve it (GZ-17,
    B4.6).
    """
    now, key = outside.now(), f"{actor.name}:{key}"
    with Session.begin() as db:
        stay = stay_for(db, actor, admission_id, "OWN", lock=True)
        asked_before = refunds.find(db, stay.hospital_id, key) is not None
        refund = refunds.request(
            db,
            refunds.drawn_up(
                hospital_id=stay.hospital_id,
                key=key,
                reason=reason,
                kind=AccountKind.INPATIENT_DEPOSIT,
                owner=str(stay.id),
                subject_id=stay.id,
                patient_id=stay.patient_id,
                amount_fen=amount_fen,
                by=actor.name,
                now=now,
            ),
        )
        if not asked_before:
            took_step(db, stay, actor, "deposit-refund", now, amount_fen=amount_fen)
        return refund.id


def view_order(actor: Actor, order_id: UUID) -> dict[str, Any]:
    """One order as its payer or a member of staff may see it; NotFound for everybody else."""
    with ReadSession() as db:
        order = db.get(PaymentOrder, order_id)
        if order is None or not _may_see(db, actor, order):
            raise NotFound("ORDER_UNKNOWN")
        paper = Receipt.of(db, order.purpose, order.id)
        return _shown(order, paper.number if paper else None)


def _may_see(db: Db, actor: Actor, order: PaymentOrder) -> bool:
    if order.hospital_id != actor.hospital_id:
        return False
    if order.purpose in {Purpose.DEPOSIT, Purpose.SETTLEMENT}:
        return knows_stay(db, actor, order.subject_id, "PAY")
    return order.patient_id == actor.patient_id or actor.may("hospital:read")


def _to_pay_with(order: PaymentOrder) -> dict[str, Any] | None:
    """What the payer needs while it is their turn; a QR comes drawn, for handhelds that cannot."""
    if order.state != OrderState.WAITING or order.shown is None:
        return None
    if code := order.shown.get("code_url"):
        return order.shown | {"qr_svg": segno.make(code, micro=False).svg_inline(scale=8)}
    return order.shown


def _shown(order: PaymentOrder, receipt_no: str | None) -> dict[str, Any]:
    return {
        "id": order.id,
        "purpose": order.purpose,
        "subject_id": order.subject_id,
        "route": order.route,
        "amount_fen": order.amount_fen,
        "state": order.state,
        "pay_with": _to_pay_with(order),
        "expires_at": order.expires_at,
        "paid_at": order.paid_at,
        "receipt_no": receipt_no,
        "answer": order.answer,
    }


def _collected(
    actor: Actor, outside: Counterparts, admission_id: UUID, payment: Payment
) -> tuple[PaymentOrder, str | None]:
    """The order, paid where the money lies on the counter, and its receipt; all by one statement.

    A hospital's windows take hundreds of deposits in the same minutes of the morning.
    """
    now = outside.now()
    order = orders.drawn_up(wish_of(actor, admission_id, None, Purpose.DEPOSIT, payment), now)
    facts = {"amount_fen": payment.amount_fen, "route": payment.route}
    wanted = {
        **reach(actor, "PAY"),
        "order": order.as_row(),
        "started": order.begun(at=now, by=actor.name),
        "step": step_of(admission_id, actor, "deposit", now, **facts),
        "paid": None,
    }
    if order.channel != "WECHAT":
        wanted["paid"] = deposit_booking(order, order.arrival(now, actor.name))
    ((said,),) = at_once("SELECT collect_deposit(%s::jsonb)", json.dumps(wanted, default=str))
    if code := said.pop("refused", None):
        raise REFUSALS[code](code, **said)
    order.is_stored_as(said)
    return order, said["receipt_no"]
