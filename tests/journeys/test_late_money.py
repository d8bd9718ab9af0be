"""Orders whose answers were lost, refused or late: the payer can pay, and no fen goes astray."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from time import sleep

import pytest
from sqlalchemy import select, text

from journeys import deposits, discharge
from models.db import Session, new_id, rows
from models.payment_order import OrderState, PaymentOrder, Purpose, Route
from payments import booking, orders
from payments.channels.wechat import ChannelOrder
from payments.collection import Payment
from policies.refusals import Busy, Conflict
from tests import till
from tests.journeys.test_discharge import ready, settle

FEN = 90_000


def press(stage, stay, payment):
    return deposits.collect_deposit(stage.actor("NURSE"), stage.outside, stay.id, payment)


def look(stage, order):
    return deposits.look_at_payment(stage.actor("NURSE"), stage.outside, order["id"])


def eight_presses(stage, stay, payment):
    nurse, start = stage.actor("NURSE"), Barrier(8)

    def one(_):
        start.wait()
        return deposits.collect_deposit(nurse, stage.outside, stay.id, payment)["id"]

    with ThreadPoolExecutor(8) as pool:
        return set(pool.map(one, range(8)))


def test_the_qr_of_eight_presses_at_once_can_be_paid(stage):
    stay = stage.stay()
    (order_id,) = eight_presses(stage, stay, Payment(FEN, Route.QR, "pressed-8"))
    order = look(stage, {"id": order_id})
    assert order["state"] == "WAITING"
    till.scan(stage, order)  # a second order at WeChat would have killed the code that we show
    assert look(stage, order)["state"] == "PAID"
    assert till.held(stage, stay) == FEN
    till.agree(stage)


def test_a_payment_code_pressed_eight_times_is_charged_once(stage):
    stay = stage.stay()
    code = stage.simulator.payment_code("o-patient")
    payment = Payment(FEN, Route.PAYMENT_CODE, "code-8", auth_code=code, device_ip="10.0.0.9")
    (order_id,) = eight_presses(stage, stay, payment)
    assert look(stage, {"id": order_id})["state"] == "PAID"
    assert till.held(stage, stay) == FEN
    till.agree(stage)


@pytest.mark.parametrize("fault", ["after", "error500_after"])
def test_a_qr_whose_answer_was_lost_is_shown_when_pressed_again(stage, fault):
    stay, payment = stage.stay(), Payment(FEN, Route.QR, "lost-answer")
    stage.simulator.fault("wxpay", "native", fault)
    with pytest.raises(Busy, match="CHANNEL_SILENT"):
        press(stage, stay, payment)
    stage.clock.forward(seconds=6)
    assert deposits.sweep_orders(stage.outside, stage.hospital_id) == 1  # now we know they have it
    order = press(stage, stay, payment)
    till.scan(stage, order)
    assert look(stage, order)["state"] == "PAID"
    assert till.held(stage, stay) == FEN


def test_a_no_to_the_question_is_no_answer_about_the_payment(stage):
    stay = stage.stay()
    order = till.order_qr(stage, stay, FEN)
    till.scan(stage, order)
    stage.simulator.fault("wxpay", "query", "refuse", code="NO_AUTH")
    assert look(stage, order)["state"] == "WAITING"
    stage.clock.forward(seconds=6)
    deposits.sweep_orders(stage.outside, stage.hospital_id)
    assert till.held(stage, stay) == FEN


@pytest.mark.parametrize("fault", ["before", "after", "error500_before", "error500_after"])
@pytest.mark.parametrize("operation", ["query", "close"])
def test_the_line_cut_while_an_order_is_given_up(stage, operation, fault):
    stay = stage.stay()
    order = till.order_qr(stage, stay, FEN)
    stage.clock.forward(minutes=11)
    stage.simulator.fault("wxpay", operation, fault)
    assert look(stage, order)["state"] in {"WAITING", "CLOSED"}
    assert look(stage, order)["state"] == "CLOSED"
    code_url = order["pay_with"]["code_url"]
    assert stage.simulator.pay(code_url=code_url, openid="o-late").status_code == 409
    assert stage.simulator.books()["wxpay"][order["id"].hex]["state"] == "CLOSED"
    assert press(stage, stay, Payment(300_000, Route.QR, "room-again"))["state"] == "WAITING"
    till.agree(stage)


def test_an_order_that_is_paid_in_its_last_moment_is_not_closed(stage):
    stay = stage.stay()
    order = till.order_qr(stage, stay, FEN)
    stage.clock.forward(minutes=9, seconds=50)
    till.scan(stage, order)
    stage.clock.forward(minutes=2)
    assert look(stage, order)["state"] == "PAID"
    assert till.held(stage, stay) == FEN


def given_up(order_id, stage):
    """We gave the order up; WeChat Pay did not hear of it."""
    with Session.begin() as db:
        row = PaymentOrder.locked(db, order_id)
        row.move(db, "CLOSED", at=stage.clock.now(), by="test", why="given up")


def test_a_bill_that_is_paid_twice_is_offered_back(stage):
    stay, cashier = stage.stay(), stage.actor("CASHIER")
    stage.charge(stay, FEN)
    stage.leaving(stay)
    assert settle(stage, stay)["due_fen"] == FEN
    discharge.pay_due(cashier, stage.outside, stay.id, Payment(FEN, Route.QR, "due-by-qr"))
    with Session() as db:
        order_id = db.scalar(select(PaymentOrder.id).filter_by(subject_id=stay.id))
    order = deposits.view_order(cashier, order_id)
    given_up(order_id, stage)
    paid = discharge.pay_due(
        cashier, stage.outside, stay.id, Payment(FEN, Route.CASH, "due-in-cash")
    )
    assert paid["state"] == "CLOSED"
    till.scan(stage, order)
    assert look(stage, order)["state"] == "PAID"
    stage.run_jobs()
    assert till.held(stage, stay) == FEN
    assert till.work(stage, "DEPOSIT_TO_OFFER_BACK") == [f"admission:{stay.id}"]
    refund_id = till.ask_back(stage, stay, FEN)
    till.check(stage, refund_id)
    stage.run_jobs()
    till.later(stage, minutes=1)
    assert till.look(stage, refund_id)["state"] == "PAID"
    till.agree(stage)


def test_what_pays_the_bill_is_not_offered_back(stage):
    stay, cashier = stage.stay(quota_fen=1), stage.actor("CASHIER")
    stage.charge(stay, FEN)
    stage.leaving(stay)
    settle(stage, stay)
    discharge.pay_due(cashier, stage.outside, stay.id, Payment(FEN, Route.CASH, "all-of-it"))
    assert till.work(stage, "DEPOSIT_TO_OFFER_BACK") == []


def test_one_key_for_two_bills_at_once_is_a_conflict(stage, monkeypatch):
    stays = [ready(stage, fen=[1_000]) for _ in range(2)]
    for stay in stays:
        assert settle(stage, stay)["due_fen"] == 1_000
    looked, find = Barrier(2), orders.find

    def both_find_nothing(db, wish):
        found = find(db, wish)
        looked.wait(10)
        return found

    monkeypatch.setattr(orders, "find", both_find_nothing)
    cashier, payment = stage.actor("CASHIER"), Payment(1_000, Route.CASH, "one-key")

    def pay(stay):
        try:
            return discharge.pay_due(cashier, stage.outside, stay.id, payment)["state"]
        except Conflict as refused:
            return refused.code

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(pay, stays)) == ["CLOSED", "IDEMPOTENCY_CONFLICT"]
    till.proven(stage)


def test_deposit_and_top_up_of_one_patient_at_once_do_not_wait_in_a_circle(
    stage, engine, monkeypatch
):
    """The deposit holds the cash and writes to the patient; the top-up holds the patient and wants
    the cash. Somebody with the receipts' counter lets them meet.
    """
    monkeypatch.setattr(booking, "may_still_keep", lambda *_: True)
    patient = stage.patient()
    stay = stage.stay(patient)
    till.pay_qr(stage, stay, 500)
    deposit = till.order_qr(stage, stay, 700)["id"]
    top_up = waiting_top_up(stage, patient, 300)
    with ThreadPoolExecutor(2) as pool, engine.connect() as counter:
        mine = {"hospital": stage.hospital_id}
        of_year = "SELECT FROM receipt_counter WHERE hospital_id = :hospital FOR UPDATE"
        counter.execute(text(of_year), mine)
        booked = []
        for waiting, (order_id, fen) in enumerate([(deposit, 700), (top_up, 300)]):
            booked.append(pool.submit(paid_there, stage, order_id, fen))
            while len(locks_awaited()) <= waiting:
                sleep(0.01)
        counter.rollback()
        assert [each.result() for each in booked] == [None, None]
    assert till.held(stage, stay) == 1_200
    till.proven(stage)


def waiting_top_up(stage, patient, fen):
    now = stage.clock.now()
    order = PaymentOrder(
        id=new_id(),
        hospital_id=stage.hospital_id,
        state=OrderState.WAITING,
        purpose=Purpose.TOP_UP,
        subject_id=patient.id,
        patient_id=patient.id,
        route=Route.QR,
        amount_fen=fen,
        client_key="top-up",
        request_hash="",
        asked_by="staff:cashier",
        step_channel="WINDOW",
        created_at=now,
        expires_at=now + timedelta(minutes=9),
    )
    with Session.begin() as db:
        db.add(order)
    return order.id


def paid_there(stage, order_id, fen):
    now = stage.clock.now()
    said = ChannelOrder("PAID", order_id.hex, f"T{order_id.hex}", fen, paid_at=now, payer=None)
    orders.record(order_id, said, now, by="notice")


def locks_awaited():
    return rows(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock'"
    )
