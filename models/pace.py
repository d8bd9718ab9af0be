"""How fast a channel may be asked, by whatever process: PostgreSQL's rows and PostgreSQL's clock.

The rhythm is one row: each call takes the next turn. Failing calls are counted by slots: a call
holds one while it is out, a success gives it back at once, a failure after a second. So there are
never more failures in a second than slots, whoever asks and however often. A holder says again and
again that it lives; the slot of one that died is free when its lease has run out.
"""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ForeignKey, Text, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, at_once


class ChannelPace(Base):
    """When the next call to a channel may leave, and the next one about an old payment.

    ``held_until``: the hospital's money there ran out, nobody asks for more of it before.
    """

    __tablename__ = "channel_pace"

    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(Text, primary_key=True)
    next_at: Mapped[datetime] = mapped_column(Moment, server_default=func.clock_timestamp())
    next_old_at: Mapped[datetime] = mapped_column(Moment, server_default=func.clock_timestamp())
    held_until: Mapped[datetime | None] = mapped_column(Moment)


class FailureSlot(Base):
    """One call at a time may hold it; free from ``free_at`` on, whoever ``holder`` was."""

    __tablename__ = "failure_slot"

    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(Text, primary_key=True)
    no: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    free_at: Mapped[datetime] = mapped_column(Moment, server_default=func.clock_timestamp())
    holder: Mapped[UUID | None]


def take_turn(
    hospital_id: UUID,
    channel: str,
    holder: UUID,
    *,
    old: bool,
    step: timedelta,
    old_step: timedelta,
    slots: int,
    lease: timedelta,
) -> timedelta | None:
    """Take a free slot and the next turn; how long to wait for it. None: every slot is held.

    The slot is the holder's until ``lease`` after the turn.
    """
    wait: timedelta | None
    ((wait,),) = at_once(
        "SELECT take_turn(%s, %s, %s, %s, %s, %s, %s, %s)",
        hospital_id,
        channel,
        holder,
        old,
        step,
        old_step,
        slots,
        lease,
    )
    return wait


def keep(hospital_id: UUID, channel: str, holder: UUID, lease: timedelta) -> None:
    """The holder lives: the slot stays its own for another lease; nothing when it was lost."""
    at_once(
        "UPDATE failure_slot SET free_at = clock_timestamp() + %s"
        " WHERE hospital_id = %s AND channel = %s AND holder = %s RETURNING no",
        lease,
        hospital_id,
        channel,
        holder,
    )


def give_back(hospital_id: UUID, channel: str, holder: UUID, after: timedelta) -> None:
    """Free the slot so much later; nothing when it was held too long and is another's by now."""
    at_once(
        "UPDATE failure_slot SET free_at = clock_timestamp() + %s, holder = NULL"
        " WHERE hospital_id = %s AND channel = %s AND holder = %s RETURNING no",
        after,
        hospital_id,
        channel,
        holder,
    )


def held_until(db: Session, hospital_id: UUID, channel: str) -> datetime | None:
    """Until when nobody is to ask this channel for more money."""
    return db.scalar(
        select(ChannelPace.held_until).where(
            ChannelPace.hospital_id == hospital_id, ChannelPace.channel == channel
        )
    )


def hold(db: Session, hospital_id: UUID, channel: str, until: datetime) -> None:
    """Let nobody ask this channel for more money before."""
    row = insert(ChannelPace).values(hospital_id=hospital_id, channel=channel, held_until=until)
    db.execute(
        row.on_conflict_do_update(
            index_elements=["hospital_id", "channel"], set_={"held_until": until}
        )
    )
