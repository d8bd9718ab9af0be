"""Staff, what they may do and where, and the enrolled devices whose own key is their second
factor."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, Text, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id
from policies.access import ROLES
from policies.refusals import NotFound


class Staff(Base):
    """One person who works here. ``password_due_at``: from then on only a new password may be
    set."""

    __tablename__ = "staff"
    __table_args__ = (UniqueConstraint("hospital_id", "staff_no"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    staff_no: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str] = mapped_column(Text)
    password_due_at: Mapped[datetime | None] = mapped_column(Moment)
    disabled_at: Mapped[datetime | None] = mapped_column(Moment)

    @classmethod
    def locked(cls, db: Session, hospital_id: UUID, staff_no: str) -> Self:
        """The staff member under a row lock; NotFound in any other hospital."""
        query = select(cls).where(cls.hospital_id == hospital_id, cls.staff_no == staff_no)
        if staff := db.scalar(query.with_for_update()):
            return staff
        raise NotFound("STAFF_UNKNOWN")


class StaffRole(Base):
    """One role of one staff member (policies.access.ROLES)."""

    __tablename__ = "staff_role"

    staff_id: Mapped[UUID] = mapped_column(ForeignKey("staff.id"), primary_key=True)
    role: Mapped[str] = mapped_column(Text, primary_key=True)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))


class StaffWard(Base):
    """One ward in which a staff member works now."""

    __tablename__ = "staff_ward"

    staff_id: Mapped[UUID] = mapped_column(ForeignKey("staff.id"), primary_key=True)
    ward: Mapped[str] = mapped_column(Text, primary_key=True)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))


class DeviceKind(StrEnum):
    """HANDHELD: at the bed. DESK: an office, or with ``window`` set, a cashier's window."""

    HANDHELD = "HANDHELD"
    DESK = "DESK"


class Device(Base):
    """One handheld or desk. Announced with a one-time code; enrolled when it shows a key of its
    own.

    ``thumbprint`` is the RFC 7638 thumbprint of ``jwk``; access tokens are bound to it (RFC 9449).
    """

    __tablename__ = "device"
    __table_args__ = (
        UniqueConstraint("hospital_id", "thumbprint"),
        UniqueConstraint("hospital_id", "code_hash"),
        CheckConstraint("kind IN ('HANDHELD', 'DESK')", name="kind_known"),
        CheckConstraint("(jwk IS NULL) = (thumbprint IS NULL)", name="key_whole"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    name: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    ward: Mapped[str] = mapped_column(Text, default="")
    window: Mapped[str] = mapped_column(Text, default="")
    code_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    code_expires_at: Mapped[datetime | None] = mapped_column(Moment)
    jwk: Mapped[dict[str, Any] | None]
    thumbprint: Mapped[str | None] = mapped_column(Text)
    enrolled_at: Mapped[datetime | None] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)


def someone_may(db: Session, hospital_id: UUID, permission: str) -> bool:
    """Whether an active staff member holds a role with this permission."""
    granting = [role for role, permissions in ROLES.items() if permission in permissions]
    query = (
        select(Staff.id)
        .join(StaffRole, StaffRole.staff_id == Staff.id)
        .where(
            Staff.hospital_id == hospital_id,
            Staff.disabled_at.is_(None),
            StaffRole.role.in_(granting),
        )
    )
    return db.scalar(query.limit(1)) is not None


def refund_checker_present(db: Session, hospital_id: UUID) -> bool:
    """Whether anybody could check a refund; without one no refund is executed (GZ-4 T1)."""
    return someone_may(db, hospital_id, "refund:check")
