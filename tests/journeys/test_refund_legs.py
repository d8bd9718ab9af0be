"""A refund on its way through WeChat Pay: cut, refused, throttled, failed; never lost or twice."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import select, text

from journeys import discharge, refunds
from models.db import Session
from models.ledger import AccountKind
from models.machine import ForbiddenMove
from models.message import Message
from policies.refusals import Refused
from tests import till
from tests.journeys.test_discharge import settle

CUTS = ("before", "after", "error500_before", "error500_after")
TRANSIT, CASH = AccountKind.REFUND_IN_TRANSIT, AccountKind.CASH


def approved(stage, *paid, back=0):
    """A stay that paid these by QR, and the refund of ``back`` fen (all of it), approved."""
    stay = stage.stay()
    for fen in paid:
        till.pay_qr(stage, stay, fen)
    refund_id = till.ask_back(stage, stay, back or sum(paid))
    till.check(stage, refund_id)
    return refund_id


def asked_of_them(stage, operation="refund"):
    """How often WeChat Pay was asked, and what it said."""
    return [
        event["outcome"]
        for event in stage.simulator.get("/_sim/events?wire=wxpay&limit=1000000")
        if event["operation"] == operation
    ]


@pytest.mark.parametrize("lost_jobs", [False, True], ids=["queue", "sweep"])
@pytest.mark.parametrize("fault", [*CUTS, "bad_signature", "signature_probe"])
@pytest.mark.parametrize("operation", ["refund", "query_refund"])
def test_the_line_cut_loses_and_doubles_nothing(stage, operation, fault, lost_jobs):
    refund_id = approved(stage, 80_000, back=30_000)
    stage.simulator.fault("wxpay", operation, fault)
    for _ in range(4):
        if lost_jobs:
            with Session.begin() as db:
                db.execute(text("DELETE FROM procrastinate_jobs"))
            refunds.sweep_legs(stage.outside, stage.hospital_id)
        else:
            stage.run_jobs()
        stage.clock.forward(minutes=1)
    assert stage.simulator.get("/_sim/faults") == []
    assert till.look(stage, refund_id)["state"] == "PAID"
    assert till.balance(stage, CASH, "WECHAT") == 50_000
    assert till.balance(stage, TRANSIT, refund_id) == 0
    till.agree(stage)


def test_eight_who_ask_about_one_leg_ask_once(stage):
    refund_id = approved(stage, 80_000)
    (leg,) = till.legs_of(refund_id)
    before, start = len(asked_of_them(stage)), Barrier(8)
    questions = len(asked_of_them(stage, "query_refund"))

    def ask(_):
        start.wait()
        refunds.pay_leg(stage.outside, leg.id)

    for _ in range(3):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(ask, range(8)))
        stage.clock.forward(minutes=1)
    assert len(asked_of_them(stage)) == before + 1
    assert len(asked_of_them(stage, "query_refund")) == questions + 1
    assert till.look(stage, refund_id)["state"] == "PAID"
    till.agree(stage)


def test_without_money_at_wechat_it_waits_and_somebody_is_told(stage):
    refund_id = approved(stage, 80_000)
    stage.simulator.fault("wxpay", "refund", "not_enough", times=2)
    stage.run_jobs()
    shown = till.look(stage, refund_id)
    assert (shown["state"], shown["legs"][0]["answer"]) == ("PAYING", "NOT_ENOUGH")
    assert till.work(stage, "REFUND_FUNDS_LOW") == ["channel:WECHAT"]
    till.later(stage, seconds=20)
    assert till.work(stage, "REFUND_FUNDS_LOW") == ["channel:WECHAT"]
    till.later(stage, minutes=1)
    till.later(stage, minutes=1)
    assert till.look(stage, refund_id)["state"] == "PAID"
    assert till.work(stage, "REFUND_FUNDS_LOW") == []
    till.agree(stage)


@pytest.mark.parametrize(
    ("fault", "code"),
    [("not_visible_yet", "RESOURCE_NOT_EXISTS"), ("throttled", "FREQUENCY_LIMITED")],
)
def test_what_is_not_possible_now_is_asked_again_with_the_same_number(stage, fault, code):
    refund_id = approved(stage, 80_000)
    stage.simulator.fault("wxpay", "refund", fault, times=2)
    stage.run_jobs()
    (leg,) = till.look(stage, refund_id)["legs"]
    assert (leg["state"], leg["answer"]) == ("ASKED", code)
    for _ in range(3):
        till.later(stage, minutes=1)
    assert till.look(stage, refund_id)["state"] == "PAID"
    assert (
        asked_of_them(stage).count(f"429 {code}") + asked_of_them(stage).count(f"404 {code}") >= 2
    )
    till.agree(stage)


def test_a_no_to_the_question_is_no_answer_about_the_refund(stage):
    refund_id = approved(stage, 80_000)
    stage.simulator.fault("wxpay", "refund", "after")
    stage.simulator.fault("wxpay", "query_refund", "refuse", code="NO_AUTH")
    stage.run_jobs()
    till.later(stage, seconds=20)  # the refund was done, and they will not say so
    assert till.look(stage, refund_id)["state"] == "PAYING"
    till.later(stage, minutes=1)
    till.later(stage, minutes=1)
    assert till.look(stage, refund_id)["state"] == "PAID"
    till.agree(stage)


def test_two_refunds_of_one_payment_are_a_minute_apart(stage):
    stage.simulator.settings(refund_gap_seconds=60)
    stay = stage.stay()
    till.pay_qr(stage, stay, 80_000)
    pair = [till.ask_back(stage, stay, fen) for fen in (10_000, 20_000)]
    for refund_id in pair:
        till.check(stage, refund_id)
    before = len(asked_of_them(stage))
    stage.run_jobs()
    assert len(asked_of_them(stage)) == before + 1
    states = [till.look(stage, refund_id)["legs"][0]["state"] for refund_id in pair]
    assert sorted(states) == ["PLANNED", "PROCESSING"]
    till.later(stage, seconds=55)
    assert len(asked_of_them(stage)) == before + 1
    till.later(stage, seconds=10)
    till.later(stage, seconds=60)
    assert [till.look(stage, refund_id)["state"] for refund_id in pair] == ["PAID", "PAID"]
    assert asked_of_them(stage)[before:] == ["PROCESSING", "PROCESSING"]
    till.agree(stage)


FAILURES = {
    "abnormal": {"fault": "abnormal"},
    "closed": {"fault": "closed"},
    "refused": {"fault": "refuse", "code": "USER_ACCOUNT_ABNORMAL"},
}


@pytest.mark.parametrize("how", FAILURES.values(), ids=FAILURES.keys())
def test_what_the_original_route_refuses_goes_over_the_window(stage, how):
    refund_id = approved(stage, 80_000, back=30_000)
    stage.simulator.fault("wxpay", "refund", **how)
    stage.run_jobs()
    till.later(stage, minutes=1)
    assert till.look(stage, refund_id)["state"] == "STUCK"
    assert till.work(stage, "REFUND_STUCK") == [f"refund:{refund_id}"]
    assert told(refund_id, "refund_failed")
    assert till.check(stage, refund_id)["state"] == "STUCK"  # said again, it hides nothing
    with pytest.raises(ForbiddenMove):
        till.check(stage, refund_id, by="FINANCE_HEAD")
    maker = stage.actor("FINANCE_MAKER")
    assert refunds.reroute_refund(maker, stage.outside, refund_id)["state"] == "REQUESTED"
    assert till.work(stage, "REFUND_STUCK") == []
    with pytest.raises(Refused, match="REFUND_NOT_STUCK"):
        refunds.reroute_refund(maker, stage.outside, refund_id)
    with pytest.raises(Refused, match="REFUND_NOT_APPROVED"):
        till.hand_over(stage, refund_id)
    till.check(stage, refund_id)
    done = till.hand_over(stage, refund_id)
    legs = [(leg["route"], leg["state"]) for leg in done["legs"]]
    assert (done["state"], legs) == ("PAID", [("WECHAT", "REROUTED"), ("CASH", "PAID")])
    assert till.balance(stage, CASH, "CASH") == -30_000
    till.agree(stage)


def test_whoever_reroutes_does_not_approve(stage):
    refund_id = approved(stage, 80_000)
    stage.simulator.fault("wxpay", "refund", "closed")
    stage.run_jobs()
    till.later(stage, minutes=1)
    checker = stage.actor("FINANCE_CHECKER")
    refunds.reroute_refund(checker, stage.outside, refund_id)
    with pytest.raises(Refused, match="SAME_PERSON_FORBIDDEN"):
        till.check(stage, refund_id)
    assert till.check(stage, refund_id, by="FINANCE_HEAD")["state"] == "PAYING"


def told(refund_id, what):
    with Session() as db:
        return db.scalar(select(Message.id).filter_by(key=f"{what}:{refund_id}")) is not None


@pytest.fixture
def half_failed(stage):
    """Two legs at WeChat: the larger was closed and sent to the window, the other is under way."""
    stage.simulator.settings(refund_seconds=3600)
    refund_id = approved(stage, 70_000, 50_000)
    stage.run_jobs()
    larger, smaller = sorted(till.legs_of(refund_id), key=lambda leg: -leg.amount_fen)
    till.told(stage, larger, "CLOSED")
    refunds.reroute_refund(stage.actor("FINANCE_MAKER"), stage.outside, refund_id)
    return refund_id, larger, smaller


def test_what_is_under_way_cannot_be_rejected(stage, half_failed):
    refund_id, _, smaller = half_failed
    with pytest.raises(Refused, match="REFUND_PARTLY_PAID"):
        till.check(stage, refund_id, approve=False)
    till.told(stage, smaller, "SUCCESS")
    with pytest.raises(Refused, match="REFUND_PARTLY_PAID"):
        till.check(stage, refund_id, approve=False)
    till.check(stage, refund_id)
    assert till.hand_over(stage, refund_id)["state"] == "PAID"
    assert till.balance(stage, TRANSIT, refund_id) == 0
    till.proven(stage)


def test_a_second_leg_that_fails_while_the_first_waits_for_approval(stage, half_failed):
    refund_id, _, smaller = half_failed
    till.told(stage, smaller, "CLOSED")
    assert till.check(stage, refund_id)["state"] == "STUCK"
    refunds.reroute_refund(stage.actor("FINANCE_MAKER"), stage.outside, refund_id)
    till.check(stage, refund_id)
    assert till.hand_over(stage, refund_id)["state"] == "PAID"
    assert till.balance(stage, CASH, "CASH") == -120_000
    till.proven(stage)


def test_money_that_wechat_paid_though_it_went_to_the_window(stage, half_failed):
    _, larger, _ = half_failed
    till.told(stage, larger, "SUCCESS")
    assert till.work(stage, "REFUND_PAID_TWICE") == [f"refund-leg:{larger.id}"]
    assert till.balance(stage, AccountKind.SUSPENSE, f"refund-leg:{larger.id}") == 70_000
    assert till.balance(stage, CASH, "WECHAT") == 50_000
    till.proven(stage)


def test_a_failed_leg_that_wechat_pays_after_all(stage):
    refund_id = approved(stage, 80_000)
    stage.simulator.fault("wxpay", "refund", "abnormal")
    stage.run_jobs()
    till.later(stage, minutes=1)
    (leg,) = till.legs_of(refund_id)
    till.told(stage, leg, "SUCCESS")
    assert till.look(stage, refund_id)["state"] == "PAID"
    assert till.work(stage, "REFUND_STUCK") == []
    till.proven(stage)


def test_a_settlement_is_undone_while_a_part_of_its_rest_is_under_way(stage):
    stage.simulator.settings(refund_seconds=3600)
    stay = stage.stay()
    stage.charge(stay, 30_000)
    till.pay_qr(stage, stay, 70_000)
    till.pay_qr(stage, stay, 50_000)
    stage.leaving(stay)
    assert settle(stage, stay)["state"] == "CLOSED"
    (refund,) = till.refunds_of(stage)
    till.check(stage, refund.id)
    stage.run_jobs()
    larger, _ = sorted(till.legs_of(refund.id), key=lambda leg: -leg.amount_fen)
    till.told(stage, larger, "CLOSED")
    refunds.reroute_refund(stage.actor("FINANCE_MAKER"), stage.outside, refund.id)
    undone = discharge.undo_settlement(
        stage.actor("INSURANCE_OFFICE"), stage.outside, stay.id, reason="漏记费用"
    )
    assert undone["state"] == "UNDONE"
    assert till.held(stage, stay) == 30_000
    assert till.balance(stage, TRANSIT, refund.id) == -90_000
    till.proven(stage)
