"""A night of refunds: many hands, WeChat Pay's limits, every fault, and the books agree."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, text

from journeys import refunds
from models.db import Session
from models.refund import RefundLeg
from payments.pacing import WECHAT_REFUNDS
from tests import till

LEGS, HANDS, SEED = 24, 8, 20251231


def limits(stage):
    mchid = stage.simulator.connections(stage.world_code)["wechat_pay"]["mchid"]
    return stage.simulator.get("/_sim/wxpay/limits")[mchid]


def within(seen):
    assert seen["over"] == 0
    assert seen["calls"] <= WECHAT_REFUNDS.calls
    assert seen["old"] <= WECHAT_REFUNDS.old_calls
    assert seen["failures"] <= WECHAT_REFUNDS.failures


@pytest.fixture
def night(stage):
    """Approved refunds, each of one payment; their ids."""
    ids = []
    for _ in range(LEGS):
        stay = stage.stay()
        till.pay_qr(stage, stay, 10_000)
        ids.append(till.ask_back(stage, stay, 10_000))
        till.check(stage, ids[-1])
    return ids


def pay_all(stage):
    """Every leg of the hospital at once, by many hands, as many workers would."""
    with Session() as db:
        mine = select(RefundLeg.id).where(RefundLeg.hospital_id == stage.hospital_id)
        legs = list(db.scalars(mine))
    with ThreadPoolExecutor(HANDS) as pool:
        list(pool.map(lambda leg: refunds.pay_leg(stage.outside, leg), legs))


def test_limits_are_never_exceeded_whatever_fails(stage, night):
    dice = random.Random(SEED)
    for _ in range(60):
        fault = dice.choice(["not_visible_yet", "throttled", "error500_after", "before", "after"])
        stage.simulator.fault("wxpay", "refund", fault)
    with Session.begin() as db:  # the queue was lost: only the rows know
        db.execute(text("DELETE FROM procrastinate_jobs"))
    for _ in range(12):
        pay_all(stage)
        stage.clock.forward(minutes=10)
    within(limits(stage))
    assert limits(stage)["failures"] > 1
    assert stage.simulator.get("/_sim/faults") == []
    assert {till.look(stage, refund)["state"] for refund in night} == {"PAID"}
    till.agree(stage)


def test_without_money_everybody_waits_and_one_task_says_so(stage, night):
    stage.simulator.fault("wxpay", "refund", "not_enough", times=HANDS)
    pay_all(stage)
    asked = sum(leg.tries for refund in night for leg in till.legs_of(refund))
    assert asked <= 2 * HANDS  # whoever was on the way already; then nobody asks
    assert till.work(stage, "REFUND_FUNDS_LOW") == ["channel:WECHAT"]
    for _ in range(12):
        stage.clock.forward(minutes=2)
        refunds.sweep_legs(stage.outside, stage.hospital_id)
    assert {till.look(stage, refund)["state"] for refund in night} == {"PAID"}
    assert till.work(stage, "REFUND_FUNDS_LOW") == []
    within(limits(stage))
    till.agree(stage)


def test_one_payment_is_never_asked_for_twice_at_once(stage):
    """Two refunds of one payment, two hands: the second waits its minute."""
    stay = stage.stay()
    till.pay_qr(stage, stay, 10_000)
    ids = [till.ask_back(stage, stay, fen) for fen in (1_000, 2_000, 3_000)]
    for refund in ids:
        till.check(stage, refund)
    with Session.begin() as db:
        db.execute(text("UPDATE refund_leg SET next_try_at = :now"), {"now": stage.clock.now()})
    stage.simulator.settings(refund_gap_seconds=60)
    pay_all(stage)
    legs = [leg for refund in ids for leg in till.legs_of(refund)]
    assert sorted(leg.tries for leg in legs) == [0, 0, 1]
    for _ in range(3):
        stage.clock.forward(seconds=61)
        pay_all(stage)
    assert {till.look(stage, refund)["state"] for refund in ids} == {"PAID"}
    assert limits(stage)["failures"] == 0
    till.agree(stage)
