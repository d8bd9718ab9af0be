"""What is booked, receipted and said when money arrives, in the transaction that learns of it."""

import json
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session as Db

from config import today
from models import ledger, receipt
from models.classification import may_still_keep
from models.ledger import AccountKind, Line, NewLot
from models.paid_ahead import AheadState, PaidAhead
from models.patient import Patient
from models.payment_order import Arrival, OrderState, PaymentOrder, Purpose, Route
from models.prepay_account import PrepayAccount
from models.visit import Visit, VisitState
from models.work_item import open_item, task
from notifications.many import Word, letter
from payments import orders, stored_money
from policies.money import yuan


def deposit_arrived(db: Db, order: PaymentOrder, came: Arrival) -> None:
    """Money for a stay becomes a lot of its deposit; for a settlement, the run is told to go on.

    Money that arrives late, over the quota or after the bill was closed, is kept like any other and
    becomes a work item: it must be offered back (GZ-17).
    """
    offer_back = task(
        order.hospital_id,
        "DEPOSIT_TO_OFFER_BACK",
        f"admission:{order.subject_id}",
        came.at,
        note="预交金到账时已超过额度或已结算，请办理退还",
    )
    said = deposit_booking(order, came) | {"offer_back": offer_back}
    db.execute(_DEPOSIT_ARRIVED, {"said": json.dumps(said, default=str)})


def deposit_booking(order: PaymentOrder, came: Arrival) -> dict[str, Any]:
    """A deposit's booking, for a function of the database that makes it."""
    return _booking(order, came, AccountKind.INPATIENT_DEPOSIT, "DEPOSIT_PAID")


def visit_paid(db: Db, order: PaymentOrder, came: Arrival) -> None:
    """One payment for one visit (GZ-19): stored as a lot, then spent item by item, so that each
    item can be undone.
    """
    visit = db.get_one(Visit, order.subject_id, with_for_update=True)
    _book(db, order, came, AccountKind.VISIT_PAYMENT, "VISIT_PAID")
    if visit.state == VisitState.PAID:
        open_item(
            db,
            hospital_id=visit.hospital_id,
            kind="VISIT_PAID_TWICE",
            subject=f"visit:{visit.id}",
            at=came.at,
            note="这次就诊已付过款，又到账一笔，请办理退还",
        )
    visit.paid(db, order.id, came.at)


def topped_up(db: Db, order: PaymentOrder, came: Arrival) -> None:
    """Outpatient prepayment (GZ-6): a lot of the patient's own account, with a receipt.

    Money that arrives when its ground has gone, the filing over or the consent withdrawn, is kept
    like any other and becomes a work item: it must be offered back. Under the patient's lock: a
    withdrawal under way either gives this money back too, or is seen here.
    """
    patient = Patient.locked(db, order.subject_id)
    PrepayAccount.own(db, patient, today(came.at))
    _book(db, order, came, AccountKind.OUTPATIENT_PREPAY)
    if not may_still_keep(db, order.id, today(came.at)):
        open_item(
            db,
            hospital_id=order.hospital_id,
            kind="TOP_UP_TO_OFFER_BACK",
            subject=f"patient:{order.subject_id}",
            at=came.at,
            note="门诊预交金到账时，患者已不再同意或备案已到期，请办理退还",
        )


def paid_ahead(db: Db, order: PaymentOrder, came: Arrival) -> None:
    """A plan of article 9 is paid (GZ-9): a lot of its own account, so that the rest can go back.

    A second payment is kept like any other and becomes a work item.
    """
    plan = db.get_one(PaidAhead, order.subject_id, with_for_update=True)
    _book(db, order, came, AccountKind.COURSE_PREPAY)
    if plan.state == AheadState.OPEN:
        plan.move(db, AheadState.RUNNING, at=came.at, by=order.asked_by)
    else:
        open_item(
            db,
            hospital_id=plan.hospital_id,
            kind="PAID_AHEAD_TWICE",
            subject=f"paid-ahead:{plan.id}",
            at=came.at,
            note="这个疗程或专款已付过款，又到账一笔，请办理退还",
        )


orders.ON_PAID.update(
    {
        Purpose.DEPOSIT: deposit_arrived,
        Purpose.SETTLEMENT: deposit_arrived,
        Purpose.VISIT: visit_paid,
        Purpose.TOP_UP: topped_up,
        Purpose.PAID_AHEAD: paid_ahead,
    }
)


_ORDER_PAID = text("SELECT order_paid(CAST(:said AS jsonb))")
_DEPOSIT_ARRIVED = text("SELECT deposit_arrived(CAST(:said AS jsonb))")


def _book(
    db: Db, order: PaymentOrder, came: Arrival, kind: AccountKind, template: str | None = None
) -> None:
    """Move the order, store the money, issue the receipt, tell the patient: one statement.

    Stored money that only moves from one account to another is moved before.
    """
    if order.route == Route.BALANCE:
        stored_money.move(
            db,
            hospital_id=order.hospital_id,
            patient_id=order.patient_id,
            amount_fen=order.amount_fen,
            to=(kind, str(order.subject_id)),
            key=f"order:{order.id}",
            kind=f"{order.purpose}_PAID",
            why=order.route,
            by=order.asked_by,
            at=came.at,
        )
    said = _booking(order, came, kind, template)
    db.execute(_ORDER_PAID, {"said": json.dumps(said, default=str)})


def _booking(
    order: PaymentOrder, came: Arrival, kind: AccountKind, template: str | None
) -> dict[str, Any]:
    """What the database's functions write down; the payer, and the receipt's number in the word to
    them, are filled in there.
    """
    return {
        "moved": order.drawn(OrderState.PAID, at=came.at, by=came.by),
        "transaction": came.transaction,
        "paid_at": came.paid_at,
        "movement": None if order.route == Route.BALANCE else _movement(order, came, kind),
        "receipt": _receipt(order, came),
        "told": _word(order, came, template) if template else None,
    }


def _movement(order: PaymentOrder, came: Arrival, kind: AccountKind) -> dict[str, Any]:
    owner, fen = str(order.subject_id), order.amount_fen
    lot = NewLot(kind, owner, order.channel, came.transaction, order.id, came.paid_at, fen)
    return ledger.movement(
        hospital_id=order.hospital_id,
        key=f"order:{order.id}",
        kind=f"{order.purpose}_PAID",
        why=order.route,
        by=order.asked_by,
        at=came.at,
        lines=[Line(AccountKind.CASH, order.channel, fen), Line(kind, owner, -fen)],
        new_lots=[lot],
    )


def _receipt(order: PaymentOrder, came: Arrival) -> dict[str, Any]:
    of_stay = order.purpose in {Purpose.DEPOSIT, Purpose.SETTLEMENT}
    return receipt.drawn_up(
        order.hospital_id,
        order.purpose,
        order.id,
        today(came.at).year,
        at=came.at,
        by=order.asked_by,
        facts={
            "amount_fen": order.amount_fen,
            "route": order.route,
            "channel": order.channel,
            "admission_id": order.subject_id if of_stay else None,
            "patient_id": order.patient_id,
        },
    )


def _word(order: PaymentOrder, came: Arrival, template: str) -> dict[str, Any]:
    values = {"amount": yuan(order.amount_fen), "receipt": ""}
    words = [Word(f"paid:{order.id}", order.patient_id, values)]
    return letter(order.hospital_id, template, words, came.at)
