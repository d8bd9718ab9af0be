"""Carrying stored words to patients, learning what became of them, and counting what a phone still
accepts.
"""

import hmac
from uuid import UUID

from journeys.counterparts import Counterparts
from models.db import ReadSession, Session
from models.hospital import Hospital
from models.message import SubscriptionAccount
from notifications import messages, receipts
from notifications.senders.tencent_sms import read_receipts
from policies.access import Actor
from policies.refusals import NotFound, Refused


def deliver_message(outside: Counterparts, message_id: UUID) -> None:
    """Carry one message as far as it goes now."""
    messages.deliver(message_id, outside.senders, outside.now)


def deliver_messages(outside: Counterparts, message_ids: list[str]) -> None:
    """Carry many messages as far as they go now; what takes long goes back into the queue."""
    messages.deliver_many([UUID(each) for each in message_ids], outside.senders, outside.now)


def sweep_messages(outside: Counterparts, hospital_id: UUID) -> int:
    """Carry what is due and find out what became of the unknown; how many there were."""
    due = messages.deliver_due(hospital_id, outside.senders, outside.now)
    return due + receipts.resolve_unknown(hospital_id, outside.senders, outside.now)


def accept_messages(actor: Actor, templates: list[str]) -> None:
    """The phone's owner allowed one more message of each of these templates."""
    if not actor.openid:
        raise NotFound("NOT_IN_WECHAT")
    with Session.begin() as db:
        for template in templates:
            SubscriptionAccount.add(db, actor.hospital_id, actor.openid, template)


def take_receipts(outside: Counterparts, token: str, body: bytes) -> int:
    """What the SMS carrier reports on its secret path; a hint, never proof. How many told news.

    NotFound for a wrong token, Refused RECEIPTS_UNREADABLE for what is no list of receipts.
    """
    if not hmac.compare_digest(token.encode(), outside.receipt_token.encode()):
        raise NotFound
    with ReadSession() as db:
        hospital_id = Hospital.by_code(db, outside.code).id
    try:
        found = read_receipts(body)
    except ValueError:
        raise Refused("RECEIPTS_UNREADABLE") from None
    return receipts.record_receipts(hospital_id, found, outside.now)
