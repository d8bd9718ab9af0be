"""Handhelds and desks: announced by an administrator with a one-time code, enrolled with their own
key, revoked at once."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from models.audit import audit
from models.db import Session, rows
from models.hospital import Hospital
from models.login import LoginSession, digest, readable_code
from models.staff import Device
from policies.access import Actor
from policies.refusals import Conflict, NotFound, Refused

CODE_LIFE = timedelta(hours=24)
Clock = Callable[[], datetime]


def announce(
    actor: Actor, name: str, kind: str, ward: str, window: str, now: Clock
) -> tuple[UUID, str, datetime]:
    """Prepare a device and return its id, the code that enrols it once, and when the code ends."""
    code = readable_code()
    with Session.begin() as db:
        device = Device(
            hospital_id=actor.hospital_id,
            name=name,
            kind=kind,
            ward=ward,
            window=window,
            code_hash=digest(code),
            code_expires_at=now() + CODE_LIFE,
        )
        db.add(device)
        db.flush()
        facts = {"name": name, "kind": kind, "ward": ward, "window": window}
        subject = f"device:{device.id}"
        audit(db, actor.hospital_id, actor.name, "device announced", subject, facts, at=now())
    return device.id, code, now() + CODE_LIFE


def enrol(hospital: str, code: str, jwk: dict[str, str], thumbprint: str, now: Clock) -> Device:
    """Give an announced device its key. A wrong, used and expired code are told apart by nobody.

    Refused ENROLMENT_CODE_INVALID; Conflict DEVICE_KEY_TAKEN when the key is another device's.
    """
    try:
        with Session.begin() as db:
            device = db.scalar(
                select(Device)
                .join(Hospital, Hospital.id == Device.hospital_id)
                .where(
                    Hospital.code == hospital,
                    Device.code_hash == digest(code.strip().upper()),
                    Device.code_expires_at > now(),
                    Device.revoked_at.is_(None),
                )
                .with_for_update(of=Device)
            )
            if device is None:
                raise Refused("ENROLMENT_CODE_INVALID")
            device.jwk, device.thumbprint, device.enrolled_at = dict(jwk), thumbprint, now()
            device.code_hash = device.code_expires_at = None
            db.flush()
            subject = f"device:{device.id}"
            audit(db, device.hospital_id, subject, "device enrolled", subject, at=now())
    except IntegrityError:
        raise Conflict("DEVICE_KEY_TAKEN") from None
    return device


def revoke(actor: Actor, device_id: UUID, now: Clock) -> None:
    """Lost, stolen or broken: from the next request on nobody works with it. Said twice, it stays
    done."""
    with Session.begin() as db:
        query = select(Device).filter_by(id=device_id, hospital_id=actor.hospital_id)
        device = db.scalar(query.with_for_update())
        if device is None:
            raise NotFound("DEVICE_NOT_FOUND")
        device.revoked_at = device.revoked_at or now()
        LoginSession.revoke(db, now(), "device revoked", LoginSession.device_id == device.id)
        subject = f"device:{device.id}"
        audit(db, actor.hospital_id, actor.name, "device revoked", subject, at=now())


def device_list(actor: Actor) -> list[dict[str, Any]]:
    """Every device of the hospital, newest first."""
    return rows(
        'SELECT id, name, kind, ward, "window", enrolled_at, revoked_at FROM device'
        " WHERE hospital_id = :hospital ORDER BY id DESC",
        hospital=actor.hospital_id,
    )
