"""What cannot be given back: evidence, the three years, the cap of what is claimed (GZ-8)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from config import today
from policies.packs import Rules
from policies.refusals import Refused
from policies.scope import InstitutionType


class Reason(StrEnum):
    """Why a balance cannot be given back (GZ-8.1): the objective reasons and their proof."""

    NO_CONTACT_DATA = "NO_CONTACT_DATA"
    CONTACT_CHANGED = "CONTACT_CHANGED"
    IDENTITY_UNKNOWN = "IDENTITY_UNKNOWN"
    DECEASED_NO_HEIR = "DECEASED_NO_HEIR"


class Result(StrEnum):
    """What came of one attempt to reach a holder. ANSWERED: they know, and can ask for it."""

    ANSWERED = "ANSWERED"
    NO_ANSWER = "NO_ANSWER"
    UNDELIVERED = "UNDELIVERED"
    WRONG_NUMBER = "WRONG_NUMBER"


class ContactChannel(StrEnum):
    """How a holder was tried."""

    PHONE = "PHONE"
    SMS = "SMS"
    WECHAT = "WECHAT"
    LETTER = "LETTER"
    VISIT = "VISIT"


class Reading(StrEnum):
    """From which day the three years count (D-08)."""

    ACCOUNT_ACTIVITY = "ACCOUNT_ACTIVITY"
    TOPUP_LOT = "TOPUP_LOT"
    FOUND_UNRETURNABLE = "FOUND_UNRETURNABLE"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to reach a holder: when, by which channel, with what result."""

    at: datetime
    channel: str
    result: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What the hospital demands before it gives a holder up (D-41)."""

    attempts: int
    channels: int
    days: int


@cache
def list_words() -> dict[str, Any]:
    """How the filed list names its columns, reasons and channels (texts/unreturnable.yaml)."""
    path = Path(__file__).parent / "texts" / "unreturnable.yaml"
    words: dict[str, Any] = yaml.safe_load(path.read_text("utf8"))
    return words


def check_evidence(
    reason: Reason, attempts: Sequence[Attempt], has_contact_data: bool, proof: Proof
) -> None:
    """Refused ATTEMPT_EVIDENCE_REQUIRED unless the reason is proven (GZ-8.1 T1).

    NO_CONTACT_DATA is proven by the lack of any; every other reason by enough attempts over enough
    channels and days, none of which reached the holder. Refused HOLDER_WAS_REACHED after one did.
    """
    if any(attempt.result == Result.ANSWERED for attempt in attempts):
        raise Refused("HOLDER_WAS_REACHED")
    if reason == Reason.NO_CONTACT_DATA and not has_contact_data:
        return
    days = [today(attempt.at) for attempt in attempts]
    enough = (
        len(attempts) >= proof.attempts
        and len({attempt.channel for attempt in attempts}) >= proof.channels
        and max(days) - min(days) >= timedelta(days=proof.days)
    )
    if not enough:
        raise Refused(
            "ATTEMPT_EVIDENCE_REQUIRED",
            attempts=proof.attempts,
            channels=proof.channels,
            days=proof.days,
        )


def older_than(as_of: date, years: int) -> date:
    """Days before this one are more than so many years old on ``as_of``: exactly three years is
    not «more than three» (civil code art. 1259; GZ-8.2 T3).
    """
    try:
        return as_of.replace(year=as_of.year - years)
    except ValueError:  # 29 February of a year that has none
        return date(as_of.year - years, 3, 1)


def check_may_turn_over(institution_type: str, as_of: date, day: date, rules: Rules) -> int:
    """How many years make a balance old enough on this 31 December; Refused PUBLIC_ONLY (T9),
    TURNOVER_DAY_WRONG on another day or one that has not come yet, RULE_PACK_NOT_APPLICABLE where
    no rule says so. ``day``: today.
    """
    if institution_type != InstitutionType.PUBLIC:
        raise Refused("PUBLIC_ONLY")
    if (as_of.month, as_of.day) != (12, 31) or as_of > day:
        raise Refused("TURNOVER_DAY_WRONG")
    found = rules.find("turnover.more_than_years", as_of)
    if found is None:
        raise Refused("RULE_PACK_NOT_APPLICABLE")
    return int(found.value)


def budget_year(paid_on: date) -> int:
    """In whose budget an advance is asked back: the year after it was paid (GZ-8.3 T3)."""
    return paid_on.year + 1


def claim_within(room_fen: int, advances_fen: Sequence[int]) -> list[int]:
    """How much of each advance, in this order, can be claimed without exceeding what was turned
    over (GZ-8.3); what finds no room stays the hospital's cost.
    """
    claimed = []
    for fen in advances_fen:
        part = max(0, min(fen, room_fen))
        claimed.append(part)
        room_fen -= part
    return claimed
