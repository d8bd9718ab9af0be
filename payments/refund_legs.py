"""One leg of a refund on its way: asked with one number for ever, told by answers, notices and
sweeps alike.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session as Db

from models import ledger, pace
from models.db import Session, id_of
from models.ledger import AccountKind, Line
from models.queue import defer
from models.refund import UNFINISHED_LEGS, LegState, Refund, RefundLeg, RefundState
from models.refund_request import RefundRequest
from models.work_item import close_open, open_item
from notifications.messages import tell
from payments import advances
from payments.channels.wechat import ChannelRefund, WeChatPay
from payments.pacing import WECHAT_REFUNDS, turn
from policies.expiry import urgency
from policies.money import yuan
from policies.outcome import Declined, NoAnswer, NotNow
from policies.refund_routes import route_words
from policies.refusals import Conflict, NotFound, Refused

SPACING = timedelta(minutes=1)
"""Between two refunds of one payment (WeChat Pay's rule)."""

YOUNG = timedelta(days=365 - 30)
"""A payment whose window closes later than this was paid less than a month ago."""

NOT_ENOUGH, FUNDS = "NOT_ENOUGH", "channel:WECHAT"
HOLD = timedelta(minutes=1)
"""How long nobody asks for more after the hospital's money at WeChat Pay ran out."""

SWEPT = 1_000
"""Legs of one sweep; the next one goes on."""

BY_HAND = frozenset({"CASH", "CARD", "NEXT_VISIT", "ALIPAY"})
"""Paid by a person who shows a proof: at the window, Alipay's in its merchant console."""

PAID_FROM = {"NEXT_VISIT": "CASH"}
"""route -> whose money leaves, where it is not called as the route is."""

AGAIN = [timedelta(seconds=s) for s in (15, 30, 60, 300, 600, 1800, 3600)]
"""How long to wait before a leg is asked about again; the last one repeats."""


def pay_leg(
    leg_id: UUID, wechat_pay: WeChatPay, now: Callable[[], datetime], *, notify_url: str
) -> None:
    """Ask WeChat Pay to give one leg back, or ask what became of it. Safe to call at any time, from
    anywhere, by any number of processes: they keep WeChat Pay's pace together.
    """
    with Session() as db:
        leg = db.get(RefundLeg, leg_id)
    if leg is None or leg.state not in UNFINISHED_LEGS or leg.next_try_at > now():
        return
    old = leg.closes_at is None or now() > leg.closes_at - YOUNG
    with turn(leg.hospital_id, "WECHAT", WECHAT_REFUNDS, old=old) as mine:
        if claimed := _claim(leg_id, now()):
            mine.failed = not _ask(*claimed, wechat_pay, now, notify_url)


def _claim(leg_id: UUID, now: datetime) -> tuple[RefundLeg, bool] | None:
    """The leg, if it is to be asked about now, and whether it was before; written down first."""
    with Session.begin() as db:
        leg = RefundLeg.locked(db, leg_id)
        if not _may_be_asked(db, leg, now):
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
    notify_url: str,
) -> bool:
    """Ask with nothing open, and record; False when they did not do what they were asked."""
    try:
        answer = _what_became_of(leg, wechat_pay) if asked_before else None
        if answer is None:
            answer = wechat_pay.refund(
                out_refund_no=leg.number,
                channel_transaction_id=leg.channel_transaction or "",
                amount_fen=leg.amount_fen,
                total_fen=leg.order_total_fen,
                reason="医院退款",
                notify_url=notify_url,
            )
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


def record_leg(
    leg_id: UUID, answer: ChannelRefund | None, now: datetime, *, by: str, code: str = ""
) -> None:
    """Write down what WeChat Pay says of a leg (None: it refused, with `code`): the one way in for
    answers and notices. Another amount than ours is not booked: a work item, and LegAmountDiffers.
    """
    with Session.begin() as db:
        leg = RefundLeg.locked(db, leg_id)
        there = answer.state if answer else LegState.REFUSED
        if leg.state in {LegState.PAID, there}:
            return
        differs = answer is not None and answer.amount_fen != leg.amount_fen
        if differs:
            note = "微信退款的金额与本院记录不同，没有入账，请财务核对"
            _item(db, leg, "AMOUNT_DIFFERS", now, note)
        elif leg.state == LegState.REROUTED and there == LegState.PAID:
            _paid_after_all(db, leg, now, by)
        elif there in leg.MOVES[LegState(leg.state)]:  # else older news than what we know
            if leg.answer == NOT_ENOUGH:
                _done(db, leg.hospital_id, "REFUND_FUNDS_LOW", FUNDS, now, by)
            leg.answer = code
            leg.channel_refund = answer.channel_refund_id if answer else None
            _take_news(db, leg, there, (answer and answer.paid_at) or now, now, by)
    if differs:
        raise LegAmountDiffers(leg.number)


def _take_news(
    db: Db, leg: RefundLeg, there: str, paid_at: datetime, now: datetime, by: str
) -> None:
    refund = Refund.locked(db, leg.refund_id)
    if there == LegState.PAID:
        leg_paid(db, leg, refund, paid_at, by=by)
        return
    leg.move(db, there, at=now, by=by, why=leg.answer)
    if there == LegState.PROCESSING:
        _told(db, refund, "REFUND_SENT", now)
    else:
        _stuck(db, refund, leg, now, by)


class LegAmountDiffers(Exception):
    """The channel names another amount than our leg: nothing is booked, a person must look."""


def leg_paid(db: Db, leg: RefundLeg, refund: Refund, at: datetime, *, by: str) -> None:
    """One leg has arrived: book it; when it was the last, the refund is paid and the patient is
    told.
    """
    leg.move(db, LegState.PAID, at=at, by=by)
    leg.paid_at, leg.paid_by = at, by
    ledger.post(
        db,
        hospital_id=leg.hospital_id,
        key=f"refund-leg:{leg.id}",
        kind="REFUND_PAID",
        why=refund.reason,
        by=by,
        at=at,
        lines=[
            Line(AccountKind.REFUND_IN_TRANSIT, str(refund.id), leg.amount_fen),
            Line(AccountKind.CASH, PAID_FROM.get(leg.route, leg.route), -leg.amount_fen),
        ],
    )
    advances.paid_first(db, refund, leg, at, by=by)
    db.flush()
    live = [x for x in RefundLeg.of(db, refund.id) if x.state != LegState.REROUTED]
    if all(x.state == LegState.PAID for x in live):
        refund.move(db, RefundState.PAID, at=at, by=by)
        refund.paid_at = at
        _done(db, refund.hospital_id, "REFUND_STUCK", f"refund:{refund.id}", at, by)
        if any(x.route == "WECHAT" for x in live):  # what the window hands over is never on its way
            _told(db, refund, "REFUND_SENT", at)
        _told(db, refund, "REFUND_ARRIVED", at)
    RefundRequest.follow(db, refund.id, at=at, by=by)


def pay_by_hand(db: Db, leg: RefundLeg, *, by: str, proof: str, now: datetime) -> None:
    """A person pays a leg of `BY_HAND`; ``proof``: the signature's hash, or the slip's number."""
    refund = Refund.locked(db, leg.refund_id)
    if leg.route not in BY_HAND:
        raise Refused("LEG_NOT_BY_HAND")
    if leg.state == LegState.PAID:
        if leg.proof != proof:
            raise Conflict("IDEMPOTENCY_CONFLICT")
        return
    if refund.state != RefundState.PAYING:
        raise Refused("REFUND_NOT_APPROVED")
    leg.proof = proof
    leg_paid(db, leg, refund, now, by=by)


def unfinished(hospital_id: UUID, now: datetime) -> list[UUID]:
    """The WeChat legs that are due to be asked (again), soon closing ones first: for the sweep."""
    with Session() as db:
        return list(
            db.scalars(
                select(RefundLeg.id)
                .join(Refund, Refund.id == RefundLeg.refund_id)
                .where(
                    RefundLeg.hospital_id == hospital_id,
                    RefundLeg.route == "WECHAT",
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
    with Session() as db:
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


def _may_be_asked(db: Db, leg: RefundLeg, now: datetime) -> bool:
    if leg.state not in UNFINISHED_LEGS or leg.next_try_at > now:
        return False
    refund = Refund.locked(db, leg.refund_id)
    if refund.state not in {RefundState.PAYING, RefundState.STUCK}:
        return False
    return leg.state != LegState.PLANNED or _may_go_out(db, leg, refund, now)


def _may_go_out(db: Db, leg: RefundLeg, refund: Refund, now: datetime) -> bool:
    """Whether a leg may be asked for the first time: its window is open, its payment's turn."""
    if leg.closes_at is not None and leg.closes_at <= now:
        leg.answer = "WINDOW_CLOSED"  # it closed between the plan and now: it goes another way
        leg.move(db, LegState.REFUSED, at=now, by="system", why=leg.answer)
        _stuck(db, refund, leg, now, "system")
        return False
    held = pace.held_until(db, leg.hospital_id, "WECHAT")
    if held is not None and held > now:
        leg.next_try_at = held
        ask_at(db, leg, held)
        return False
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
    if twin is not None:
        ask_at(db, leg, now + SPACING)
        leg.next_try_at = now + SPACING
        return False
    leg.asked_at = now
    return True


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
        pace.hold(db, leg.hospital_id, "WECHAT", now + HOLD)
        open_item(
            db,
            hospital_id=leg.hospital_id,
            kind="REFUND_FUNDS_LOW",
            subject=FUNDS,
            at=now,
            note="微信商户账户余额不足，退款都在等待，请财务充值",
        )


def _done(db: Db, hospital_id: UUID, kind: str, subject: str, at: datetime, by: str) -> None:
    close_open(
        db,
        hospital_id=hospital_id,
        kind=kind,
        subject=subject,
        by=by,
        at=at,
        outcome="done by the channel",
    )


def _paid_after_all(db: Db, leg: RefundLeg, now: datetime, by: str) -> None:
    """WeChat paid what was sent to the window: our books have it, and a person must decide."""
    ledger.post(
        db,
        hospital_id=leg.hospital_id,
        key=f"refund-leg:{leg.id}",
        kind="REFUND_PAID_AFTER_REROUTING",
        why="the channel paid a leg that was rerouted",
        by=by,
        at=now,
        lines=[
            Line(AccountKind.SUSPENSE, f"refund-leg:{leg.id}", leg.amount_fen),
            Line(AccountKind.CASH, leg.route, -leg.amount_fen),
        ],
    )
    note = "已改走窗口的退款，微信又退成功了：窗口没付的不要再付，已付的请追回"
    _item(db, leg, "REFUND_PAID_TWICE", now, note)


def _item(db: Db, leg: RefundLeg, kind: str, now: datetime, note: str) -> None:
    subject = f"refund-leg:{leg.id}"
    open_item(db, hospital_id=leg.hospital_id, kind=kind, subject=subject, at=now, note=note)


def _stuck(db: Db, refund: Refund, leg: RefundLeg, now: datetime, by: str) -> None:
    if refund.state == RefundState.PAYING:
        refund.move(db, RefundState.STUCK, at=now, by=by, why=leg.state)
    open_item(
        db,
        hospital_id=refund.hospital_id,
        kind="REFUND_STUCK",
        subject=f"refund:{refund.id}",
        at=now,
        note="退款没有成功，请财务改走别的退款方式",
    )
    _told(db, refund, "REFUND_FAILED", now)


def _told(db: Db, refund: Refund, template: str, at: datetime) -> None:
    tell(
        db,
        hospital_id=refund.hospital_id,
        key=f"{template.lower()}:{refund.id}",
        patient_id=refund.patient_id,
        template=template,
        values=_words(db, refund, template),
        at=at,
    )


def _words(db: Db, refund: Refund, template: str) -> dict[str, str]:
    live = [leg for leg in RefundLeg.of(db, refund.id) if leg.state != LegState.REROUTED]
    if template == "REFUND_SENT":  # what the window hands over is never on its way
        sent_fen = sum(leg.amount_fen for leg in live if leg.route not in BY_HAND)
        return {"amount": yuan(sent_fen)}
    words = {"amount": yuan(refund.amount_fen)}
    if template == "REFUND_ARRIVED":
        words["route"] = route_words({leg.route for leg in live})
    return words
