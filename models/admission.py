"""A stay: from the HIS's admission slip to the settled discharge, with a trail of who did which
step on what channel.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id
from models.machine import Machine
from policies.access import Actor
from policies.refusals import Refused


class AdmissionState(StrEnum):
    """SLIP: the HIS announced it. IN_HOUSE: registered. LEAVING: discharge ordered. SETTLED: bill
    closed.
    """

    SLIP = "SLIP"
    IN_HOUSE = "IN_HOUSE"
    LEAVING = "LEAVING"
    SETTLED = "SETTLED"
    CANCELLED = "CANCELLED"


class Admission(Machine, Base):
    """One stay of one patient. ``quota_fen``: the most that may be held as deposit (GZ-17); None:
    not set yet.

    ``ordered_at`` is when the discharge order was signed, ``left_at`` when the bed was released:
    the later one starts the settlement clocks (GZ-19, D-26). ``identities`` are the platform's
    psn_idet_type codes in force at registration, as 2303 低保: they decide about medical aid.
    ``first_charged_on``: the earliest day of its charge lines, kept where they are entered.
    """

    __tablename__ = "admission"
    __table_args__ = (
        UniqueConstraint("hospital_id", "inpatient_no"),
        UniqueConstraint("hospital_id", "id"),  # what names both is held to it: DailyBill
        Index(None, "hospital_id", "ward", "state"),
        CheckConstraint("quota_fen >= 0", name="quota_not_negative"),
    )
    MOVES = {
        AdmissionState.SLIP: frozenset({AdmissionState.IN_HOUSE, AdmissionState.CANCELLED}),
        AdmissionState.IN_HOUSE: frozenset({AdmissionState.LEAVING, AdmissionState.CANCELLED}),
        AdmissionState.LEAVING: frozenset({AdmissionState.IN_HOUSE, AdmissionState.SETTLED}),
        AdmissionState.SETTLED: frozenset({AdmissionState.LEAVING}),
        AdmissionState.CANCELLED: frozenset(),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"), index=True)
    inpatient_no: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, default=AdmissionState.SLIP)
    ward: Mapped[str] = mapped_column(Text)
    ward_name: Mapped[str] = mapped_column(Text, default="")
    department_code: Mapped[str] = mapped_column(Text)
    department_name: Mapped[str] = mapped_column(Text)
    bed: Mapped[str] = mapped_column(Text, default="")
    doctor_code: Mapped[str] = mapped_column(Text)
    doctor_name: Mapped[str] = mapped_column(Text)
    diagnosis_code: Mapped[str] = mapped_column(Text)
    diagnosis_name: Mapped[str] = mapped_column(Text)
    admitted_at: Mapped[datetime] = mapped_column(Moment)
    ordered_at: Mapped[datetime | None] = mapped_column(Moment)
    left_at: Mapped[datetime | None] = mapped_column(Moment)
    leaving_way: Mapped[str] = mapped_column(Text, default="")
    first_charged_on: Mapped[date | None]
    quota_fen: Mapped[int | None]
    identities: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    version: Mapped[int] = mapped_column(default=1)

    def deposit_room(self, db: Session) -> int:
        """Fen that may still be collected as deposit (GZ-17); Refused QUOTA_NOT_SET."""
        room = db.scalar(_ROOM, {"id": self.id})
        if room is None:
            raise Refused("QUOTA_NOT_SET")
        return int(room)


_ROOM = text("SELECT deposit_room(a) FROM admission a WHERE a.id = :id")


class AdmissionStep(Base):
    """One step of a stay: what was done, when, by whom, on which channel and device (GZ-20).
    Append-only.
    """

    __tablename__ = "admission_step"
    __table_args__ = (Index(None, "admission_id", "at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID]
    admission_id: Mapped[UUID] = mapped_column(ForeignKey("admission.id"))
    step: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Moment)
    by: Mapped[str] = mapped_column(Text)
    channel: Mapped[str] = mapped_column(Text)
    device_id: Mapped[UUID | None]
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)


def took_step(
    db: Session, stay: Admission, actor: Actor, step: str, at: datetime, **facts: Any
) -> None:
    """Leave a row in the stay's trail."""
    db.add(AdmissionStep(**step_of(stay.id, actor, step, at, **facts)))


def step_of(
    admission_id: UUID, actor: Actor, step: str, at: datetime, **facts: Any
) -> dict[str, Any]:
    """That row, for a function of the database that leaves it."""
    return {
        "id": new_id(),
        "hospital_id": actor.hospital_id,
        "admission_id": admission_id,
        "step": step,
        "at": at,
        "by": actor.name,
        "channel": actor.channel,
        "device_id": actor.device_id,
        "facts": facts,
    }
