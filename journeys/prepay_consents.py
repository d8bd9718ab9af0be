"""A patient agrees to store outpatient money, or no longer does and gets it back (GZ-6)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session as Db

from journeys.counterparts import Counterparts
from models import ledger
from models.audit import audit
from models.db import ReadSession, Session
from models.ledger import AccountKind
from models.patient import Patient
from models.prepay_consent import PrepayConsent
from models.refund import Refund, RefundState
from payments import refunds
from policies.access import Actor
from policies.refusals import NotFound
from policies.signed_consent import About, SignedConsent, agreed, wording

PREPAY = AccountKind.OUTPATIENT_PREPAY


def view_consent(actor: Actor, patient_id: UUID) -> dict[str, Any]:
    """The present wording, and the patient's newest consent if there is one."""
    with ReadSession() as db:
        patient = Patient.seen_by(db, actor, patient_id)
        return {"wording": wording(About.PREPAY), "consent": PrepayConsent.latest(db, patient.id)}


def give_consent(
    actor: Actor, outside: Counterparts, patient_id: UUID, consent: SignedConsent, signer: str
) -> dict[str, Any]:
    """Record that the patient wants it; on the own phone agreeing is enough, else staff saw the
    signature. One that is given already stays as it is.

    Refused CONSENT_REQUIRED for another wording than the present one, or without a signature.
    """
    on_own_phone = actor.may("own:act")
    with Session.begin() as db:
        patient = Patient.seen_by(db, actor, patient_id, lock=True)
        given = agreed(About.PREPAY, consent, on_own_phone=on_own_phone)
        if PrepayConsent.live(db, patient.id) is None:
            row = PrepayConsent(
                hospital_id=patient.hospital_id,
                patient_id=patient.id,
                text_version=given.text_version,
                given_at=outside.now(),
                channel=actor.channel,
                device_id=actor.device_id,
                signer="PATIENT" if on_own_phone else signer,
                signature_sha256=None if on_own_phone else given.signature_sha256,
                witness=None if on_own_phone else actor.name,
            )
            db.add(row)
            _trail(db, actor, "prepay consent given", row, outside.now())
    return view_consent(actor, patient_id)


def withdraw_consent(actor: Actor, outside: Counterparts, patient_id: UUID) -> dict[str, Any]:
    """The patient no longer wants it: nothing more is taken, and what is left in the own account
    is asked back; another person approves that refund.

    Said again it is the same refund, unless that one was rejected. NotFound PREPAY_CONSENT_UNKNOWN.
    """
    now = outside.now()
    with Session.begin() as db:
        patient = Patient.seen_by(db, actor, patient_id, lock=True)
        consent = PrepayConsent.latest(db, patient.id)
        if consent is None:
            raise NotFound("PREPAY_CONSENT_UNKNOWN")
        begun = consent.withdrawn_at is None
        if begun:
            consent.withdrawn_at, consent.withdrawn_by = now, actor.name
        if consent.refund_id is None or _rejected(db, consent.refund_id):
            consent.refund_id = _asked_back(db, actor, consent, now)
        if begun:
            _trail(db, actor, "prepay consent withdrawn", consent, now)
    return view_consent(actor, patient_id)


def _asked_back(db: Db, actor: Actor, consent: PrepayConsent, now: datetime) -> UUID | None:
    owner = str(consent.patient_id)
    left_fen = ledger.held(db, consent.hospital_id, PREPAY, owner)
    if left_fen == 0:
        return consent.refund_id
    before = f":{consent.refund_id}" if consent.refund_id else ""
    refund = refunds.request(
        db,
        refunds.drawn_up(
            hospital_id=consent.hospital_id,
            key=f"prepay-consent:{consent.id}{before}",
            reason="CONSENT_WITHDRAWN",
            kind=PREPAY,
            owner=owner,
            subject_id=consent.patient_id,
            patient_id=consent.patient_id,
            amount_fen=left_fen,
            by=actor.name,
            now=now,
        ),
    )
    return refund.id


def _rejected(db: Db, refund_id: UUID) -> bool:
    return db.get_one(Refund, refund_id).state == RefundState.REJECTED


def _trail(db: Db, actor: Actor, what: str, consent: PrepayConsent, at: datetime) -> None:
    db.flush()
    facts = {"text_version": consent.text_version, "signer": consent.signer}
    subject = f"prepay-consent:{consent.id}"
    audit(db, consent.hospital_id, actor.name, what, subject, facts, at=at)
