"""Deposits on every channel, the quota that cannot be exceeded, and lost lines (GZ-17, GZ-20)."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from journeys import deposits, refunds
from models import ledger
from models.db import Session
from models.ledger import AccountKind
from models.payment_order import PaymentOrder, Route
from models.receipt import Receipt
from payments.collection import Payment
from policies.refusals import Busy, Conflict, Forbidden, Refused


def held(stage, stay):
    with Session() as db:
        return ledger.held(db, stage.hospital_id, AccountKind.INPATIENT_DEPOSIT, str(stay.id))


def cash_in(stage, channel="WECHAT"):
    with Session() as db:
        return ledger.balance(db, stage.hospital_id, AccountKind.CASH, channel)


def proven(stage):
    with Session() as db:
        return ledger.prove(db, stage.hospital_id) == []


def pay_cash(stage, stay, fen, key):
    cashier = stage.actor("CASHIER")
    payment = Payment(fen, Route.CASH, key)
    return deposits.collect_deposit(cashier, stage.outside, stay.id, payment)


@pytest.mark.clause("GZ-17", "T1")
def test_collections_stop_exactly_at_the_quota(stage):
    stay = stage.stay()
    assert pay_cash(stage, stay, 200_000, "first-part")["state"] == "PAID"
    assert pay_cash(stage, stay, 100_000, "second-part")["state"] == "PAID"
    with pytest.raises(Refused, match="DEPOSIT_CAP_EXCEEDED") as no:
        pay_cash(stage, stay, 1, "one-fen-more")
    assert no.value.facts == {"room_fen": 0}
    assert held(stage, stay) == 300_000
    assert proven(stage)


@pytest.mark.clause("GZ-17", "T2")
def test_two_nurses_at_once_stay_under_the_quota(stage):
    stay = stage.stay()
    pay_cash(stage, stay, 100_000, "held-before")
    nurse, start = stage.actor("NURSE"), Barrier(2)

    def collect(fen):
        start.wait()
        try:
            payment = Payment(fen, Route.QR, f"nurse-{fen}")
            return deposits.collect_deposit(nurse, stage.outside, stay.id, payment)["amount_fen"]
        except Refused as no:
            return no.code

    with ThreadPoolExecutor(2) as pool:
        answers = set(pool.map(collect, [100_000, 150_000]))
    assert answers in ({100_000, "DEPOSIT_CAP_EXCEEDED"}, {150_000, "DEPOSIT_CAP_EXCEEDED"})


@pytest.mark.clause("GZ-17", "T6")
def test_what_was_given_back_may_be_collected_again(stage):
    stay = stage.stay()
    pay_cash(stage, stay, 300_000, "all-of-it")
    cashier, checker = stage.actor("CASHIER"), stage.actor("FINANCE_CHECKER")
    refund_id = deposits.refund_part(
        cashier, stage.outside, stay.id, amount_fen=50_000, key="some-back", reason="PATIENT_WISH"
    )
    refunds.check_refund(checker, stage.outside, refund_id, approve=True, note="")
    (leg,) = refunds.view_refund(checker, refund_id)["legs"]
    refunds.hand_over(cashier, stage.outside, refund_id, leg["id"], proof="signed-0001")
    assert held(stage, stay) == 250_000
    assert pay_cash(stage, stay, 50_000, "again-500")["state"] == "PAID"
    with pytest.raises(Refused, match="DEPOSIT_CAP_EXCEEDED"):
        pay_cash(stage, stay, 1, "and-no-more")
    assert proven(stage)


def test_the_same_key_pays_once_and_another_amount_is_a_conflict(stage):
    stay = stage.stay()
    first = pay_cash(stage, stay, 100_000, "press-once")
    assert pay_cash(stage, stay, 100_000, "press-once") == first
    with pytest.raises(Conflict, match="IDEMPOTENCY_CONFLICT"):
        pay_cash(stage, stay, 100_001, "press-once")
    assert held(stage, stay) == 100_000


def test_eight_presses_at_once_make_one_order(stage):
    stay, nurse, start = stage.stay(), stage.actor("NURSE"), Barrier(8)

    def press(_):
        start.wait()
        payment = Payment(100_000, Route.QR, "pressed-8-times")
        return deposits.collect_deposit(nurse, stage.outside, stay.id, payment)["id"]

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(press, range(8)))) == 1


def test_a_qr_paid_without_a_callback_is_found_by_the_sweep(stage):
    stay, nurse = stage.stay(), stage.actor("NURSE")
    order = deposits.collect_deposit(
        nurse, stage.outside, stay.id, Payment(120_000, Route.QR, "ward-qr-1")
    )
    assert order["state"] == "WAITING"
    assert order["pay_with"]["qr_svg"].startswith("<svg")
    stage.simulator.pay(code_url=order["pay_with"]["code_url"], openid="o-aunt").raise_for_status()
    stage.clock.forward(seconds=10)
    assert deposits.sweep_orders(stage.outside, stage.hospital_id) == 1
    found = deposits.view_order(nurse, order["id"])
    assert (found["state"], found["amount_fen"]) == ("PAID", 120_000)
    with Session() as db:
        paper = Receipt.of(db, "DEPOSIT", order["id"])
    assert paper.number == found["receipt_no"]
    assert paper.facts["amount_fen"] == 120_000
    assert (held(stage, stay), cash_in(stage)) == (120_000, 120_000)


def test_the_mini_program_payment_by_a_relative(stage):
    patient = stage.patient()
    stay, phone = stage.stay(patient), stage.patient_actor(patient, "o-son")
    order = deposits.collect_deposit(
        phone, stage.outside, stay.id, Payment(80_000, Route.MINI_PROGRAM, "from-phone")
    )
    assert order["pay_with"]["signType"] == "RSA"
    stage.simulator.pay(**order["pay_with"], openid="o-son").raise_for_status()
    assert deposits.look_at_payment(phone, stage.outside, order["id"])["state"] == "PAID"
    assert held(stage, stay) == 80_000


@pytest.mark.parametrize(
    ("behaviour", "state"),
    [("pays_at_once", "PAID"), ("insufficient", "REFUSED"), ("password_then_never", "CLOSED")],
)
def test_the_patients_payment_code(stage, behaviour, state):
    stay, nurse = stage.stay(), stage.actor("NURSE")
    code = stage.simulator.payment_code("o-patient", behaviour)
    payment = Payment(
        60_000, Route.PAYMENT_CODE, "code-shown", auth_code=code, device_ip="10.0.0.9"
    )
    order = deposits.collect_deposit(nurse, stage.outside, stay.id, payment)
    if behaviour == "password_then_never":
        assert order["state"] == "CREATED" or order["state"] == "WAITING"
        stage.clock.forward(seconds=50)
        order = deposits.look_at_payment(nurse, stage.outside, order["id"])
    assert order["state"] == state
    assert held(stage, stay) == (60_000 if state == "PAID" else 0)


@pytest.mark.parametrize("fault", ["before", "after", "error500_before", "error500_after"])
@pytest.mark.parametrize("route", [Route.QR, Route.PAYMENT_CODE])
def test_the_line_cut_while_ordering_loses_and_doubles_nothing(stage, fault, route):
    stay, nurse = stage.stay(), stage.actor("NURSE")
    code = stage.simulator.payment_code("o-patient") if route == Route.PAYMENT_CODE else None
    payment = Payment(70_000, route, "cut-line-1", auth_code=code, device_ip="10.0.0.9")
    operation = "codepay" if route == Route.PAYMENT_CODE else "native"
    stage.simulator.fault("wxpay", operation, fault)
    with pytest.raises(Busy, match="CHANNEL_SILENT"):
        deposits.collect_deposit(nurse, stage.outside, stay.id, payment)
    stage.clock.forward(seconds=6)
    order = deposits.collect_deposit(nurse, stage.outside, stay.id, payment)
    if order["pay_with"]:
        stage.simulator.pay(code_url=order["pay_with"]["code_url"], openid="o-x").raise_for_status()
        order = deposits.look_at_payment(nurse, stage.outside, order["id"])
    if order["state"] != "PAID":  # the code never reached WeChat: given up after its time
        stage.clock.forward(minutes=1)
        order = deposits.look_at_payment(nurse, stage.outside, order["id"])
    books = stage.simulator.books()["wxpay"].get(
        order["id"].hex, {"paid_fen": 0, "refunded_fen": 0}
    )
    assert held(stage, stay) == books["paid_fen"] - books["refunded_fen"]
    assert order["state"] == ("PAID" if books["paid_fen"] else "CLOSED")
    assert proven(stage)


def test_money_for_an_order_that_was_given_up_is_kept(stage):
    stay, nurse = stage.stay(), stage.actor("NURSE")
    order = deposits.collect_deposit(
        nurse, stage.outside, stay.id, Payment(90_000, Route.QR, "given-up-1")
    )
    stage.simulator.pay(code_url=order["pay_with"]["code_url"], openid="o-x").raise_for_status()
    with Session.begin() as db:
        row = PaymentOrder.locked(db, order["id"])
        row.move(db, "CLOSED", at=stage.clock.now(), by="test", why="given up")
    from payments import orders

    answer = stage.outside.wechat_pay.query_order(row.number)
    orders.record(row.id, answer, stage.clock.now(), by="notice")
    assert held(stage, stay) == 90_000


def test_a_wrong_amount_books_nothing(stage):
    stay, nurse = stage.stay(), stage.actor("NURSE")
    order = deposits.collect_deposit(
        nurse, stage.outside, stay.id, Payment(90_000, Route.QR, "wrong-amount")
    )
    from payments import orders
    from payments.channels.wechat import ChannelOrder

    lie = ChannelOrder("PAID", order["id"].hex, "4200000000", 90_001, stage.clock.now(), None)
    with pytest.raises(orders.AmountDiffers):
        orders.record(order["id"], lie, stage.clock.now(), by="notice")
    assert (held(stage, stay), cash_in(stage)) == (0, 0)


def test_who_may_take_which_route(stage):
    patient = stage.patient()
    stay = stage.stay(patient)
    for actor, route in [
        (stage.actor("NURSE"), Route.CASH),
        (stage.actor("NURSE"), Route.MINI_PROGRAM),
        (stage.patient_actor(patient), Route.CASH),
        (stage.patient_actor(patient), Route.QR),
    ]:
        with pytest.raises(Forbidden):
            deposits.collect_deposit(actor, stage.outside, stay.id, Payment(100, route, "k" * 8))
    assert held(stage, stay) == 0


def test_no_quota_no_deposit(stage):
    stay = stage.stay(quota_fen=None)
    with pytest.raises(Refused, match="QUOTA_NOT_SET"):
        pay_cash(stage, stay, 1, "no-quota-1")
