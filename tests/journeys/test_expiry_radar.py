"""What the radar shows, and that what closes first is paid first (GZ-7)."""

from datetime import timedelta

import pytest

from journeys import expiry_radar
from models.db import rows
from policies.expiry import days_left, urgency
from tests import purse, till


def seen(stage, days=30, after_at=None, after_id=None):
    actor = stage.actor("FINANCE_MAKER")
    return expiry_radar.radar(
        actor, stage.clock.now(), days=days, after_at=after_at, after_id=after_id
    )


def test_what_closes_soon_is_shown_soonest_first(stage):
    patient = stage.patient()
    for days, fen in ((364, 26_000), (360, 1_000), (340, 500), (300, 7), (366, 8)):
        purse.store(stage, patient, fen, "WECHAT", days=days)
    purse.store(stage, patient, 9_999, "CASH", days=364)
    shown = seen(stage)
    assert [(row["unused_fen"], row["days"]) for row in shown["payments"]] == [
        (26_000, 1),
        (1_000, 7),
        (500, 30),
    ]
    assert [(row["days"], row["payments"], row["unused_fen"]) for row in shown["windows"]] == [
        (1, 1, 26_000),
        (7, 2, 27_000),
        (30, 3, 27_500),
    ]
    first = shown["payments"][0]
    assert first["closes_at"] == first["paid_at"] + timedelta(days=365) - timedelta(minutes=15)
    after = seen(stage, after_at=first["paid_at"], after_id=first["id"])["payments"]
    assert [row["unused_fen"] for row in after] == [1_000, 500]
    assert [row["unused_fen"] for row in seen(stage, days=90)["payments"]][-1] == 7


def test_tonights_batch_takes_the_payment_of_364_days_first(stage):
    """The 260.00 left of a payment that closes tomorrow goes before what can wait."""
    patients = [stage.patient() for _ in range(4)]
    approved = {}
    for patient, days in zip(patients, (10, 340, 364, 360), strict=True):
        purse.store(stage, patient, 26_000, "WECHAT", days=days)
        refund = purse.ask_back(stage, patient, 26_000)
        till.check(stage, refund)
        approved[till.legs_of(refund)[0].id] = days
    shown = seen(stage)
    assert shown["payments"] == []
    assert [(row["days"], row["legs"], row["asked_fen"]) for row in shown["windows"]] == [
        (1, 1, 26_000),
        (7, 2, 52_000),
        (30, 3, 78_000),
    ]
    queued = rows(
        "SELECT args->>'leg_id' AS leg FROM procrastinate_jobs WHERE task_name = 'pay_leg'"
        " AND args->>'hospital_id' = :id ORDER BY priority DESC, id",
        id=str(stage.hospital_id),
    )
    days = {str(leg): days for leg, days in approved.items()}
    assert [days[job["leg"]] for job in queued] == [364, 360, 340, 10]


def test_what_was_saved_from_other_routes_is_counted(stage):
    now = stage.clock.now()
    stage.clock.set(now - timedelta(days=350))
    stay = stage.stay()
    till.pay_qr(stage, stay, 8_000)
    stage.clock.set(now)
    refund = till.ask_back(stage, stay, 8_000)
    till.check(stage, refund)
    stage.run_jobs()
    till.later(stage, minutes=1)
    assert till.look(stage, refund)["state"] == "PAID"
    assert seen(stage)["saved_fen"] == 8_000


@pytest.mark.parametrize(
    ("hours", "days", "priority"),
    [(0, 1, -7), (24, 1, -7), (25, 7, -8), (169, 30, -9), (721, None, -10)],
)
def test_urgency(stage, hours, days, priority):
    now = stage.clock.now()
    closes_at = now + timedelta(hours=hours)
    assert (days_left(closes_at, now), urgency(closes_at, now)) == (days, priority)
    assert urgency(None, now) == -10
