"""Outpatient prepayment that is there: seen, summed up, moved only with consent (GZ-3)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session as Db

from journeys.counterparts import Counterparts
from journeys.patient_scope import stay_for
from models import ledger
from models.admission import Admission, AdmissionState, took_step
from models.db import ReadSession, Session
from models.ledger import AccountKind
from models.patient import Patient
from models.prepay_account import PrepayAccount
from models.prepay_transfer import PrepayTransfer
from payments import stored_money
from policies.access import Actor
from policies.digest import digest
from policies.refusals import Conflict, Refused
from policies.signed_consent import About, SignedConsent, agreed, wording

PREPAY, DEPOSIT = AccountKind.OUTPATIENT_PREPAY, AccountKind.INPATIENT_DEPOSIT


def view_account(actor: Actor, patient_id: UUID) -> dict[str, Any]:
    """A patient's outpatient money on all cards, each top-up that is not used up; no inpatient
    money (GZ-3).
    """
    with ReadSession() as db:
        patient = Patient.seen_by(db, actor, patient_id)
        lots = [
            lot
            for account in PrepayAccount.of_person(db, patient)
            for lot in ledger.open_lots(db, actor.hospital_id, PREPAY, str(account.id))
        ]
        return {
            "patient_id": patient.id,
            "held_fen": sum(lot.remaining_fen for lot in lots),
            "lots": lots,
            "transfer_consent": wording(About.TRANSFER),
        }


def transfer_to_deposit(
    actor: Actor,
    outside: Counterparts,
    admission_id: UUID,
    *,
    amount_fen: int,
    key: str,
    consent: SignedConsent | None,
) -> dict[str, Any]:
    """Move outpatient money into the deposit of the patient's own stay, with consent (D-02).

    Two linked entries of one movement; each moved part keeps its channel and day, so it can still
    go back the way it came. Refused TRANSFER_CONSENT_REQUIRED, BALANCE_TOO_LOW,
    DEPOSIT_CAP_EXCEEDED (GZ-17). The same key again is the same transfer.
    """
    with Session.begin() as db:
        stay = stay_for(db, actor, admission_id, "OWN", lock=True)
        given = agreed(About.TRANSFER, consent, on_own_phone=actor.may("own:act"))
        content = digest(str(stay.id), amount_fen, given.text_version, given.signature_sha256)
        there = PrepayTransfer.by_key(db, stay.hospital_id, actor.name, key)
        if there and there.request_hash != content:
            raise Conflict("IDEMPOTENCY_CONFLICT")
        if there is None:
            now = outside.now()
            _refuse_over_quota(db, stay, amount_fen)
            moved = _moved(db, actor, stay, amount_fen, key, now)
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
            "outpatient_fen": stored_money.total(db, stay.hospital_id, stay.patient_id),
            "deposit_fen": ledger.held(db, stay.hospital_id, DEPOSIT, str(stay.id)),
        }


def _refuse_over_quota(db: Db, stay: Admission, amount_fen: int) -> None:
    if stay.state != AdmissionState.IN_HOUSE:
        raise Refused("ADMISSION_NOT_IN_HOUSE")
    room = stay.deposit_room(db)
    if amount_fen > room:
        raise Refused("DEPOSIT_CAP_EXCEEDED", room_fen=room)


def _moved(db: Db, actor: Actor, stay: Admission, amount_fen: int, key: str, now: datetime) -> UUID:
    return stored_money.move(
        db,
        hospital_id=stay.hospital_id,
        patient_id=stay.patient_id,
        amount_fen=amount_fen,
        to=(DEPOSIT, str(stay.id)),
        key=f"prepay-transfer:{actor.name}:{key}",
        kind="PREPAY_TRANSFER",
        why="patient's consent",
        by=actor.name,
        at=now,
    )
