"""Payments whose way back closes soon are paid back first, and shown first (GZ-7)."""

from datetime import datetime, timedelta

WINDOWS = (1, 7, 30)
"""Days before a window closes at which the radar warns."""

AFTER_ALL_ELSE = -10
"""A refund in the queue lets a patient's messages, callbacks and settlements go first."""


def days_left(closes_at: datetime | None, now: datetime) -> int | None:
    """The smallest of WINDOWS within which this window closes; None: later, or never."""
    if closes_at is None:
        return None
    return next((days for days in WINDOWS if closes_at <= now + timedelta(days=days)), None)


def urgency(closes_at: datetime | None, now: datetime) -> int:
    """The priority in the queue: the higher, the sooner."""
    left = days_left(closes_at, now)
    return AFTER_ALL_ELSE + (len(WINDOWS) - WINDOWS.index(left) if left else 0)
