"""What became of messages: carriers' receipts, and asking where nobody knows."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session as Db

from models.db import ReadSession, Session
from models.message import Message, MessageRoute, MessageState
from models.patient import Patient
from notifications.messages import RECEIPT_AFTER, Senders, next_route
from notifications.senders.tencent_sms import Receipt
from policies.outcome import Declined, NoAnswer, NotNow

UNCERTAIN_FOR = {
    MessageRoute.SUBSCRIPTION: timedelta(minutes=10),  # WeChat cannot be asked
    MessageRoute.SMS: timedelta(hours=2),
}
"""After this long without news the next route is used: told twice is better than not at all."""

ASKED_ABOUT = (MessageState.SENDING, MessageState.UNKNOWN, MessageState.SENT)

RECEIPT_AWAITED = timedelta(hours=24)
"""An SMS that was taken is asked about for so long; then it stays SENT."""


def record_receipts(
    hospital_id: UUID, receipts: Iterable[Receipt], now: Callable[[], datetime]
) -> int:
    """Write down what the SMS carrier says; how many told us something new. Copies do nothing.

    A receipt that nobody signed is a hint: the worst a forged one does is another route.
    """
    news = 0
    for receipt in receipts:
        with Session.begin() as db:
            message = Message.by_serial_no(db, hospital_id, receipt.serial_no)
            news += message is not None and _apply(db, message, receipt, now())
    return news


def resolve_unknown(hospital_id: UUID, senders: Senders, now: Callable[[], datetime]) -> int:
    """Find out what became of messages that nobody knows about; how many were looked at.

    A try that died is unknown too. An SMS is asked about by our key or its number, not sent again.
    """
    with ReadSession() as db:
        open_ones = Message.to_look_at(db, hospital_id, now(), *ASKED_ABOUT)
        phones = {m.id: db.get_one(Patient, m.patient_id).phone for m in open_ones}
    for message in open_ones:
        receipt = None
        if message.route == MessageRoute.SMS:
            receipt = _pulled(message, phones[message.id], senders)
        _resolve(message.id, receipt, now())
    return len(open_ones)


def _pulled(message: Message, phone: str, senders: Senders) -> Receipt | None:
    try:
        return senders.sms.pull_receipt(
            phone=phone,
            key=str(message.id),
            serial_no=message.serial_no,
            since=message.claimed_at or message.created_at,
        )
    except (Declined, NotNow, NoAnswer):
        return None


def _resolve(message_id: UUID, receipt: Receipt | None, now: datetime) -> None:
    with Session.begin() as db:
        message = Message.locked(db, message_id)
        due = message.next_try_at is not None and message.next_try_at <= now
        if message.state not in ASKED_ABOUT or not due:
            return  # somebody was here meanwhile
        if message.state == MessageState.SENDING:
            message.move(db, MessageState.UNKNOWN, at=now, by="system", why="the try died")
        waited = now - (message.claimed_at or message.created_at)
        message.next_try_at = now + RECEIPT_AFTER
        if receipt is not None:
            _apply(db, message, receipt, now)
        elif message.state == MessageState.SENT and waited >= RECEIPT_AWAITED:
            message.next_try_at = None
        elif (
            message.state == MessageState.UNKNOWN
            and waited >= UNCERTAIN_FOR[MessageRoute(message.route)]
        ):
            next_route(db, message, at=now, by="system", why="UNKNOWN")


def _apply(db: Db, message: Message, receipt: Receipt, now: datetime) -> bool:
    """Move on as the receipt says; False for a copy and for news of a route that was left."""
    here = MessageState(message.state)
    if receipt.delivered:
        if MessageState.DELIVERED not in Message.MOVES[here]:
            return False
        message.serial_no, message.next_try_at = receipt.serial_no, None
        message.move(db, MessageState.DELIVERED, at=now, by="receipt")
        return True
    waiting = here in {MessageState.SENT, MessageState.UNKNOWN}
    if message.route != MessageRoute.SMS or not waiting:
        return False
    message.serial_no = receipt.serial_no
    next_route(db, message, at=now, by="receipt", why=receipt.reason or "NOT_DELIVERED")
    return True
