"""A settlement as the patient, the nurse and the cashier see it: every payer's line, what is due,
what comes back.
"""

from typing import Any, LiteralString
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from journeys.patient_scope import Scope, asked_for, knows_stay
from models.db import Session, named_at_once
from models.receipt import Receipt, ReceiptPrint
from models.settlement import AidClaim, Settlement, SettlementState
from payments import settling
from policies.access import Actor
from policies.payer_words import payer_words
from policies.refusals import NotFound
from policies.settlement import Split

WAITING_FOR = {
    SettlementState.TRIAL: "PATIENT_AGREEMENT",
    SettlementState.CONFIRMED: "INSURANCE",
    SettlementState.INSURED: "HOSPITAL",
    SettlementState.CLAIMED: "HOSPITAL",
    SettlementState.DUE: "PATIENT_PAYMENT",
    SettlementState.CLOSED: "",
    SettlementState.UNDOING: "INSURANCE",
    SettlementState.UNDONE: "",
}
"""state -> who must act next."""


# The stay if the reader may see it, its last run, and all that is shown beside it: one round trip.
_LAST: LiteralString = """
    SELECT stay.id AS stay_id, run.*,
        claim.state AS claim_state, claim.expected_fen, claim.approved_fen,
        held.balance_fen AS deposit_fen, owed.balance_fen AS owed_fen,
        (SELECT o.id FROM payment_order o
         WHERE o.hospital_id = stay.hospital_id AND o.subject_id = stay.id
            AND o.purpose = 'SETTLEMENT' AND o.created_at >= run.opened_at
         ORDER BY o.created_at DESC, o.id DESC LIMIT 1) AS order_id,
        ARRAY(SELECT r.number FROM receipt r WHERE r.subject_id = run.id ORDER BY r.number)
            AS receipts,
        ARRAY(SELECT jsonb_build_object('id', r.id, 'state', r.state, 'amount_fen', r.amount_fen,
                  'routes', ARRAY(SELECT DISTINCT leg.route FROM refund_leg leg
                                  WHERE leg.refund_id = r.id ORDER BY leg.route))
              FROM refund r
              WHERE r.subject_id = stay.id AND starts_with(r.key, 'settlement:' || run.id || ':')
              ORDER BY r.id) AS refunds
    FROM admission stay
    LEFT JOIN LATERAL (
        SELECT * FROM settlement s
        WHERE s.hospital_id = stay.hospital_id AND s.admission_id = stay.id
        ORDER BY s.round DESC LIMIT 1
    ) run ON true
    LEFT JOIN aid_claim claim ON claim.settlement_id = run.id
    LEFT JOIN account held ON held.hospital_id = stay.hospital_id
        AND held.kind = 'INPATIENT_DEPOSIT' AND held.owner = stay.id::text
    LEFT JOIN account owed ON owed.hospital_id = stay.hospital_id
        AND owed.kind = 'PATIENT_RECEIVABLE' AND owed.owner = stay.id::text
    WHERE stay.id = %(stay)s AND stay.hospital_id = %(hospital)s
        AND within_reach(stay, %(patients)s, %(wards)s)
"""


def view_settlement(actor: Actor, admission_id: UUID, scope: Scope = "VIEW") -> dict[str, Any]:
    """The last settlement of a stay. NotFound SETTLEMENT_UNKNOWN before the first trial.

    ``scope``: who just paid by a consent to PAY alone sees what was paid for.
    """
    found = named_at_once(_LAST, **asked_for(actor, admission_id, scope))
    if not found:
        raise NotFound("ADMISSION_UNKNOWN")
    (row,) = found
    if row["id"] is None:
        raise NotFound("SETTLEMENT_UNKNOWN")
    bill = settling.split_with(*_run_and_claim(row), -(row["deposit_fen"] or 0))
    booked = row["state"] in {SettlementState.DUE, SettlementState.CLOSED}
    refunds = [refund | {"id": UUID(refund["id"])} for refund in row["refunds"]]
    return {
        "id": row["id"],
        "admission_id": row["stay_id"],
        "state": row["state"],
        "waiting_for": WAITING_FOR[SettlementState(row["state"])],
        "round": row["round"],
        "agree_to": row["trial_digest"],
        "insured": row["insured"],
        "total_fen": row["total_fen"],
        "lines": _lines(bill),
        "personal_fen": bill.personal_fen,
        "applied_fen": row["applied_fen"] if booked else bill.applied_fen,
        "due_fen": (row["owed_fen"] or 0) if booked else bill.due_fen,
        "rest_fen": sum(each["amount_fen"] for each in refunds) if booked else bill.rest_fen,
        "order_id": row["order_id"],
        "receipts": row["receipts"],
        "refunds": refunds,
        "closed_at": row["closed_at"],
    }


def read_receipt(actor: Actor, number: str, at: Any) -> dict[str, Any]:
    """A receipt by its number; every look is on record, so that reprints are visible."""
    with Session.begin() as db:
        paper = db.scalar(
            select(Receipt).where(
                Receipt.hospital_id == actor.hospital_id, Receipt.number == number
            )
        )
        if paper is None or not _may_read(db, actor, paper):
            raise NotFound("RECEIPT_UNKNOWN")
        printed = select(ReceiptPrint).where(ReceiptPrint.receipt_id == paper.id)
        times = len(db.scalars(printed).all()) + 1
        db.add(
            ReceiptPrint(hospital_id=paper.hospital_id, receipt_id=paper.id, at=at, by=actor.name)
        )
        return {
            "number": paper.number,
            "kind": paper.kind,
            "issued_at": paper.issued_at,
            "times_read": times,
            "facts": paper.facts,
        }


def _may_read(db: Db, actor: Actor, paper: Receipt) -> bool:
    if actor.may("hospital:read"):
        return True
    admission = paper.facts.get("admission_id")
    if admission is None:
        return paper.facts.get("patient_id") == str(actor.patient_id)
    return knows_stay(db, actor, UUID(admission), "VIEW")


def _lines(bill: Split) -> list[dict[str, Any]]:
    words = payer_words()
    lines = [
        {"payer": s.payer, "name": words[s.payer], "amount_fen": s.amount_fen, "state": s.state}
        for s in bill.shares
    ]
    for payer, fen in (
        ("DEPOSIT", bill.applied_fen),
        ("PATIENT", bill.due_fen),
    ):
        lines.append({"payer": payer, "name": words[payer], "amount_fen": fen, "state": "FINAL"})
    return lines


def _run_and_claim(row: dict[str, Any]) -> tuple[Settlement, AidClaim | None]:
    run = Settlement(**{column.key: row[column.key] for column in Settlement.__table__.columns})
    if row["claim_state"] is None:
        return run, None
    claim = AidClaim(
        state=row["claim_state"],
        expected_fen=row["expected_fen"],
        approved_fen=row["approved_fen"],
    )
    return run, claim
