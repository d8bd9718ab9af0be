"""What a password must be: two presets, for 等保 wants kinds of characters and a change every
90 days, and ASVS forbids both."""

from datetime import datetime, timedelta
from enum import StrEnum

from zxcvbn import zxcvbn

LONGEST = 128
LOOKED_AT = 72
"""zxcvbn's cost grows with length; what is longer than this is long enough."""


class PasswordRules(StrEnum):
    """MLPS: GB/T 22239-2019 level 3, L3-CES1-01. ASVS: OWASP ASVS 5.0, 6.2."""

    MLPS = "MLPS"
    ASVS = "ASVS"


_SHORTEST = {PasswordRules.MLPS: 8, PasswordRules.ASVS: 12}
_LEAST_SCORE = {PasswordRules.MLPS: 2, PasswordRules.ASVS: 3}
_GOOD_FOR = {PasswordRules.MLPS: timedelta(days=90), PasswordRules.ASVS: None}


def weakness(password: str, rules: PasswordRules, about: list[str]) -> str | None:
    """The code of what is wrong with it, or None. ``about``: words an attacker tries first (number,
    name, hospital)."""
    if not _SHORTEST[rules] <= len(password) <= LONGEST:
        return "PASSWORD_LENGTH"
    if rules is PasswordRules.MLPS and _kinds(password) < 3:
        return "PASSWORD_KINDS"
    if any(word and word.lower() in password.lower() for word in about):
        return "PASSWORD_ABOUT_YOU"
    if zxcvbn(password[:LOOKED_AT], user_inputs=about)["score"] < _LEAST_SCORE[rules]:
        return "PASSWORD_GUESSABLE"
    return None


def shortest(rules: PasswordRules) -> int:
    """The fewest characters."""
    return _SHORTEST[rules]


def due_at(rules: PasswordRules, set_at: datetime) -> datetime | None:
    """When a password set now must be changed; None: never."""
    good_for = _GOOD_FOR[rules]
    return set_at + good_for if good_for else None


def _kinds(password: str) -> int:
    tests = (str.islower, str.isupper, str.isdigit, lambda c: not c.isalnum())
    return sum(any(test(character) for character in password) for test in tests)
