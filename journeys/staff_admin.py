"""An administrator hires, assigns, moves and stops staff; each act is audited and in force with the
next request."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session as SqlSession

from models.audit import audit
from models.db import Session, new_id, rows
from models.login import LoginSession
from models.password import first_password, hashed
from models.staff import Staff, StaffRole, StaffWard
from policies.access import ALONE, ROLES, Actor
from policies.refusals import Conflict, Forbidden, Refused

GRANTABLE = frozenset(ROLES) - {"PATIENT", "HIS", "SYSTEM"}
Clock = Callable[[], datetime]


def create_staff(
    actor: Actor, staff_no: str, name: str, roles: Iterable[str], wards: Iterable[str], now: Clock
) -> str:
    """Create the staff member and return the password to hand over, good for one login.

    Conflict STAFF_NO_TAKEN, Refused ROLE_UNKNOWN, ROLE_STANDS_ALONE.
    """
    password = first_password()
    proof = hashed(password)
    with Session.begin() as db:
        staff_id = db.scalar(
            insert(Staff)
            .values(
                id=new_id(),
                hospital_id=actor.hospital_id,
                staff_no=staff_no,
                name=name,
                password_hash=proof,
                password_due_at=now(),
            )
            .on_conflict_do_nothing()
            .returning(Staff.id)
        )
        if staff_id is None:
            raise Conflict("STAFF_NO_TAKEN", staff_no=staff_no)
        facts = {
            "roles": _assign_roles(db, actor.hospital_id, staff_id, roles),
            "wards": _assign_wards(db, actor.hospital_id, staff_id, wards),
        }
        _audited(db, actor, "staff created", staff_no, now(), facts)
    return password


def set_roles(actor: Actor, staff_no: str, roles: Iterable[str], now: Clock) -> list[str]:
    """Replace the roles; Forbidden OWN_ROLES: nobody gives themselves powers. Returns them
    sorted."""
    with Session.begin() as db:
        staff = Staff.locked(db, actor.hospital_id, staff_no)
        if staff.id == actor.id:
            raise Forbidden("OWN_ROLES")
        given = _assign_roles(db, actor.hospital_id, staff.id, roles)
        _audited(db, actor, "roles set", staff_no, now(), {"roles": given})
    return given


def set_wards(actor: Actor, staff_no: str, wards: Iterable[str], now: Clock) -> list[str]:
    """Replace the wards in which they work now. Returns them sorted."""
    with Session.begin() as db:
        staff = Staff.locked(db, actor.hospital_id, staff_no)
        given = _assign_wards(db, actor.hospital_id, staff.id, wards)
        _audited(db, actor, "wards set", staff_no, now(), {"wards": given})
    return given


def disable(actor: Actor, staff_no: str, now: Clock) -> None:
    """Stop a staff member: their sessions end, their history stays. Said twice, it stays done."""
    with Session.begin() as db:
        staff = Staff.locked(db, actor.hospital_id, staff_no)
        if staff.id == actor.id:
            raise Forbidden("OWN_ACCOUNT")
        staff.disabled_at = staff.disabled_at or now()
        LoginSession.revoke(db, now(), "staff disabled", LoginSession.staff_id == staff.id)
        _audited(db, actor, "staff disabled", staff_no, now())


def reset_password(actor: Actor, staff_no: str, now: Clock) -> str:
    """Give somebody who is locked out, or comes back, a new first password; their old sessions
    end."""
    password = first_password()
    proof = hashed(password)
    with Session.begin() as db:
        staff = Staff.locked(db, actor.hospital_id, staff_no)
        staff.password_hash, staff.password_due_at, staff.disabled_at = proof, now(), None
        LoginSession.revoke(db, now(), "password reset", LoginSession.staff_id == staff.id)
        _audited(db, actor, "password reset", staff_no, now())
    return password


def staff_list(actor: Actor) -> list[dict[str, Any]]:
    """Everybody who works here, by staff number."""
    return rows(
        "SELECT staff_no, name, disabled_at,"
        " ARRAY(SELECT role FROM staff_role WHERE staff_id = s.id ORDER BY 1) AS roles,"
        " ARRAY(SELECT ward FROM staff_ward WHERE staff_id = s.id ORDER BY 1) AS wards"
        " FROM staff s WHERE hospital_id = :hospital ORDER BY staff_no",
        hospital=actor.hospital_id,
    )


def _assign_roles(
    db: SqlSession, hospital_id: UUID, staff_id: UUID, roles: Iterable[str]
) -> list[str]:
    given = sorted(set(roles))
    for role in given:
        if role not in GRANTABLE:
            raise Refused("ROLE_UNKNOWN", role=role)
    if len(given) > 1 and ALONE & set(given):
        raise Refused("ROLE_STANDS_ALONE")
    db.execute(delete(StaffRole).where(StaffRole.staff_id == staff_id))
    db.add_all(StaffRole(staff_id=staff_id, role=role, hospital_id=hospital_id) for role in given)
    return given


def _assign_wards(
    db: SqlSession, hospital_id: UUID, staff_id: UUID, wards: Iterable[str]
) -> list[str]:
    given = sorted(set(wards))
    db.execute(delete(StaffWard).where(StaffWard.staff_id == staff_id))
    db.add_all(StaffWard(staff_id=staff_id, ward=ward, hospital_id=hospital_id) for ward in given)
    return given


def _audited(
    db: SqlSession,
    actor: Actor,
    what: str,
    staff_no: str,
    at: datetime,
    facts: dict[str, Any] | None = None,
) -> None:
    db.flush()
    audit(db, actor.hospital_id, actor.name, what, f"staff:{staff_no}", facts, at=at)
