"""What is booked, receipted and said when money arrives, in the transaction that learns of it."""

from datetime import datetime

from sqlalchemy.orm import Session as Db

from config import today
from models import ledger, receipt
from models.admission import Admission, AdmissionState
from models.classification import may_still_keep
from models.ledger import AccountKind, Line, NewLot
from models.paid_ahead import AheadState, PaidAhead
from models.patient import Patient
from models.payment_order import PaymentOrder, Purpose, Route
from models.prepay_account import PrepayAccount
from models.queue import defer
from models.settlement import Settlement, SettlementState
from models.visit import Visit, VisitState
from models.work_item import open_item
from notifications.messages import tell
from payments import orders, stored_money
from policies.money import yuan


def deposit_arrived(db: Db, order: PaymentOrder, now: datetime) -> None:
    """Money for a stay becomes a lot of its deposit; for a settlement, the run is told to go on.

    Money that arrives late, over the quota or after the bill was closed, is kept like any other and
    becomes a work item: it must be offered back (GZ-17).
    """
    stay = db.get_one(Admission, order.subject_id, with_for_update=True)
    _store(db, order, AccountKind.INPATIENT_DEPOSIT, now)
    _receipt_and_word(db, order, now, "DEPOSIT_PAID")
    if order.purpose == Purpose.SETTLEMENT:
        defer(
            db, "advance_settlement", hospital_id=str(stay.hospital_id), admission_id=str(stay.id)
        )
    if _not_needed(db, stay, order):
        open_item(
            db,
            hospital_id=stay.hospital_id,
            kind="DEPOSIT_TO_OFFER_BACK",
            subject=f"admission:{stay.id}",
            at=now,
            note="预交金到账时已超过额度或已结算，请办理退还",
        )


def visit_paid(db: Db, order: PaymentOrder, now: datetime) -> None:
    """One payment for one visit (GZ-19): stored as a lot, then spent item by item, so that each
    item can be undone.
    """
    visit = db.get_one(Visit, order.subject_id, with_for_update=True)
    _store(db, order, AccountKind.VISIT_PAYMENT, now)
    if visit.state == VisitState.PAID:
        open_item(
            db,
            hospital_id=visit.hospital_id,
            kind="VISIT_PAID_TWICE",
            subject=f"visit:{visit.id}",
            at=now,
            note="这次就诊已付过款，又到账一笔，请办理退还",
        )
    visit.paid(db, order.id, now)
    _receipt_and_word(db, order, now, "VISIT_PAID")


def topped_up(db: Db, order: PaymentOrder, now: datetime) -> None:
    """Outpatient prepayment (GZ-6): a lot of the patient's own account, with a receipt.

    Money that arrives when its ground has gone, the filing over or the consent withdrawn, is kept
    like any other and becomes a work item: it must be offered back. Under the patient's lock: a
    withdrawal under way either gives this money back too, or is seen here.
    """
    patient = db.get_one(Patient, order.subject_id, with_for_update=True)
    PrepayAccount.own(db, patient, today(now))
    _store(db, order, AccountKind.OUTPATIENT_PREPAY, now)
    _receipt(db, order, now)
    if not may_still_keep(db, order.id, today(now)):
        open_item(
            db,
            hospital_id=order.hospital_id,
            kind="TOP_UP_TO_OFFER_BACK",
            subject=f"patient:{order.subject_id}",
            at=now,
            note="门诊预交金到账时，患者已不再同意或备案已到期，请办理退还",
        )


def paid_ahead(db: Db, order: PaymentOrder, now: datetime) -> None:
    """A plan of article 9 is paid (GZ-9): a lot of its own account, so that the rest can go back.

    A second payment is kept like any other and becomes a work item.
    """
    plan = db.get_one(PaidAhead, order.subject_id, with_for_update=True)
    _store(db, order, AccountKind.COURSE_PREPAY, now)
    _receipt(db, order, now)
    if plan.state == AheadState.OPEN:
        plan.move(db, AheadState.RUNNING, at=now, by=order.asked_by)
    else:
        open_item(
            db,
            hospital_id=plan.hospital_id,
            kind="PAID_AHEAD_TWICE",
            subject=f"paid-ahead:{plan.id}",
            at=now,
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


def _not_needed(db: Db, stay: Admission, order: PaymentOrder) -> bool:
    run = Settlement.alive(db, stay.id)
    if run and run.state == SettlementState.DUE:
        return False  # it pays what is due
    held = ledger.held(db, stay.hospital_id, AccountKind.INPATIENT_DEPOSIT, str(stay.id))
    over = stay.quota_fen is not None and held > stay.quota_fen
    over = over and order.purpose == Purpose.DEPOSIT
    return over or stay.state in {AdmissionState.SETTLED, AdmissionState.CANCELLED}


def _store(db: Db, order: PaymentOrder, kind: AccountKind, now: datetime) -> None:
    owner = str(order.subject_id)
    if order.route == Route.BALANCE:
        stored_money.move(
            db,
            hospital_id=order.hospital_id,
            patient_id=order.patient_id,
            amount_fen=order.amount_fen,
            to=(kind, owner),
            key=f"order:{order.id}",
            kind=f"{order.purpose}_PAID",
            why=order.route,
            by=order.asked_by,
            at=now,
        )
        return
    ledger.post(
        db,
        hospital_id=order.hospital_id,
        key=f"order:{order.id}",
        kind=f"{order.purpose}_PAID",
        why=order.route,
        by=order.asked_by,
        at=now,
        lines=[
            Line(AccountKind.CASH, order.channel, order.amount_fen),
            Line(kind, owner, -order.amount_fen),
        ],
        new_lots=[
            NewLot(
                kind=kind,
                owner=owner,
                channel=order.channel,
                channel_transaction=order.channel_transaction or order.number,
                order_id=order.id,
                paid_at=order.paid_at or now,
                amount_fen=order.amount_fen,
            )
        ],
    )


def _receipt(db: Db, order: PaymentOrder, now: datetime) -> receipt.Receipt:
    of_stay = order.purpose in {Purpose.DEPOSIT, Purpose.SETTLEMENT}
    return receipt.issue(
        db,
        hospital_id=order.hospital_id,
        kind=order.purpose,
        subject_id=order.id,
        year=today(now).year,
        at=now,
        by=order.asked_by,
        facts={
            "amount_fen": order.amount_fen,
            "route": order.route,
            "channel": order.channel,
            "admission_id": str(order.subject_id) if of_stay else None,
            "patient_id": str(order.patient_id),
        },
    )


def _receipt_and_word(db: Db, order: PaymentOrder, now: datetime, template: str) -> None:
    paper = _receipt(db, order, now)
    tell(
        db,
        hospital_id=order.hospital_id,
        key=f"paid:{order.id}",
        patient_id=order.patient_id,
        template=template,
        values={"amount": yuan(order.amount_fen), "receipt": paper.number},
        at=now,
    )
