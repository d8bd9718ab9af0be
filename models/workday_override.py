"""The hospital's own word on single days, where the State Council's table is missing or late
(DESIGN.md section 4).
"""

from datetime import date
from uuid import UUID

from sqlalchemy import ForeignKey, Text, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, new_id


class WorkdayOverride(Base):
    """One day that is or is not a working day, and who says so (a notice's number)."""

    __tablename__ = "workday_override"
    __table_args__ = (UniqueConstraint("hospital_id", "day"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    day: Mapped[date]
    works: Mapped[bool]
    source: Mapped[str] = mapped_column(Text)


def overrides_of(db: Session, hospital_id: UUID) -> dict[date, bool]:
    """day -> works, for policies/workdays.py."""
    query = select(WorkdayOverride.day, WorkdayOverride.works).where(
        WorkdayOverride.hospital_id == hospital_id
    )
    return dict(db.execute(query).all())
