"""A refund as planned: what the hospital decided, why each leg, and planning again (GZ-7)."""

import pytest

from journeys import refunds
from journeys.settings import change_setting
from models.db import Session
from models.ledger import AccountKind
from models.payee import Payee
from models.sealing import blind_index
from payments.refund_facts import payee_of
from policies.refusals import Refused
from tests import purse, till


def shown(stage, refund_id):
    legs = till.look(stage, refund_id)["legs"]
    return [(leg["route"], leg["amount_fen"], leg["state"]) for leg in legs]


def test_old_money_is_one_leg_with_its_reason(stage):
    patient = stage.patient()
    purse.store(stage, patient, 12_000, "WECHAT", days=400)
    purse.store(stage, patient, 3_000, "CASH", days=900)
    purse.store(stage, patient, 500, "ALIPAY", days=20)
    refund_id = purse.ask_back(stage, patient, 15_500)
    (leg,) = till.look(stage, refund_id)["legs"]
    assert (leg["route"], leg["amount_fen"], leg["closes_at"]) == ("CASH", 15_500, None)
    assert leg["why"].startswith("当时交的现金30.00元，在窗口退现金，有1笔共120.00元（最近一笔付于")
    assert leg["why"].endswith("当时的付款方式不能原路退，所以到窗口领现金。")
    till.check(stage, refund_id)
    assert till.hand_over(stage, refund_id)["state"] == "PAID"
    assert till.balance(stage, AccountKind.CASH, "CASH") == 3_000 - 15_500
    till.proven(stage)


def test_what_the_hospital_decides_about_its_routes_is_planned_at_once(stage):
    admin, patient = stage.actor("ADMINISTRATOR"), stage.patient()
    for key, value in {
        "refund.alipay_goes_back": "on",
        "refund.margin_minutes": "1440",
        "refund.fallback_order": "NEXT_VISIT,CASH",
    }.items():
        change_setting(admin, key, value, stage.clock.now)
    purse.store(stage, patient, 12_000, "WECHAT", days=364)
    purse.store(stage, patient, 500, "ALIPAY", days=20)
    refund_id = purse.ask_back(stage, patient, 12_500)
    assert shown(stage, refund_id) == [
        ("ALIPAY", 500, "PLANNED"),
        ("NEXT_VISIT", 12_000, "PLANNED"),
    ]
    till.check(stage, refund_id)
    assert till.hand_over(stage, refund_id)["state"] == "PAID"
    assert till.balance(stage, AccountKind.CASH, "ALIPAY") == 0
    assert till.balance(stage, AccountKind.CASH, "CASH") == -12_000
    till.proven(stage)


@pytest.mark.parametrize("value", ["", "CASH,", "CHEQUE", "CASH;NEXT_VISIT"])
def test_an_order_of_routes_that_nobody_knows_is_refused(stage, value):
    with pytest.raises(Refused, match="SETTING_MALFORMED"):
        change_setting(
            stage.actor("ADMINISTRATOR"), "refund.fallback_order", value, stage.clock.now
        )


def test_a_window_that_closes_before_the_second_person_agrees(stage):
    patient = stage.patient()
    purse.store(stage, patient, 12_000, "WECHAT", days=364)
    refund_id = purse.ask_back(stage, patient, 12_000)
    assert shown(stage, refund_id) == [("WECHAT", 12_000, "PLANNED")]
    till.later(stage, hours=23, minutes=46)
    till.check(stage, refund_id)
    stage.run_jobs()
    assert till.look(stage, refund_id)["state"] == "STUCK"
    assert till.work(stage, "REFUND_STUCK") == [f"refund:{refund_id}"]
    (leg,) = till.look(stage, refund_id)["legs"]
    assert (leg["state"], leg["answer"]) == ("REFUSED", "WINDOW_CLOSED")
    (number,) = [leg.number for leg in till.legs_of(refund_id)]
    events = stage.simulator.get("/_sim/events?wire=wxpay&limit=1000000")
    assert [event for event in events if number in event["summary"]] == []
    refunds.reroute_refund(stage.actor("FINANCE_MAKER"), stage.outside, refund_id)
    till.check(stage, refund_id)
    assert till.hand_over(stage, refund_id)["state"] == "PAID"
    till.proven(stage)


def test_all_that_failed_becomes_one_leg_that_says_so(stage):
    stay = stage.stay()
    for fen in (70_000, 50_000):
        till.pay_qr(stage, stay, fen)
    stage.simulator.fault("wxpay", "refund", "closed", times=2)
    refund_id = till.ask_back(stage, stay, 120_000)
    till.check(stage, refund_id)
    stage.run_jobs()
    till.later(stage, minutes=1)
    refunds.reroute_refund(stage.actor("FINANCE_MAKER"), stage.outside, refund_id)
    *failed, other = till.look(stage, refund_id)["legs"]
    assert [leg["state"] for leg in failed] == ["REROUTED", "REROUTED"]
    assert (other["route"], other["amount_fen"]) == ("CASH", 120_000)
    assert other["why"] == (
        "原路退微信的700.00元没有退成功，原路退微信的500.00元没有退成功，所以到窗口领现金。"
    )
    till.check(stage, refund_id)
    assert till.hand_over(stage, refund_id)["state"] == "PAID"
    till.agree(stage)


def test_only_an_own_card_that_was_verified_counts(stage):
    patient = stage.patient()
    for more in ({"verified": False}, {"papers": True}):
        purse.card(stage, patient, **more)
        with Session() as db:
            known = payee_of(db, patient.id)
            assert (known.facts.own_card, known.id) == (False, None)
    card = purse.card(stage, patient)
    with Session() as db:
        known = payee_of(db, patient.id)
        assert (known.facts.own_card, known.facts.real_name, known.id) == (True, True, card)


def test_a_card_number_is_sealed_and_still_found(stage):
    patient = stage.patient()
    card = purse.card(stage, patient)
    with Session() as db:
        payee = db.get_one(Payee, card)
        number = payee.card_no
        assert payee.card_no_index == blind_index(number)
        assert number.encode() not in payee.card_no_sealed
        assert patient.name.encode() not in payee.name_sealed
        assert payee.masked_card == f"尾号{number[-4:]}"
