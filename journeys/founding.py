"""What a hospital starts with: itself, its first administrator on a first desk, and the HIS's
signing keys."""

import base64
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from config import today
from journeys.his_charges import have_months
from models.audit import audit
from models.db import ReadSession, Session, new_id
from models.his_key import HisKey
from models.hospital import Hospital
from policies.access import Actor, system
from policies.outcome import NotNow
from policies.refusals import Conflict, NotFound, Refused

INSTITUTION_TYPES = ("PUBLIC", "DESIGNATED", "PRIVATE_OTHER", "MILITARY")
LIVE_KEYS = 2
Clock = Callable[[], datetime]


def found_hospital(
    code: str, name: str, institution_type: str, county_code: str, packs: list[str], now: Clock
) -> UUID:
    """Write the hospital down (GZ-2), and have the months ready into which its first charge lines
    come. Conflict HOSPITAL_CODE_TAKEN.
    """
    if institution_type not in INSTITUTION_TYPES:
        raise Refused("INSTITUTION_TYPE_UNKNOWN")
    with Session.begin() as db:
        founded = insert(Hospital).values(
            id=new_id(),
            code=code,
            name=name,
            institution_type=institution_type,
            opted_in=False,
            level="",
            county_code=county_code,
            rule_packs=packs,
        )
        found: UUID | None = db.scalar(founded.on_conflict_do_nothing().returning(Hospital.id))
        if found is None:
            raise Conflict("HOSPITAL_CODE_TAKEN", hospital=code)
        audit(db, found, "system", "hospital founded", f"hospital:{code}", at=now())
    with suppress(NotNow):  # where others are at work, the night does it
        have_months(today(now()))
    return found


def make_his_key(hospital: str, system_name: str, now: Clock) -> tuple[str, str]:
    """Make a signing key and return its id and secret, shown this once; two of a system may live.

    Conflict HIS_KEYS_FULL: retire the old one first.
    """
    secret = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    key_id = f"{system_name.lower()}-{secrets.token_hex(4)}"
    with Session.begin() as db:
        home = db.scalar(select(Hospital).filter_by(code=hospital).with_for_update())
        if home is None:
            raise NotFound("HOSPITAL_UNKNOWN")
        live = select(HisKey.id).filter_by(hospital_id=home.id, system=system_name, retired_at=None)
        if len(db.scalars(live).all()) >= LIVE_KEYS:
            raise Conflict("HIS_KEYS_FULL", system=system_name)
        key = HisKey(
            id=new_id(), hospital_id=home.id, system=system_name, key_id=key_id, made_at=now()
        )
        key.secret = secret
        db.add(key)
        db.flush()
        audit(db, home.id, "system", "his key made", f"his_key:{key_id}", at=now())
    return key_id, secret


def retire_his_key(hospital: str, key_id: str, now: Clock) -> None:
    """Refuse this key from the next request on. Said twice, it stays done."""
    with Session.begin() as db:
        home = Hospital.by_code(db, hospital)
        query = select(HisKey).filter_by(hospital_id=home.id, key_id=key_id)
        key = db.scalar(query.with_for_update())
        if key is None:
            raise NotFound("HIS_KEY_UNKNOWN")
        if key.retired_at is None:
            key.retired_at = now()
            db.flush()
            audit(db, home.id, "system", "his key retired", f"his_key:{key_id}", at=now())


def his_keys_that_open() -> tuple[int, list[str]]:
    """How many live HIS keys our sealing keys open, and the ids of those they do not."""
    with ReadSession() as db:
        keys = db.scalars(select(HisKey).where(HisKey.retired_at.is_(None))).all()
    opened = [key for key in keys if _opens(key)]
    return len(opened), [key.key_id for key in keys if key not in opened]


def _opens(key: HisKey) -> bool:
    try:
        return bool(key.secret)
    except Exception:
        return False


def ourselves(hospital: str) -> Actor:
    """The software itself acting in this hospital; NotFound HOSPITAL_UNKNOWN."""
    with ReadSession() as db:
        return system(Hospital.by_code(db, hospital).id)
