"""The books of a settlement: the bill, the deposit applied to it, an aid decision that came later,
and all of it back.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from models import ledger
from models.ledger import AccountKind, Line, Take
from models.refund import Refund, RefundState
from models.settlement import AidClaim, ClaimState, Settlement
from models.settlement_sheet import Sheet
from payments import refunds
from payments.insurance.amounts import SettlementAmounts
from policies.lots import Lot
from policies.settlement import Share, Split, split

HOSPITAL_PART = "HOSPITAL_PART"
AID_AGENCY = "AID_AGENCY"

PAYERS = {
    "AID": "MEDICAL_AID",
    "CIVIL": "CIVIL_SERVANT",
    "OTHER": "OTHER_FUND",
    "HOSPITAL": HOSPITAL_PART,
}
"""A payer as the insurer's amounts call it -> as a line calls it, where they differ."""


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
    shares = _of_insurer(amounts)
    if claim is None:
        if run.amounts is None and run.aid_estimate_fen:
            shares.append(Share(AID_AGENCY, run.aid_estimate_fen, "PENDING"))
        return shares
    if claim.state in {ClaimState.ASKED, ClaimState.PENDING}:
        return [*shares, Share(AID_AGENCY, claim.expected_fen, "PENDING")]
    return [*shares, Share(AID_AGENCY, claim.approved_fen or 0)]


def split_with(run: Settlement, claim: AidClaim | None, held_fen: int) -> Split:
    """The bill as it stands, against the deposit that is held (plus what this bill already took of
    it).
    """
    return split(run.total_fen, shares_of(run, claim), held_fen + run.applied_fen)


def book_bill(sheet: Sheet, stamp: Stamp) -> None:
    """The whole bill becomes its payers' receivables; the personal share is the patient's debt."""
    run = sheet.run
    bill = split_with(run, sheet.claim, held_fen=0)
    lines = [_share_line(share) for share in bill.shares]
    if bill.personal_fen:
        owner = str(run.admission_id)
        lines.append(Line(AccountKind.PATIENT_RECEIVABLE, owner, bill.personal_fen))
    if bill.total_fen:
        lines.append(Line(AccountKind.REVENUE, "INPATIENT", -bill.total_fen))
        _draw(sheet, "bill", "BILL", lines, stamp)
    run.personal_fen = bill.personal_fen


def apply_deposit(sheet: Sheet, takes: Iterable[tuple[Lot, int]], stamp: Stamp) -> None:
    """Pay of what the patient owes with these parts of the held deposit."""
    run, owner = sheet.run, str(sheet.run.admission_id)
    spent = [Take(lot.id, part, "SPEND") for lot, part in takes]
    fen = sum(take.amount_fen for take in spent)
    run.booking += 1
    run.applied_fen += fen
    lines = [
        Line(AccountKind.INPATIENT_DEPOSIT, owner, fen),
        Line(AccountKind.PATIENT_RECEIVABLE, owner, -fen),
    ]
    _draw(sheet, f"apply:{run.booking}", "DEPOSIT_APPLIED", lines, stamp, spent)


def book_aid(db: Db, run: Settlement, claim: AidClaim, stamp: Stamp) -> None:
    """The agency decided after the bill was booked: shift the difference between it and the
    patient.

    The deposit applied so far is put back first, so that the patient's debt can be made smaller
    too; the caller applies the deposit again.
    """
    unapply(db, run, stamp, "aid")
    more = (claim.approved_fen or 0) - claim.expected_fen
    if more:
        lines = [
            Line(AccountKind.FUND_RECEIVABLE, AID_AGENCY, more),
            Line(AccountKind.PATIENT_RECEIVABLE, str(run.admission_id), -more),
        ]
        ledger.post(db, **_said(run, f"aid:{claim.id}", "AID_DECIDED", lines, stamp))
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


def _of_insurer(amounts: dict[str, Any]) -> list[Share]:
    """What is left is the patient's own cash, also where a province fills the fund fields otherwise
    (I2): the payers are then those of setldetail.
    """
    if "funds" not in amounts:  # nobody was asked
        return []
    lines = SettlementAmounts.from_json(amounts).payer_lines()
    return [Share(PAYERS.get(payer, payer), fen) for payer, fen in lines if payer != "CASH"]


def _share_line(share: Share) -> Line:
    if share.payer == HOSPITAL_PART:  # the hospital earns that much less
        return Line(AccountKind.REVENUE, HOSPITAL_PART, share.amount_fen)
    return Line(AccountKind.FUND_RECEIVABLE, share.payer, share.amount_fen)


def _draw(
    sheet: Sheet, step: str, kind: str, lines: list[Line], stamp: Stamp, takes: Iterable[Take] = ()
) -> None:
    said = _said(sheet.run, step, kind, lines, stamp)
    sheet.movements.append(ledger.movement(**said, takes=takes))


def _said(run: Settlement, step: str, kind: str, lines: list[Line], stamp: Stamp) -> dict[str, Any]:
    return {
        "hospital_id": run.hospital_id,
        "key": f"settlement:{run.id}:{step}",
        "kind": kind,
        "why": f"settlement round {run.round}",
        "by": stamp.by,
        "at": stamp.at,
        "lines": lines,
    }


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
