"""Notices of WeChat Pay over real HTTP: copies, delays and losses have one effect."""

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import pytest
from sqlalchemy import select, text

from journeys import deposits, notices, refunds
from models.db import Session
from models.ledger import AccountKind
from models.message import Message
from tests import till
from tests.arrivals import FEN, given_back, kept, kept_ids, scanned, traces
from tests.sim_process import wait_until


def at_once(times, act):
    start = Barrier(times)

    def run(_):
        start.wait()
        return act()

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))


def test_ten_copies_of_a_payment_notice_at_once(served):
    stay, order_id = scanned(served)
    answers = at_once(10, lambda: served.simulator.replay(order_id.hex))
    assert answers == [[204]] * 10
    (notice_id,) = kept_ids(order_id.hex)
    at_once(10, lambda: notices.apply_notice(served.stage.outside, notice_id))
    served.run_jobs()
    assert served.simulator.replay(order_id.hex, times=2) == [204, 204]
    served.run_jobs()
    assert kept(order_id.hex) == ["APPLIED"]
    assert traces(order_id) == (1, 1, 1)
    assert till.held(served.stage, stay) == FEN
    till.agree(served.stage)


def test_ten_copies_of_a_refund_notice_at_once(served):
    stay, order_id = scanned(served)
    deposits.look_at_payment(served.stage.actor("NURSE"), served.stage.outside, order_id)
    refund_id, leg = given_back(served, stay)
    assert at_once(10, lambda: served.simulator.replay(leg.number)) == [[204]] * 10
    (notice_id,) = kept_ids(leg.number)
    at_once(10, lambda: notices.apply_notice(served.stage.outside, notice_id))
    served.run_jobs()
    assert till.look(served.stage, refund_id)["state"] == "PAID"
    assert kept(leg.number) == ["APPLIED"]
    assert till.balance(served.stage, AccountKind.REFUND_IN_TRANSIT, refund_id) == 0
    till.agree(served.stage)


@pytest.mark.parametrize("seed", range(3))
def test_copies_of_payment_and_refund_in_any_order(served, seed):
    dice = random.Random(seed)
    stay, order_id = scanned(served)
    deposits.look_at_payment(served.stage.actor("NURSE"), served.stage.outside, order_id)
    refund_id, leg = given_back(served, stay)
    sent = [order_id.hex] * 10 + [leg.number] * 10
    dice.shuffle(sent)
    for number in sent:
        assert served.simulator.replay(number) == [204]
        if dice.random() < 0.3:
            served.run_jobs()
    served.run_jobs()
    assert (kept(order_id.hex), kept(leg.number)) == (["APPLIED"], ["APPLIED"])
    assert traces(order_id) == (1, 1, 1)
    assert till.look(served.stage, refund_id)["state"] == "PAID"
    assert till.held(served.stage, stay) == FEN - 20_000
    till.agree(served.stage)


@pytest.mark.parametrize("fault", ["bad_signature", "signature_probe"])
def test_after_a_spoiled_notice_the_right_one_comes(served, fault):
    stay, order_id = scanned(served, fault=fault)
    served.told(order_id.hex)
    served.run_jobs()
    (notice,) = served.simulator.notices(order_id.hex)
    assert notice["answers"] == [401, 204]
    assert till.held(served.stage, stay) == FEN


def test_a_notice_that_comes_after_the_query(served):
    stay, order_id = scanned(served, fault="late", seconds=0.5)
    found = deposits.look_at_payment(served.stage.actor("NURSE"), served.stage.outside, order_id)
    assert found["state"] == "PAID"
    served.told(order_id.hex)
    served.run_jobs()
    assert kept(order_id.hex) == ["APPLIED"]
    assert traces(order_id) == (1, 1, 1)
    assert till.held(served.stage, stay) == FEN


def test_notices_sent_twice_held_back_and_lost(served):
    stay, order_id = scanned(served, fault="out_of_order", seconds=300)
    deposits.look_at_payment(served.stage.actor("NURSE"), served.stage.outside, order_id)
    refund_id, leg = given_back(served, stay, fault="duplicate", copies=3)
    served.told(leg.number)
    served.told(order_id.hex)  # it was held back until the refund's notice had come
    served.run_jobs()
    (twice,) = served.simulator.notices(leg.number)
    assert twice["answers"] == [204] * 4
    assert (kept(order_id.hex), kept(leg.number)) == (["APPLIED"], ["APPLIED"])
    served.stage.clock.forward(minutes=1, seconds=1)  # a payment is refunded once a minute
    lost_id, lost = given_back(served, stay, 10_000)
    till.later(served.stage, minutes=2)
    assert (kept(lost.number), till.look(served.stage, lost_id)["state"]) == ([], "PAID")
    assert till.look(served.stage, refund_id)["state"] == "PAID"
    assert till.held(served.stage, stay) == FEN - 30_000
    till.agree(served.stage)


def test_a_kept_notice_whose_job_is_lost_is_swept(served):
    stay, order_id = scanned(served)
    assert served.simulator.replay(order_id.hex) == [204]
    with Session.begin() as db:
        db.execute(text("DELETE FROM procrastinate_jobs"))
    assert served.run_jobs() == []
    assert till.held(served.stage, stay) == 0
    assert notices.sweep_notices(served.stage.outside, served.stage.hospital_id) == 1
    assert notices.sweep_notices(served.stage.outside, served.stage.hospital_id) == 0
    assert till.held(served.stage, stay) == FEN


def test_one_wrong_amount_does_not_stop_the_sweep(served):
    stage = served.stage
    pairs = [scanned(served) for _ in range(3)]
    with Session.begin() as db:
        db.execute(
            text("UPDATE payment_order SET amount_fen = 1 WHERE id = :id"), {"id": pairs[0][1]}
        )
    stage.clock.forward(seconds=6)
    assert deposits.sweep_orders(stage.outside, stage.hospital_id) == 3
    assert [till.held(stage, stay) for stay, _ in pairs] == [0, FEN, FEN]
    assert till.work(stage, "AMOUNT_DIFFERS") == [f"payment-order:{pairs[0][1]}"]


def test_nothing_is_acknowledged_that_was_not_committed(served):
    stay, order_id = scanned(served)
    with failing_at_commit("channel_notice"):
        (answer,) = served.simulator.replay(order_id.hex)
        assert answer >= 500
        assert kept(order_id.hex) == []
        assert served.run_jobs() == []
    with failing_at_commit("procrastinate_jobs"):
        (answer,) = served.simulator.replay(order_id.hex)
        assert answer >= 500
        assert kept(order_id.hex) == []
    assert served.simulator.replay(order_id.hex) == [204]
    served.run_jobs()
    assert till.held(served.stage, stay) == FEN


@contextmanager
def failing_at_commit(table):
    """A database that takes the row and then fails to commit it."""
    with Session.begin() as db:
        db.execute(
            text(
                "CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN RAISE 'the disk is full' USING ERRCODE = 'disk_full'; END $$"
            )
        )
        db.execute(
            text(
                f"CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON {table}"
                " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fails()"
            )
        )
    try:
        yield
    finally:
        with Session.begin() as db:
            db.execute(text("DROP FUNCTION fails() CASCADE"))


def test_the_carrier_s_receipt_reaches_the_message(served):
    served.simulator.settings(sms_receipt_seconds=1)  # not before we know its number
    stay, order_id = scanned(served, fault="")
    served.told(order_id.hex)
    served.run_jobs()

    def sms():
        with Session() as db:
            return db.scalar(select(Message.state).filter_by(key=f"paid:{order_id}"))

    wait_until(lambda: sms() == "DELIVERED")
    assert till.held(served.stage, stay) == FEN


def test_a_swept_leg_of_another_amount_does_not_stop_the_others(served):
    stage = served.stage
    served.simulator.settings(refund_seconds=0)
    legs = []
    for _ in range(2):
        stay, order_id = scanned(served)
        deposits.look_at_payment(stage.actor("NURSE"), stage.outside, order_id)
        legs.append(given_back(served, stay)[1])
    with Session.begin() as db:
        db.execute(text("UPDATE refund_leg SET amount_fen = 1 WHERE id = :id"), {"id": legs[0].id})
        db.execute(text("DELETE FROM procrastinate_jobs"))
    stage.clock.forward(minutes=2)
    assert refunds.sweep_legs(stage.outside, stage.hospital_id) == 2
    states = [till.legs_of(leg.refund_id)[0].state for leg in legs]
    assert states == ["PROCESSING", "PAID"]
    assert till.work(stage, "AMOUNT_DIFFERS") == [f"refund-leg:{legs[0].id}"]
