"""What became of a leg, whoever says so: booked once, told to the patient, and a task where a
person must act.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session as Db

from models import ledger
from models.ledger import AccountKind, Line
from models.refund import LegState, Refund, RefundLeg, RefundState
from models.refund_request import RefundRequest
from models.work_item import close_open, open_item
from notifications.messages import tell
from payments import advances
from policies.money import yuan
from policies.refund_routes import route_words
from policies.refusals import Conflict, Refused

NOT_ENOUGH = "NOT_ENOUGH"

BY_HAND = frozenset({"CASH", "CARD", "NEXT_VISIT", "ALIPAY"})
"""Paid by a person who shows a proof: at the window, Alipay's in its merchant console."""

TOLD_ON_THE_WAY = frozenset({"WECHAT", "BANK"})

PAID_FROM = {"NEXT_VISIT": "CASH", "TRANSFER": "WECHAT"}
"""route -> whose money leaves, where it is not called as the route is."""


def note(
    db: Db,
    leg: RefundLeg,
    there: str,
    now: datetime,
    *,
    by: str,
    code: str = "",
    paid_at: datetime | None = None,
) -> None:
    """Write down that a leg is there; older news than what is known changes nothing. The caller
    holds the leg's lock.
    """
    if leg.returned_at is not None:
        return
    if leg.state == LegState.REROUTED and there == LegState.PAID:
        _paid_after_all(db, leg, now, by)
    elif leg.state != there and there in leg.MOVES[LegState(leg.state)]:
        if leg.answer == NOT_ENOUGH:
            _done(db, leg.hospital_id, "REFUND_FUNDS_LOW", f"channel:{leg.route}", now, by)
        leg.answer = code
        _take_news(db, leg, there, paid_at or now, now, by)


def sent(db: Db, leg: RefundLeg, now: datetime) -> None:
    """A leg is on its way: the patient is told, once for each refund, and who asked can see it."""
    refund = Refund.locked(db, leg.refund_id)
    RefundRequest.follow(db, refund.id, at=now, by="system")
    _told(db, refund, "REFUND_SENT", now)


def ask_to_confirm(db: Db, leg: RefundLeg, now: datetime) -> None:
    """Tell the patient that a transfer waits for a tap of theirs, for a day."""
    refund = db.get_one(Refund, leg.refund_id)
    tell(
        db,
        hospital_id=leg.hospital_id,
        key=f"transfer_to_confirm:{leg.id}",
        patient_id=refund.patient_id,
        template="TRANSFER_TO_CONFIRM",
        values={"amount": yuan(leg.amount_fen)},
        at=now,
    )


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
        if any(
            x.route in TOLD_ON_THE_WAY for x in live
        ):  # what the window hands over is never on its way
            _told(db, refund, "REFUND_SENT", at)
        _told(db, refund, "REFUND_ARRIVED", at)
    RefundRequest.follow(db, refund.id, at=at, by=by)


def sent_back(db: Db, leg: RefundLeg, now: datetime, *, by: str, reason: str) -> None:
    """The payee's bank sent a paid leg back (退汇), perhaps days later: the booking is mirrored,
    the money waits for another route, the patient is told and finance has a task. Once for each
    leg; one that was not paid is merely refused. The caller holds the leg's lock.
    """
    booked = ledger.find_or_none(db, leg.hospital_id, f"refund-leg:{leg.id}")
    if booked is None:
        note(db, leg, LegState.REFUSED, now, by=by, code=reason)
        return
    if leg.returned_at is not None:
        return
    refund = Refund.locked(db, leg.refund_id)
    leg.answer, leg.returned_at, leg.paid_at = reason, now, None
    ledger.reverse(
        db,
        hospital_id=leg.hospital_id,
        transaction_id=booked,
        key=f"refund-leg:{leg.id}:sent-back",
        why=reason or "the payee's bank sent it back",
        by=by,
        at=now,
    )
    if leg.state == LegState.REROUTED:  # it had been paid beside another route
        subject = f"refund-leg:{leg.id}"
        _done(db, leg.hospital_id, "REFUND_PAID_TWICE", subject, now, by)
        return
    leg.move(db, LegState.RETURNED, at=now, by=by, why=reason)
    advances.sent_back(db, refund, leg, now, by=by)
    refund.paid_at = None
    _stuck(db, refund, leg, now, by, "收款银行把退款退回来了（退汇），请财务改走别的退款方式")
    RefundRequest.follow(db, refund.id, at=now, by=by)
    tell(
        db,
        hospital_id=leg.hospital_id,
        key=f"refund_sent_back:{leg.id}",
        patient_id=refund.patient_id,
        template="REFUND_FAILED",
        values={"amount": yuan(leg.amount_fen)},
        at=now,
    )


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


def task(db: Db, leg: RefundLeg, kind: str, now: datetime, say: str) -> None:
    """Something about this leg that a person must do."""
    subject = f"refund-leg:{leg.id}"
    open_item(db, hospital_id=leg.hospital_id, kind=kind, subject=subject, at=now, note=say)


def _take_news(
    db: Db, leg: RefundLeg, there: str, paid_at: datetime, now: datetime, by: str
) -> None:
    refund = Refund.locked(db, leg.refund_id)
    if there == LegState.PAID:
        leg_paid(db, leg, refund, paid_at, by=by)
        return
    leg.move(db, there, at=now, by=by, why=leg.answer)
    if there != LegState.PROCESSING:
        _stuck(db, refund, leg, now, by, "退款没有成功，请财务改走别的退款方式")
        _told(db, refund, "REFUND_FAILED", now)
    elif leg.route in TOLD_ON_THE_WAY:
        _told(db, refund, "REFUND_SENT", now)


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
    """A route paid what had been sent along another: our books have it, and a person decides."""
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
            Line(AccountKind.CASH, PAID_FROM.get(leg.route, leg.route), -leg.amount_fen),
        ],
    )
    say = "已改走别的路的退款，原来那一路又退成功了：没付的不要再付，已付的请追回"
    task(db, leg, "REFUND_PAID_TWICE", now, say)


def _stuck(db: Db, refund: Refund, leg: RefundLeg, now: datetime, by: str, say: str) -> None:
    if refund.state in {RefundState.PAYING, RefundState.PAID}:
        refund.move(db, RefundState.STUCK, at=now, by=by, why=leg.state)
    open_item(
        db,
        hospital_id=refund.hospital_id,
        kind="REFUND_STUCK",
        subject=f"refund:{refund.id}",
        at=now,
        note=say,
    )


def _told(db: Db, refund: Refund, template: str, at: datetime) -> None:
    """Once for each refund, and once more after each payment that a bank sent back."""
    back = sum(leg.returned_at is not None for leg in RefundLeg.of(db, refund.id))
    tell(
        db,
        hospital_id=refund.hospital_id,
        key=f"{template.lower()}:{refund.id}" + (f":{back}" if back else ""),
        patient_id=refund.patient_id,
        template=template,
        values=_words(db, refund, template),
        at=at,
    )


def _words(db: Db, refund: Refund, template: str) -> dict[str, str]:
    live = [leg for leg in RefundLeg.of(db, refund.id) if leg.state != LegState.REROUTED]
    if template == "REFUND_SENT":  # what the window hands over is never on its way
        live = [leg for leg in live if leg.route not in BY_HAND]
    amount_fen = sum(leg.amount_fen for leg in live)
    words = {"amount": yuan(amount_fen if template == "REFUND_SENT" else refund.amount_fen)}
    if template != "REFUND_FAILED":
        words["route"] = route_words({leg.route for leg in live})
    return words
