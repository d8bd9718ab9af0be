"""Somebody of the staff at the server's own command line, known by number and password."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select

from models.audit import audit
from models.db import Session
from models.hospital import Hospital
from models.login import LoginGuess
from models.password import right_password
from models.staff import Staff, StaffRole
from policies.access import Actor, Channel
from policies.refusals import Unauthenticated

CONSOLE = {"device": "console"}
Clock = Callable[[], datetime]


def at_console(hospital: str, staff_no: str, password: str, now: Clock) -> Actor:
    """The staff member with this password; wrong guesses count as at a desk and are audited too.

    Unauthenticated LOGIN_LOCKED, LOGIN_FAILED; NotFound HOSPITAL_UNKNOWN.
    """
    with Session.begin() as db:
        home = Hospital.by_code(db, hospital)
        free = LoginGuess.counted(db, home.id, staff_no, now())
        staff = db.scalar(
            select(Staff).filter_by(hospital_id=home.id, staff_no=staff_no, disabled_at=None)
        )
    if not free:
        raise Unauthenticated("LOGIN_LOCKED")
    if not right_password(staff.password_hash if staff else None, password) or staff is None:
        with Session.begin() as db:
            subject = f"staff:{staff.staff_no if staff else 'unknown'}"
            audit(db, home.id, "unknown", "login failed", subject, CONSOLE, at=now())
        raise Unauthenticated("LOGIN_FAILED")
    with Session.begin() as db:
        LoginGuess.forget(db, home.id, staff_no, now())
        roles = db.scalars(select(StaffRole.role).filter_by(staff_id=staff.id)).all()
        by = f"staff:{staff_no}"
        audit(db, home.id, by, "login", by, CONSOLE, at=now())
    return Actor(home.id, f"staff:{staff_no}", frozenset(roles), Channel.DESK, id=staff.id)
