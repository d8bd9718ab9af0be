"""Who is logged in: sessions with rotating refresh tokens, counted guesses, and what a session
means at this moment."""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    case,
    delete,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, named_at_once, new_id

TRIES = 5
LOCKED_FOR = timedelta(minutes=15)
REPEAT_WITHIN = timedelta(seconds=10)
"""A handheld whose answer was lost may show its last refresh token once more this long."""

_READABLE = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


class LoginSession(Base):
    """One login of a staff member on a device, or of a WeChat account. Tokens carry only its id.

    ``refresh_hash`` is of the one refresh token that is good now; an older one coming back means
    that somebody has a copy, and the whole session ends. ``generation`` counts the exchanges.
    """

    __tablename__ = "login_session"
    __table_args__ = (
        Index(None, "staff_id"),
        Index(None, "binding_id"),
        Index(None, "device_id"),
        CheckConstraint("num_nonnulls(staff_id, binding_id) = 1", name="one_owner"),
        CheckConstraint("(staff_id IS NULL) = (device_id IS NULL)", name="staff_on_device"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    staff_id: Mapped[UUID | None] = mapped_column(ForeignKey("staff.id"))
    binding_id: Mapped[UUID | None] = mapped_column(ForeignKey("wechat_binding.id"))
    device_id: Mapped[UUID | None] = mapped_column(ForeignKey("device.id"))
    started_at: Mapped[datetime] = mapped_column(Moment)
    ends_at: Mapped[datetime] = mapped_column(Moment)
    generation: Mapped[int]
    refresh_hash: Mapped[bytes] = mapped_column(LargeBinary)
    previous_hash: Mapped[bytes] = mapped_column(LargeBinary)
    refreshed_at: Mapped[datetime] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)
    revoked_why: Mapped[str] = mapped_column(Text, default="")

    @classmethod
    def locked(cls, db: Session, session_id: UUID) -> Self | None:
        """The session under a row lock."""
        return db.scalar(select(cls).where(cls.id == session_id).with_for_update())

    def turn(self, shown: str, at: datetime) -> str:
        """Exchange the refresh token that was shown; returns its successor's secret.

        Shown once more, after a lost answer, the same token gets another successor: the one that
        was
        lost is no good any more, and the time of the first exchange stays.
        """
        secret = secrets.token_urlsafe(32)
        if self.previous_hash != digest(shown):
            self.generation += 1
            self.previous_hash, self.refreshed_at = digest(shown), at
        self.refresh_hash = digest(secret)
        return secret

    def newest(self, shown: str) -> bool:
        """Whether this is the secret of the newest refresh token."""
        return secrets.compare_digest(self.refresh_hash, digest(shown))

    def just_exchanged(self, shown: str, at: datetime) -> bool:
        """Whether this is the token before the newest one, exchanged ten seconds ago at most."""
        recent = at - self.refreshed_at <= REPEAT_WITHIN
        return recent and secrets.compare_digest(self.previous_hash, digest(shown))

    @classmethod
    def revoke(cls, db: Session, at: datetime, why: str, *which: ColumnElement[bool]) -> None:
        """End these sessions, if they live, from the next request on."""
        sessions = update(cls).where(cls.revoked_at.is_(None), *which)
        db.execute(sessions.values(revoked_at=at, revoked_why=why))


class LoginGuess(Base):
    """Consecutive password tries for one staff number, existing or not; a right password deletes
    the row."""

    __tablename__ = "login_guess"
    __table_args__ = (UniqueConstraint("hospital_id", "staff_no_hash"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    staff_no_hash: Mapped[bytes] = mapped_column(LargeBinary)
    tries: Mapped[int]
    last_at: Mapped[datetime] = mapped_column(Moment)

    @classmethod
    def counted(cls, db: Session, hospital_id: UUID, staff_no: str, at: datetime) -> bool:
        """Count one try before it is looked at; False while the number is locked.

        One statement, so that guesses sent all at once are no more than five either. While locked,
        ``last_at`` stays where the fifth try put it: the lock ends by itself.
        """
        forgotten = cls.last_at <= at - LOCKED_FOR
        first = insert(cls).values(
            id=new_id(),
            hospital_id=hospital_id,
            staff_no_hash=digest(staff_no),
            tries=1,
            last_at=at,
        )
        again = first.on_conflict_do_update(
            index_elements=["hospital_id", "staff_no_hash"],
            set_={
                "tries": case((forgotten, 1), else_=cls.tries + 1),
                "last_at": case((~forgotten & (cls.tries >= TRIES), cls.last_at), else_=at),
            },
        )
        return db.execute(again.returning(cls.tries)).scalar_one() <= TRIES

    @classmethod
    def forget(cls, db: Session, hospital_id: UUID, staff_no: str, at: datetime) -> None:
        """A right password: this count starts anew; others' counts of a day ago are swept out."""
        own = cls.staff_no_hash == digest(staff_no)
        stale = cls.last_at < at - timedelta(days=1)
        db.execute(delete(cls).where(cls.hospital_id == hospital_id, own | stale))


def readable_code(characters: int = 10) -> str:
    """A code that a person can type: no 0/O, no 1/I; 5 bits a character."""
    return "".join(secrets.choice(_READABLE) for _ in range(characters))


def digest(secret: str) -> bytes:
    """SHA-256 of a long random secret or a key of a count; what is stored opens nothing."""
    return hashlib.sha256(secret.encode()).digest()


_STAFF = """
WITH proof AS (INSERT INTO proof_seen VALUES (%(proof)s, now()) ON CONFLICT DO NOTHING RETURNING 1)
SELECT EXISTS (SELECT FROM proof) AS fresh,
       h.code AS hospital, h.id AS hospital_id, s.id AS staff_id, s.staff_no, s.password_due_at,
       d.id AS device_id, d.kind, d."window", d.thumbprint,
       ARRAY(SELECT role FROM staff_role WHERE staff_id = s.id) AS roles,
       ARRAY(SELECT ward FROM staff_ward WHERE staff_id = s.id) AS wards
  FROM login_session l
  JOIN hospital h ON h.id = l.hospital_id
  JOIN staff s ON s.id = l.staff_id AND s.disabled_at IS NULL
  JOIN device d ON d.id = l.device_id AND d.revoked_at IS NULL
 WHERE l.id = %(id)s AND l.revoked_at IS NULL AND l.ends_at > %(now)s
"""

_PATIENT = """
SELECT h.code AS hospital, h.id AS hospital_id, b.id AS binding_id, b.openid, b.patient_id,
       ARRAY(SELECT c.patient_id || ' ' || scope
               FROM consent c, unnest(c.scopes) scope
              WHERE c.binding_id = b.id AND c.withdrawn_at IS NULL
                AND c.ends_at > %(now)s) AS consents
  FROM login_session l
  JOIN hospital h ON h.id = l.hospital_id
  JOIN wechat_binding b ON b.id = l.binding_id AND b.active
 WHERE l.id = %(id)s AND l.revoked_at IS NULL AND l.ends_at > %(now)s
"""

_HIS = """
SELECT h.code AS hospital, h.id AS hospital_id, k.id AS id, k.system, k.secret_sealed
  FROM his_key k JOIN hospital h ON h.id = k.hospital_id
 WHERE h.code = %(hospital)s AND k.key_id = %(key_id)s AND k.retired_at IS NULL
"""


def staff_in(session_id: UUID, now: datetime, proof: bytes) -> dict[str, Any] | None:
    """What the session of a staff member means now: roles, wards, device; None when it means
    nothing any more. The request's proof is noted; ``fresh``: it was never here before."""
    return next(iter(named_at_once(_STAFF, id=session_id, now=now, proof=proof)), None)


def patient_in(session_id: UUID, now: datetime) -> dict[str, Any] | None:
    """What the session of a WeChat account means now: the patient it is bound to, and live
    consents."""
    return next(iter(named_at_once(_PATIENT, id=session_id, now=now)), None)


def his_key(hospital: str, key_id: str) -> dict[str, Any] | None:
    """The live signing key of this name, its secret still sealed."""
    return next(iter(named_at_once(_HIS, hospital=hospital, key_id=key_id)), None)
