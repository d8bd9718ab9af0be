"""A hospital: whose money and patients these are, which rules bind it, and its settings with their
history.
"""

from datetime import datetime
from typing import Self
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id
from policies.hospital_settings import KNOWN
from policies.refusals import NotFound


class Hospital(Base):
    """One institution (GZ-2). Its type: PUBLIC, DESIGNATED, PRIVATE_OTHER or MILITARY."""

    __tablename__ = "hospital"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    code: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    institution_type: Mapped[str] = mapped_column(Text)
    opted_in: Mapped[bool] = mapped_column(default=False)
    level: Mapped[str] = mapped_column(Text, default="")
    county_code: Mapped[str] = mapped_column(Text)
    rule_packs: Mapped[list[str]] = mapped_column(ARRAY(Text))

    @classmethod
    def by_code(cls, db: Session, code: str) -> Self:
        """The hospital that carries this code; NotFound otherwise."""
        if hospital := db.scalar(select(cls).where(cls.code == code)):
            return hospital
        raise NotFound("HOSPITAL_UNKNOWN")

    @classmethod
    def take_turns(cls, db: Session, hospital_id: UUID) -> None:
        """Of two same requests the second waits here until the first has committed, and finds what
        it wrote by its key. Rows that refer to the hospital are not kept waiting.
        """
        here = select(cls.id).where(cls.id == hospital_id)
        db.execute(here.with_for_update(key_share=True))


class Setting(Base):
    """The present value of one setting of one hospital."""

    __tablename__ = "setting"
    __table_args__ = (UniqueConstraint("hospital_id", "key"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    key: Mapped[str] = mapped_column(Text)
    value: Mapped[str] = mapped_column(Text)


class SettingChange(Base):
    """Who changed a setting, when, from what to what (GZ-4 T2). Append-only."""

    __tablename__ = "setting_change"
    __table_args__ = (Index(None, "hospital_id", "at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    key: Mapped[str] = mapped_column(Text)
    old: Mapped[str | None] = mapped_column(Text)
    new: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Moment)


def consortium_of(db: Session, hospital_id: UUID) -> list[Hospital]:
    """The hospital, and those that named the same consortium in their settings; itself first."""
    name = setting(db, hospital_id, "consortium")
    named = select(Setting.hospital_id).where(Setting.key == "consortium", Setting.value == name)
    others = named if name else select(Setting.hospital_id).where(Setting.value.is_(None))
    query = select(Hospital).where((Hospital.id == hospital_id) | Hospital.id.in_(others))
    return sorted(db.scalars(query), key=lambda home: (home.id != hospital_id, home.code))


def setting(db: Session, hospital_id: UUID, key: str) -> str:
    """The present value of a setting, or what holds until the hospital decides; empty where
    nothing does.
    """
    found = db.scalar(
        select(Setting.value).where(Setting.hospital_id == hospital_id, Setting.key == key)
    )
    return decided(key, found)


def decided(key: str, found: str | None) -> str:
    """The same, when the value, or that there is none, was already read."""
    if found is not None:
        return found
    return (KNOWN[key].default if key in KNOWN else None) or ""
