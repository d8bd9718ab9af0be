"""A settlement as the patient, the nurse and the cashier see it: every payer's line, what is due,
what comes back.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session as Db

from journeys.patient_scope import Scope, knows_stay, stay_for
from models import ledger
from models.db import ReadSession, Session
from models.ledger import AccountKind
from models.payment_order import PaymentOrder, Purpose
from models.receipt import Receipt, ReceiptPrint
from models.refund import Refund, RefundLeg
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


def view_settlement(actor: Actor, admission_id: UUID, scope: Scope = "VIEW") -> dict[str, Any]:
    """The last settlement of a stay. NotFound SETTLEMENT_UNKNOWN before the first trial.

    ``scope``: who just paid by a consent to PAY alone sees what was paid for.
    """
    with ReadSession() as db:
        stay = stay_for(db, actor, admission_id, scope)
        run, claim = _last_run(db, stay.id)
        balances = ledger.balances(db, stay.hospital_id, str(stay.id), *settling.OF_A_STAY)
        bill = settling.split_with(run, claim, -balances[AccountKind.INPATIENT_DEPOSIT])
        booked = run.state in {SettlementState.DUE, SettlementState.CLOSED}
        owed = balances[AccountKind.PATIENT_RECEIVABLE]
        receipts = select(Receipt.number).where(Receipt.subject_id == run.id)
        refunds = _refunds(db, run)
        return {
            "id": run.id,
            "admission_id": stay.id,
            "state": run.state,
            "waiting_for": WAITING_FOR[SettlementState(run.state)],
            "round": run.round,
            "agree_to": run.trial_digest,
            "insured": run.insured,
            "total_fen": run.total_fen,
            "lines": _lines(bill),
            "personal_fen": bill.personal_fen,
            "applied_fen": run.applied_fen if booked else bill.applied_fen,
            "due_fen": owed if booked else bill.due_fen,
            "rest_fen": sum(refund["amount_fen"] for refund in refunds)
            if booked
            else bill.rest_fen,
            "order_id": PaymentOrder.latest_id(db, stay.id, Purpose.SETTLEMENT, run.opened_at),
            "receipts": list(db.scalars(receipts.order_by(Receipt.number))),
            "refunds": refunds,
            "closed_at": run.closed_at,
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


def _last_run(db: Db, stay_id: UUID) -> tuple[Settlement, AidClaim | None]:
    query = select(Settlement, AidClaim).outerjoin(
        AidClaim, AidClaim.settlement_id == Settlement.id
    )
    query = query.where(Settlement.admission_id == stay_id).order_by(Settlement.round.desc())
    if found := db.execute(query.limit(1)).one_or_none():
        return found[0], found[1]
    raise NotFound("SETTLEMENT_UNKNOWN")


def _refunds(db: Db, run: Settlement) -> list[dict[str, Any]]:
    """What of the deposit goes home after this run, and by which ways."""
    routes = func.array_agg(RefundLeg.route.distinct()).filter(RefundLeg.route.is_not(None))
    query = (
        select(Refund.id, Refund.state, Refund.amount_fen, routes)
        .outerjoin(RefundLeg, RefundLeg.refund_id == Refund.id)
        .where(Refund.hospital_id == run.hospital_id)
        .where(Refund.key.startswith(f"settlement:{run.id}:"))
        .group_by(Refund.id)
        .order_by(Refund.id)
    )
    return [
        {"id": refund_id, "state": state, "amount_fen": fen, "routes": sorted(ways or [])}
        for refund_id, state, fen, ways in db.execute(query)
    ]
