"""Outpatient prepayment (GZ-2, GZ-3): topped up where it may be, moved only with consent."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session as Db

from config import today
from journeys.counterparts import Counterparts
from journeys.patient_scope import stay_for
from models import ledger
from models.admission import Admission, AdmissionState, took_step
from models.audit import audit
from models.db import Session
from models.hospital import Hospital
from models.ledger import Account, AccountKind, Line, Take
from models.lots import LotRow
from models.patient import Patient
from models.payment_order import PaymentOrder, Purpose, Route
from models.prepay_account import PrepayAccount
from models.prepay_transfer import PrepayTransfer
from models.receipt import Receipt
from payments import orders
from payments.collection import Payment, may_pay_by, wish_of
from policies.access import Actor
from policies.deposit import room_left
from policies.digest import digest
from policies.lots import spend_oldest_first
from policies.packs import rules_of
from policies.refusal_texts import words_of
from policies.refusals import Conflict, NotFound, Refused
from policies.scope import Institution, InstitutionType
from policies.top_up import Advice, ordinary_top_up
from policies.transfer_consent import TransferConsent, agreed, wording

PREPAY, DEPOSIT = AccountKind.OUTPATIENT_PREPAY, AccountKind.INPATIENT_DEPOSIT


def top_up(
    actor: Actor, outside: Counterparts, patient_id: UUID, payment: Payment
) -> dict[str, Any]:
    """Take cash or a card slip into a patient's outpatient account, if the rules let it (GZ-2).

    Refused OUTPATIENT_PREPAY_STOPPED or RULE_PACK_NOT_APPLICABLE; an institution that is only
    advised gets the warning with the answer. The same key again is the same top-up.
    """
    if payment.route not in {Route.CASH, Route.CARD}:
        raise Refused("TOP_UP_ROUTE_CLOSED")
    may_pay_by(actor, payment.route)
    with Session() as db:
        _patient(db, actor, patient_id)
        wish = wish_of(actor, patient_id, patient_id, Purpose.TOP_UP, payment)
        order = orders.find(db, wish)
    if order is None:
        _judge(actor, outside, patient_id, payment.amount_fen)
    with Session.begin() as db:
        db.get_one(Patient, patient_id, with_for_update=True)  # one of two same requests waits here
        order = orders.find(db, wish)
        if order is None:
            order = orders.claim(db, wish, outside.now())
            orders.paid(db, order, outside.now(), by=actor.name)
    return _top_up_shown(order.id)


def view_account(actor: Actor, patient_id: UUID) -> dict[str, Any]:
    """A patient's outpatient money on all cards, each top-up that is not used up; no inpatient
    money (GZ-3).
    """
    with Session() as db:
        patient = _patient(db, actor, patient_id)
        lots = [
            lot
            for account in PrepayAccount.of(db, patient.id)
            for lot in ledger.open_lots(db, actor.hospital_id, PREPAY, str(account.id))
        ]
        return {
            "patient_id": patient.id,
            "held_fen": sum(lot.remaining_fen for lot in lots),
            "lots": lots,
            "transfer_consent": wording(),
        }


def clearance_total(actor: Actor) -> dict[str, Any]:
    """All outpatient prepayment that the hospital holds, by channel; nothing else (GZ-3, GZ-7)."""
    left = LotRow.amount_fen - LotRow.spent_fen - LotRow.refunded_fen
    stored = (
        select(LotRow.channel, func.sum(left))
        .join(Account, Account.id == LotRow.account_id)
        .where(Account.hospital_id == actor.hospital_id, Account.kind == PREPAY, left > 0)
        .group_by(LotRow.channel)
        .order_by(LotRow.channel)
    )
    holders = select(func.count()).where(
        Account.hospital_id == actor.hospital_id, Account.kind == PREPAY, Account.balance_fen < 0
    )
    with Session() as db:
        by_channel = [{"channel": name, "fen": int(fen)} for name, fen in db.execute(stored)]
        return {
            "accounts": db.scalar(holders),
            "total_fen": sum(row["fen"] for row in by_channel),
            "by_channel": by_channel,
        }


def transfer_to_deposit(
    actor: Actor,
    outside: Counterparts,
    admission_id: UUID,
    *,
    amount_fen: int,
    key: str,
    consent: TransferConsent | None,
) -> dict[str, Any]:
    """Move outpatient money into the deposit of the patient's own stay, with consent (D-02).

    Two linked entries of one movement; each moved part keeps its channel and day, so it can still
    go back the way it came. Refused TRANSFER_CONSENT_REQUIRED, BALANCE_TOO_LOW,
    DEPOSIT_CAP_EXCEEDED (GZ-17). The same key again is the same transfer.
    """
    with Session.begin() as db:
        stay = stay_for(db, actor, admission_id, "OWN", lock=True)
        given = agreed(consent, on_own_phone=actor.may("own:act"))
        content = digest(str(stay.id), amount_fen, given.text_version, given.signature_sha256)
        there = PrepayTransfer.by_key(db, stay.hospital_id, actor.name, key)
        if there and there.request_hash != content:
            raise Conflict("IDEMPOTENCY_CONFLICT")
        if there is None:
            now = outside.now()
            _refuse_over_quota(db, stay, amount_fen)
            moved = _move(db, actor, stay, amount_fen, key, now)
            db.add(
                PrepayTransfer(
                    hospital_id=stay.hospital_id,
                    patient_id=stay.patient_id,
                    admission_id=stay.id,
                    amount_fen=amount_fen,
                    client_key=key,
                    request_hash=content,
                    asked_by=actor.name,
                    at=now,
                    channel=actor.channel,
                    text_version=given.text_version,
                    signature_sha256=given.signature_sha256,
                    transaction_id=moved,
                )
            )
            took_step(db, stay, actor, "prepay-transfer", now, amount_fen=amount_fen)
        return {
            "admission_id": stay.id,
            "amount_fen": amount_fen,
            "outpatient_fen": sum(_held(db, stay).values()),
            "deposit_fen": ledger.held(db, stay.hospital_id, DEPOSIT, str(stay.id)),
        }


def _patient(db: Db, actor: Actor, patient_id: UUID) -> Patient:
    patient = db.get(Patient, patient_id)
    own = actor.patient_id == patient_id
    if patient is None or patient.hospital_id != actor.hospital_id:
        raise NotFound("PATIENT_UNKNOWN")
    if not own and not actor.may("hospital:read"):
        raise NotFound("PATIENT_UNKNOWN")
    return patient


def _judge(actor: Actor, outside: Counterparts, patient_id: UUID, amount_fen: int) -> None:
    """Ask the rules about a top-up today; yes and no are both kept with what they rested on."""
    now = outside.now()
    refused = None
    with Session.begin() as db:
        home = db.get_one(Hospital, actor.hospital_id)
        try:
            answer = "+".join(("ALLOWED", *(advice.code for advice in _advice(home, now))))
        except Refused as no:
            refused, answer = no, no.code
        decision = rules_of(home.rule_packs).decision(
            "GZ-2",
            today(now),
            answer,
            institution_type=home.institution_type,
            opted_in=home.opted_in,
            amount_fen=amount_fen,
        )
        subject = f"patient:{patient_id}"
        audit(db, home.id, actor.name, "outpatient top-up asked", subject, decision, at=now)
    if refused:
        raise refused


def _advice(home: Hospital, moment: datetime) -> tuple[Advice, ...]:
    institution = Institution(InstitutionType(home.institution_type), home.opted_in)
    return ordinary_top_up(institution, today(moment), rules_of(home.rule_packs))


def _top_up_shown(order_id: UUID) -> dict[str, Any]:
    with Session() as db:
        order = db.get_one(PaymentOrder, order_id)
        paper = Receipt.of(db, order.purpose, order.id)
        advice = _advice(db.get_one(Hospital, order.hospital_id), order.created_at)
        return {
            "id": order.id,
            "amount_fen": order.amount_fen,
            "state": order.state,
            "receipt_no": paper.number if paper else None,
            "held_fen": ledger.held(db, order.hospital_id, PREPAY, str(order.patient_id)),
            "warnings": [
                {"code": each.code, "say": words_of(each.code, {"since": each.since}).say}
                for each in advice
            ],
        }


def _refuse_over_quota(db: Db, stay: Admission, amount_fen: int) -> None:
    if stay.state != AdmissionState.IN_HOUSE:
        raise Refused("ADMISSION_NOT_IN_HOUSE")
    room = room_left(
        stay.quota_fen,
        ledger.held(db, stay.hospital_id, DEPOSIT, str(stay.id)),
        PaymentOrder.pending_fen(db, stay.id, Purpose.DEPOSIT),
    )
    if amount_fen > room:
        raise Refused("DEPOSIT_CAP_EXCEEDED", room_fen=room)


def _move(db: Db, actor: Actor, stay: Admission, amount_fen: int, key: str, now: datetime) -> UUID:
    """From all of the patient's accounts, the longest silent one first."""
    target = (DEPOSIT, str(stay.id))
    parts: list[tuple[str, int]] = []
    for account, held_fen in _held(db, stay).items():
        if fen := min(held_fen, amount_fen - sum(part for _, part in parts)):
            parts.append((account, fen))
    if sum(part for _, part in parts) < amount_fen:
        raise Refused("BALANCE_TOO_LOW")
    return ledger.post(
        db,
        hospital_id=stay.hospital_id,
        key=f"prepay-transfer:{actor.name}:{key}",
        kind="PREPAY_TRANSFER",
        why="patient's consent",
        by=actor.name,
        at=now,
        lines=[*(Line(PREPAY, *part) for part in parts), Line(*target, -amount_fen)],
        takes=[
            Take(lot.id, fen, "MOVE", to=target)
            for account, part in parts
            for lot, fen in spend_oldest_first(
                ledger.open_lots(db, stay.hospital_id, PREPAY, account), part
            )
        ],
    )


def _held(db: Db, stay: Admission) -> dict[str, int]:
    """What each prepay account of the stay's patient holds."""
    return {
        str(account.id): ledger.held(db, stay.hospital_id, PREPAY, str(account.id))
        for account in PrepayAccount.of(db, stay.patient_id)
    }
