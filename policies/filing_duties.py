"""What a hospital still owes the public about its filings: the checker of GZ-6."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from policies.filed_exception import Filed

CHANNELS = ("WEBSITE", "MINI_PROGRAM", "SCREEN")
"""Where article 6 wants the filing shown: 官网、就医小程序、电子屏."""

SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Shown:
    """A filing on a day, and on which channels the public can see it."""

    filing_id: UUID
    state: Filed
    in_force: bool
    expires_on: date | None
    live_channels: frozenset[str]


@dataclass(frozen=True, slots=True)
class Duty:
    """Something owed: a code with words, the filing, and the channel it is about, if any."""

    code: str
    filing_id: UUID
    channel: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def duties(filings: Iterable[Shown], day: date) -> list[Duty]:
    """Everything owed on a day; an empty list is the good answer."""
    return [duty for filing in filings for duty in _owed(filing, day)]


def _owed(filing: Shown, day: date) -> Sequence[Duty]:
    here = filing.filing_id
    if not filing.in_force:
        return [
            Duty("PUBLICATION_OUTDATED", here, channel) for channel in sorted(filing.live_channels)
        ]
    owed = []
    if not filing.live_channels:
        owed.append(Duty("FILING_UNPUBLISHED", here))
    else:
        missing = [channel for channel in CHANNELS if channel not in filing.live_channels]
        owed += [Duty("FILING_CHANNEL_MISSING", here, channel) for channel in missing]
    if filing.expires_on is not None and filing.expires_on <= day + SOON:
        ended = filing.expires_on.isoformat()
        owed.append(Duty("FILING_EXPIRES_SOON", here, facts={"ended": ended}))
    return owed
