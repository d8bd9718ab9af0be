"""Notices that must have no effect: forged, stale, spoiled, of others, of another amount."""

import random
import string
from uuid import UUID

import pytest
import requests
from sqlalchemy import select

from journeys import deposits, notices
from models.db import Session, new_id
from models.ledger import AccountKind
from models.notice import ChannelNotice
from payments.channels.wechat import NoticeRefused
from tests import genuine, till
from tests.arrivals import FEN, kept, post, scanned, state
from tests.stage import build

NOT_BELIEVED = {
    "forged": {"signature": "bad_signature"},
    "probe": {"signature": "signature_probe"},
    "stale": {"age_seconds": 301},
    "from the future": {"age_seconds": -360},
    "another body": {"body": "{}"},
    "another body of the same shape": {"body": '{"id":"EV-1","event_type":"TRANSACTION.SUCCESS"}'},
}


@pytest.mark.parametrize("how", NOT_BELIEVED.values(), ids=NOT_BELIEVED.keys())
def test_what_is_not_proven_now_changes_nothing(served, how):
    stay, order_id = scanned(served)
    assert served.simulator.replay(order_id.hex, **how) == [401]
    served.run_jobs()
    assert (kept(order_id.hex), state(order_id)) == ([], "WAITING")
    assert till.held(served.stage, stay) == 0
    assert served.simulator.replay(order_id.hex, age_seconds=200) == [204]
    served.run_jobs()
    assert till.held(served.stage, stay) == FEN


@pytest.mark.parametrize("wrong", [{"mchid": "1900000099"}, {"appid": "wx00000000000000ff"}])
def test_a_genuine_notice_for_somebody_else_is_refused(served, wrong):
    _, order_id = scanned(served)
    now = served.stage.clock.now()
    told = genuine.payment(served.simulator, order_id.hex, FEN, now) | wrong
    answer = post(served, *genuine.notice(served.simulator, "TRANSACTION.SUCCESS", told, now))
    assert (answer.status_code, answer.json()["code"]) == (401, "FAIL")
    assert (kept(order_id.hex), state(order_id)) == ([], "WAITING")


def test_a_genuine_refund_of_another_merchant_is_refused(served):
    now, number = served.stage.clock.now(), new_id().hex
    told = genuine.refund(served.simulator, number, FEN, now) | {"mchid": "1900000099"}
    sent = genuine.notice(served.simulator, "REFUND.SUCCESS", told, now)
    assert post(served, *sent, subject="refund").status_code == 401
    assert kept(number) == []


@pytest.mark.parametrize("lie", [FEN - 1, FEN + 1, FEN * 100])
def test_a_payment_of_another_amount_is_kept_and_not_booked(served, lie):
    stay, order_id = scanned(served)
    now = served.stage.clock.now()
    told = genuine.payment(served.simulator, order_id.hex, lie, now)
    sent = genuine.notice(served.simulator, "TRANSACTION.SUCCESS", told, now)
    assert post(served, *sent).status_code == 204
    served.run_jobs()
    assert kept(order_id.hex) == ["AmountDiffers"]
    assert (state(order_id), till.held(served.stage, stay)) == ("WAITING", 0)
    assert till.work(served.stage, "AMOUNT_DIFFERS") == [f"payment-order:{order_id}"]
    served.stage.clock.forward(seconds=6)  # the truth comes by the query
    deposits.sweep_orders(served.stage.outside, served.stage.hospital_id)
    assert till.held(served.stage, stay) == FEN


@pytest.mark.parametrize("lie", [19_999, 20_001])
def test_a_refund_of_another_amount_is_kept_and_not_booked(served, lie):
    stay, order_id = scanned(served, fault="")
    served.told(order_id.hex)
    served.run_jobs()
    served.simulator.settings(refund_seconds=60)
    refund_id = till.ask_back(served.stage, stay, 20_000)
    till.check(served.stage, refund_id)
    served.run_jobs()
    (leg,) = till.legs_of(refund_id)
    now = served.stage.clock.now()
    told = genuine.refund(served.simulator, leg.number, lie, now)
    sent = genuine.notice(served.simulator, "REFUND.SUCCESS", told, now)
    assert post(served, *sent, subject="refund").status_code == 204
    served.run_jobs()
    assert kept(leg.number) == ["LegAmountDiffers"]
    assert till.look(served.stage, refund_id)["legs"][0]["state"] == "PROCESSING"
    assert till.work(served.stage, "AMOUNT_DIFFERS") == [f"refund-leg:{leg.id}"]
    assert till.balance(served.stage, AccountKind.CASH, "WECHAT") == FEN


@pytest.mark.parametrize(
    "number",
    [new_id().hex, "HIS2026112200012", "not-a-uuid-of-ours-at-all-00001"],
    ids=["like-ours", "theirs", "odd"],
)
@pytest.mark.parametrize("subject", ["payment", "refund"])
def test_a_number_that_nobody_knows_is_kept_and_put_aside(served, number, subject):
    now = served.stage.clock.now()
    said, event = (
        (genuine.payment, "TRANSACTION.SUCCESS")
        if subject == "payment"
        else (genuine.refund, "REFUND.SUCCESS")
    )
    told = said(served.simulator, number, 100, now)
    sent = genuine.notice(served.simulator, event, told, now)
    assert post(served, *sent, subject=subject).status_code == 204
    served.run_jobs()
    with Session() as db:
        mine = select(ChannelNotice.outcome).filter_by(hospital_id=served.stage.hospital_id)
        assert list(db.scalars(mine)) == ["NotFound"]
    assert notices.sweep_notices(served.stage.outside, served.stage.hospital_id) == 0
    till.agree(served.stage)


def test_the_order_of_another_hospital_is_nobody_s(served):
    neighbour = build(served.simulator)
    stay = neighbour.stay()
    order = till.order_qr(neighbour, stay, FEN)
    till.scan(neighbour, order)
    now = served.stage.clock.now()
    told = genuine.payment(served.simulator, order["id"].hex, FEN, now)
    post(served, *genuine.notice(served.simulator, "TRANSACTION.SUCCESS", told, now))
    served.run_jobs()
    assert kept(order["id"].hex) == ["NotFound"]
    assert (state(order["id"]), till.held(neighbour, stay)) == ("WAITING", 0)


def test_five_hundred_mutated_notices(served):
    dice = random.Random(20261122)
    now = served.stage.clock.now()
    stay = served.stage.stay()
    order = till.order_qr(served.stage, stay, FEN)
    told = genuine.payment(served.simulator, order["id"].hex, FEN, now)
    headers, body = genuine.notice(served.simulator, "TRANSACTION.SUCCESS", told, now)
    for number in range(500):
        changed, spoiled = dict(headers), body
        if dice.random() < 0.5:
            name = dice.choice(list(headers))
            changed[name] = mutated(headers[name], dice)
        else:
            spoiled = mutated(body.decode(), dice).encode()
        if number % 20:
            with pytest.raises(NoticeRefused):
                notices.receive_notice(served.stage.outside, changed, spoiled)
        else:
            assert post(served, changed, spoiled).status_code == 401
    assert (kept(order["id"].hex), served.run_jobs()) == ([], [])
    assert post(served, headers, body).status_code == 204  # the original was good all the time
    assert len(kept(order["id"].hex)) == 1


def mutated(said, dice):
    """One character changed, dropped or put in."""
    place = dice.randrange(len(said))
    other = dice.choice([c for c in string.ascii_letters + string.digits if c != said[place]])
    return dice.choice(
        [
            said[:place] + other + said[place + 1 :],
            said[:place] + said[place + 1 :],
            said[:place] + other + said[place:],
        ]
    )


def test_receipts_on_a_guessed_path_are_nobody_s(served):
    url = f"{served.house.base_url}/sms/receipts/{served.house.code}/guessed"
    answer = requests.post(url, json=[{"sid": "1", "report_status": "FAIL"}], timeout=30)
    assert answer.status_code == 404
    assert UUID(answer.json()["request_id"])
