"""What the hospital remembers of its insurance platform: encounters, every call ever made, and the
fees that lie there.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    Sequence,
    Text,
    UniqueConstraint,
    and_,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id, within
from models.machine import Machine
from models.sealing import Sealed
from policies.refusals import NotFound

MESSAGE_NUMBERS = Sequence(
    "insurance_message_number", metadata=Base.metadata, minvalue=0, maxvalue=9999, cycle=True
)
"""The last four digits of a msgid: they only have to differ within one second."""


class EncounterState(StrEnum):
    """CHOSEN: cover chosen. REGISTERED: 2401 done. DISCHARGED: 2402 done. SETTLED: 2304 done."""

    CHOSEN = "CHOSEN"
    REGISTERED = "REGISTERED"
    DISCHARGED = "DISCHARGED"
    SETTLED = "SETTLED"
    CANCELLED = "CANCELLED"


class Encounter(Machine, Base):
    """One insured stay at the platform; an admission has one that is not cancelled."""

    __tablename__ = "insurance_encounter"
    __table_args__ = (
        Index(
            "uq_insurance_encounter_active",
            "hospital_id",
            "admission_id",
            unique=True,
            postgresql_where=text("state <> 'CANCELLED'"),
        ),
        UniqueConstraint("hospital_id", "mdtrt_id"),
        CheckConstraint("fee_serial >= 0", name="fee_serial_not_negative"),
        CheckConstraint(
            "state NOT IN ('REGISTERED', 'DISCHARGED', 'SETTLED') OR mdtrt_id <> ''",
            name="registered_has_number",
        ),
        CheckConstraint(
            "(state = 'SETTLED') = (setl_id IS NOT NULL AND settlement IS NOT NULL)",
            name="settled_has_amounts",
        ),
    )
    MOVES = {
        EncounterState.CHOSEN: frozenset({EncounterState.REGISTERED, EncounterState.CANCELLED}),
        EncounterState.REGISTERED: frozenset({EncounterState.DISCHARGED, EncounterState.CANCELLED}),
        EncounterState.DISCHARGED: frozenset({EncounterState.SETTLED, EncounterState.REGISTERED}),
        EncounterState.SETTLED: frozenset({EncounterState.DISCHARGED}),
        EncounterState.CANCELLED: frozenset(),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    admission_id: Mapped[UUID] = mapped_column(ForeignKey("admission.id"), index=True)
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"))
    state: Mapped[str] = mapped_column(Text, default=EncounterState.CHOSEN)
    psn_no_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    insutype: Mapped[str] = mapped_column(Text)
    psn_type: Mapped[str] = mapped_column(Text)
    insuplc_admdvs: Mapped[str] = mapped_column(Text)
    med_type: Mapped[str] = mapped_column(Text)
    mdtrt_id: Mapped[str | None] = mapped_column(Text)
    setl_id: Mapped[str | None] = mapped_column(Text)
    fee_serial: Mapped[int] = mapped_column(default=0)
    trial: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    settlement: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))

    psn_no = Sealed()

    @classmethod
    def locked(cls, db: Session, encounter_id: UUID) -> Self:
        """The row, locked and read afresh; NotFound INSURANCE_ENCOUNTER_UNKNOWN.

        The lock leaves the key alone, or a new call that refers to this row would wait for it.
        """
        found = db.scalar(
            select(cls)
            .where(cls.id == encounter_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        if found is None:
            raise NotFound("INSURANCE_ENCOUNTER_UNKNOWN")
        return found

    @classmethod
    def active(cls, db: Session, admission_id: UUID) -> Self | None:
        """The encounter of this admission that is not cancelled, if there is one."""
        return db.scalar(
            select(cls).where(
                cls.admission_id == admission_id, cls.state != EncounterState.CANCELLED
            )
        )


class CallState(StrEnum):
    """ASKED: on its way. UNKNOWN: no answer. LOST: no answer, and it does not matter. HUMAN: a
    person must find out.
    """

    ASKED = "ASKED"
    SUCCEEDED = "SUCCEEDED"
    REFUSED = "REFUSED"
    UNKNOWN = "UNKNOWN"
    REVERSED = "REVERSED"
    LOST = "LOST"
    HUMAN = "HUMAN"


UNSETTLED = ("ASKED", "UNKNOWN", "HUMAN")
"""While a call that holds its encounter is in one of these, nothing else may be asked about the
stay.
"""


class InsuranceCall(Machine, Base):
    """One request to the platform, committed before it was sent. No personal data is in it.

    ``holds``: no other such call of the encounter may be open. ``about_id``: the lost call that
    this one asks about. ``quiet_until``: a request that timed out may still be running; nobody asks
    before. ``task``: what a person has to find out. ``facts``: what the reply said, without the
    person.
    """

    __tablename__ = "insurance_call"
    __table_args__ = (
        UniqueConstraint("hospital_id", "msgid"),
        Index(
            "uq_insurance_call_open",
            "encounter_id",
            unique=True,
            postgresql_where=text("holds AND state IN ('ASKED', 'UNKNOWN', 'HUMAN')"),
        ),
        Index(
            "uq_insurance_call_about",
            "about_id",
            unique=True,
            postgresql_where=text("state = 'ASKED'"),
        ),
        Index(
            "ix_insurance_call_unsettled",
            "hospital_id",
            "asked_at",
            postgresql_where=text("state IN ('ASKED', 'UNKNOWN', 'HUMAN')"),
        ),
        Index("ix_insurance_call_settled", "hospital_id", "infno", "settled_at"),
        CheckConstraint("(state = 'HUMAN') = (task <> '')", name="human_has_a_task"),
    )
    MOVES = {
        CallState.ASKED: frozenset(set(CallState) - {CallState.ASKED, CallState.REVERSED}),
        CallState.UNKNOWN: frozenset(
            {CallState.SUCCEEDED, CallState.REFUSED, CallState.REVERSED, CallState.HUMAN}
        ),
        CallState.HUMAN: frozenset({CallState.SUCCEEDED, CallState.REFUSED, CallState.REVERSED}),
        CallState.SUCCEEDED: frozenset(),
        CallState.REFUSED: frozenset({CallState.REVERSED}),  # it lay there after all
        CallState.REVERSED: frozenset(),
        CallState.LOST: frozenset(),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    encounter_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("insurance_encounter.id"), index=True
    )
    about_id: Mapped[UUID | None] = mapped_column(ForeignKey("insurance_call.id"))
    infno: Mapped[str] = mapped_column(Text)
    msgid: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, default=CallState.ASKED)
    holds: Mapped[bool]
    digest: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(Text)
    asked_at: Mapped[datetime] = mapped_column(Moment)
    answered_at: Mapped[datetime | None] = mapped_column(Moment)
    settled_at: Mapped[datetime | None] = mapped_column(Moment)
    quiet_until: Mapped[datetime | None] = mapped_column(Moment)
    refmsgid: Mapped[str] = mapped_column(Text, default="")
    err_msg: Mapped[str] = mapped_column(Text, default="")
    task: Mapped[str] = mapped_column(Text, default="")
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)

    @classmethod
    def locked(cls, db: Session, call_id: UUID) -> Self:
        """The row, locked until the transaction ends and read afresh; NotFound
        INSURANCE_CALL_UNKNOWN.
        """
        found = db.scalar(
            select(cls)
            .where(cls.id == call_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        if found is None:
            raise NotFound("INSURANCE_CALL_UNKNOWN")
        return found

    @classmethod
    def beside(cls, db: Session, encounter_id: UUID) -> tuple[Encounter, Self | None]:
        """The encounter and the call that holds it, if one is open; neither is locked."""
        is_open = and_(cls.encounter_id == Encounter.id, cls.holds, cls.state.in_(UNSETTLED))
        found = db.execute(
            select(Encounter, cls).outerjoin(cls, is_open).where(Encounter.id == encounter_id)
        ).one_or_none()
        if found is None:
            raise NotFound("INSURANCE_ENCOUNTER_UNKNOWN")
        return found[0], found[1]

    @classmethod
    def waiting_for_people(cls, db: Session, hospital_id: UUID) -> list[Self]:
        """The insurance office's list: every call whose outcome only a person can find out, oldest
        first.
        """
        return list(
            db.scalars(
                select(cls)
                .where(cls.hospital_id == hospital_id, cls.state == CallState.HUMAN)
                .order_by(cls.asked_at)
            )
        )


class UploadedFee(Base):
    """One charge line sent by 2301 under its serial, with what the platform said of it. Sent again:
    a new row.

    ``state``: CLAIMED while its call is open, UPLOADED, WITHDRAWN. It follows its call, which
    leaves the trail; only a lost batch is taken back line by line. Thousands of lines a day leave
    no trail of their own. ``verdict`` holds chrgitm_lv (01 甲, 02 乙, 03 丙), selfpay_prop and the
    four parts of I5 in fen, for the daily bill.
    """

    __tablename__ = "insurance_uploaded_fee"
    __table_args__ = (
        UniqueConstraint("hospital_id", "encounter_id", "feedetl_sn"),
        Index(
            "uq_insurance_uploaded_fee_line",
            "encounter_id",
            "line",
            unique=True,
            postgresql_where=text("state <> 'WITHDRAWN'"),
        ),
        CheckConstraint("state IN ('CLAIMED', 'UPLOADED', 'WITHDRAWN')", name="state_known"),
        CheckConstraint("feedetl_sn > 0", name="serial_positive"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    encounter_id: Mapped[UUID] = mapped_column(ForeignKey("insurance_encounter.id"))
    call_id: Mapped[UUID] = mapped_column(ForeignKey("insurance_call.id"), index=True)
    line: Mapped[str] = mapped_column(Text)
    feedetl_sn: Mapped[int]
    amount_fen: Mapped[int]
    state: Mapped[str] = mapped_column(Text, default="CLAIMED")
    verdict: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)

    @classmethod
    def sum_of(cls, db: Session, encounter_id: UUID) -> int:
        """The fen of all lines that surely lie at the platform."""
        return int(
            db.scalar(
                select(func.coalesce(func.sum(cls.amount_fen), 0)).where(
                    cls.encounter_id == encounter_id, cls.state == "UPLOADED"
                )
            )
            or 0
        )

    @classmethod
    def sent(cls, db: Session, encounter_id: UUID) -> list[dict[str, Any]]:
        """``line``, ``serial``, ``amount_fen`` and ``state`` of every line that is at the platform
        or on its way.
        """
        return within(
            db,
            "SELECT line, feedetl_sn AS serial, amount_fen, state FROM insurance_uploaded_fee"
            " WHERE encounter_id = %(id)s AND state <> 'WITHDRAWN'",
            id=encounter_id,
        )

    @classmethod
    def claimed_in(cls, db: Session, call_id: UUID) -> list[int]:
        """The serials of one 2301 that may still lie at the platform, the last one first."""
        mine = select(cls.feedetl_sn).where(cls.call_id == call_id, cls.state != "WITHDRAWN")
        return list(db.scalars(mine.order_by(cls.feedetl_sn.desc())))

    @classmethod
    def withdraw_one(cls, db: Session, call_id: UUID, serial: int) -> None:
        """This serial surely lies at the platform no more."""
        mine = (cls.call_id == call_id, cls.feedetl_sn == serial)
        db.execute(update(cls).where(*mine).values(state="WITHDRAWN"))


class SignIn(Base):
    """An operator's sign-in at the platform for a Shanghai day (9001)."""

    __tablename__ = "insurance_sign_in"
    __table_args__ = (UniqueConstraint("hospital_id", "operator", "day"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    operator: Mapped[str] = mapped_column(Text)
    day: Mapped[date]
    sign_no: Mapped[str] = mapped_column(Text)
