"""A turn at a channel: no faster than its limits, whatever number of processes ask."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from models import pace
from models.db import Session
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

LONGEST = timedelta(seconds=90)
"""A slot of a process that died while asking is free after this; longer than any time-out."""

AFTER_FAILURE = timedelta(seconds=1)
PATIENCE = 30.0
POLL = 0.02


class Turn:
    """One turn; ``failed`` says that the channel did not do what it was asked."""

    failed = False


@contextmanager
def turn(hospital_id: UUID, channel: str, limits: Limits, *, old: bool) -> Iterator[Turn]:
    """Wait for a turn at the channel and hold it while asking. NotNow PACE after a long wait."""
    slot = _slot(hospital_id, channel, limits)
    mine = Turn()
    try:
        with Session.begin() as db:
            wait = pace.take_turn(
                db, hospital_id, channel, old=old, step=limits.step, old_step=limits.old_step
            )
        time.sleep(wait.total_seconds())
        yield mine
    except BaseException:
        mine.failed = True
        raise
    finally:
        with Session.begin() as db:
            after = AFTER_FAILURE if mine.failed else timedelta()
            pace.give_back(db, hospital_id, channel, slot, after)


def _slot(hospital_id: UUID, channel: str, limits: Limits) -> tuple[int, datetime]:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with Session.begin() as db:
            if slot := pace.take_slot(db, hospital_id, channel, LONGEST):
                return slot
            pace.prepare(db, hospital_id, channel, limits.failures)
        time.sleep(POLL)
    raise NotNow("PACE")
