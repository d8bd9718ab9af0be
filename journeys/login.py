"""Logging in, staying logged in and leaving: WeChat accounts by code, staff by password on an
enrolled device."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session as SqlSession

from models import proof_seen
from models.audit import audit
from models.binding import WeChatBinding
from models.db import Session, new_id
from models.hospital import Hospital
from models.login import LoginGuess, LoginSession
from models.password import right_password
from models.staff import Device, Staff
from policies.outcome import Declined, NoAnswer, NotNow
from policies.refusals import Busy, Unauthenticated

if TYPE_CHECKING:
    from journeys.counterparts import Counterparts

STAFF_LIFE, STAFF_IDLE = timedelta(hours=12), timedelta(minutes=30)
PATIENT_LIFE, PATIENT_IDLE = timedelta(days=90), timedelta(days=30)


class MiniProgramLogin(Protocol):
    """The part of the mini-program that logging in needs."""

    @property
    def appid(self) -> str:
        """An openid means something only together with this."""

    def code_to_session(self, code: str) -> str:
        """The openid behind a code of wx.login."""


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """What the edge makes tokens of. ``thumbprint``: the staff device's key; None for patients."""

    session_id: UUID
    secret: str
    ends_at: datetime
    thumbprint: str | None = None
    password_due: bool = False


def log_in_patient(
    hospital: str,
    code: str,
    mini_program: MiniProgramLogin,
    now: Callable[[], datetime],
) -> LoggedIn:
    """Open a session for the WeChat account behind ``code``; it acts for nobody until it is bound.

    Unauthenticated WECHAT_CODE_REFUSED, Busy WECHAT_AWAY: either way the phone asks for a new code.
    """
    try:
        openid = mini_program.code_to_session(code)
    except Declined:
        raise Unauthenticated("WECHAT_CODE_REFUSED") from None
    except (NotNow, NoAnswer):
        raise Busy("WECHAT_AWAY") from None
    with Session.begin() as db:
        hospital_id = Hospital.by_code(db, hospital).id
        account = {"hospital_id": hospital_id, "appid": mini_program.appid, "openid": openid}
        first = insert(WeChatBinding).values(id=new_id(), active=True, **account)
        db.execute(first.on_conflict_do_nothing())
        binding = db.scalars(select(WeChatBinding).filter_by(**account)).one()
        if not binding.active:
            raise Unauthenticated("ACCOUNT_CLOSED")
        session = LoginSession(hospital_id=hospital_id, binding_id=binding.id)
        return _opened(db, session, f"patient:{binding.id}", PATIENT_LIFE, PATIENT_IDLE, now())


def log_in_staff(
    hospital: str, staff_no: str, password: str, thumbprint: str, now: Callable[[], datetime]
) -> LoggedIn:
    """Open a session on this device. Unknown numbers meet the same answers, time and locks as known
    ones.

    Unauthenticated DEVICE_UNKNOWN (before any password is looked at), LOGIN_LOCKED, LOGIN_FAILED.
    """
    with Session.begin() as db:
        device = _device(db, hospital, thumbprint)
        free = LoginGuess.counted(db, device.hospital_id, staff_no, now())
        staff = db.scalar(_working(device.hospital_id, staff_no))
    if not free:
        raise Unauthenticated("LOGIN_LOCKED")
    if not right_password(staff.password_hash if staff else None, password) or staff is None:
        _remember_failure(device, staff.staff_no if staff else "unknown", now())
        raise Unauthenticated("LOGIN_FAILED")
    with Session.begin() as db:
        staff = db.scalar(_working(device.hospital_id, staff_no))
        if staff is None:
            raise Unauthenticated("LOGIN_FAILED")
        LoginGuess.forget(db, staff.hospital_id, staff_no, now())
        session = LoginSession(
            hospital_id=staff.hospital_id, staff_id=staff.id, device_id=device.id
        )
        due = staff.password_due_at
        return _opened(
            db,
            session,
            f"staff:{staff_no}",
            STAFF_LIFE,
            STAFF_IDLE,
            now(),
            thumbprint=thumbprint,
            password_due=due is not None and due <= now(),
        )


def refresh(
    session_id: UUID, secret: str, thumbprint: str | None, now: Callable[[], datetime]
) -> LoggedIn:
    """Exchange a refresh token for its successor; one that was already exchanged ends the session.

    The predecessor may come again within ten seconds (a lost answer); it then replaces the token
    that never arrived, so a thief and the owner cannot both go on. Unauthenticated SESSION_OVER.
    """
    renewed = None
    with Session.begin() as db:
        session = LoginSession.locked(db, session_id)
        if session and session.revoked_at is None and now() < session.ends_at:
            device = db.get(Device, session.device_id) if session.device_id else None
            renewed = _renewed(session, device, secret, thumbprint, now())
            if renewed is None and not session.newest(secret):
                # Our signature was good, so it was once given out: a copy, or ours and overtaken.
                LoginSession.revoke(
                    db, now(), "refresh token reused", LoginSession.id == session.id
                )
                subject = f"session:{session.id}"
                audit(db, session.hospital_id, "system", "refresh token reused", subject, at=now())
    if renewed is None:
        raise Unauthenticated("SESSION_OVER")
    return renewed


def log_out(session_id: UUID, now: Callable[[], datetime]) -> None:
    """End the session from the next request on. Said twice, it stays ended."""
    with Session.begin() as db:
        LoginSession.revoke(db, now(), "logged out", LoginSession.id == session_id)


def forget_proofs(_: "Counterparts") -> None:
    """Sweep out the used proofs of devices whose time is long over."""
    proof_seen.forget()


def _opened(
    db: SqlSession,
    session: LoginSession,
    by: str,
    life: timedelta,
    idle: timedelta,
    at: datetime,
    *,
    thumbprint: str | None = None,
    password_due: bool = False,
) -> LoggedIn:
    session.id, session.started_at, session.ends_at = new_id(), at, at + life
    session.generation, session.previous_hash = 0, b""
    secret = session.turn("", at)
    db.add(session)
    db.flush()
    audit(db, session.hospital_id, by, "login", f"session:{session.id}", at=at)
    return LoggedIn(session.id, secret, at + idle, thumbprint, password_due)


def _renewed(
    session: LoginSession,
    device: Device | None,
    secret: str,
    thumbprint: str | None,
    at: datetime,
) -> LoggedIn | None:
    own_key = device.thumbprint if device and device.revoked_at is None else None
    if session.device_id is not None and (own_key is None or thumbprint != own_key):
        return None
    if not session.newest(secret) and not session.just_exchanged(secret, at):
        return None
    idle = STAFF_IDLE if session.staff_id else PATIENT_IDLE
    fresh = session.turn(secret, at)
    return LoggedIn(session.id, fresh, min(at + idle, session.ends_at), own_key)


def _device(db: SqlSession, hospital: str, thumbprint: str) -> Device:
    query = select(Device).join(Hospital, Hospital.id == Device.hospital_id)
    mine = (Hospital.code == hospital, Device.thumbprint == thumbprint)
    if device := db.scalar(query.where(*mine, Device.revoked_at.is_(None))):
        return device
    raise Unauthenticated("DEVICE_UNKNOWN")


def _working(hospital_id: UUID, staff_no: str) -> Select[Staff]:
    return select(Staff).filter_by(hospital_id=hospital_id, staff_no=staff_no, disabled_at=None)


def _remember_failure(device: Device, staff_no: str, at: datetime) -> None:
    with Session.begin() as db:
        subject = f"staff:{staff_no}"
        facts = {"device": str(device.id)}
        audit(db, device.hospital_id, "unknown", "login failed", subject, facts, at=at)
