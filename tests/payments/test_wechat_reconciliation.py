"""A day beside WeChat Pay's bill: through the simulator's file and the real database."""

from datetime import datetime, time, timedelta
from itertools import count

import pytest
from sqlalchemy import select, text

import jobs
from config import SHANGHAI
from journeys import deposits, documents, reconciliation, refunds
from models.db import Session
from models.reconciliation import ReconciledDay, RowOfAnotherDay
from payments.reconciliation import reconcile as compare_day
from tests import till
from tests.sim_process import wait_until

_days = count(20, 4)
"""Days ahead that no other test has trades on: all hospitals here share one merchant."""


@pytest.fixture
def day(stage):
    """A Beijing day of its own; it is noon."""
    ahead = stage.clock.now().astimezone(SHANGHAI).date() + timedelta(days=next(_days))
    at(stage, ahead, 12)
    return ahead


def at(stage, day, hour, minute=0, second=0, *, days=0):
    moment = datetime.combine(day, time(hour, minute, second), SHANGHAI)
    stage.clock.set(moment + timedelta(days=days))


def reconcile(stage):
    return reconciliation.reconcile_wechat(stage.outside, stage.hospital_id)


def of(stage, day):
    """The day as finance reads it."""
    known = reconciliation.list_days(stage.actor("FINANCE_MAKER"), day, day)
    return known[0] if known else None


def differences(stage, day):
    return [(each["kind"], each["state"], each["number"]) for each in of(stage, day)["differences"]]


def tasks(stage, kind="RECONCILIATION_DIFFERS"):
    return documents.list_work(stage.actor("FINANCE_MAKER"), kind)


def change(sql, **values):
    """What no way of ours does: somebody's hand in the database."""
    with Session.begin() as db:
        db.execute(text(sql), values)


def a_day_of_trades(stage):
    """Two payments, one of them given back in part; the order, the second one, the leg."""
    stay = stage.stay()
    first = till.pay_qr(stage, stay, 120_000)
    second = till.pay_qr(stage, stay, 30_001)
    refund_id = till.ask_back(stage, stay, 20_000)
    till.check(stage, refund_id)
    stage.run_jobs()
    (leg,) = till.legs_of(refund_id)
    wait_until(lambda: stage.outside.wechat_pay.query_refund(leg.number).state == "PAID")
    stage.clock.forward(minutes=2)
    refunds.sweep_legs(stage.outside, stage.hospital_id)
    stage.run_jobs()
    (leg,) = till.legs_of(refund_id)
    assert leg.state == "PAID"
    return first, second, leg


def test_a_day_that_agrees(stage, day):
    a_day_of_trades(stage)
    at(stage, day, 9, 59, days=1)
    assert (reconcile(stage), of(stage, day)) == (1, None)  # the day before it, without a trade
    at(stage, day, 10, 20, days=1)
    assert reconcile(stage) == 1
    told = of(stage, day)
    assert (told["state"], told["differences"], told["differences_total"]) == ("LEVEL", [], 0)
    assert (told["there_payments"], told["there_payments_fen"]) == (2, 150_001)
    assert (told["there_refunds"], told["there_refunds_fen"]) == (1, 20_000)
    assert (told["here_payments"], told["here_payments_fen"]) == (2, 150_001)
    assert (told["here_refunds"], told["here_refunds_fen"]) == (1, 20_000)
    assert tasks(stage) == []
    assert reconcile(stage) == 0  # nothing is due again
    with Session() as db:
        assert db.scalar(select(ReconciledDay.bill_sha1).filter_by(day=day))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("missing_row", "PAYMENT_NOT_THERE"),
        ("extra_row", None),
        ("wrong_amounts", "PAYMENT_AMOUNT"),
    ],
)
def test_a_difference_becomes_one_task_and_goes_with_it(stage, day, fault, kind):
    first, *_ = a_day_of_trades(stage)
    at(stage, day, 10, 20, days=1)
    reconciliation.due_days(stage.hospital_id, stage.clock.now())
    stage.simulator.fault("wxpay", "tradebill", fault, times=9)
    reconcile(stage)
    (found,) = differences(stage, day)
    assert found[1] == "OPEN"
    if kind:
        assert found == (kind, "OPEN", first.hex)
    else:
        assert found[0] == "PAYMENT_NOT_HERE" or found[0] == "REFUND_TWICE"
    (task,) = tasks(stage)
    assert task["note"].startswith(f"{day}微信对账：")
    assert task["facts"]["day"] == day.isoformat()
    at(stage, day, 11, days=2)
    reconcile(stage)
    assert [each["id"] for each in tasks(stage)] == [task["id"]]  # the same one, not a second
    stage.simulator.reset()
    at(stage, day, 11, days=3)
    reconcile(stage)
    (gone,) = differences(stage, day)
    assert gone == (found[0], "GONE", found[2])
    assert of(stage, day)["state"] == "LEVEL"
    assert tasks(stage) == []


def test_a_task_that_finance_closed_does_not_come_again(stage, day):
    a_day_of_trades(stage)
    at(stage, day, 10, 20, days=1)
    stage.simulator.fault("wxpay", "tradebill", "missing_row", times=9)
    reconcile(stage)
    (task,) = tasks(stage)
    documents.close_work(
        stage.actor("FINANCE_MAKER"), stage.outside, task["id"], outcome="已与微信核实"
    )
    at(stage, day, 11, days=2)
    reconcile(stage)
    assert tasks(stage) == []
    assert of(stage, day)["differences_total"] == 1


def test_what_only_our_books_have_or_lack(stage, day):
    first, second, leg = a_day_of_trades(stage)
    own = {"id": first}
    change("UPDATE payment_order SET state = 'CLOSED', paid_at = NULL WHERE id = :id", **own)
    change("UPDATE refund_leg SET state = 'PLANNED', paid_at = NULL WHERE id = :id", id=leg.id)
    at(stage, day, 10, 20, days=1)
    reconcile(stage)
    assert sorted(differences(stage, day)) == [
        ("PAYMENT_STATE", "OPEN", first.hex),
        ("REFUND_STATE", "OPEN", leg.number),
    ]
    assert second.hex not in str(differences(stage, day))
    assert len(tasks(stage)) == 2


def test_a_paid_order_that_here_is_forgotten_is_found(stage, day):
    """Their notice was lost, the order was given up here, and no sweep asked again."""
    stay = stage.stay()
    order = till.order_qr(stage, stay, 5_000)
    till.scan(stage, order)
    change("UPDATE payment_order SET state = 'CLOSED' WHERE id = :id", id=order["id"])
    at(stage, day, 10, 20, days=1)
    reconcile(stage)
    assert differences(stage, day) == [("PAYMENT_STATE", "OPEN", order["id"].hex)]
    deposits.look_at_payment(stage.actor("NURSE"), stage.outside, order["id"])
    at(stage, day, 11, days=2)
    reconcile(stage)
    assert differences(stage, day) == [("PAYMENT_STATE", "GONE", order["id"].hex)]
    assert (of(stage, day)["here_payments_fen"], tasks(stage)) == (5_000, [])


def test_a_refund_accepted_before_midnight_and_paid_after_it(stage, day):
    """It stands in the first day's bill and belongs to the second day here: no difference on
    either."""
    stay = stage.stay()
    till.pay_qr(stage, stay, 40_000)
    refund_id = till.ask_back(stage, stay, 7_000)
    till.check(stage, refund_id)
    stage.run_jobs()
    (leg,) = till.legs_of(refund_id)
    paid_at = datetime.combine(day + timedelta(days=1), time(9), SHANGHAI)
    change(
        "UPDATE refund_leg SET state = 'PAID', paid_at = :at WHERE id = :id", at=paid_at, id=leg.id
    )
    at(stage, day, 10, 20, days=2)
    reconcile(stage)
    assert [of(stage, each)["state"] for each in (day, day + timedelta(days=1))] == ["LEVEL"] * 2
    with Session() as db:
        kept = db.scalars(select(RowOfAnotherDay).filter_by(hospital_id=stage.hospital_id)).all()
    assert [(row.number, row.day) for row in kept] == [(leg.number, day)]


def near_midnight(stage, day, *, there_days):
    """An order that we hold as paid in the last minute of the day, and they so many days later."""
    at(stage, day, 13, days=there_days)
    stay = stage.stay()
    order_id = till.pay_qr(stage, stay, 8_800)
    late = datetime.combine(day, time(23, 59, 59), SHANGHAI)
    change("UPDATE payment_order SET paid_at = :at WHERE id = :id", at=late, id=order_id)
    return order_id


def test_a_payment_at_midnight_waits_for_the_next_bill_and_is_there(stage, day):
    order_id = near_midnight(stage, day, there_days=0)
    stage.simulator.fault("wxpay", "tradebill", "missing_row")
    at(stage, day, 10, 20, days=1)
    till.pay_qr(stage, stage.stay(), 1)  # so that the bill of the next day is not empty
    reconcile_only(stage, day)
    assert differences(stage, day) == [("PAYMENT_NOT_THERE", "WAITING", order_id.hex)]
    assert (of(stage, day)["state"], tasks(stage)) == ("LEVEL", [])
    at(stage, day, 10, 20, days=2)
    reconcile(stage)
    assert differences(stage, day) == [("PAYMENT_NOT_THERE", "OPEN", order_id.hex)]
    assert (of(stage, day)["state"], len(tasks(stage))) == ("DIFFERS", 1)


def test_what_waited_stands_in_the_next_bill(stage, day):
    till.pay_qr(stage, stage.stay(), 100)
    order_id = near_midnight(stage, day, there_days=1)
    at(stage, day, 20, days=1)
    reconcile_only(stage, day)
    assert differences(stage, day) == [("PAYMENT_NOT_THERE", "WAITING", order_id.hex)]
    at(stage, day, 10, 20, days=2)
    reconcile(stage)
    assert differences(stage, day) == [("PAYMENT_NOT_THERE", "GONE", order_id.hex)]
    assert (of(stage, day + timedelta(days=1))["state"], tasks(stage)) == ("LEVEL", [])


def reconcile_only(stage, day):
    compare_day(stage.hospital_id, stage.outside.wechat_pay, day, stage.clock.now)


def test_no_bill_yet_is_no_answer_and_is_asked_for_again(stage, day):
    a_day_of_trades(stage)
    at(stage, day, 10, 20, days=1)
    stage.simulator.fault("wxpay", "tradebill", "not_ready", times=2)
    assert reconcile(stage) == 0
    told = of(stage, day)
    assert (told["state"], told["compared_at"], told["differences"]) == ("UNKNOWN", None, [])
    assert told["answer"] == "STATEMENT_CREATING"
    assert tasks(stage, "BILL_MISSING") == []
    at(stage, day, 11, 20, days=1)
    assert reconcile(stage) == 0
    at(stage, day, 12, 20, days=1)
    assert reconcile(stage) == 1
    assert of(stage, day)["state"] == "LEVEL"


def test_a_bill_that_stays_away_becomes_a_task_and_missed_days_are_caught_up(stage, day):
    a_day_of_trades(stage)
    at(stage, day, 10, 20, days=3)
    stage.simulator.fault("wxpay", "tradebill", "not_ready", times=9)
    assert reconcile(stage) == 0
    (task,) = tasks(stage, "BILL_MISSING")
    assert (task["subject"], day.isoformat() in task["note"]) == (f"wechat-bill:{day}", True)
    assert [of(stage, day + timedelta(days=more))["state"] for more in range(3)] == ["UNKNOWN"] * 3
    stage.simulator.reset()
    at(stage, day, 11, 20, days=3)
    assert reconcile(stage) == 3
    assert [of(stage, day + timedelta(days=more))["state"] for more in range(3)] == ["LEVEL"] * 3
    assert tasks(stage, "BILL_MISSING") == []


def test_who_is_silent_is_not_asked_for_ever(stage, day):
    a_day_of_trades(stage)
    at(stage, day, 10, 20, days=8)
    stage.simulator.fault("wxpay", "tradebill", "error500_before", times=99)
    assert reconcile(stage) == 0
    told = [of(stage, day + timedelta(days=more)) for more in range(8)]
    assert [each["state"] for each in told if each] == ["UNKNOWN"] * reconciliation.SILENT_AT_MOST
    assert reconcile(stage) == 0  # others are asked for first
    assert len([day for each in range(8) if of(stage, day + timedelta(days=each))]) == 6
    stage.simulator.reset()
    at(stage, day, 11, 20, days=8)
    assert reconcile(stage) == 8


def test_no_transaction_is_open_while_the_bill_is_fetched(stage, day):
    """The adapter itself refuses to wait with one open; here is one."""
    with Session.begin() as db, pytest.raises(AssertionError, match="no transaction"):
        db.execute(text("SELECT 1"))
        reconcile_only(stage, day)


def test_the_timetable_compares_every_hospital(stage, day):
    a_day_of_trades(stage)
    at(stage, day, 10, 20, days=1)
    jobs.for_every_hospital("reconcile_wechat")
    with Session.begin() as db:  # other tests' hospitals share the merchant and would find our rows
        db.execute(
            text("DELETE FROM procrastinate_jobs WHERE args->>'hospital_id' <> :mine"),
            {"mine": str(stage.hospital_id)},
        )
    assert "reconcile_wechat" in stage.run_jobs()
    assert of(stage, day)["state"] == "LEVEL"
    assert jobs.utc(jobs.SWEEPS["reconcile_wechat"][0]) == "20 2-14 * * *"
