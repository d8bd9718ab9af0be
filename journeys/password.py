"""A staff member sets a new password under the hospital's rules; every other session of theirs
ends."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session as SqlSession

from models.audit import audit
from models.db import Session
from models.hospital import Hospital, setting
from models.login import LoginGuess, LoginSession
from models.password import hashed, right_password
from models.staff import Staff
from policies.access import Actor
from policies.passwords import PasswordRules, due_at, shortest, weakness
from policies.refusals import Refused, Unauthenticated


def change_password(
    actor: Actor, session_id: UUID, old: str, new: str, now: Callable[[], datetime]
) -> None:
    """Replace the password; the session it was done in goes on.

    Refused PASSWORD_…, Unauthenticated LOGIN_LOCKED or LOGIN_FAILED when ``old`` is wrong.
    """
    with Session.begin() as db:
        staff = db.get_one(Staff, actor.id)
        rules, about = _rules(db, staff.hospital_id), _about(db, staff)
        free = LoginGuess.counted(db, staff.hospital_id, staff.staff_no, now())
    if not free:
        raise Unauthenticated("LOGIN_LOCKED")
    if not right_password(staff.password_hash, old):
        raise Unauthenticated("LOGIN_FAILED")
    if old == new:
        raise Refused("PASSWORD_SAME")
    if weak := weakness(new, rules, about):
        raise Refused(weak, shortest=shortest(rules))
    proof = hashed(new)
    with Session.begin() as db:
        staff = Staff.locked(db, actor.hospital_id, staff.staff_no)
        staff.password_hash, staff.password_due_at = proof, due_at(rules, now())
        LoginGuess.forget(db, staff.hospital_id, staff.staff_no, now())
        others = (LoginSession.staff_id == staff.id, LoginSession.id != session_id)
        LoginSession.revoke(db, now(), "password changed", *others)
        audit(db, staff.hospital_id, actor.name, "password changed", actor.name, at=now())


def _rules(db: SqlSession, hospital_id: UUID) -> PasswordRules:
    return PasswordRules(setting(db, hospital_id, "password_rules"))


def _about(db: SqlSession, staff: Staff) -> list[str]:
    hospital = db.get_one(Hospital, staff.hospital_id)
    return [staff.staff_no, staff.name, hospital.name, hospital.code]
