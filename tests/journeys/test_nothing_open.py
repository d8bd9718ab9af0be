"""No transaction is open while anybody outside is asked: every adapter refuses to send in one."""

import inspect
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, get_type_hints

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from config import Connections
from journeys import deposits, refunds, words
from models.db import Session, TransactionOpen, assert_nothing_open
from models.message import Message
from models.payment_order import PaymentOrder, Route
from notifications.senders.mini_program import MiniProgram
from notifications.senders.tencent_sms import TencentSms
from payments.agencies.medical_aid import MedicalAid
from payments.channels.wechat import WeChatPay
from payments.collection import Payment
from payments.insurance import profile
from payments.insurance.facts import PersonCard
from payments.insurance.transport import Csb, Tif
from policies.outcome import Declined, NoAnswer, NotNow
from policies.refusals import NotFound
from tests import till
from tests.peer import Peer, Says

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)

ADAPTERS = (WeChatPay, MiniProgram, TencentSms, MedicalAid, Csb, Tif)
CALL_NOBODY = {(WeChatPay, "read_notice"), (MiniProgram, "template_id")}
"""What an adapter does without asking anyone."""

METHODS = [
    pytest.param(adapter, name, id=f"{adapter.__name__}.{name}")
    for adapter in ADAPTERS
    for name, _ in inspect.getmembers(adapter, inspect.isfunction)
    if not name.startswith("_") and (adapter, name) not in CALL_NOBODY
]

EXAMPLES: dict[Any, Any] = {
    str: "example-1",
    int: 1,
    bytes: b"x",
    date: NOW.date(),
    datetime: NOW,
    list[str]: ["x"],
    Mapping[str, str]: {"thing1": "x"},
    Mapping[str, Any]: {"infno": "1101"},
    str | None: "example-1",
}
KNOWN = {"phone": "19900000000", "template": "DEPOSIT_PAID", "infno": "1101"}


@pytest.fixture(scope="module")
def peer():
    """Everybody outside; answers nothing useful."""
    with Peer().running() as peer:
        yield peer


@pytest.fixture(scope="module")
def adapters(engine, outside_world, peer):
    known = Connections.read(outside_world.connections("GZ01"))
    csb, tif = profile.load("csb-guizhou"), profile.load("tif-chongqing")
    insurance = replace(known.insurance, base_url=peer.url)
    return {
        WeChatPay: WeChatPay(replace(known.wechat_pay, base_url=peer.url), lambda: NOW),
        MiniProgram: MiniProgram(replace(known.mini_program, base_url=peer.url), lambda: NOW),
        TencentSms: TencentSms(
            replace(known.sms, endpoint=peer.url.removeprefix("http://")), lambda: NOW
        ),
        MedicalAid: MedicalAid(replace(known.medical_aid, base_url=peer.url), lambda: NOW),
        Csb: Csb(insurance, csb, lambda: NOW),
        Tif: Tif(insurance, tif, lambda: NOW),
    }


def call(adapter, name):
    """Call a method with an example of everything that it wants."""
    method = getattr(adapter, name)
    hints = get_type_hints(method)
    wanted = list(inspect.signature(method).parameters)
    return method(**{each: KNOWN.get(each, EXAMPLES[hints[each]]) for each in wanted})


@pytest.mark.parametrize(("adapter", "name"), METHODS)
def test_an_adapter_sends_nothing_inside_a_transaction(adapters, peer, adapter, name):
    peer.asked.clear()
    with Session.begin(), pytest.raises(TransactionOpen):
        call(adapters[adapter], name)
    with Session() as db, pytest.raises(TransactionOpen):
        db.execute(select(1))  # a mere read holds a transaction too
        call(adapters[adapter], name)
    assert peer.asked == []
    peer.answer = lambda _: Says(500)
    with pytest.raises((Declined, NotNow, NoAnswer)):
        call(adapters[adapter], name)
    assert len(peer.asked) == 1  # outside one it asks, and asks once


def test_all_public_methods_are_tried():
    tried = {(param.values[0], param.values[1]) for param in METHODS}
    assert len(tried) >= 18
    for adapter in (WeChatPay, MiniProgram, TencentSms, MedicalAid):
        assert any(each is adapter for each, _ in tried)
    assert {(Csb, "ask"), (Tif, "ask")} <= tried


def test_a_journey_inside_a_transaction_stops_before_it_asks(stage):
    stay, nurse = stage.stay(), stage.actor("NURSE")
    payment = Payment(10_000, Route.QR, "inside-one")
    with Session.begin(), pytest.raises(TransactionOpen):
        deposits.collect_deposit(nurse, stage.outside, stay.id, payment)
    with Session() as db:
        order = db.scalar(select(PaymentOrder).filter_by(subject_id=stay.id))
    assert (order.state, order.shown) == ("CREATED", None)
    assert [
        said for said in stage.simulator.events("wxpay") if order.number in said["summary"]
    ] == []
    stage.clock.forward(seconds=6)
    order = deposits.collect_deposit(nurse, stage.outside, stay.id, payment)
    assert order["state"] == "WAITING"  # and outside one it goes on
    with Session.begin(), pytest.raises(TransactionOpen):
        deposits.look_at_payment(nurse, stage.outside, order["id"])


def test_refunds_messages_and_insurance_stop_too(stage):
    stay = stage.stay()
    till.pay_qr(stage, stay, 20_000)
    refund_id = till.ask_back(stage, stay, 20_000)
    till.check(stage, refund_id)
    (leg,) = till.legs_of(refund_id)
    with Session() as db:
        message = db.scalar(select(Message.id).filter_by(patient_id=stay.patient_id))
    with Session.begin(), pytest.raises(TransactionOpen):
        refunds.pay_leg(stage.outside, leg.id)
    with Session.begin(), pytest.raises(TransactionOpen):
        words.deliver_message(stage.outside, message)
    card = PersonCard("张小丰", "990101197503090013")
    with Session.begin(), pytest.raises(TransactionOpen):
        stage.outside.insurance.look_up(card, stage.actor("NURSE"))
    assert till.theirs(stage) == 20_000


def test_it_survives_failures_savepoints_and_other_threads(engine):
    assert_nothing_open()
    with pytest.raises(NotFound), Session.begin() as db:
        db.execute(select(1))
        raise NotFound
    assert_nothing_open()
    with Session.begin() as db:
        with db.begin_nested():
            pass
        with pytest.raises(TransactionOpen):
            assert_nothing_open()
        seen = []
        other = threading.Thread(target=lambda: seen.append(assert_nothing_open()))
        other.start()
        other.join()
        assert seen == [None]  # another thread holds nothing
    assert_nothing_open()
    with Session() as db:
        db.execute(select(1))
        db.commit()
        db.execute(select(1))
        db.rollback()
        assert_nothing_open()


@pytest.mark.parametrize("begin", [Session, Session.begin])
def test_a_connection_that_was_killed_leaves_nothing_open(engine, begin):
    """Else the thread could never ask anybody again: every payment over it would be a 500."""
    with pytest.raises(OperationalError), begin() as db:
        pid = db.scalar(text("SELECT pg_backend_pid()"))
        with engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    assert_nothing_open()
    with begin() as db:
        assert db.scalar(text("SELECT 1")) == 1
        with pytest.raises(TransactionOpen):
            assert_nothing_open()
    assert_nothing_open()
