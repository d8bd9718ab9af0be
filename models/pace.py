"""How fast a channel may be asked, by whatever process: PostgreSQL's rows and PostgreSQL's clock.

The rhythm is one row: each call takes the next turn. Failing calls are counted by slots: a call
holds one while it is out, a success gives it back at once, a failure after a second. So there are
never more failures in a second than slots, whoever asks and however often.
"""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ForeignKey, Text, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment


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
    """One failing call at a time may hold it; free from ``free_at`` on."""

    __tablename__ = "failure_slot"

    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"), primary_key=True)
    channel: Mapped[str] = mapped_column(Text, primary_key=True)
    no: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    free_at: Mapped[datetime] = mapped_column(Moment, server_default=func.clock_timestamp())


_TURN = text(
    """
    UPDATE channel_pace pace
    SET next_at = mine.turn + :step,
        next_old_at = CASE WHEN :old THEN mine.turn + :old_step ELSE pace.next_old_at END
    FROM (
        SELECT greatest(clock_timestamp(), next_at, CASE WHEN :old THEN next_old_at END) AS turn
        FROM channel_pace WHERE hospital_id = :hospital_id AND channel = :channel FOR UPDATE
    ) mine
    WHERE pace.hospital_id = :hospital_id AND pace.channel = :channel
    RETURNING greatest(mine.turn - clock_timestamp(), interval '0')
    """
)
_SLOT = text(
    """
    UPDATE failure_slot SET free_at = clock_timestamp() + :longest
    WHERE hospital_id = :hospital_id AND channel = :channel AND no = (
        SELECT no FROM failure_slot
        WHERE hospital_id = :hospital_id AND channel = :channel AND free_at <= clock_timestamp()
        ORDER BY free_at LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING no, free_at
    """
)


def prepare(db: Session, hospital_id: UUID, channel: str, slots: int) -> None:
    """Make the rows of a channel that was never asked before."""
    of_channel = {"hospital_id": hospital_id, "channel": channel}
    db.execute(insert(ChannelPace).values(**of_channel).on_conflict_do_nothing())
    numbers = [{**of_channel, "no": no} for no in range(1, slots + 1)]
    db.execute(insert(FailureSlot).values(numbers).on_conflict_do_nothing())


def take_slot(
    db: Session, hospital_id: UUID, channel: str, longest: timedelta
) -> tuple[int, datetime] | None:
    """A free slot and until when it is held at most; None when all are taken."""
    values = {"hospital_id": hospital_id, "channel": channel, "longest": longest}
    found = db.execute(_SLOT, values).one_or_none()
    return (found.no, found.free_at) if found else None


def give_back(
    db: Session, hospital_id: UUID, channel: str, slot: tuple[int, datetime], after: timedelta
) -> None:
    """Free the slot so much later; nothing when it was held too long and is another's by now."""
    no, until = slot
    db.execute(
        update(FailureSlot)
        .where(
            FailureSlot.hospital_id == hospital_id,
            FailureSlot.channel == channel,
            FailureSlot.no == no,
            FailureSlot.free_at == until,
        )
        .values(free_at=func.clock_timestamp() + after)
    )


def take_turn(
    db: Session, hospital_id: UUID, channel: str, *, old: bool, step: timedelta, old_step: timedelta
) -> timedelta:
    """How long to wait until the turn that is now ours."""
    pace = {"old": old, "step": step, "old_step": old_step}
    found: timedelta = db.execute(
        _TURN, {"hospital_id": hospital_id, "channel": channel, **pace}
    ).scalar_one()
    return found


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
