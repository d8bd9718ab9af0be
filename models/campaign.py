"""Telling holders that they have money here: campaigns, public notices, numbers that are wrong."""

from datetime import date, datetime
from enum import StrEnum
from typing import Self
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, Text, UniqueConstraint, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id
from models.machine import Machine
from policies.refusals import NotFound


class CampaignState(StrEnum):
    """SENDING: every holder of the audience is being told. COMPLETE: as GZ-7 T2 asks."""

    DRAFT = "DRAFT"
    SENDING = "SENDING"
    COMPLETE = "COMPLETE"
    STOPPED = "STOPPED"


class NoticeCampaign(Machine, Base):
    """One round of telling holders. Its messages carry the key ``campaign:<id>:<patient id>``.

    ``least_fen``: holders with less are told by the public notices only. ``client_key`` is the
    Idempotency-Key of the draft.
    """

    __tablename__ = "notice_campaign"
    __table_args__ = (
        UniqueConstraint("hospital_id", "made_by", "client_key"),
        CheckConstraint("least_fen > 0", name="least_positive"),
    )
    MOVES = {
        CampaignState.DRAFT: frozenset({CampaignState.SENDING, CampaignState.STOPPED}),
        CampaignState.SENDING: frozenset({CampaignState.COMPLETE, CampaignState.STOPPED}),
        CampaignState.COMPLETE: frozenset(),
        CampaignState.STOPPED: frozenset({CampaignState.SENDING}),
    }

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"), index=True)
    state: Mapped[str] = mapped_column(Text, default=CampaignState.DRAFT)
    name: Mapped[str] = mapped_column(Text)
    least_fen: Mapped[int]
    made_by: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime] = mapped_column(Moment)
    client_key: Mapped[str] = mapped_column(Text)

    @property
    def key(self) -> str:
        """How the keys of its messages begin."""
        return f"campaign:{self.id}:"

    @classmethod
    def locked(cls, db: Session, hospital_id: UUID, campaign_id: UUID) -> Self:
        """The campaign under its row lock; NotFound outside the hospital."""
        campaign = db.get(cls, campaign_id, with_for_update=True, populate_existing=True)
        if campaign is None or campaign.hospital_id != hospital_id:
            raise NotFound("CAMPAIGN_UNKNOWN")
        return campaign

    @classmethod
    def by_key(cls, db: Session, hospital_id: UUID, made_by: str, key: str) -> Self | None:
        """The draft that this caller's key made, if it made one."""
        return db.scalar(
            select(cls).filter_by(hospital_id=hospital_id, made_by=made_by, client_key=key)
        )


class PublicNotice(Base):
    """Where a campaign was made public: channel, place, since when, a hash of what it showed."""

    __tablename__ = "public_notice"
    __table_args__ = (UniqueConstraint("campaign_id", "channel", "place"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    campaign_id: Mapped[UUID] = mapped_column(ForeignKey("notice_campaign.id"))
    channel: Mapped[str] = mapped_column(Text)
    place: Mapped[str] = mapped_column(Text)
    from_on: Mapped[date]
    snapshot_sha256: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(Text)


class WrongNumber(Base):
    """A telephone number whose owner says that it is not the patient's: no SMS goes there again."""

    __tablename__ = "wrong_number"
    __table_args__ = (UniqueConstraint("hospital_id", "phone_index"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    phone_index: Mapped[bytes] = mapped_column(LargeBinary)
    since: Mapped[datetime] = mapped_column(Moment)
    by: Mapped[str] = mapped_column(Text)

    @classmethod
    def keep(
        cls, db: Session, hospital_id: UUID, phone_index: bytes, at: datetime, by: str
    ) -> bool:
        """Write it down; False if it was known."""
        row = insert(cls).values(
            id=new_id(), hospital_id=hospital_id, phone_index=phone_index, since=at, by=by
        )
        done = db.scalar(row.on_conflict_do_nothing().returning(cls.id))
        return done is not None

    @classmethod
    def known(cls, db: Session, hospital_id: UUID, phone_index: bytes | None) -> bool:
        """Whether this number is known to be wrong."""
        query = select(cls.id).where(cls.hospital_id == hospital_id, cls.phone_index == phone_index)
        return phone_index is not None and db.scalar(query) is not None
