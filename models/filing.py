"""Filings that keep outpatient prepayment open for some, and where they were published (GZ-6)."""

from datetime import date, datetime
from typing import Any, Self
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id
from models.machine import Machine
from policies.filed_exception import Filed, Filing, Group
from policies.refusals import NotFound


class PrepayFiling(Machine, Base):
    """One filing with the health department. What it covers is never changed: a new filing instead.

    ``client_key`` is the Idempotency-Key of the draft, ``request_hash`` recognises what it said.
    ``groups``: ``code``, ``name`` and ``min_age`` of each. ``document_no`` and ``authority`` are
    those of the health department's answer; its last day is ``expires_on``, if it has one.
    """

    __tablename__ = "prepay_filing"
    __table_args__ = (
        Index(None, "hospital_id", "state"),
        UniqueConstraint("hospital_id", "drafted_by", "client_key"),
        CheckConstraint("checked_by IS NULL OR checked_by <> drafted_by", name="two_people"),
        CheckConstraint(
            "state <> 'APPROVED' OR (approved_on IS NOT NULL AND document_no IS NOT NULL)",
            name="approved_whole",
        ),
        CheckConstraint("expires_on >= approved_on", name="ends_later"),
        CheckConstraint("top_up_limit_fen > 0 AND balance_limit_fen > 0", name="limits_positive"),
    )
    MOVES = {
        Filed.DRAFTED: frozenset({Filed.SUBMITTED, Filed.WITHDRAWN}),
        Filed.SUBMITTED: frozenset({Filed.APPROVED, Filed.REFUSED, Filed.WITHDRAWN}),
        Filed.APPROVED: frozenset({Filed.WITHDRAWN}),
        Filed.REFUSED: frozenset(),
        Filed.WITHDRAWN: frozenset(),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    state: Mapped[str] = mapped_column(Text, default=Filed.DRAFTED)
    scenes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    groups: Mapped[list[Any]]
    top_up_limit_fen: Mapped[int | None]
    balance_limit_fen: Mapped[int | None]
    authority: Mapped[str] = mapped_column(Text)
    drafted_by: Mapped[str] = mapped_column(Text)
    drafted_at: Mapped[datetime] = mapped_column(Moment)
    client_key: Mapped[str] = mapped_column(Text)
    request_hash: Mapped[str] = mapped_column(Text)
    checked_by: Mapped[str | None] = mapped_column(Text)
    submitted_at: Mapped[datetime | None] = mapped_column(Moment)
    approved_on: Mapped[date | None]
    expires_on: Mapped[date | None]
    document_no: Mapped[str | None] = mapped_column(Text)

    @classmethod
    def own(cls, db: Session, hospital_id: UUID, filing_id: UUID) -> Self:
        """The filing under its row lock; NotFound outside the hospital."""
        query = select(cls).where(cls.id == filing_id, cls.hospital_id == hospital_id)
        if filing := db.scalar(query.with_for_update()):
            return filing
        raise NotFound("FILING_UNKNOWN")

    @classmethod
    def by_key(cls, db: Session, hospital_id: UUID, drafted_by: str, key: str) -> Self | None:
        """The draft that this caller's key made, if it made one."""
        return db.scalar(
            select(cls).filter_by(hospital_id=hospital_id, drafted_by=drafted_by, client_key=key)
        )

    @classmethod
    def of(cls, db: Session, hospital_id: UUID) -> list[Self]:
        """All filings of a hospital, newest first."""
        query = select(cls).where(cls.hospital_id == hospital_id)
        return list(db.scalars(query.order_by(cls.drafted_at.desc(), cls.id.desc())))

    def deciding(self, publications: list["Publication"], day: date) -> Filing:
        """What of it decides about a top-up on a day."""
        return Filing(
            id=self.id,
            state=Filed(self.state),
            scenes=frozenset(self.scenes),
            groups=tuple(Group(each["code"], each["min_age"]) for each in self.groups),
            approved_on=self.approved_on,
            expires_on=self.expires_on,
            top_up_limit_fen=self.top_up_limit_fen,
            balance_limit_fen=self.balance_limit_fen,
            published=any(each.live(day) for each in publications if each.filing_id == self.id),
        )

    def in_force(self, day: date) -> bool:
        """Whether the health department's approval holds on a day."""
        return (
            self.state == Filed.APPROVED
            and self.approved_on is not None
            and self.approved_on <= day
            and (self.expires_on is None or day <= self.expires_on)
        )


class Publication(Base):
    """One place where a filing is shown to the public: a website, the mini-program, a screen.

    ``snapshot_sha256``: of the page or photograph that was kept. ``to_on``: its last day.
    """

    __tablename__ = "publication"
    __table_args__ = (
        Index(None, "filing_id"),
        CheckConstraint("channel IN ('WEBSITE', 'MINI_PROGRAM', 'SCREEN', 'OTHER')", name="known"),
        CheckConstraint("to_on >= from_on", name="ends_later"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    filing_id: Mapped[UUID] = mapped_column(ForeignKey("prepay_filing.id"))
    channel: Mapped[str] = mapped_column(Text)
    place: Mapped[str] = mapped_column(Text)
    from_on: Mapped[date]
    to_on: Mapped[date | None]
    snapshot_sha256: Mapped[str] = mapped_column(Text)
    recorded_by: Mapped[str] = mapped_column(Text)
    recorded_at: Mapped[datetime] = mapped_column(Moment)

    def live(self, day: date) -> bool:
        """Whether the public can see it on a day."""
        return self.from_on <= day and (self.to_on is None or day <= self.to_on)

    @classmethod
    def of(cls, db: Session, hospital_id: UUID) -> list[Self]:
        """All publications of a hospital, oldest first."""
        query = select(cls).where(cls.hospital_id == hospital_id)
        return list(db.scalars(query.order_by(cls.from_on, cls.id)))
