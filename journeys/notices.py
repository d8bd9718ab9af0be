"""Callbacks of WeChat Pay: verified, committed to the inbox as they came, only then answered;
applied by a job through one door; proven again whenever somebody asks.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import undefer

from journeys.counterparts import Counterparts
from models.db import ReadSession, id_of
from models.notice import ChannelNotice, RefusedNotice
from models.payment_order import PaymentOrder
from payments import (
    booking,  # noqa: F401 - the import fills its table of what to book
    orders,
    refund_legs,
)
from payments.channels.wechat import ChannelOrder, ChannelRefund, Notice, NoticeRefused
from payments.channels.wechat_core import proof_of
from payments.channels.wechat_transfers import ChannelTransfer
from policies.refusals import NotFound

OF_LEGS = {"refund": ChannelRefund, "transfer": ChannelTransfer}
"""Subjects of notices about refund legs, and what they say."""


def receive_notice(outside: Counterparts, headers: Mapping[str, str], body: bytes) -> bool:
    """Keep a genuine notice; True when it is new. Raises NoticeRefused for a forged, stale or
    probing one.

    Nothing is applied here: the answer must leave within 5 s, and only after the commit. A refused
    one is in the audit trail, once an hour for each reason.
    """
    now = outside.now()  # one moment for both: what was fresh stays proven by what is stored
    try:
        notice = outside.wechat_pay.read_notice(headers, body, now)
    except NoticeRefused as refused:
        RefusedNotice.note(outside.code, refused.code, now)
        raise
    return ChannelNotice.keep(
        outside.code,
        body,
        proof=proof_of(headers),
        body_sha256=hashlib.sha256(body).hexdigest(),
        received_at=now,
        **_read(notice),
    )


def apply_notice(outside: Counterparts, notice_id: UUID) -> None:
    """Apply one kept notice; harmless when it was applied before."""
    with ReadSession() as db:
        notice = db.get_one(ChannelNotice, notice_id)
    if notice.applied_at:
        return
    outcome = "APPLIED"
    try:
        _apply(notice, outside.now())
    except (orders.AmountDiffers, refund_legs.LegAmountDiffers, NotFound) as odd:
        outcome = type(odd).__name__
    ChannelNotice.was_applied(notice_id, outside.now(), outcome)


def sweep_notices(outside: Counterparts, hospital_id: UUID) -> int:
    """Apply the kept notices whose job was lost; how many there were."""
    with ReadSession() as db:
        left = db.scalars(
            select(ChannelNotice.id).where(
                ChannelNotice.hospital_id == hospital_id, ChannelNotice.applied_at.is_(None)
            )
        ).all()
    for notice_id in left:
        apply_notice(outside, notice_id)
    return len(left)


def prove_notices(
    outside: Counterparts, hospital_id: UUID, page_size: int = 500
) -> Iterator[tuple[UUID, str]]:
    """Verify all kept notices again, from what is stored alone: of each its id and why it is not
    proven, empty when it is.

    Besides NoticeRefused's codes: NO_BYTES, kept by a version that kept none; OTHER_WORDS, what we
    read in it then is not what it says.
    """
    last = UUID(int=0)
    while page := _page_after(last, hospital_id, page_size):
        for notice in page:
            yield notice.id, _doubt(outside, notice)
        last = page[-1].id


def _page_after(last: UUID, hospital_id: UUID, size: int) -> Sequence[ChannelNotice]:
    with ReadSession() as db:
        return db.scalars(
            select(ChannelNotice)
            .where(ChannelNotice.hospital_id == hospital_id, ChannelNotice.id > last)
            .options(undefer(ChannelNotice.body), undefer(ChannelNotice.proof))
            .order_by(ChannelNotice.id)
            .limit(size)
        ).all()


def _doubt(outside: Counterparts, kept: ChannelNotice) -> str:
    if kept.body is None or kept.proof is None:
        return "NO_BYTES"
    try:
        said = outside.wechat_pay.read_notice(kept.proof, kept.body, kept.received_at)
    except NoticeRefused as refused:
        return refused.code
    same = all(getattr(kept, name) == value for name, value in _read(said).items())
    return "" if same else "OTHER_WORDS"


def _apply(notice: ChannelNotice, now: datetime) -> None:
    said = dict(notice.answer)
    said["paid_at"] = datetime.fromisoformat(said["paid_at"]) if said["paid_at"] else None
    if notice.subject in OF_LEGS:
        leg_id = refund_legs.leg_by_number(notice.hospital_id, notice.number)
        refund_legs.record_leg(leg_id, OF_LEGS[notice.subject](**said), now, by="notice")
        return
    order_id = id_of(notice.number)
    with ReadSession() as db:
        order = db.get(PaymentOrder, order_id) if order_id else None
    if order is None or order.hospital_id != notice.hospital_id:
        raise NotFound("ORDER_UNKNOWN")
    orders.record(order.id, ChannelOrder(**said, payer=None), now, by="notice")


def _read(notice: Notice) -> dict[str, Any]:
    """What the inbox has of it besides the bytes."""
    return {
        "event": f"{notice.event_type}:{notice.number}",
        "subject": notice.subject,
        "number": notice.number,
        "answer": _plain(notice),
    }


def _plain(notice: Notice) -> dict[str, Any]:
    said = notice.told
    paid_at = said.paid_at.isoformat() if said.paid_at else None
    plain = {"state": said.state, "amount_fen": said.amount_fen, "paid_at": paid_at}
    if isinstance(said, ChannelRefund):
        return plain | {
            "out_refund_no": said.out_refund_no,
            "channel_refund_id": said.channel_refund_id,
            "received_account": None,
        }
    if isinstance(said, ChannelTransfer):
        return plain | {
            "out_bill_no": said.out_bill_no,
            "channel_refund_id": said.channel_refund_id,
            "detail": said.detail,
            "package": None,
        }
    return plain | {
        "out_trade_no": said.out_trade_no,
        "channel_transaction_id": said.channel_transaction_id,
    }
