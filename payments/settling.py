"""The books of a settlement: the bill, the deposit applied to it, an aid decision that came later,
and all of it back.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from models import ledger
from models.admission import Admission
from models.ledger import AccountKind, Line, Take
from models.refund import Refund, RefundState
from models.settlement import AidClaim, ClaimState, Settlement
from payments import refunds
from policies.lots import spend_oldest_first
from policies.settlement import Share, Split, split

HOSPITAL_PART = "HOSPITAL_PART"
AID_AGENCY = "AID_AGENCY"

PAYERS = {
    "basic": "BASIC",
    "critical": "CRITICAL",
    "aid": "MEDICAL_AID",
    "civil": "CIVIL_SERVANT",
    "supplementary": "SUPPLEMENTARY",
    "disabled": "DISABLED",
    "other": "OTHER_FUND",
    "account": "ACCOUNT",
    "hospital": HOSPITAL_PART,
}
"""field of the insurer's amounts -> payer of a line; what is left is the patient's own cash."""

OF_A_STAY = (AccountKind.INPATIENT_DEPOSIT, AccountKind.PATIENT_RECEIVABLE)
"""The accounts whose owner is a stay: what is held of it, and what it owes."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who does it, and when."""

    by: str
    at: datetime


def shares_of(run: Settlement, claim: AidClaim | None) -> list[Share]:
    """Everybody but the patient: the insurer's funds (or its trial's), and the aid agency as far as
    it is known.
    """
    amounts = run.amounts if run.amounts is not None else run.trial
    shares = [Share(payer, int(amounts.get(field, 0))) for field, payer in PAYERS.items()]
    if claim is None:
        if run.amounts is None and run.aid_estimate_fen:
            shares.append(Share(AID_AGENCY, run.aid_estimate_fen, "PENDING"))
        return shares
    if claim.state in {ClaimState.ASKED, ClaimState.PENDING}:
        return [*shares, Share(AID_AGENCY, claim.expected_fen, "PENDING")]
    return [*shares, Share(AID_AGENCY, claim.approved_fen or 0)]


def split_now(db: Db, run: Settlement, claim: AidClaim | None) -> Split:
    """The bill as it stands, against the deposit that is held (plus what this bill already took of
    it).
    """
    deposit = ledger.held(db, run.hospital_id, AccountKind.INPATIENT_DEPOSIT, str(run.admission_id))
    return split_with(run, claim, deposit)


def split_with(run: Settlement, claim: AidClaim | None, held_fen: int) -> Split:
    """The same, when it is known what of the deposit is held."""
    return split(run.total_fen, shares_of(run, claim), held_fen + run.applied_fen)


def book_bill(db: Db, run: Settlement, claim: AidClaim | None, stamp: Stamp) -> None:
    """The whole bill becomes its payers' receivables; the personal share is the patient's debt."""
    bill = split_now(db, run, claim)
    lines = [_share_line(share) for share in bill.shares]
    if bill.personal_fen:
        owner = str(run.admission_id)
        lines.append(Line(AccountKind.PATIENT_RECEIVABLE, owner, bill.personal_fen))
    if bill.total_fen:
        lines.append(Line(AccountKind.REVENUE, "INPATIENT", -bill.total_fen))
        _post(db, run, "bill", "BILL", lines, stamp)
    run.personal_fen = bill.personal_fen


def apply_deposit(db: Db, run: Settlement, stamp: Stamp) -> int:
    """Use the held deposit for what the patient still owes, oldest money first; fen that remain
    due.
    """
    owner = str(run.admission_id)
    balances = ledger.balances(db, run.hospital_id, owner, *OF_A_STAY)
    owed = balances[AccountKind.PATIENT_RECEIVABLE]
    held = -balances[AccountKind.INPATIENT_DEPOSIT]
    fen = min(owed, held)
    if fen:
        lots = ledger.open_lots(db, run.hospital_id, AccountKind.INPATIENT_DEPOSIT, owner)
        run.booking += 1
        _post(
            db,
            run,
            f"apply:{run.booking}",
            "DEPOSIT_APPLIED",
            [
                Line(AccountKind.INPATIENT_DEPOSIT, owner, fen),
                Line(AccountKind.PATIENT_RECEIVABLE, owner, -fen),
            ],
            stamp,
            takes=[Take(lot.id, part, "SPEND") for lot, part in spend_oldest_first(lots, fen)],
        )
        run.applied_fen += fen
    return owed - fen


def return_rest(db: Db, run: Settlement, stay: Admission, stamp: Stamp, key: str) -> Refund | None:
    """Ask for what is left of the deposit to go back along the original routes (GZ-10); another
    person approves.
    """
    owner = str(stay.id)
    rest = ledger.held(db, stay.hospital_id, AccountKind.INPATIENT_DEPOSIT, owner)
    if not rest:
        return None
    return refunds.request(
        db,
        hospital_id=stay.hospital_id,
        key=f"settlement:{run.id}:{key}",
        reason="SETTLEMENT_REST",
        kind=AccountKind.INPATIENT_DEPOSIT,
        owner=owner,
        subject_id=stay.id,
        patient_id=stay.patient_id,
        amount_fen=rest,
        by=stamp.by,
        now=stamp.at,
    )


def book_aid(db: Db, run: Settlement, claim: AidClaim, stamp: Stamp) -> None:
    """The agency decided after the bill was booked: shift the difference between it and the
    patient.

    The deposit applied so far is put back first, so that the patient's debt can be made smaller
    too; the caller applies the deposit again.
    """
    unapply(db, run, stamp, "aid")
    more = (claim.approved_fen or 0) - claim.expected_fen
    if more:
        _post(
            db,
            run,
            f"aid:{claim.id}",
            "AID_DECIDED",
            [
                Line(AccountKind.FUND_RECEIVABLE, AID_AGENCY, more),
                Line(AccountKind.PATIENT_RECEIVABLE, str(run.admission_id), -more),
            ],
            stamp,
        )
    run.personal_fen = (run.personal_fen or 0) - more


def unapply(db: Db, run: Settlement, stamp: Stamp, why: str) -> None:
    """Put every application of the deposit back into the deposit, lot by lot."""
    if not run.applied_fen:
        return
    for number in range(run.booking, 0, -1):
        key = f"settlement:{run.id}:apply:{number}"
        transaction = ledger.find(db, run.hospital_id, key)
        if ledger.is_reversed(db, transaction):
            continue
        _reverse(db, run, transaction, f"{key}:back", why, stamp)
    run.applied_fen = 0


def unbook(db: Db, run: Settlement, claim: AidClaim | None, stamp: Stamp) -> None:
    """Undo the whole run: stop refunds that nobody approved yet, put the deposit back, mirror the
    bill.
    """
    waiting = db.scalars(
        select(Refund)
        .where(
            Refund.hospital_id == run.hospital_id,
            Refund.key.startswith(f"settlement:{run.id}:"),
            Refund.state == RefundState.REQUESTED,
        )
        .with_for_update()
    )
    for refund in waiting:
        if not refunds.under_way(db, refund):
            refunds.reject(db, refund, by=stamp.by, now=stamp.at, note="结算已撤销")
    unapply(db, run, stamp, "undo")
    if run.personal_fen is None:
        return
    keys = [f"settlement:{run.id}:aid:{claim.id}"] if claim else []
    for key in [*keys, f"settlement:{run.id}:bill"]:
        if transaction := ledger.find_or_none(db, run.hospital_id, key):
            _reverse(db, run, transaction, f"{key}:back", "undo", stamp)


def _share_line(share: Share) -> Line:
    if share.payer == HOSPITAL_PART:  # the hospital earns that much less
        return Line(AccountKind.REVENUE, HOSPITAL_PART, share.amount_fen)
    return Line(AccountKind.FUND_RECEIVABLE, share.payer, share.amount_fen)


def _post(
    db: Db,
    run: Settlement,
    step: str,
    kind: str,
    lines: list[Line],
    stamp: Stamp,
    takes: list[Take] | None = None,
) -> UUID:
    return ledger.post(
        db,
        hospital_id=run.hospital_id,
        key=f"settlement:{run.id}:{step}",
        kind=kind,
        why=f"settlement round {run.round}",
        by=stamp.by,
        at=stamp.at,
        lines=lines,
        takes=takes or [],
    )


def _reverse(db: Db, run: Settlement, transaction: UUID, key: str, why: str, stamp: Stamp) -> None:
    ledger.reverse(
        db,
        hospital_id=run.hospital_id,
        transaction_id=transaction,
        key=key,
        why=why,
        by=stamp.by,
        at=stamp.at,
    )
