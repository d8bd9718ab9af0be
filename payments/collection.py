"""How somebody wants to pay, who may take money by which route, the order for all that is due, and
placing an order at its channel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session as Db

from models.payment_order import PaymentOrder, Purpose, Route
from payments import (
    booking,  # noqa: F401 - the import fills its table of what to book
    orders,
)
from payments.channels.wechat import WeChatPay
from payments.orders import Wish
from policies.access import Actor
from policies.refusals import Forbidden, Refused


@dataclass(frozen=True, slots=True)
class Payment:
    """How somebody wants to pay: amount, route, and what the route needs. ``key``: the
    Idempotency-Key.
    """

    amount_fen: int
    route: Route
    key: str
    auth_code: str | None = None
    slip_no: str | None = None
    device_ip: str = ""


def may_pay_by(actor: Actor, route: Route) -> None:
    """A patient pays in the mini-program or with stored money; staff take QR and payment code; only
    cashiers touch cash, cards and stored money.
    """
    if actor.may("own:act"):
        if route not in {Route.MINI_PROGRAM, Route.BALANCE}:
            raise Forbidden("ROUTE_NOT_YOURS")
    elif route in {Route.CASH, Route.CARD, Route.BALANCE}:
        actor.needs("cash:handle")
    elif route == Route.MINI_PROGRAM:
        raise Forbidden("ROUTE_NOT_YOURS")


def wish_of(
    actor: Actor, subject_id: UUID, patient_id: UUID | None, purpose: Purpose, payment: Payment
) -> Wish:
    """The wish behind a payment: whose money, for what, asked by whom."""
    return Wish(
        hospital_id=actor.hospital_id,
        purpose=purpose,
        subject_id=subject_id,
        patient_id=patient_id,
        route=payment.route,
        amount_fen=payment.amount_fen,
        key=payment.key,
        asked_by=actor.name,
        step_channel=actor.channel,
        device_id=actor.device_id,
        payer_openid=actor.openid,
        slip_no=payment.slip_no,
    )


def claim_all_due(db: Db, wish: Wish, due_fen: int, now: datetime) -> PaymentOrder:
    """Claim the order that pays at once and exactly what is due, under the caller's lock on the
    subject; what needs no channel is there and booked.

    An open order may be paid at any moment, so its money is due no more. Refused
    AMOUNT_IS_NOT_WHAT_IS_DUE.
    """
    due_fen -= PaymentOrder.pending_fen(db, wish.hospital_id, wish.subject_id, wish.purpose)
    if wish.amount_fen != due_fen:
        raise Refused("AMOUNT_IS_NOT_WHAT_IS_DUE", due_fen=due_fen)
    order = orders.claim(db, wish, now)
    if order.channel != "WECHAT":
        orders.paid(db, order, now, by=wish.asked_by)
    return order


def place(
    order: PaymentOrder,
    wechat_pay: WeChatPay,
    now: Callable[[], datetime],
    *,
    notify_url: str,
    payment: Payment,
) -> None:
    """Ask the channel, where there is one to ask; Busy CHANNEL_SILENT when it gives no answer."""
    if order.channel == "WECHAT":
        orders.ask(
            order.id,
            wechat_pay,
            now,
            notify_url=notify_url,
            auth_code=payment.auth_code,
            device_ip=payment.device_ip,
        )
