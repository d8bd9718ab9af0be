"""What is held and what is not: each limit on both sides, by night and by day (GZ-7, rank 14)."""

from datetime import UTC, date, datetime, timedelta

import pytest

from policies.refund_risk import Facts, Limits, off_hours, risks, said

LIMITS = Limits(amount_fen=500_000)
SMALL = 12_050
A_DAY, LONG_AGO = timedelta(days=1), timedelta(days=40)
WEDNESDAY_NOON = datetime(2026, 1, 14, 4, tzinfo=UTC)


def reasons(**facts) -> list[str]:
    return [risk.reason for risk in risks(Facts(**({"amount_fen": SMALL} | facts)), LIMITS)]


@pytest.mark.parametrize(
    ("reason", "facts"),
    [
        ("SAME_CARD", {"card_patients": 3}),
        ("STAFF_IS_PAYEE", {"staff_is_payee": True}),
        ("ONE_DESK", {"one_desk": True}),
        ("OTHERS_PAID", {"others_elsewhere_fen": 10_000}),
        ("ROUND_TRIP", {"recent_elsewhere_fen": 10_000}),
        ("OFF_HOURS_BURST", {"burst": 5}),
        ("LARGE_AMOUNT", {"amount_fen": 500_001}),
        ("ONE_PHONE", {"phone_patients": 4}),
        ("FRESH_BINDING", {"leaves_remotely": True, "bound_for": A_DAY, "bound_twice": True}),
        ("FRESH_BINDING", {"leaves_remotely": True, "bound_for": A_DAY, "amount_fen": 50_000}),
    ],
)
def test_a_fraud_is_held_for_its_own_reason(reason, facts):
    assert reasons(**facts) == [reason]


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param({}, id="a small balance, back the way it came"),
        pytest.param({"amount_fen": 1}, id="one fen"),
        pytest.param({"amount_fen": 80}, id="eighty fen at the window"),
        pytest.param({"amount_fen": 500_000}, id="exactly the limit"),
        pytest.param({"card_patients": 1}, id="to the own card"),
        pytest.param({"card_patients": 2}, id="a couple with one card"),
        pytest.param({"phone_patients": 1}, id="on the own phone"),
        pytest.param({"phone_patients": 3}, id="a daughter for herself and both parents"),
        pytest.param({"burst": 1}, id="an emergency at night"),
        pytest.param({"burst": 4}, id="a holiday window with four"),
        pytest.param({"bound_for": A_DAY}, id="bound to ask for just this, back to WeChat"),
        pytest.param(
            {"bound_for": A_DAY, "leaves_remotely": True}, id="bound yesterday, to the own card"
        ),
        pytest.param(
            {"bound_for": A_DAY, "leaves_remotely": True, "amount_fen": 49_999},
            id="bound yesterday, just below the limit",
        ),
        pytest.param(
            {"bound_for": LONG_AGO, "leaves_remotely": True, "amount_fen": 300_000},
            id="bound for long, much money to the own card",
        ),
        pytest.param(
            {"bound_for": LONG_AGO, "leaves_remotely": True, "bound_twice": True},
            id="an old and a new phone, both known for long",
        ),
        pytest.param({"bound_for": A_DAY, "bound_twice": True}, id="second phone, back to WeChat"),
        pytest.param({"leaves_remotely": True}, id="at the window, to the own card"),
        pytest.param({"recent_elsewhere_fen": 9_999}, id="a few yuan paid last week by Alipay"),
        pytest.param({"others_elsewhere_fen": 9_999}, id="a friend once paid the bus fare's worth"),
        pytest.param(
            {"card_patients": 2, "phone_patients": 2, "bound_for": LONG_AGO, "burst": 2},
            id="a couple on a Sunday",
        ),
    ],
)
def test_an_honest_story_passes(facts):
    assert reasons(**facts) == []


def test_every_reason_is_told_and_has_its_sentence():
    facts = Facts(
        amount_fen=600_000,
        card_patients=3,
        phone_patients=4,
        burst=5,
        staff_is_payee=True,
        one_desk=True,
        recent_elsewhere_fen=20_000,
        others_elsewhere_fen=20_000,
        leaves_remotely=True,
        bound_for=timedelta(hours=71, minutes=59),
    )
    found = risks(facts, LIMITS)
    assert len(found) == 9
    sentences = [said(risk.reason, risk.facts) for risk in found]
    assert len(set(sentences)) == 9
    assert "金额6000.00元，超过5000.00元。" in sentences
    assert "这个微信号71小时前才绑定患者，钱要退到新写的账户。" in sentences


@pytest.mark.parametrize(
    ("moment", "off"),
    [
        (WEDNESDAY_NOON, False),
        (datetime(2026, 1, 13, 22, 59, 59, tzinfo=UTC), True),  # 06:59:59 in Shanghai
        (datetime(2026, 1, 13, 23, tzinfo=UTC), False),
        (datetime(2026, 1, 14, 11, 59, 59, tzinfo=UTC), False),
        (datetime(2026, 1, 14, 12, tzinfo=UTC), True),  # 20:00
        (datetime(2026, 1, 17, 4, tzinfo=UTC), True),  # a Saturday
        (datetime(2026, 1, 1, 4, tzinfo=UTC), True),  # New Year's Day
    ],
)
def test_night_and_holidays_are_shanghai_s(moment, off):
    assert off_hours(moment, {}) is off


def test_the_hospital_s_own_table_of_days_wins_and_a_missing_one_counts_weekdays():
    day = date(2026, 1, 14)
    assert off_hours(WEDNESDAY_NOON, {day: False})
    assert not off_hours(WEDNESDAY_NOON, {}, lambda _: None)
    assert off_hours(WEDNESDAY_NOON + timedelta(days=3), {}, lambda _: None)
