"""Holders who cannot be found: attempts to reach them, the mark that they were given up, and what
was filed with the health department (GZ-8.1)."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    Text,
    UniqueConstraint,
    select,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id
from models.prepay_account import PrepayAccount
from policies.turnover import Attempt


class ContactAttempt(Base):
    """One attempt to reach the holder of an account. Append-only."""

    __tablename__ = "contact_attempt"
    __table_args__ = (
        Index(None, "account_id", "at"),
        UniqueConstraint("hospital_id", "key"),
        CheckConstraint(
            "result IN ('ANSWERED', 'NO_ANSWER', 'UNDELIVERED', 'WRONG_NUMBER')",
            name="result_known",
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    account_id: Mapped[UUID] = mapped_column(ForeignKey("prepay_account.id"))
    key: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Moment)
    channel: Mapped[str] = mapped_column(Text)
    result: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text, default="")

    @classmethod
    def of(cls, db: Session, account_id: UUID) -> list[Attempt]:
        """What was tried for an account, oldest first."""
        found = db.scalars(select(cls).where(cls.account_id == account_id).order_by(cls.at))
        return [Attempt(each.at, each.channel, each.result) for each in found]


class UnreturnableMark(Base):
    """That a balance cannot be given back: why, since when; lifted as soon as the holder is found.

    ``found_on`` is the day on which it was found out, for the reading that counts from it.
    """

    __tablename__ = "unreturnable_mark"
    __table_args__ = (
        Index(
            "uq_unreturnable_mark_live",
            "account_id",
            unique=True,
            postgresql_where="lifted_at IS NULL",
        ),
        Index(None, "hospital_id", "filing_id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    account_id: Mapped[UUID] = mapped_column(ForeignKey("prepay_account.id"))
    reason: Mapped[str] = mapped_column(Text)
    risk_note: Mapped[str] = mapped_column(Text)
    found_on: Mapped[date]
    marked_at: Mapped[datetime] = mapped_column(Moment)
    marked_by: Mapped[str] = mapped_column(Text)
    lifted_at: Mapped[datetime | None] = mapped_column(Moment)
    lifted_by: Mapped[str | None] = mapped_column(Text)
    lifted_why: Mapped[str] = mapped_column(Text, default="")
    filing_id: Mapped[UUID | None] = mapped_column(ForeignKey("unreturnable_filing.id"))

    @classmethod
    def live(cls, db: Session, account_id: UUID) -> "UnreturnableMark | None":
        """The mark that stands on an account, under its row lock."""
        query = select(cls).where(cls.account_id == account_id, cls.lifted_at.is_(None))
        return db.scalar(query.with_for_update())

    def lift(self, *, by: str, at: datetime, why: str) -> None:
        """The holder was found, or asks: the balance can be given back again."""
        self.lifted_at, self.lifted_by, self.lifted_why = at, by, why


def holder_appeared(
    db: Session, account_ids: Sequence[UUID], on: date, *, at: datetime, by: str
) -> None:
    """The holder used the money or asks for it: that was the last activity, and nobody is lost.

    To be said before the ledger is asked for the same accounts. They are locked in one order.
    """
    silent = (
        select(PrepayAccount.id)
        .where(PrepayAccount.id.in_(account_ids), PrepayAccount.last_activity_on < on)
        .order_by(PrepayAccount.id)
        .with_for_update(key_share=True)
    )
    db.execute(
        update(PrepayAccount).where(PrepayAccount.id.in_(silent)).values(last_activity_on=on)
    )
    db.execute(
        update(UnreturnableMark)
        .where(UnreturnableMark.account_id.in_(account_ids), UnreturnableMark.lifted_at.is_(None))
        .values(lifted_at=at, lifted_by=by, lifted_why="the holder appeared")
    )


class UnreturnableFiling(Base):
    """One list filed with the local health department, usually one a quarter (GZ-8.1 T2).

    ``filing_no`` and ``received_at`` are the department's answer. The rows are the filing's items.
    """

    __tablename__ = "unreturnable_filing"
    __table_args__ = (UniqueConstraint("hospital_id", "period"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    period: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime] = mapped_column(Moment)
    made_by: Mapped[str] = mapped_column(Text)
    accounts: Mapped[int]
    total_fen: Mapped[int]
    filing_no: Mapped[str] = mapped_column(Text, default="")
    authority: Mapped[str] = mapped_column(Text, default="")
    received_at: Mapped[datetime | None] = mapped_column(Moment)


class FilingItem(Base):
    """One account of a filed list, with its balance at that moment. Append-only."""

    __tablename__ = "unreturnable_filing_item"

    filing_id: Mapped[UUID] = mapped_column(ForeignKey("unreturnable_filing.id"), primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("prepay_account.id"), primary_key=True)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    amount_fen: Mapped[int]
    last_activity_on: Mapped[date]
    reason: Mapped[str] = mapped_column(Text)
