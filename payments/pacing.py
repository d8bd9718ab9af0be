"""A turn at a channel: no faster than its limits, whatever number of processes ask."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from threading import Event, Thread
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from models import pace
from models.db import new_id
from policies.outcome import NotNow


@dataclass(frozen=True, slots=True)
class Limits:
    """What a channel bears. Nine tenths of it is used: the way there is not equally long each time.

    ``calls`` a second, ``old_calls`` a minute about payments of more than a month, ``failures`` a
    second.
    """

    calls: int
    old_calls: int
    failures: int

    @property
    def step(self) -> timedelta:
        """Between two calls."""
        return timedelta(seconds=1) / (self.calls * 0.9)

    @property
    def old_step(self) -> timedelta:
        """Between two calls about old payments."""
        return timedelta(minutes=1) / (self.old_calls * 0.9)


WECHAT_REFUNDS = Limits(calls=150, old_calls=5_000, failures=6)
"""Applying for refunds at WeChat Pay."""

WECHAT_TRANSFERS = Limits(calls=100, old_calls=6_000, failures=6)
"""Merchant transfers."""

LEASE = timedelta(seconds=6)
"""A slot is free so long after its holder's last sign of life. Whatever a killed process was asking
is decided at the channel, and a second old, before that: at least LEASE - BEAT after the kill.
"""

BEAT = 1.5
"""Seconds between two signs of life; most calls are over before the first."""

AFTER_FAILURE = timedelta(seconds=1)
PATIENCE = 30.0
POLL = 0.05


class Turn:
    """One turn; ``failed`` says that the channel did not do what it was asked."""

    failed = False


@contextmanager
def turn(hospital_id: UUID, channel: str, limits: Limits, *, old: bool) -> Iterator[Turn]:
    """Wait for a turn at the channel and hold it while asking. NotNow PACE after a long wait."""
    holder = new_id()
    wait = _taken(hospital_id, channel, holder, limits, old=old)
    mine = Turn()
    try:
        with _alive(hospital_id, channel, holder):
            time.sleep(wait.total_seconds())
            yield mine
    except BaseException:
        mine.failed = True
        raise
    finally:
        after = AFTER_FAILURE if mine.failed else timedelta()
        with suppress(SQLAlchemyError):  # the database is away: the lease runs out
            pace.give_back(hospital_id, channel, holder, after)


def _taken(
    hospital_id: UUID, channel: str, holder: UUID, limits: Limits, *, old: bool
) -> timedelta:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        wait = pace.take_turn(
            hospital_id,
            channel,
            holder,
            old=old,
            step=limits.step,
            old_step=limits.old_step,
            slots=limits.failures,
            lease=LEASE,
        )
        if wait is not None:
            return wait
        time.sleep(POLL)
    raise NotNow("PACE")


@contextmanager
def _alive(hospital_id: UUID, channel: str, holder: UUID) -> Iterator[None]:
    """Say again and again that the holder lives, for as long as it does."""
    over = Event()

    def beat() -> None:
        while not over.wait(BEAT):
            with suppress(SQLAlchemyError):  # the database is away: the next beat says it
                pace.keep(hospital_id, channel, holder, LEASE)

    heart = Thread(target=beat, name="pace", daemon=True)
    heart.start()
    try:
        yield
    finally:
        over.set()
        heart.join()
