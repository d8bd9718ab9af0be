"""Refunds to a person's own WeChat: asked with one number for ever, confirmed within a day, or
planned another way (GZ-7).
"""

import pytest
import requests
from sqlalchemy import text

from journeys import notices, refunds
from journeys.settings import change_setting
from models.binding import WeChatBinding
from models.db import Session, new_id
from models.ledger import AccountKind
from payments.channels.wechat_transfers import transfer_said
from payments.refund_legs import LegAmountDiffers, record_leg
from policies.outcome import NoAnswer
from policies.refusals import NotFound, Refused
from tests import genuine, purse, till
from tests.journeys.test_refund_legs import CUTS, asked_of_them

CASH, TRANSIT = AccountKind.CASH, AccountKind.REFUND_IN_TRANSIT


@pytest.fixture
def house(stage):
    """A hospital that may transfer to WeChat."""
    change_setting(
        stage.actor("ADMINISTRATOR"), "refund.fallback_order", "TRANSFER,CASH", stage.clock.now
    )
    return stage


def bound(stage, patient=None):
    """A patient with WeChat, and the openid."""
    patient = patient or stage.patient()
    openid = f"o{new_id().hex[-26:]}x"
    with Session.begin() as db:
        db.add(
            WeChatBinding(
                hospital_id=stage.hospital_id,
                appid=stage.outside.wechat_pay.appid,
                openid=openid,
                patient_id=patient.id,
                bound_at=stage.clock.now(),
            )
        )
    return patient, openid


def approved(stage, patient, fen):
    """A refund of old money of this patient, approved; its one leg goes to WeChat."""
    purse.store(stage, patient, fen, "WECHAT", days=500)
    refund_id = purse.ask_back(stage, patient, fen)
    assert [leg.route for leg in till.legs_of(refund_id)] == ["TRANSFER"]
    till.check(stage, refund_id)
    return refund_id


def the_leg(refund_id):
    (leg,) = [leg for leg in till.legs_of(refund_id) if leg.route == "TRANSFER"]
    return leg


def tap(stage, patient, openid, refund_id):
    """The patient opens the mini-program and confirms."""
    actor = stage.patient_actor(patient, openid)
    shown = refunds.confirmation(actor, stage.outside, refund_id, the_leg(refund_id).id)
    return requests.post(
        f"{stage.simulator.url}/_sim/wxpay/transfers/confirm",
        json={**shown, "openid": openid},
        timeout=30,
    )


def left(stage, refund_id):
    """What WeChat says has left by this transfer."""
    page = stage.simulator.books()["wxpay_transfers"].get(the_leg(refund_id).number)
    return page["paid_fen"] if page else None


def told(refund_id):
    with Session() as db:
        found = db.execute(
            text("SELECT count(*) FROM message WHERE key = :key"),
            {"key": f"transfer_to_confirm:{the_leg(refund_id).id}"},
        )
        return found.scalar_one()


@pytest.mark.parametrize("fen", [10, 29, 30, 199_999, 200_000])
def test_confirmed_and_arrived(house, fen):
    patient, openid = bound(house)
    refund_id = approved(house, patient, fen)
    house.run_jobs()
    shown = till.look(house, refund_id)
    assert (shown["state"], shown["legs"][0]["answer"]) == ("PAYING", "WAIT_USER_CONFIRM")
    assert told(refund_id) == 1
    assert tap(house, patient, openid, refund_id).status_code == 200
    till.later(house, minutes=1)
    assert till.look(house, refund_id)["state"] == "PAID"
    assert left(house, refund_id) == fen
    assert till.balance(house, CASH, "WECHAT") == 0
    assert till.balance(house, TRANSIT, refund_id) == 0
    assert told(refund_id) == 1
    till.proven(house)


@pytest.mark.parametrize("fault", [*CUTS, "bad_signature", "signature_probe", "not_enough"])
@pytest.mark.parametrize("operation", ["transfer", "query_transfer"])
def test_the_line_cut_loses_and_doubles_nothing(house, operation, fault):
    patient, openid = bound(house)
    refund_id = approved(house, patient, 30_000)
    house.simulator.fault("wxpay", operation, fault)
    for _ in range(4):
        till.later(house, minutes=2)
    assert tap(house, patient, openid, refund_id).status_code == 200
    for _ in range(4):
        till.later(house, minutes=10)
    assert till.look(house, refund_id)["state"] == "PAID"
    assert left(house, refund_id) == 30_000
    assert till.balance(house, CASH, "WECHAT") == 0
    till.proven(house)


def test_accepted_first_and_to_be_confirmed_later(house):
    """Only the answer to the request opens the confirmation: it is repeated with its number."""
    patient, openid = bound(house)
    house.simulator.fault("wxpay", "transfer", "accepted")
    refund_id = approved(house, patient, 30_000)
    house.run_jobs()
    assert till.look(house, refund_id)["legs"][0]["answer"] == "ACCEPTED"
    assert told(refund_id) == 0
    till.later(house, minutes=1)
    assert told(refund_id) == 1
    assert tap(house, patient, openid, refund_id).status_code == 200


def test_nobody_confirms_within_a_day(house):
    patient, openid = bound(house)
    refund_id = approved(house, patient, 30_000)
    house.run_jobs()
    house.clock.forward(hours=24, minutes=1)
    assert tap(house, patient, openid, refund_id).status_code == 409
    till.later(house, hours=1)
    (leg,) = till.look(house, refund_id)["legs"]
    assert (leg["state"], leg["answer"]) == ("CLOSED", "OVERDUE_CLOSE")
    refunds.reroute_refund(house.actor("FINANCE_MAKER"), house.outside, refund_id)
    assert till.legs_of(refund_id)[1].route == "CASH"  # what failed is not tried again
    till.check(house, refund_id)
    assert till.hand_over(house, refund_id)["state"] == "PAID"
    assert left(house, refund_id) == 0
    assert till.balance(house, CASH, "CASH") == -30_000
    till.proven(house)


def test_another_persons_name_gets_nothing(house):
    patient, openid = bound(house)
    house.simulator.post("/_sim/wxpay/names", {"openid": openid, "name": "李四"})
    refund_id = approved(house, patient, 30_000)
    house.run_jobs()
    (leg,) = till.look(house, refund_id)["legs"]
    assert (leg["state"], leg["answer"]) == ("CLOSED", "NAME_NOT_CORRECT")
    assert till.look(house, refund_id)["state"] == "STUCK"
    assert left(house, refund_id) == 0


def test_cancelled_so_that_it_can_go_another_way(house):
    patient, openid = bound(house)
    refund_id = approved(house, patient, 30_000)
    leg, maker = the_leg(refund_id), house.actor("FINANCE_MAKER")
    with pytest.raises(Refused, match="TRANSFER_NOT_OPEN"):
        refunds.cancel_transfer(maker, house.outside, refund_id, leg.id)
    house.run_jobs()
    house.simulator.fault("wxpay", "cancel_transfer", "after")
    with pytest.raises(NoAnswer):
        refunds.cancel_transfer(maker, house.outside, refund_id, leg.id)
    done = refunds.cancel_transfer(maker, house.outside, refund_id, leg.id)
    assert (done["state"], done["legs"][0]["answer"]) == ("STUCK", "CANCELLED")
    with pytest.raises(NotFound, match="NOTHING_TO_CONFIRM"):
        tap(house, patient, openid, refund_id)


def test_only_the_own_wechat_sees_what_confirms(house):
    patient, openid = bound(house)
    refund_id = approved(house, patient, 30_000)
    house.run_jobs()
    leg = the_leg(refund_id)
    stranger = house.patient()
    for actor in (house.patient_actor(patient, "o-other"), house.patient_actor(stranger, openid)):
        with pytest.raises(NotFound):
            refunds.confirmation(actor, house.outside, refund_id, leg.id)
    shown = refunds.confirmation(
        house.patient_actor(patient, openid), house.outside, refund_id, leg.id
    )
    assert shown.keys() == {"mchId", "appId", "package"}


def test_one_transfer_to_a_person_at_a_time(house):
    patient, openid = bound(house)
    first, second = approved(house, patient, 100), approved(house, patient, 200)
    house.run_jobs()
    assert sorted(the_leg(each).tries for each in (first, second)) == [0, 1]
    for refund_id in (first, second):
        assert tap(house, patient, openid, refund_id).status_code == 200
        till.later(house, minutes=15)
        till.later(house, minutes=1)
    assert [left(house, each) for each in (first, second)] == [100, 200]
    assert {till.look(house, each)["state"] for each in (first, second)} == {"PAID"}


def test_an_unbound_wechat_between_plan_and_payment(house):
    patient, _ = bound(house)
    refund_id = approved(house, patient, 30_000)
    with Session.begin() as db:
        db.execute(
            text("UPDATE wechat_binding SET active = false WHERE patient_id = :id"),
            {"id": patient.id},
        )
    house.run_jobs()
    assert till.look(house, refund_id)["legs"][0]["answer"] == "NO_WECHAT"
    assert left(house, refund_id) is None


def test_a_refusal_is_believed_only_when_the_number_is_unknown(house):
    patient, openid = bound(house)
    refund_id = approved(house, patient, 30_000)
    house.simulator.fault("wxpay", "transfer", "after")  # it was done
    house.run_jobs()
    house.simulator.fault("wxpay", "query_transfer", "before")
    house.simulator.fault("wxpay", "transfer", "refuse", status=400, code="INVALID_REQUEST")
    for _ in range(3):
        till.later(house, minutes=2)
    assert till.look(house, refund_id)["state"] == "PAYING"
    assert tap(house, patient, openid, refund_id).status_code == 200
    till.later(house, minutes=10)
    assert till.look(house, refund_id)["state"] == "PAID"

    refused = approved(house, bound(house)[0], 100)
    house.simulator.fault("wxpay", "transfer", "refuse", status=403, code="NO_AUTH")
    house.run_jobs()
    assert till.look(house, refused)["legs"][0]["answer"] == "NO_AUTH"
    assert till.look(house, refused)["state"] == "STUCK"
    assert left(house, refused) is None


def test_many_notices_book_it_once(house):
    patient, openid = bound(house)
    refund_id = approved(house, patient, 30_000)
    house.run_jobs()
    tap(house, patient, openid, refund_id)
    number = the_leg(refund_id).number
    sent = house.simulator.notices(number)
    assert [each["event_type"] for each in sent] == ["MCHTRANSFER.BILL.FINISHED"]
    said = {
        "out_bill_no": number,
        "transfer_bill_no": "1330",
        "state": "SUCCESS",
        "mch_id": house.simulator.connections(house.world_code)["wechat_pay"]["mchid"],
        "transfer_amount": 30_000,
        "openid": openid,
        "fail_reason": "",
        "update_time": "2026-11-25T10:00:00+08:00",
    }
    now = house.clock.now()
    fresh = [
        notices.receive_notice(
            house.outside,
            *genuine.notice(house.simulator, "MCHTRANSFER.BILL.FINISHED", said, now),
        )
        for _ in range(5)
    ]
    assert fresh == [True, False, False, False, False]
    house.run_jobs()
    assert till.look(house, refund_id)["state"] == "PAID"
    assert till.balance(house, CASH, "WECHAT") == 0
    assert asked_of_them(house, "transfer")[-1] == "WAIT_USER_CONFIRM"
    till.proven(house)


def test_another_amount_is_not_booked(house):
    patient, _ = bound(house)
    refund_id = approved(house, patient, 30_000)
    house.run_jobs()
    leg = the_leg(refund_id)
    said = {"out_bill_no": leg.number, "state": "SUCCESS", "transfer_amount": 30_001}
    with pytest.raises(LegAmountDiffers):
        record_leg(leg.id, transfer_said(said, leg.number), house.clock.now(), by="test")
    assert till.work(house, "AMOUNT_DIFFERS") == [f"refund-leg:{leg.id}"]
    assert till.look(house, refund_id)["state"] == "PAYING"
