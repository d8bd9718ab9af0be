"""A visit that was paid twice: the second payment is kept, shown to finance, and given back."""

import pytest

from journeys import documents, refunds, visits
from models import ledger
from models.db import Session
from models.ledger import AccountKind
from models.payment_order import PaymentOrder, Route
from payments import orders
from payments.collection import Payment
from policies.refusals import Refused


def test_a_late_second_payment_goes_back(stage):
    patient, cashier = stage.patient(), stage.actor("CASHIER")
    item = visits.Item("O-1", "血常规", 23_00)
    told = {"visit_no": "V1", "his_patient_no": patient.his_patient_no}
    visit = visits.open_visit(stage.his, stage.outside, items=[item], **told)
    with pytest.raises(Refused, match="NOTHING_TO_REFUND"):
        visits.refund_surplus(cashier, stage.outside, visit["id"])
    shown = visits.pay_visit(
        stage.patient_actor(patient, "o-phone"),
        stage.outside,
        visit["id"],
        Payment(23_00, Route.MINI_PROGRAM, "phone-first"),
    )
    with Session.begin() as db:
        order = PaymentOrder.locked(db, shown["order_id"])
        order.move(db, "CLOSED", at=stage.clock.now(), by="test", why="given up")
    visits.pay_visit(cashier, stage.outside, visit["id"], Payment(23_00, Route.CASH, "then-cash"))
    stage.simulator.pay(out_trade_no=order.number, openid="o-phone").raise_for_status()
    answer = stage.outside.wechat_pay.query_order(order.number)
    orders.record(order.id, answer, stage.clock.now(), by="notice")

    (task,) = documents.list_work(cashier, "VISIT_PAID_TWICE")
    assert task["subject"] == f"visit:{visit['id']}"
    refund_id = visits.refund_surplus(cashier, stage.outside, visit["id"])
    checker = stage.actor("FINANCE_CHECKER")
    refunds.check_refund(checker, stage.outside, refund_id, approve=True, note="")
    stage.run_jobs()
    stage.clock.forward(minutes=2)
    refunds.sweep_legs(stage.outside, stage.hospital_id)
    assert refunds.view_refund(checker, refund_id)["state"] == "PAID"
    assert stage.simulator.books()["wxpay"][order.number]["refunded_fen"] == 23_00
    with Session() as db:
        held = ledger.held(db, stage.hospital_id, AccountKind.VISIT_PAYMENT, str(visit["id"]))
        assert (held, ledger.prove(db, stage.hospital_id)) == (0, [])
