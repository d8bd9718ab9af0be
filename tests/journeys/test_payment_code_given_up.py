"""A payment code at the end of its 45 seconds: given up by one, found paid by another."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from journeys import deposits
from models.db import Session
from models.payment_order import PaymentOrder, Route
from payments.collection import Payment
from tests import till
from tests.sim_process import wait_until

FEN = 60_000
TYPES_AFTER_S = 48


@pytest.fixture
def order(stage):
    """A payer who is still typing the password when the order's time is over."""
    code = stage.simulator.payment_code("o-patient", "password_then_pays", seconds=TYPES_AFTER_S)
    payment = Payment(FEN, Route.PAYMENT_CODE, "slow", auth_code=code, device_ip="10.0.0.9")
    nurse = stage.actor("NURSE")
    order = deposits.collect_deposit(nurse, stage.outside, stage.stay().id, payment)
    assert order["state"] == "WAITING"
    stage.clock.forward(seconds=TYPES_AFTER_S - 2)
    return order


def look(stage, order) -> str:
    nurse = stage.actor("NURSE")
    return deposits.look_at_payment(nurse, stage.outside, order["id"])["state"]


def page(stage, order) -> tuple[int, int]:
    """What WeChat Pay took and gave back."""
    known = stage.simulator.books()["wxpay"][order["id"].hex]
    return known["paid_fen"], known["refunded_fen"]


def test_a_payment_that_is_being_taken_back_is_not_booked(stage, order):
    """One asks, hears «typing the password» and reverses; before the reversal arrives the payer has
    typed it and another one asks."""
    stage.simulator.fault("wxpay", "reverse", "delay", seconds=4)
    with ThreadPoolExecutor(1) as other:
        given_up = other.submit(look, stage, order)
        wait_until(lambda: stage.simulator.get("/_sim/faults") == [])
        wait_until(lambda: page(stage, order) == (FEN, 0))
        assert look(stage, order) == "WAITING"
        assert given_up.result() == "CLOSED"
    assert page(stage, order) == (FEN, FEN)
    assert look(stage, order) == "CLOSED"
    till.agree(stage)


@pytest.mark.parametrize(("cut", "there"), [("before", "PAID"), ("after", "CLOSED")])
def test_a_reversal_without_an_answer_is_found_out_after_a_minute(stage, order, cut, there):
    stage.simulator.fault("wxpay", "reverse", cut)
    assert look(stage, order) == "WAITING"
    with Session() as db:
        assert db.get_one(PaymentOrder, order["id"]).given_up_at is not None
    if cut == "before":
        wait_until(lambda: page(stage, order) == (FEN, 0))
    assert look(stage, order) == "WAITING"
    stage.clock.forward(seconds=TYPES_AFTER_S + 62)
    assert look(stage, order) == there
    till.agree(stage)
