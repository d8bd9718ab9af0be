"""When an outpatient prepayment may still be taken: a filed, approved, published exception and a
patient who wants it (GZ-6)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from uuid import UUID

from policies.refusals import Refused

ELDERLY = "ELDERLY"
"""The one group that the law names; who belongs to it is read from the day of birth."""


class Scene(StrEnum):
    """Where the money is needed: 急诊, 急诊留观, 门诊手术, 急诊手术."""

    EMERGENCY = "EMERGENCY"
    EMERGENCY_OBSERVATION = "EMERGENCY_OBSERVATION"
    OUTPATIENT_SURGERY = "OUTPATIENT_SURGERY"
    EMERGENCY_SURGERY = "EMERGENCY_SURGERY"


class Filed(StrEnum):
    """DRAFTED: by finance. SUBMITTED: the head of finance agreed, the health department has it.
    APPROVED, REFUSED: its answer. WITHDRAWN: given up or taken back.
    """

    DRAFTED = "DRAFTED"
    SUBMITTED = "SUBMITTED"
    APPROVED = "APPROVED"
    REFUSED = "REFUSED"
    WITHDRAWN = "WITHDRAWN"


@dataclass(frozen=True, slots=True)
class Group:
    """A group that the filing lists. ``min_age``: in full years, where it depends on age."""

    code: str
    min_age: int | None = None


@dataclass(frozen=True, slots=True)
class Filing:
    """What of a filing decides. ``published``: somewhere on the day in question."""

    id: UUID
    state: Filed
    scenes: frozenset[str]
    groups: tuple[Group, ...]
    approved_on: date | None = None
    expires_on: date | None = None
    top_up_limit_fen: int | None = None
    balance_limit_fen: int | None = None
    published: bool = False


@dataclass(frozen=True, slots=True)
class TopUp:
    """What somebody wants to store. ``group``: which listed group the window saw papers of.

    ``held_fen``: what the account holds and what may arrive at any moment. ``consented``: the
    patient's consent is on record and not withdrawn.
    """

    amount_fen: int
    held_fen: int
    consented: bool
    born_on: date | None = None
    scene: str | None = None
    group: str | None = None


def age_on(born_on: date, day: date) -> int:
    """Full years; a year is full on the birthday itself."""
    return day.year - born_on.year - ((day.month, day.day) < (born_on.month, born_on.day))


def filing_that_allows(
    filings: Iterable[Filing],
    wish: TopUp,
    day: date,
    *,
    stopped_since: date,
    require_publication: bool,
) -> Filing:
    """The filing under which this top-up may be taken on this day.

    Refused, by what is missing first in the filing that comes nearest: OUTPATIENT_PREPAY_STOPPED
    (none covers scene or group), FILING_NOT_APPROVED, FILING_EXPIRED, PUBLICATION_REQUIRED (D-05),
    CONSENT_REQUIRED, PREPAY_LIMIT_EXCEEDED.
    """
    nearest, furthest = Refused("OUTPATIENT_PREPAY_STOPPED", since=stopped_since.isoformat()), -1
    for filing in filings:
        if not _covers(filing, wish, day):
            continue
        steps = _missing(filing, wish, day, require_publication)
        step = next((no for no, (fails, _) in enumerate(steps) if fails), None)
        if step is None:
            return filing
        if step > furthest:
            nearest, furthest = steps[step][1], step
    raise nearest


def room_fen(filing: Filing, held_fen: int) -> int | None:
    """How much may be stored at once under the filing's limits; None without a limit."""
    limits = []
    if filing.top_up_limit_fen is not None:
        limits.append(filing.top_up_limit_fen)
    if filing.balance_limit_fen is not None:
        limits.append(max(0, filing.balance_limit_fen - held_fen))
    return min(limits, default=None)


def _covers(filing: Filing, wish: TopUp, day: date) -> bool:
    if filing.state in {Filed.REFUSED, Filed.WITHDRAWN}:
        return False
    return wish.scene in filing.scenes or any(_belongs(wish, each, day) for each in filing.groups)


def _belongs(wish: TopUp, group: Group, day: date) -> bool:
    if group.code not in {ELDERLY, wish.group}:
        return False
    if group.min_age is None:
        return True
    return wish.born_on is not None and age_on(wish.born_on, day) >= group.min_age


def _missing(
    filing: Filing, wish: TopUp, day: date, require_publication: bool
) -> list[tuple[bool, Refused]]:
    """Each thing that must be there, in order: whether it is missing, and what is said then."""
    begun = filing.approved_on is not None and filing.approved_on <= day
    ends = filing.expires_on
    room = room_fen(filing, wish.held_fen)
    return [
        (filing.state is not Filed.APPROVED or not begun, Refused("FILING_NOT_APPROVED")),
        (ends is not None and ends < day, Refused("FILING_EXPIRED", ended=str(ends))),
        (require_publication and not filing.published, Refused("PUBLICATION_REQUIRED")),
        (not wish.consented, Refused("CONSENT_REQUIRED")),
        (
            room is not None and wish.amount_fen > room,
            Refused("PREPAY_LIMIT_EXCEEDED", room_fen=room),
        ),
    ]
