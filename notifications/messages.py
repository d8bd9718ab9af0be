"""Telling a patient: stored with what happened, then claimed, handed to a carrier and recorded."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from models.db import ReadSession, Session
from models.message import Message, MessageRoute, MessageState, SubscriptionAccount
from models.queue import defer
from notifications.many import Word, tell_all
from notifications.routes import (
    choose_route,
    filled_by_us,
    priority_of,
    quiet_until,
    routes_from,
)
from notifications.senders.mini_program import MiniProgram
from notifications.senders.tencent_sms import TencentSms
from notifications.wording import wording_of
from policies.outcome import Declined, NoAnswer, NotNow

AGAIN_AFTER = timedelta(minutes=5)
TRIES = {MessageRoute.SUBSCRIPTION: 3, MessageRoute.SMS: 49, MessageRoute.PRINT: 1}
"""How often a route is tried, at once and then every five minutes, before the next has its turn."""

RECEIPT_AFTER = timedelta(minutes=10)
"""A carrier that took an SMS is asked for the receipt from then on, if it has not told us."""

AT_A_TIME = timedelta(seconds=5)
"""How long one job for many messages may keep others from its slot, beside the call it is in."""

LOOK_AT_UNKNOWN_AFTER = timedelta(minutes=1)
STUCK_AFTER = timedelta(minutes=2)
"""A try that has recorded nothing by then has died; no time-out is that long."""

OPEN = (MessageState.SENDING, MessageState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Senders:
    """Those who carry words to the patients of one hospital."""

    mini_program: MiniProgram
    sms: TencentSms


@dataclass(frozen=True, slots=True)
class Errand:
    """What one try is about, read in the claim: nothing is open while the carrier is asked."""

    message_id: UUID
    hospital_id: UUID
    attempt: int
    route: MessageRoute
    address: str
    template: str
    values: dict[str, str]


def tell(
    db: Db,
    *,
    hospital_id: UUID,
    key: str,
    patient_id: UUID,
    template: str,
    values: Mapping[str, str | int | date],
    at: datetime,
) -> UUID | None:
    """Store one message and its job in the caller's transaction; None when the key was told before.

    ``values`` as texts/*.yaml name them, amounts as yuan text or as ``…_fen``; never a diagnosis.
    ValueError for an unknown template or a value that is missing.
    """
    words = [Word(key, patient_id, values)]
    told = tell_all(db, hospital_id=hospital_id, template=template, words=words, at=at)
    return told[0] if told else None


def deliver(message_id: UUID, senders: Senders, now: Callable[[], datetime]) -> None:
    """Try the message's present route, if it is due. Ten at once send once; a copy does nothing."""
    errand = _claim(message_id, senders, now())
    if errand is None:
        return
    try:
        serial_no = _ask(errand, senders)
    except Declined as no:
        _record_declined(errand, no.code, now())
    except NotNow as later:
        _record_not_now(errand, later.code, now())
    except NoAnswer as silence:
        _record_unknown(errand, silence.detail, now())
    else:
        _record_sent(errand, serial_no, now())


def deliver_many(
    message_ids: Sequence[UUID], senders: Senders, now: Callable[[], datetime]
) -> None:
    """Try each, for a few seconds; what is left then goes back into the queue, behind others.

    One that fails takes nobody's turn. When all had theirs the first failure is raised, so that the
    job comes again: what was carried is not carried twice.
    """
    until, failures = now() + AT_A_TIME, []
    for place, message_id in enumerate(message_ids):
        if now() > until:
            _queue_again(message_ids[place:])
            break
        try:
            deliver(message_id, senders, now)
        except Exception as failure:
            failures.append(failure)
    if failures:
        raise failures[0]


def deliver_due(hospital_id: UUID, senders: Senders, now: Callable[[], datetime]) -> int:
    """Try every message whose time has come: the timetable's way, also for jobs that got lost."""
    with ReadSession() as db:
        due = Message.to_look_at(db, hospital_id, now(), MessageState.QUEUED)
    for message in due:
        deliver(message.id, senders, now)
    return len(due)


def failed(db: Db, hospital_id: UUID, limit: int = 200) -> list[Message]:
    """The messages that reached nobody: for the service desk to telephone, newest first."""
    return list(
        db.scalars(
            select(Message)
            .where(Message.hospital_id == hospital_id, Message.state == MessageState.FAILED)
            .order_by(Message.created_at.desc())
            .limit(limit)
        )
    )


def next_route(db: Db, message: Message, *, at: datetime, by: str, why: str) -> None:
    """Give the message to its next route, or to a person if there is none. Under its row lock."""
    rest = routes_from(message)[1:]
    message.answer, message.next_try_at = why, at if rest else None
    there = MessageState.QUEUED if rest else MessageState.FAILED
    message.move(db, there, at=at, by=by, why=f"{message.route} {why}")
    if rest:
        message.route, message.attempts = rest[0], 0
        _queue(db, message)


def _queue(db: Db, message: Message, at: datetime | None = None) -> None:
    defer(
        db,
        "deliver_message",
        at=at,
        priority=priority_of(message.template),
        hospital_id=str(message.hospital_id),
        message_id=str(message.id),
    )


def _queue_again(message_ids: Sequence[UUID]) -> None:
    with Session.begin() as db:
        first = db.get_one(Message, message_ids[0])
        defer(
            db,
            "deliver_messages",
            priority=priority_of(first.template),
            hospital_id=str(first.hospital_id),
            message_ids=[str(each) for each in message_ids],
        )


def _claim(message_id: UUID, senders: Senders, now: datetime) -> Errand | None:
    """Write the try down before it is made. None: not due, claimed by another, nobody to ask."""
    with Session.begin() as db:
        message = Message.locked(db, message_id)
        due = message.next_try_at is not None and message.next_try_at <= now
        if message.state != MessageState.QUEUED or not due:
            return None
        if (morning := quiet_until(db, message, now)) > now:
            message.next_try_at = morning
            _queue(db, message, at=morning)
            return None
        address = choose_route(db, message, senders.mini_program.appid, now)
        message.next_try_at = now + STUCK_AFTER if address else None
        if address is None:
            message.answer = "NO_ROUTE"
            message.move(db, MessageState.FAILED, at=now, by="system", why="NO_ROUTE")
            return None
        message.claimed_at, message.attempts = now, message.attempts + 1
        if message.route == MessageRoute.PRINT:
            message.next_try_at = None
            message.move(db, MessageState.SENT, at=now, by="system", why="ward print queue")
            return None
        message.move(db, MessageState.SENDING, at=now, by="system", why=message.route)
        return Errand(
            message_id=message.id,
            hospital_id=message.hospital_id,
            attempt=message.attempts,
            route=MessageRoute(message.route),
            address=address,
            template=message.template,
            values=message.values | filled_by_us(db, message),
        )


def _ask(errand: Errand, senders: Senders) -> str | None:
    words = wording_of(errand.template)
    if errand.route == MessageRoute.SMS:
        return senders.sms.send(
            phone=errand.address,
            template=errand.template,
            values=words.sms.fill(errand.values),
            key=str(errand.message_id),
        )
    page, fields = words.subscription.fill(errand.values)
    template_id = senders.mini_program.template_id(errand.template)
    senders.mini_program.send(errand.address, template_id, page, fields)
    return None


def _record_sent(errand: Errand, serial_no: str | None, now: datetime) -> None:
    with _recording(errand) as (db, message):
        if message is None:
            return
        message.answer, message.serial_no = "", serial_no
        message.next_try_at = now + RECEIPT_AFTER if serial_no else None
        message.move(db, MessageState.SENT, at=now, by="system", why=errand.route)


def _record_declined(errand: Errand, code: str, now: datetime) -> None:
    with _recording(errand) as (db, message):
        if code == "NO_SUBSCRIPTION":
            SubscriptionAccount.empty(db, errand.hospital_id, errand.address, errand.template)
        else:
            _give_back(db, errand)
        if message is not None:
            next_route(db, message, at=now, by="system", why=code)


def _record_not_now(errand: Errand, code: str, now: datetime) -> None:
    with _recording(errand) as (db, message):
        _give_back(db, errand)
        if message is None:
            return
        if message.attempts >= TRIES[errand.route]:
            next_route(db, message, at=now, by="system", why=code)
            return
        message.answer, message.next_try_at = code, now + AGAIN_AFTER
        message.move(db, MessageState.QUEUED, at=now, by="system", why=code)


def _record_unknown(errand: Errand, detail: str, now: datetime) -> None:
    with _recording(errand) as (db, message):
        if message is not None and message.state == MessageState.SENDING:
            message.answer, message.next_try_at = detail, now + LOOK_AT_UNKNOWN_AFTER
            message.move(db, MessageState.UNKNOWN, at=now, by="system", why=detail)


@contextmanager
def _recording(errand: Errand) -> Iterator[tuple[Db, Message | None]]:
    """The message under its lock; None if this try is over: a sweep or a receipt knew better."""
    with Session.begin() as db:
        message = Message.locked(db, errand.message_id)
        mine = (message.route, message.attempts) == (errand.route, errand.attempt)
        yield db, message if mine and message.state in OPEN else None


def _give_back(db: Db, errand: Errand) -> None:
    """WeChat did not take the message, so the patient's acceptance is still there."""
    if errand.route == MessageRoute.SUBSCRIPTION:
        SubscriptionAccount.add(db, errand.hospital_id, errand.address, errand.template)
