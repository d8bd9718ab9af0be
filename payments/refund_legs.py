"""One leg of a refund on its way: asked with one number for ever, told by answers, notices and
sweeps alike.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session as Db

from models import pace
from models.db import ReadSession, Session, id_of
from models.queue import defer
from models.refund import UNFINISHED_LEGS, LegState, Refund, RefundLeg, RefundState
from models.refund_request import RefundRequest
from models.work_item import open_item
from payments import transfers
from payments.channels.wechat import ChannelRefund, WeChatPay
from payments.channels.wechat_transfers import ChannelTransfer
from payments.leg_news import NOT_ENOUGH, ask_to_confirm, note, task
from payments.pacing import WECHAT_REFUNDS, WECHAT_TRANSFERS, turn
from policies.expiry import urgency
from policies.outcome import Declined, NoAnswer, NotNow
from policies.refusals import NotFound

SPACING = timedelta(minutes=1)
"""Between two refunds of one payment (WeChat Pay's rule)."""

LIMITS = {"WECHAT": WECHAT_REFUNDS, "TRANSFER": WECHAT_TRANSFERS}
"""The routes that WeChat Pay is asked about, and its limits."""

ANOTHER_OPEN = timedelta(minutes=10)
"""A person with an open transfer is asked about the next one after this."""

YOUNG = timedelta(days=365 - 30)
"""A payment whose window closes later than this was paid less than a month ago."""

HOLD = timedelta(minutes=1)
"""How long nobody asks for more after the hospital's money at WeChat Pay ran out."""

SWEPT = 1_000
"""Legs of one sweep; the next one goes on."""

AGAIN = [timedelta(seconds=s) for s in (15, 30, 60, 300, 600, 1800, 3600)]
"""How long to wait before a leg is asked about again; the last one repeats."""


def pay_leg(
    leg_id: UUID,
    wechat_pay: WeChatPay,
    now: Callable[[], datetime],
    *,
    notify_url: Callable[[str], str],
) -> None:
    """Ask WeChat Pay to pay one leg, or ask what became of it. Safe to call at any time, from
    anywhere, by any number of processes: they keep WeChat Pay's pace together.
    """
    with ReadSession() as db:
        leg = db.get(RefundLeg, leg_id)
    if leg is None or leg.state not in UNFINISHED_LEGS or leg.next_try_at > now():
        return
    old = leg.route == "WECHAT" and not (leg.closes_at and now() < leg.closes_at - YOUNG)
    with turn(leg.hospital_id, leg.route, LIMITS[leg.route], old=old) as mine:
        if claimed := _claim(leg_id, wechat_pay.appid, now()):
            mine.failed = not _ask(*claimed, wechat_pay, now, notify_url)


def _claim(leg_id: UUID, appid: str, now: datetime) -> tuple[RefundLeg, bool] | None:
    """The leg, if it is to be asked about now, and whether it was before; written down first."""
    with Session.begin() as db:
        leg = RefundLeg.locked(db, leg_id)
        if not _may_be_asked(db, leg, appid, now):
            return None
        asked_before = leg.tries > 0
        leg.tries += 1
        leg.next_try_at = now + AGAIN[min(leg.tries, len(AGAIN)) - 1]
        if leg.state == LegState.PLANNED:
            leg.move(db, LegState.ASKED, at=now, by="system")
            RefundRequest.follow(db, leg.refund_id, at=now, by="system")
        ask_at(db, leg, leg.next_try_at)  # if we die while asking, the queue asks again
    return leg, asked_before


def _ask(
    leg: RefundLeg,
    asked_before: bool,
    wechat_pay: WeChatPay,
    now: Callable[[], datetime],
    notify_url: Callable[[str], str],
) -> bool:
    """Ask with nothing open, and record; False when they did not do what they were asked."""
    try:
        answer: ChannelRefund | ChannelTransfer
        if leg.route == "TRANSFER":
            url = notify_url("transfer")
            answer = transfers.ask(leg, asked_before, wechat_pay.transfers, url)
        else:
            answer = _refund(leg, asked_before, wechat_pay, notify_url("refund"))
    except Declined as no:
        record_leg(leg.id, None, now(), by="channel", code=no.code)
    except NotNow as later:
        _waits(leg.id, later.code, now())
    except NoAnswer:
        return False
    else:
        with suppress(LegAmountDiffers):  # the work item says so
            record_leg(leg.id, answer, now(), by="channel")
        return True
    return False


def _refund(
    leg: RefundLeg, asked_before: bool, wechat_pay: WeChatPay, notify_url: str
) -> ChannelRefund:
    known = _what_became_of(leg, wechat_pay) if asked_before else None
    return known or wechat_pay.refund(
        out_refund_no=leg.number,
        channel_transaction_id=leg.channel_transaction or "",
        amount_fen=leg.amount_fen,
        total_fen=leg.order_total_fen,
        reason="医院退款",
        notify_url=notify_url,
    )


def record_leg(
    leg_id: UUID,
    answer: ChannelRefund | ChannelTransfer | None,
    now: datetime,
    *,
    by: str,
    code: str = "",
) -> None:
    """Write down what WeChat Pay says of a leg (None: it refused, with `code`): the one way in for
    answers and notices. Another amount than ours is not booked: a work item, and LegAmountDiffers.
    """
    with Session.begin() as db:
        leg = RefundLeg.locked(db, leg_id)
        there = answer.state if answer else LegState.REFUSED
        differs = answer is not None and answer.amount_fen not in {None, leg.amount_fen}
        if isinstance(answer, ChannelTransfer):
            code = _to_be_confirmed(db, leg, answer, now)
        if leg.state in {LegState.PAID, there}:
            return
        if differs:
            say = "微信退款的金额与本院记录不同，没有入账，请财务核对"
            task(db, leg, "AMOUNT_DIFFERS", now, say)
        else:
            leg.channel_refund = answer.channel_refund_id if answer else leg.channel_refund
            note(db, leg, there, now, by=by, code=code, paid_at=answer.paid_at if answer else None)
    if differs:
        raise LegAmountDiffers(leg.number)


def _to_be_confirmed(db: Db, leg: RefundLeg, answer: ChannelTransfer, now: datetime) -> str:
    """Keep where a transfer stands, and tell the patient once that it waits for them."""
    if answer.state == "PROCESSING" and leg.state in UNFINISHED_LEGS:
        leg.answer = answer.detail
        if answer.package and leg.confirm_package is None:
            leg.confirm_package = answer.package
            ask_to_confirm(db, leg, now)
    return "" if answer.state == "PAID" else answer.detail


class LegAmountDiffers(Exception):
    """The channel names another amount than our leg: nothing is booked, a person must look."""


def unfinished(hospital_id: UUID, now: datetime) -> list[UUID]:
    """The legs that WeChat Pay is to be asked about now, soon closing ones first: for the sweep."""
    with ReadSession() as db:
        return list(
            db.scalars(
                select(RefundLeg.id)
                .join(Refund, Refund.id == RefundLeg.refund_id)
                .where(
                    RefundLeg.hospital_id == hospital_id,
                    RefundLeg.route.in_(LIMITS),
                    RefundLeg.state.in_(UNFINISHED_LEGS),
                    RefundLeg.next_try_at <= now,
                    Refund.state.in_([RefundState.PAYING, RefundState.STUCK]),
                )
                .order_by(RefundLeg.closes_at, RefundLeg.id)
                .limit(SWEPT)
            )
        )


def leg_by_number(hospital_id: UUID, number: str) -> UUID:
    """The leg that carries this ``out_refund_no``; NotFound for a stranger's."""
    leg_id = id_of(number)
    with ReadSession() as db:
        leg = db.get(RefundLeg, leg_id) if leg_id else None
    if leg is None or leg.hospital_id != hospital_id:
        raise NotFound("REFUND_UNKNOWN")
    return leg.id


def _what_became_of(leg: RefundLeg, wechat_pay: WeChatPay) -> ChannelRefund | None:
    """What they know of the number; a no to this question says nothing about the refund."""
    try:
        return wechat_pay.query_refund(leg.number)
    except Declined as no:
        raise NoAnswer(no.code) from no


def _may_be_asked(db: Db, leg: RefundLeg, appid: str, now: datetime) -> bool:
    if leg.state not in UNFINISHED_LEGS or leg.next_try_at > now:
        return False
    if Refund.locked(db, leg.refund_id).state not in {RefundState.PAYING, RefundState.STUCK}:
        return False
    return leg.state != LegState.PLANNED or _may_go_out(db, leg, appid, now)


def _may_go_out(db: Db, leg: RefundLeg, appid: str, now: datetime) -> bool:
    """Whether a leg may be asked for the first time; what does not go out now is queued again."""
    if leg.closes_at is not None and leg.closes_at <= now:
        # It closed between the plan and now: it goes another way.
        note(db, leg, LegState.REFUSED, now, by="system", code="WINDOW_CLOSED")
        return False
    if leg.route == "TRANSFER" and not transfers.address(db, leg, appid):
        note(db, leg, LegState.REFUSED, now, by="system", code="NO_WECHAT")
        return False
    if later := _not_before(db, leg, now):
        leg.next_try_at = later
        ask_at(db, leg, later)
        return False
    leg.asked_at = now
    return True


def _not_before(db: Db, leg: RefundLeg, now: datetime) -> datetime | None:
    """When it is this leg's turn; None: now."""
    held = pace.held_until(db, leg.hospital_id, leg.route)
    if held is not None and held > now:
        return held
    if leg.route == "TRANSFER":
        return now + ANOTHER_OPEN if transfers.another_is_open(db, leg) else None
    db.execute(select(func.pg_advisory_xact_lock(func.hashtext(leg.channel_transaction))))
    twin = db.scalar(
        select(RefundLeg.id)
        .where(
            RefundLeg.channel_transaction == leg.channel_transaction,
            RefundLeg.hospital_id == leg.hospital_id,
            RefundLeg.id != leg.id,
            RefundLeg.tries > 0,
            RefundLeg.asked_at > now - SPACING,
        )
        .limit(1)
    )
    return now + SPACING if twin is not None else None


def ask_at(db: Db, leg: RefundLeg, at: datetime) -> None:
    """Queue the next question about a leg, in the caller's transaction: soon closing ones first."""
    defer(
        db,
        "pay_leg",
        hospital_id=str(leg.hospital_id),
        leg_id=str(leg.id),
        at=at,
        once=f"pay-leg:{leg.id}",
        priority=urgency(leg.closes_at, at),
    )


def _waits(leg_id: UUID, code: str, now: datetime) -> None:
    with Session.begin() as db:
        leg = RefundLeg.locked(db, leg_id)
        leg.answer = code
        if code != NOT_ENOUGH:
            return
        pace.hold(db, leg.hospital_id, leg.route, now + HOLD)
        open_item(
            db,
            hospital_id=leg.hospital_id,
            kind="REFUND_FUNDS_LOW",
            subject=f"channel:{leg.route}",
            at=now,
            note="微信商户账户余额不足，退款都在等待，请财务充值",
        )
