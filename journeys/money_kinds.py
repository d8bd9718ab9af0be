"""Asking what kind of money it is before it is taken, and seeing that ordered services get their
invoice (GZ-5)."""

from dataclasses import replace
from datetime import datetime, time
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session as Db

from config import SHANGHAI, today
from journeys.counterparts import Counterparts
from models.audit import audit
from models.classification import Classification
from models.db import ReadSession, Session
from models.hospital import Hospital
from models.patient import Patient
from models.visit import Visit
from policies.access import Actor
from policies.digest import digest
from policies.money_kind import PENDING_INVOICE, VERSION, Money, kind_of, may_be_taken
from policies.money_words import money_words
from policies.packs import rules_of
from policies.refusals import Conflict, NotFound


def classify(
    actor: Actor,
    outside: Counterparts,
    patient_id: UUID,
    *,
    key: str,
    amount_fen: int,
    money: Money,
    visit_id: UUID | None,
) -> dict[str, Any]:
    """Say what kind of money it is, and keep the answers, the orders, the invoice and the version.

    With a visit the services that it lists count as determined. The same key again is the same
    answer; with other content it is a Conflict.
    """
    with Session.begin() as db:
        patient = Patient.seen_by(db, actor, patient_id, lock=True)
        if visit_id is not None:
            money = _with_visit(db, actor, patient, visit_id, money)
        facts = _facts(money, amount_fen)
        row = Classification.by_key(db, actor.hospital_id, actor.name, key)
        if row and (row.patient_id, digest(row.rules["inputs"])) != (patient.id, digest(facts)):
            raise Conflict("IDEMPOTENCY_CONFLICT")
        if row is None:
            row = _kept(db, actor, patient, money, facts, key, outside.now())
        return _shown(row)


def record_invoice(
    actor: Actor, outside: Counterparts, classification_id: UUID, *, invoice_no: str
) -> dict[str, Any]:
    """The formal invoice was issued: the payment leaves the list. Another number is a Conflict."""
    with Session.begin() as db:
        row = db.get(Classification, classification_id, with_for_update=True)
        if row is None or row.hospital_id != actor.hospital_id or row.answer != PENDING_INVOICE:
            raise NotFound("CLASSIFICATION_UNKNOWN")
        if row.invoice_no not in {"", invoice_no}:
            raise Conflict("IDEMPOTENCY_CONFLICT")
        if not row.invoice_no:
            row.invoice_no, row.invoiced_at = invoice_no, outside.now()
            subject, facts = f"classification:{row.id}", {"invoice_no": invoice_no}
            what, at = "invoice recorded", outside.now()
            db.flush()
            audit(db, row.hospital_id, actor.name, what, subject, facts, at=at)
        return _shown(row)


def without_invoice(actor: Actor, now: datetime) -> list[dict[str, Any]]:
    """Payments for ordered services of earlier days that still have no invoice, oldest first."""
    midnight = datetime.combine(today(now), time(), SHANGHAI)
    with ReadSession() as db:
        found = Classification.without_invoice(db, actor.hospital_id, midnight)
        return [_shown(row) for row in found]


def _with_visit(db: Db, actor: Actor, patient: Patient, visit_id: UUID, money: Money) -> Money:
    visit = Visit.seen_by(db, actor, visit_id)
    if visit.patient_id != patient.id:
        raise NotFound("VISIT_UNKNOWN")
    listed = (item.order_no for item in visit.items(db))
    return replace(money, order_ids=tuple(dict.fromkeys((*money.order_ids, *listed))))


def _facts(money: Money, amount_fen: int) -> dict[str, Any]:
    claim = money.claim
    return {
        "classifier": VERSION,
        "amount_fen": amount_fen,
        "to_institution": money.to_institution,
        "order_ids": list(money.order_ids),
        "invoice_no": money.invoice_no,
        "claim": claim
        and {
            "code": claim.code,
            "proof": claim.proof,
            "course": claim.course,
            "units": claim.units,
            "reason": claim.reason,
        },
    }


def _kept(
    db: Db,
    actor: Actor,
    patient: Patient,
    money: Money,
    facts: dict[str, Any],
    key: str,
    now: datetime,
) -> Classification:
    rules = rules_of(db.get_one(Hospital, patient.hospital_id).rule_packs)
    answer = kind_of(money)
    row = Classification(
        hospital_id=patient.hospital_id,
        patient_id=patient.id,
        amount_fen=facts["amount_fen"],
        answer=answer,
        order_ids=list(money.order_ids),
        proof=money.claim.proof if money.claim else "",
        invoice_no=money.invoice_no,
        invoiced_at=now if money.invoice_no else None,
        rules=rules.decision("GZ-5", today(now), answer, **facts),
        asked_by=actor.name,
        client_key=key,
        at=now,
    )
    db.add(row)
    db.flush()
    subject = f"classification:{row.id}"
    audit(db, row.hospital_id, actor.name, "money classified", subject, row.rules, at=now)
    return row


def _shown(row: Classification) -> dict[str, Any]:
    return {
        "id": row.id,
        "patient_id": row.patient_id,
        "amount_fen": row.amount_fen,
        "answer": row.answer,
        "may_be_taken": may_be_taken(row.answer),
        "order_ids": row.order_ids,
        "invoice_no": row.invoice_no,
        "version": row.version,
        "at": row.at,
        **money_words()[row.answer],
    }
