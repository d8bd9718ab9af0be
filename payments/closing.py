"""The end of a bill: the deposit pays the personal share, the rest goes home, the patient is told
and gets a receipt.
"""

from dataclasses import asdict
from datetime import datetime, time

from sqlalchemy import func, select
from sqlalchemy.orm import Session as Db

from config import SHANGHAI, today
from models import receipt
from models.admission import Admission, AdmissionState
from models.document import Document
from models.payment_order import OrderState, PaymentOrder, Purpose
from models.settlement import AidClaim, Settlement, SettlementState
from models.work_item import open_item
from notifications.messages import tell
from payments import settling
from payments.settling import Stamp
from policies.money import yuan


def balance(db: Db, stay: Admission, run: Settlement, stamp: Stamp) -> None:
    """Apply the deposit; with nothing due the bill closes and the rest goes home, else the patient
    is asked.
    """
    due = settling.apply_deposit(db, run, stamp)
    if due:
        told(
            db,
            stay,
            "PAYMENT_DUE",
            f"due:{run.id}:{run.personal_fen}",
            {"amount": yuan(due)},
            stamp,
        )
        return
    run.move(db, SettlementState.CLOSED, at=stamp.at, by=stamp.by)
    run.closed_at = run.closed_at or stamp.at
    if stay.state == AdmissionState.LEAVING:
        stay.move(db, AdmissionState.SETTLED, at=stamp.at, by=stamp.by)
    closing = 1 + _closed_before(db, run)
    refund = settling.return_rest(db, run, stay, stamp, f"rest:{closing}")
    refund_fen = refund.amount_fen if refund else 0
    _issue_receipt(db, run, closing, stamp, refund_fen)
    personal_fen = run.personal_fen or 0
    words = {
        "total": yuan(run.total_fen),
        "insurance": yuan(run.total_fen - personal_fen),
        "personal": yuan(personal_fen),
    }
    told(db, stay, "SETTLED", f"settled:{run.id}", words, stamp)
    if refund:
        words = {"amount": yuan(refund_fen)}
        told(db, stay, "REFUND_REQUESTED", f"refund-requested:{refund.id}", words, stamp)
    if Document.kept(db, stay.id):
        day_end = datetime.combine(today(stamp.at), time(23, 59, 59), SHANGHAI)
        open_item(
            db,
            hospital_id=stay.hospital_id,
            kind="RETURN_DOCUMENTS",
            subject=f"admission:{stay.id}",
            at=stamp.at,
            due_at=day_end,
        )


def told(
    db: Db, stay: Admission, template: str, key: str, values: dict[str, str], stamp: Stamp
) -> None:
    """Store a message to the stay's patient in the caller's transaction."""
    tell(
        db,
        hospital_id=stay.hospital_id,
        key=key,
        patient_id=stay.patient_id,
        template=template,
        values=values,
        at=stamp.at,
    )


def _closed_before(db: Db, run: Settlement) -> int:
    """How often this bill was closed: a late aid decision opens it again; each time has its receipt
    and its rest.
    """
    papers = select(func.count()).select_from(receipt.Receipt)
    return db.scalar(papers.where(receipt.Receipt.subject_id == run.id)) or 0


def _issue_receipt(db: Db, run: Settlement, closing: int, stamp: Stamp, refund_fen: int) -> None:
    """The settlement receipt with the e-invoice's triple: prepaid, topped up, given back (section
    1.10).
    """
    paid_later = db.scalars(
        select(PaymentOrder.amount_fen).where(
            PaymentOrder.subject_id == run.admission_id,
            PaymentOrder.purpose == Purpose.SETTLEMENT,
            PaymentOrder.state == OrderState.PAID,
            PaymentOrder.paid_at >= run.confirmed_at,
        )
    )
    topped_up = sum(paid_later)
    bill = settling.split_with(run, AidClaim.of(db, run.id), held_fen=0)
    receipt.issue(
        db,
        hospital_id=run.hospital_id,
        kind=f"SETTLEMENT_{closing}" if closing > 1 else "SETTLEMENT",
        subject_id=run.id,
        year=today(stamp.at).year,
        at=stamp.at,
        by=stamp.by,
        facts={
            "admission_id": str(run.admission_id),
            "total_fen": run.total_fen,
            "shares": [asdict(share) for share in bill.shares],
            "personal_fen": bill.personal_fen,
            "prepaid_fen": bill.personal_fen + refund_fen - topped_up,
            "topped_up_fen": topped_up,
            "given_back_fen": refund_fen,
        },
    )
