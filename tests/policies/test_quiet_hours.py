"""When nobody is disturbed, and when a campaign has done what it must (GZ-7)."""

import re
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import SHANGHAI
from policies.campaign import check_complete
from policies.quiet_hours import PATTERN, allowed_from
from policies.refusals import Refused


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2025, 9, day, hour, minute, tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        (at(1, 8), at(1, 8)),
        (at(1, 20, 59), at(1, 20, 59)),
        (at(1, 21), at(2, 8)),
        (at(1, 23, 59), at(2, 8)),
        (at(2, 0), at(2, 8)),
        (at(2, 7, 59), at(2, 8)),
    ],
)
def test_nights_are_quiet(asked, allowed):
    assert allowed_from(asked, "21-8") == allowed


@given(st.integers(0, 3 * 365 * 24 * 60), st.sampled_from(["18-10", "23-6"]))
def test_it_is_never_earlier_nor_at_night(minutes, hours):
    moment = at(1, 0) + timedelta(minutes=minutes)
    allowed = allowed_from(moment, hours)
    evening, morning = map(int, hours.split("-"))
    assert moment <= allowed < moment + timedelta(hours=24)
    assert morning <= allowed.astimezone(SHANGHAI).hour < evening


def test_the_setting_has_sound_hours_only():
    assert re.fullmatch(PATTERN, "21-8")
    assert not any(re.fullmatch(PATTERN, text) for text in ("8-21", "24-8", "21", "21-11", ""))


@pytest.mark.clause("GZ-7", "T2")
@pytest.mark.parametrize(
    ("used", "hotline", "under_way", "code"),
    [
        (["SMS"], "0851-80000000", 0, "CAMPAIGN_NEEDS_CHANNELS"),
        (["SMS", "SMS"], "0851-80000000", 0, "CAMPAIGN_NEEDS_CHANNELS"),
        (["SMS", "OFFICIAL_ACCOUNT"], "", 0, "CAMPAIGN_HOTLINE_MISSING"),
        (["SMS", "OFFICIAL_ACCOUNT"], "0851-80000000", 1, "CAMPAIGN_STILL_SENDING"),
    ],
)
def test_a_campaign_is_not_complete_before(used, hotline, under_way, code):
    with pytest.raises(Refused) as no:
        check_complete(used, hotline, under_way)
    assert no.value.code == code
    check_complete(["SMS", "OFFICIAL_ACCOUNT"], "0851-80000000", 0)
