"""A patient lets a relative see or pay the bill: a one-time code, redeemed by the relative's own
WeChat, withdrawn at once."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml
from sqlalchemy import or_, select
from sqlalchemy.orm import Session as SqlSession

import policies
from journeys.patient_scope import stay_for
from models.audit import audit
from models.consent import Consent
from models.db import ReadSession, Session
from models.login import digest, readable_code
from policies.access import Actor
from policies.refusals import NotFound, Refused

CODE_LIFE = timedelta(hours=24)
Clock = Callable[[], datetime]


@cache
def consent_text() -> dict[str, str]:
    """``version`` and ``text`` of what is agreed to."""
    file = Path(policies.__file__).parent / "texts" / "consent.yaml"
    words: dict[str, str] = yaml.safe_load(file.read_text("utf8"))
    return words


def give(
    actor: Actor, scopes: list[str], relation: str, days: int, now: Clock
) -> tuple[Consent, str]:
    """The patient consents; returns the consent and the code for the relative, good once for 24
    hours."""
    if actor.patient_id is None:
        raise Refused("NOT_BOUND")
    with Session.begin() as db:
        return _given(db, actor, actor.patient_id, scopes, relation, days, "", now())


def give_on_paper(
    actor: Actor,
    admission_id: UUID,
    scopes: list[str],
    relation: str,
    days: int,
    paper: str,
    now: Clock,
) -> tuple[Consent, str]:
    """Staff record the sheet that a patient without a phone signed; ``paper`` says where it is
    filed."""
    with Session.begin() as db:
        stay = stay_for(db, actor, admission_id, "OWN")
        return _given(db, actor, stay.patient_id, scopes, relation, days, paper, now())


def redeem(actor: Actor, code: str, now: Clock) -> Consent:
    """The relative's WeChat account takes the consent over; wrong, used and old codes answer
    alike."""
    with Session.begin() as db:
        consent = db.scalar(
            select(Consent)
            .where(
                Consent.hospital_id == actor.hospital_id,
                Consent.code_hash == digest(code.strip().upper()),
                Consent.redeemed_at.is_(None),
                Consent.withdrawn_at.is_(None),
                Consent.code_expires_at > now(),
            )
            .with_for_update()
        )
        if consent is None or consent.patient_id == actor.patient_id:
            raise Refused("CONSENT_CODE_INVALID")
        consent.binding_id, consent.redeemed_at = actor.id, now()
        _audited(db, actor, "consent redeemed", consent, now())
    return consent


def withdraw(actor: Actor, consent_id: UUID, now: Clock, admission_id: UUID | None = None) -> None:
    """End a consent for the next request on: the patient's own, or by staff that of a stay's
    patient."""
    with Session.begin() as db:
        patient_id = actor.patient_id
        if admission_id is not None:
            patient_id = stay_for(db, actor, admission_id, "OWN").patient_id
        query = select(Consent).filter_by(id=consent_id, patient_id=patient_id)
        consent = db.scalar(query.with_for_update())
        if consent is None or consent.hospital_id != actor.hospital_id:
            raise NotFound("CONSENT_UNKNOWN")
        if consent.withdrawn_at is None:
            consent.withdrawn_at, consent.withdrawn_by = now(), actor.name
            _audited(db, actor, "consent withdrawn", consent, now())


def consents_of(actor: Actor, admission_id: UUID | None = None) -> list[Consent]:
    """Given by and to the patient who asks; for staff, those given by a stay's patient. Newest
    first."""
    with ReadSession() as db:
        if admission_id is not None:
            patient_id = stay_for(db, actor, admission_id, "OWN").patient_id
            which = Consent.patient_id == patient_id
        else:
            own = Consent.patient_id == actor.patient_id
            which = or_(own, Consent.binding_id == actor.id)
        return list(db.scalars(select(Consent).where(which).order_by(Consent.id.desc())))


def state_of(consent: Consent, at: datetime) -> str:
    """OFFERED, LIVE, WITHDRAWN, ENDED or LAPSED (nobody redeemed the code in time)."""
    if consent.withdrawn_at is not None:
        return "WITHDRAWN"
    if consent.ends_at <= at:
        return "ENDED"
    if consent.redeemed_at is not None:
        return "LIVE"
    return "OFFERED" if consent.code_expires_at > at else "LAPSED"


def _given(
    db: SqlSession,
    actor: Actor,
    patient_id: UUID,
    scopes: list[str],
    relation: str,
    days: int,
    paper: str,
    at: datetime,
) -> tuple[Consent, str]:
    code = readable_code()
    consent = Consent(
        hospital_id=actor.hospital_id,
        patient_id=patient_id,
        scopes=sorted(set(scopes)),
        relation=relation,
        text_version=consent_text()["version"],
        given_at=at,
        given_by=actor.name,
        paper=paper,
        ends_at=at + timedelta(days=days),
        code_hash=digest(code),
        code_expires_at=at + CODE_LIFE,
    )
    db.add(consent)
    _audited(db, actor, "consent given", consent, at)
    return consent, code


def _audited(db: SqlSession, actor: Actor, what: str, consent: Consent, at: datetime) -> None:
    db.flush()
    facts: dict[str, Any] = {"scopes": consent.scopes, "patient": str(consent.patient_id)}
    audit(db, actor.hospital_id, actor.name, what, f"consent:{consent.id}", facts, at=at)
