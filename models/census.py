"""What an old card system said (GZ-7): each import with its report, and every old top-up, spend and
refund as facts that stay.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar, Self
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Text,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id
from models.machine import Machine, Moves
from models.sealing import Sealed
from policies.refusals import NotFound


class CensusState(StrEnum):
    """CHECKED: nothing stands in the way. REFUSED: something does. UNCHANGED: it was all here."""

    CHECKED = "CHECKED"
    REFUSED = "REFUSED"
    IMPORTED = "IMPORTED"
    UNCHANGED = "UNCHANGED"
    REPLACED = "REPLACED"


class CensusImport(Base, Machine):
    """One dump of one old system: who checked it, who released it, what it held.

    ``digest`` covers mapping and files: what is released is what was checked. ``source`` names the
    old system; a corrected dump carries the same name and takes the place of the one before.
    """

    __tablename__ = "census_import"
    __table_args__ = (
        Index(None, "hospital_id", "prepared_at"),
        Index(
            "uq_census_import_standing",
            "hospital_id",
            "source",
            unique=True,
            postgresql_where="state = 'IMPORTED'",
        ),
        CheckConstraint("released_by IS NULL OR released_by <> prepared_by", name="two_people"),
    )
    MOVES: ClassVar[Moves] = {
        CensusState.CHECKED: frozenset(
            {CensusState.IMPORTED, CensusState.UNCHANGED, CensusState.REFUSED}
        ),
        CensusState.IMPORTED: frozenset({CensusState.REPLACED}),
        CensusState.REFUSED: frozenset(),
        CensusState.UNCHANGED: frozenset(),
        CensusState.REPLACED: frozenset(),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    source: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    prepared_by: Mapped[str] = mapped_column(Text)
    prepared_at: Mapped[datetime] = mapped_column(Moment)
    released_by: Mapped[str | None] = mapped_column(Text)
    released_at: Mapped[datetime | None] = mapped_column(Moment)
    files: Mapped[list[Any]] = mapped_column(JSONB)
    report: Mapped[dict[str, Any]] = mapped_column(JSONB)

    @classmethod
    def of(cls, db: Session, hospital_id: UUID, import_id: UUID, *, lock: bool = False) -> Self:
        """One import of this hospital; NotFound CENSUS_IMPORT_UNKNOWN."""
        query = select(cls).where(cls.hospital_id == hospital_id, cls.id == import_id)
        if found := db.scalar(query.with_for_update() if lock else query):
            return found
        raise NotFound("CENSUS_IMPORT_UNKNOWN")

    @classmethod
    def standing(cls, db: Session, hospital_id: UUID, source: str) -> Self | None:
        """The import of this old system that is in force."""
        return db.scalar(
            select(cls).where(
                cls.hospital_id == hospital_id,
                cls.source == source,
                cls.state == CensusState.IMPORTED,
            )
        )


class CensusFinding(Base):
    """One thing found in one row of one file; ``code`` says what (policies/texts/census.yaml).

    ``facts`` are amounts in fen, never what stood in a cell. Row 1 is the header, row 0 the file.
    """

    __tablename__ = "census_finding"

    import_id: Mapped[UUID] = mapped_column(ForeignKey("census_import.id"), primary_key=True)
    no: Mapped[int] = mapped_column(Integer, primary_key=True)
    hospital_id: Mapped[UUID]
    about: Mapped[str] = mapped_column(Text)
    row_no: Mapped[int] = mapped_column(Integer)
    field: Mapped[str] = mapped_column(Text)
    code: Mapped[str] = mapped_column(Text)
    facts: Mapped[dict[str, Any] | None] = mapped_column(JSONB)


class CensusAccount(Base):
    """What one dump said about one account. ``content`` is a sum over all that belongs to it: two
    dumps with the same sum say the same.
    """

    __tablename__ = "census_account"
    __table_args__ = (Index(None, "account_id"),)

    import_id: Mapped[UUID] = mapped_column(primary_key=True)
    row_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    hospital_id: Mapped[UUID]
    account_id: Mapped[UUID]
    balance_fen: Mapped[int]
    content: Mapped[Decimal] = mapped_column(Numeric)


class CensusHolder(Base):
    """How an old card named its holder, where the patient's own row says it otherwise: another
    card's row became the patient, or the name did not fit the identity number.
    """

    __tablename__ = "census_holder"
    __table_args__ = (Index(None, "account_id"), Index(None, "patient_id"))

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID]
    import_id: Mapped[UUID]
    account_id: Mapped[UUID]
    patient_id: Mapped[UUID]
    name_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    id_no_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    phone_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)

    name = Sealed()
    id_no = Sealed()
    phone = Sealed()


class OldTopUp(Base):
    """One top-up of an old card. Append-only; no foreign keys, the import checks the whole set."""

    __tablename__ = "old_top_up"
    __table_args__ = (
        Index(None, "account_id"),
        Index(None, "hospital_id", "paid_at"),
        CheckConstraint("amount_fen >= 0", name="amount"),
    )

    import_id: Mapped[UUID] = mapped_column(primary_key=True)
    row_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    hospital_id: Mapped[UUID]
    account_id: Mapped[UUID]
    number: Mapped[str] = mapped_column(Text)
    channel: Mapped[str] = mapped_column(Text)
    channel_transaction: Mapped[str | None] = mapped_column(Text)
    paid_at: Mapped[datetime] = mapped_column(Moment)
    amount_fen: Mapped[int]


class OldSpend(Base):
    """One spend of an old card. Append-only."""

    __tablename__ = "old_spend"
    __table_args__ = (
        Index(None, "account_id"),
        CheckConstraint("amount_fen >= 0", name="amount"),
    )

    import_id: Mapped[UUID] = mapped_column(primary_key=True)
    row_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    hospital_id: Mapped[UUID]
    account_id: Mapped[UUID]
    spent_at: Mapped[datetime] = mapped_column(Moment)
    amount_fen: Mapped[int]
    note: Mapped[str | None] = mapped_column(Text)


class OldRefund(Base):
    """One refund that the old system made; ``top_up_row_no`` where it named its top-up.
    Append-only.
    """

    __tablename__ = "old_refund"
    __table_args__ = (
        Index(None, "account_id"),
        CheckConstraint("amount_fen >= 0", name="amount"),
    )

    import_id: Mapped[UUID] = mapped_column(primary_key=True)
    row_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    hospital_id: Mapped[UUID]
    account_id: Mapped[UUID]
    top_up_row_no: Mapped[int | None] = mapped_column(Integer)
    refunded_at: Mapped[datetime] = mapped_column(Moment)
    amount_fen: Mapped[int]
