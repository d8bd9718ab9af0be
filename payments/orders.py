"""Money in, by claim → ask → record: the order's row comes first, and every way of learning its
fate ends in `record`.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from models.db import ReadSession, Session, add_once, new_id
from models.payment_order import OPEN_STATES, Arrival, OrderState, PaymentOrder, Purpose, Route
from models.work_item import open_item
from payments.channels.wechat import ChannelOrder, WeChatPay
from policies.outcome import Declined, NoAnswer, NotNow
from policies.refusals import Busy, Conflict, Refused

LIFE = {
    Route.MINI_PROGRAM: timedelta(minutes=30),
    Route.QR: timedelta(minutes=10),
    Route.PAYMENT_CODE: timedelta(seconds=45),
}
"""route -> how long the payer has; a payment code must be taken back after 45 s (WeChat Pay)."""

DESCRIPTIONS = {
    Purpose.DEPOSIT: "住院预交金",
    Purpose.SETTLEMENT: "出院结算补缴",
    Purpose.VISIT: "门诊就诊费用",
    Purpose.TOP_UP: "门诊预交金",
    Purpose.PAID_AHEAD: "疗程或专项费用",
}
"""What the payer reads in WeChat: never a diagnosis or a department."""

ONE_A_KEY = "uq_payment_order_hospital_id_asked_by_client_key"
"""What the database calls a second order of one key."""

ASK_AGAIN_AFTER = timedelta(seconds=5)
"""An order is queried no earlier than this after it was made (WeChat Pay's flow)."""

REVERSAL_TAKES = timedelta(minutes=1)
"""After this a reversal that was asked for has happened or never will: nobody waits so long."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to pay, before there is an order. ``key`` is the caller's
    Idempotency-Key; ``patient_id`` is None while only the subject's row knows it.
    """

    hospital_id: UUID
    purpose: Purpose
    subject_id: UUID
    patient_id: UUID | None
    route: Route
    amount_fen: int
    key: str
    asked_by: str
    step_channel: str
    device_id: UUID | None = None
    payer_openid: str | None = None
    slip_no: str | None = None

    def hash(self) -> str:
        """Equal wishes have equal hashes: the test for «same key, other content»."""
        said = [self.purpose, str(self.subject_id), self.route, self.amount_fen, self.slip_no]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def find(db: Db, wish: Wish) -> PaymentOrder | None:
    """The order that this key already made; Conflict when it was made with another content."""
    order = db.scalar(
        select(PaymentOrder).where(
            PaymentOrder.hospital_id == wish.hospital_id,
            PaymentOrder.asked_by == wish.asked_by,
            PaymentOrder.client_key == wish.key,
        )
    )
    if order and order.request_hash != wish.hash():
        raise Conflict("IDEMPOTENCY_CONFLICT")
    return order


def claim(db: Db, wish: Wish, now: datetime) -> PaymentOrder:
    """Write the order's row in the caller's transaction, under the caller's lock on the subject.

    Cash and card orders wait for `paid`; the others for `ask`. Refused as `drawn_up` says; Conflict
    when the same key made an order for another subject at this moment.
    """
    order = drawn_up(wish, now)
    add_once(db, order, ONE_A_KEY)
    order.start(db, at=now, by=wish.asked_by)
    return order


def drawn_up(wish: Wish, now: datetime) -> PaymentOrder:
    """The order, not written down yet; Refused when the route lacks what it needs (openid, slip
    number).
    """
    if wish.amount_fen <= 0:
        raise Refused("AMOUNT_NOT_POSITIVE")
    if wish.route == Route.MINI_PROGRAM and not wish.payer_openid:
        raise Refused("PAYER_NOT_IN_WECHAT")
    if wish.route == Route.BALANCE and wish.purpose != Purpose.VISIT:
        raise Refused("BALANCE_PAYS_VISITS_ONLY")
    if wish.route == Route.CARD and not wish.slip_no:
        raise Refused("CARD_SLIP_REQUIRED")
    return PaymentOrder(
        id=new_id(),
        hospital_id=wish.hospital_id,
        state=OrderState.CREATED,
        purpose=wish.purpose,
        subject_id=wish.subject_id,
        patient_id=wish.patient_id,
        route=wish.route,
        amount_fen=wish.amount_fen,
        client_key=wish.key,
        request_hash=wish.hash(),
        asked_by=wish.asked_by,
        step_channel=wish.step_channel,
        device_id=wish.device_id,
        payer_openid=wish.payer_openid,
        slip_no=wish.slip_no,
        created_at=now,
        expires_at=now + LIFE.get(wish.route, timedelta(days=1)),
        answer="",
    )


def ask(
    order_id: UUID,
    wechat_pay: WeChatPay,
    now: Callable[[], datetime],
    *,
    notify_url: str,
    auth_code: str | None = None,
    device_ip: str = "",
) -> None:
    """Place the order at WeChat Pay. May be called again: the same order with the same content is
    harmless there.

    A payment code is charged at most once for an order: where an earlier try may have reached
    WeChat, its fate is queried instead. One asks at a time, because a second QR code kills the
    first: whoever comes meanwhile finds the order without one, and may ask again a little later.
    Busy when WeChat gave no usable answer; the order stays as it is.
    """
    with Session.begin() as db:
        order = PaymentOrder.locked(db, order_id)
        if not order.may_be_placed or (order.asked_at and now() < order.asked_at + ASK_AGAIN_AFTER):
            return
        tried_before, order.asked_at = order.asked_at, now()
    if order.route == Route.PAYMENT_CODE and tried_before:
        refresh(order_id, wechat_pay, now)
        return
    try:
        answer = _place(order, wechat_pay, notify_url, auth_code, device_ip)
    except Declined as no:
        _refused(order_id, no.code, now())
        return
    except (NotNow, NoAnswer) as silence:
        raise Busy("CHANNEL_SILENT") from silence
    if isinstance(answer, ChannelOrder):
        with suppress(AmountDiffers):  # the work item says so
            record(order_id, answer, now(), by="channel")
        return
    with Session.begin() as db:
        order = PaymentOrder.locked(db, order_id)
        if order.may_be_placed:  # else a notice was faster
            order.shown = answer
        if order.state == OrderState.CREATED:
            order.move(db, OrderState.WAITING, at=now(), by="channel")


def refresh(order_id: UUID, wechat_pay: WeChatPay, now: Callable[[], datetime]) -> None:
    """Ask WeChat Pay what became of an order and write it down; give it up when its time is over.

    Silence changes nothing, nor does a no to the question: it is no answer about the payment. An
    order that WeChat never heard of is closed only after its time.
    """
    with ReadSession() as db:
        order = db.get_one(PaymentOrder, order_id)
    if order.state == OrderState.PAID or order.channel != "WECHAT":
        return
    try:
        answer = wechat_pay.query_order(order.number)
        gives_up = now() >= order.expires_at and _is_ours_to_give_up(order, answer, now())
        if gives_up:
            answer = _give_up(order, wechat_pay)
    except (Declined, NotNow, NoAnswer):
        return
    if answer is not None:
        with suppress(AmountDiffers):  # the work item says so
            record(order_id, answer, now(), by="query", gives_up=gives_up)
    elif now() >= order.expires_at:
        _closed(order_id, now(), "unknown to the channel")


def record(
    order_id: UUID, answer: ChannelOrder, now: datetime, *, by: str, gives_up: bool = False
) -> None:
    """Write down what WeChat Pay says of an order: the one way in for answers, queries and notices.

    Exactly one effect, however often and in whatever order it is told. Money that the channel took
    is booked even where we had given the order up: that surprise is drawn. Another amount than ours
    is not booked: a work item, and AmountDiffers. A payment code that somebody is giving up is left
    to them (``gives_up``): a reversal gives paid money back, so a «paid» of before may be over.
    """
    with Session.begin() as db:
        order = PaymentOrder.locked(db, order_id)
        if order.state == OrderState.PAID or (_is_being_reversed(order, now) and not gives_up):
            return
        differs = answer.state == "PAID" and answer.amount_fen != order.amount_fen
        if differs:
            _a_person_must_look(db, order, now)
        elif answer.state == "PAID":
            paid(
                db, order, now, by=by, transaction=answer.channel_transaction_id, at=answer.paid_at
            )
        elif answer.state in order.MOVES[OrderState(order.state)]:
            order.move(db, answer.state, at=now, by=by)
    if differs:
        raise AmountDiffers(order.number)


def paid(
    db: Db,
    order: PaymentOrder,
    now: datetime,
    *,
    by: str,
    transaction: str | None = None,
    at: datetime | None = None,
) -> None:
    """The money is there: move the order and book it, in the caller's transaction under the order's
    lock.

    The window calls it for cash and card in the transaction that writes the order.
    """
    came = order.arrival(now, by, transaction, at)
    ON_PAID[Purpose(order.purpose)](db, order, came)
    order.has_come(came)


class AmountDiffers(Exception):
    """The channel names another amount than our order: nothing is booked, a person must look."""


ON_PAID: dict[Purpose, Callable[[Db, PaymentOrder, Arrival], None]] = {}
"""purpose -> what moves the order and books it, in the same transaction, when the money is there.
Filled by payments/booking.py.
"""


def _place(
    order: PaymentOrder,
    wechat_pay: WeChatPay,
    notify_url: str,
    auth_code: str | None,
    device_ip: str,
) -> dict[str, Any] | ChannelOrder:
    what: dict[str, Any] = {
        "out_trade_no": order.number,
        "amount_fen": order.amount_fen,
        "description": DESCRIPTIONS[Purpose(order.purpose)],
    }
    if order.route == Route.PAYMENT_CODE:
        if not auth_code:
            raise Declined("PAYMENT_CODE_MISSING")
        device = order.device_id.hex if order.device_id else "window"
        return wechat_pay.charge_payment_code(
            **what, auth_code=auth_code, device_id=device, device_ip=device_ip
        )
    what |= {"expires_at": order.expires_at, "notify_url": notify_url}
    if order.route == Route.QR:
        return {"code_url": wechat_pay.order_qr(**what)}
    return wechat_pay.order_mini_program(**what, openid=order.payer_openid or "")


def _is_ours_to_give_up(order: PaymentOrder, answer: ChannelOrder | None, now: datetime) -> bool:
    """Claim to stop an unpaid order at the channel; False for who comes second."""
    if order.asked_at is None or (answer and answer.state != "WAITING"):
        return False
    with Session.begin() as db:
        order = PaymentOrder.locked(db, order.id)
        if order.state not in OPEN_STATES or _is_being_reversed(order, now):
            return False
        order.given_up_at = now
    return True


def _is_being_reversed(order: PaymentOrder, now: datetime) -> bool:
    begun = order.given_up_at if order.route == Route.PAYMENT_CODE else None
    return begun is not None and now < begun + REVERSAL_TAKES


def _give_up(order: PaymentOrder, wechat_pay: WeChatPay) -> ChannelOrder | None:
    stop = wechat_pay.close_order
    if order.route == Route.PAYMENT_CODE:
        stop = wechat_pay.reverse_order
    try:
        stop(order.number)
    except Declined:  # paid in the meantime, or never heard of: the query says which
        return wechat_pay.query_order(order.number)
    return ChannelOrder(
        state="CLOSED",
        out_trade_no=order.number,
        channel_transaction_id=None,
        amount_fen=order.amount_fen,
        paid_at=None,
        payer=None,
    )


def _a_person_must_look(db: Db, order: PaymentOrder, now: datetime) -> None:
    open_item(
        db,
        hospital_id=order.hospital_id,
        kind="AMOUNT_DIFFERS",
        subject=f"payment-order:{order.id}",
        at=now,
        note="微信收到的金额与本院订单不同，没有入账，请财务核对",
    )


def _refused(order_id: UUID, code: str, now: datetime) -> None:
    with Session.begin() as db:
        order = PaymentOrder.locked(db, order_id)
        if order.state in OPEN_STATES:
            order.answer = code
            order.move(db, OrderState.REFUSED, at=now, by="channel", why=code)


def _closed(order_id: UUID, now: datetime, why: str) -> None:
    with Session.begin() as db:
        order = PaymentOrder.locked(db, order_id)
        if order.state in OPEN_STATES:
            order.move(db, OrderState.CLOSED, at=now, by="system", why=why)


def waiting(hospital_id: UUID, now: datetime) -> list[UUID]:
    """The open WeChat orders that were placed a while ago: the sweep that finds lost callbacks asks
    for each.
    """
    with ReadSession() as db:
        return list(
            db.scalars(
                select(PaymentOrder.id).where(
                    PaymentOrder.hospital_id == hospital_id,
                    PaymentOrder.state.in_(OPEN_STATES),
                    PaymentOrder.route.in_(LIFE),
                    PaymentOrder.created_at <= now - ASK_AGAIN_AFTER,
                )
            )
        )
