"""The end of a bill: the deposit pays the personal share, the rest goes home, the patient is told
and gets a receipt. All of it is drawn up here and written down with the sheet.
"""

from dataclasses import asdict, replace
from datetime import datetime, time

from sqlalchemy.orm import Session as Db

from config import SHANGHAI, today
from models import receipt
from models.admission import AdmissionState
from models.ledger import AccountKind, movement
from models.refund import Refund
from models.settlement import SettlementState
from models.settlement_sheet import Sheet
from models.work_item import task
from notifications.many import Word, letter
from payments import closing_facts, refunds, settling
from payments.closing_facts import Known
from payments.settling import Stamp
from policies.lots import Lot, spend_oldest_first
from policies.money import yuan


def balance(db: Db, sheet: Sheet, stamp: Stamp) -> None:
    """Apply the deposit; with nothing due the bill closes and the rest goes home, else the patient
    is asked.
    """
    run, known = sheet.run, closing_facts.look_up(db, sheet)
    rest = known.lots
    if fen := min(known.owed_fen, known.held_fen):
        taken = spend_oldest_first(known.lots, fen)
        settling.apply_deposit(sheet, taken, stamp)
        rest = _what_is_left(known.lots, taken)
    if due := known.owed_fen - fen:
        words = {"amount": yuan(due)}
        told(sheet, "PAYMENT_DUE", f"due:{run.id}:{run.personal_fen}", words, stamp)
        return
    sheet.move(run, SettlementState.CLOSED, at=stamp.at, by=stamp.by)
    run.closed_at = run.closed_at or stamp.at
    if sheet.stay.state == AdmissionState.LEAVING:
        sheet.move(sheet.stay, AdmissionState.SETTLED, at=stamp.at, by=stamp.by)
    refund = _return_rest(sheet, rest, known, stamp) if rest else None
    _close(sheet, known, refund, stamp)


def told(sheet: Sheet, template: str, key: str, values: dict[str, str], stamp: Stamp) -> None:
    """Tell the stay's patient, with what the sheet writes down."""
    stay = sheet.stay
    word = Word(key, stay.patient_id, values)
    sheet.letters.append(letter(stay.hospital_id, template, [word], stamp.at))


def _what_is_left(lots: list[Lot], taken: list[tuple[Lot, int]]) -> list[Lot]:
    used = {lot.id: fen for lot, fen in taken}
    left = [replace(lot, remaining_fen=lot.remaining_fen - used.get(lot.id, 0)) for lot in lots]
    return [lot for lot in left if lot.remaining_fen]


def _return_rest(sheet: Sheet, lots: list[Lot], known: Known, stamp: Stamp) -> Refund:
    """Ask for what is left of the deposit to go back along the original routes (GZ-10); another
    person approves. A bill that a late aid decision opens again has a rest each time it closes.
    """
    run, stay = sheet.run, sheet.stay
    refund = refunds.drawn_up(
        hospital_id=stay.hospital_id,
        key=f"settlement:{run.id}:rest:{1 + known.closed_before}",
        reason="SETTLEMENT_REST",
        kind=AccountKind.INPATIENT_DEPOSIT,
        owner=str(stay.id),
        subject_id=stay.id,
        patient_id=stay.patient_id,
        amount_fen=sum(lot.remaining_fen for lot in lots),
        by=stamp.by,
        now=stamp.at,
    )
    said, legs = refunds.planned(refund, lots, known.routes, known.payee)
    sheet.asks_back(refund, legs, movement(**said))
    return refund


def _close(sheet: Sheet, known: Known, refund: Refund | None, stamp: Stamp) -> None:
    """The receipt, the words, and the patient's papers."""
    run, stay = sheet.run, sheet.stay
    _issue_receipt(sheet, known, stamp, refund.amount_fen if refund else 0)
    personal_fen = run.personal_fen or 0
    words = {
        "total": yuan(run.total_fen),
        "insurance": yuan(run.total_fen - personal_fen),
        "personal": yuan(personal_fen),
    }
    told(sheet, "SETTLED", f"settled:{run.id}", words, stamp)
    if refund:
        words = {"amount": yuan(refund.amount_fen)}
        told(sheet, "REFUND_REQUESTED", f"refund-requested:{refund.id}", words, stamp)
    if known.papers_kept:
        day_end = datetime.combine(today(stamp.at), time(23, 59, 59), SHANGHAI)
        subject = f"admission:{stay.id}"
        sheet.tasks.append(
            task(stay.hospital_id, "RETURN_DOCUMENTS", subject, stamp.at, due_at=day_end)
        )


def _issue_receipt(sheet: Sheet, known: Known, stamp: Stamp, refund_fen: int) -> None:
    """The settlement receipt with the e-invoice's triple: prepaid, topped up, given back (section
    1.10). Each closing of a bill has its own.
    """
    run, closing = sheet.run, 1 + known.closed_before
    bill = settling.split_with(run, sheet.claim, held_fen=0)
    paper = receipt.drawn_up(
        run.hospital_id,
        f"SETTLEMENT_{closing}" if closing > 1 else "SETTLEMENT",
        run.id,
        today(stamp.at).year,
        at=stamp.at,
        by=stamp.by,
        facts={
            "admission_id": str(run.admission_id),
            "total_fen": run.total_fen,
            "shares": [asdict(share) for share in bill.shares],
            "personal_fen": bill.personal_fen,
            "prepaid_fen": bill.personal_fen + refund_fen - known.topped_up_fen,
            "topped_up_fen": known.topped_up_fen,
            "given_back_fen": refund_fen,
        },
    )
    sheet.receipts.append(paper)
