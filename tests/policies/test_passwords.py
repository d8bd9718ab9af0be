"""Two presets that contradict each other, each kept whole."""

from datetime import UTC, datetime, timedelta

import pytest

from policies.passwords import PasswordRules, due_at, weakness

MLPS, ASVS = PasswordRules.MLPS, PasswordRules.ASVS
ABOUT = ["n0042", "周明月", "示范医院"]
LONG = "Tulip quartz 7 harbour, copper lantern: velvet orchard " + "x" * 73


@pytest.mark.parametrize(
    ("rules", "password", "expected"),
    [
        (MLPS, "Tz7-kq9", "PASSWORD_LENGTH"),
        (MLPS, "Tz7-kq9w", None),
        (MLPS, "tz7kq9wp", "PASSWORD_KINDS"),
        (MLPS, "tz7-kq9w", None),
        (MLPS, "Qwerty12", "PASSWORD_GUESSABLE"),
        (MLPS, "xN0042-Tz7q", "PASSWORD_ABOUT_YOU"),
        (MLPS, LONG, None),
        (MLPS, LONG + "x", "PASSWORD_LENGTH"),
        (ASVS, "tulipquartz", "PASSWORD_LENGTH"),
        (ASVS, "tulip quartz harbour", None),
        (ASVS, "qwertyuiop12", "PASSWORD_GUESSABLE"),
        (ASVS, "示范医院的一个很长的口令", "PASSWORD_ABOUT_YOU"),
    ],
)
def test_weakness(rules: PasswordRules, password: str, expected: str | None) -> None:
    assert weakness(password, rules, ABOUT) == expected


def test_only_one_preset_asks_for_periodic_change() -> None:
    at = datetime(2025, 7, 4, tzinfo=UTC)
    assert due_at(MLPS, at) == at + timedelta(days=90)
    assert due_at(ASVS, at) is None
