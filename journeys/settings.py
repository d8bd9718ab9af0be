"""The hospital's own decisions: set with a trace of who, when, old and new, and checked for gaps
before opening (GZ-4)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select

from models.audit import audit
from models.db import ReadSession, Session, rows
from models.hospital import Hospital, Setting, SettingChange
from models.staff import refund_checker_present, someone_may
from policies.access import Actor
from policies.hospital_settings import DUTIES, KNOWN
from policies.refusal_texts import words_of
from policies.refusals import NotFound, Refused

__all__ = ["change_setting", "readiness", "refund_checker_present", "settings_of"]


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that must be decided or staffed. ``key``: the setting, or the permission nobody
    holds."""

    code: str
    key: str
    clause: str
    say: str
    next: str


def change_setting(actor: Actor, key: str, value: str, now: Callable[[], datetime]) -> None:
    """Set one setting; the same value again changes nothing. Refused SETTING_MALFORMED."""
    known = KNOWN.get(key)
    if known is None:
        raise NotFound("SETTING_UNKNOWN", key=key)
    if not known.allows(value):
        raise Refused("SETTING_MALFORMED", says=known.says)
    of_hospital = {"hospital_id": actor.hospital_id, "key": key}
    with Session.begin() as db:
        db.scalar(select(Hospital.id).filter_by(id=actor.hospital_id).with_for_update())
        present = db.scalar(select(Setting).filter_by(**of_hospital))
        old = present.value if present else None
        if old == value:
            return
        if present is None:
            db.add(Setting(**of_hospital, value=value))
        else:
            present.value = value
        db.add(SettingChange(**of_hospital, old=old, new=value, by=actor.name, at=now()))
        db.flush()
        facts = {"old": old, "new": value}
        audit(db, actor.hospital_id, actor.name, "setting changed", key, facts, at=now())


def settings_of(actor: Actor) -> list[dict[str, Any]]:
    """Every known setting with its meaning, present value and history, newest change first."""
    changes = rows(
        "SELECT key, old, new, by, at FROM setting_change WHERE hospital_id = :id"
        " ORDER BY at DESC, id DESC",
        id=actor.hospital_id,
    )
    values = _values(actor.hospital_id)
    return [
        {
            "key": key,
            "says": known.says,
            "clause": known.clause,
            "required": known.required,
            "value": values.get(key, known.default),
            "changes": [change for change in changes if change["key"] == key],
        }
        for key, known in KNOWN.items()
    ]


def readiness(hospital_id: UUID) -> list[Gap]:
    """What is missing before the hospital may open (GZ-4): required settings, and duties nobody
    holds."""
    values = _values(hospital_id)
    gaps = [
        _gap("SETTING_MISSING", key, says=known.says)
        for key, known in KNOWN.items()
        if known.required and key not in values
    ]
    with ReadSession() as db:
        gaps += [
            _gap(code, permission)
            for code, permission in DUTIES.items()
            if not someone_may(db, hospital_id, permission)
        ]
    return gaps


def _values(hospital_id: UUID) -> dict[str, str]:
    found = rows("SELECT key, value FROM setting WHERE hospital_id = :id", id=hospital_id)
    return {row["key"]: row["value"] for row in found}


def _gap(code: str, key: str, **facts: str) -> Gap:
    words = words_of(code, facts)
    return Gap(code, key, words.clause, words.say, words.next)
