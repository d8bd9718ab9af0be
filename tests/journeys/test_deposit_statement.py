"""One statement collects a deposit: what it refuses leaves nothing, what it does is all there, and
hands that come at once wait for each other."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from journeys import deposits
from models.admission import AdmissionState, AdmissionStep
from models.db import Session, at_once, new_id, rows
from models.ledger import LedgerTransaction
from models.machine import StateMove
from models.message import Message
from models.payment_order import PaymentOrder, Purpose, Route
from models.receipt import Receipt
from payments import orders
from payments.booking import deposit_booking
from payments.collection import Payment, wish_of
from policies.access import Actor, Channel
from policies.refusals import Conflict, NotFound, Refused
from tests import till
from tests.sim_process import wait_until

WRITTEN = (
    "payment_order",
    "state_move",
    "admission_step",
    "ledger_transaction",
    "lot",
    "receipt",
    "receipt_counter",
    "message",
)


def everything(stage) -> dict[str, int]:
    """How many rows the hospital has of all that a deposit writes."""
    counts = [f"(SELECT count(*) FROM {name} WHERE hospital_id = :h) AS {name}" for name in WRITTEN]  # noqa: S608
    (found,) = rows("SELECT " + ", ".join(counts), h=stage.hospital_id)
    jobs = "SELECT count(*) AS n FROM procrastinate_jobs WHERE args ->> 'hospital_id' = :h"
    return found | {"jobs": rows(jobs, h=str(stage.hospital_id))[0]["n"]}


def cash(stage, stay, fen=100_000, key="cash-key-1", actor=None) -> dict[str, Any]:
    cashier = actor or stage.actor("CASHIER")
    return deposits.collect_deposit(cashier, stage.outside, stay.id, Payment(fen, Route.CASH, key))


def qr(stage, stay, actor, key="qr-key-01") -> dict[str, Any]:
    return deposits.collect_deposit(actor, stage.outside, stay.id, Payment(100, Route.QR, key))


def at_the_same_time(acts):
    start = Barrier(len(acts))

    def run(act):
        start.wait()
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def test_everything_about_a_deposit_is_written_down(stage):
    stay, before = stage.stay(), everything(stage)
    paid = cash(stage, stay)
    gained = {name: n - before[name] for name, n in everything(stage).items()}
    assert gained == {
        "payment_order": 1,
        "state_move": 3,
        "admission_step": 1,
        "ledger_transaction": 1,
        "lot": 1,
        "receipt": 1,
        "receipt_counter": 1,
        "message": 1,
        "jobs": 1,
    }
    with Session() as db:
        order = db.get_one(PaymentOrder, paid["id"])
        moves = select(StateMove).where(StateMove.entity_id == order.id).order_by(StateMove.id)
        assert [(move.here, move.there, move.by) for move in db.scalars(moves)] == [
            (None, "CREATED", "staff:cashier"),
            ("CREATED", "PAID", "staff:cashier"),
        ]
        assert (order.patient_id, order.channel_transaction) == (stay.patient_id, order.number)
        assert order.paid_at == order.created_at == paid["paid_at"]
        paper = Receipt.of(db, "DEPOSIT", order.id)
        assert (paper.number, paper.by) == (paid["receipt_no"], "staff:cashier")
        assert paper.facts == {
            "amount_fen": 100_000,
            "route": "CASH",
            "channel": "CASH",
            "admission_id": str(stay.id),
            "patient_id": str(stay.patient_id),
        }
        told = db.scalars(select(Message).filter_by(key=f"paid:{order.id}")).one()
        assert (told.patient_id, told.template) == (stay.patient_id, "DEPOSIT_PAID")
        assert told.values == {"amount": "1000.00", "receipt": paper.number}
        step = db.scalars(select(AdmissionStep).filter_by(admission_id=stay.id)).one()
        assert (step.step, step.channel, step.facts) == (
            "deposit",
            "WINDOW",
            {"amount_fen": 100_000, "route": "CASH"},
        )
    (job,) = rows(
        "SELECT task_name, args FROM procrastinate_jobs WHERE args ->> 'message_id' = :id",
        id=str(told.id),
    )
    assert job["task_name"] == "deliver_message"
    till.agree(stage)


def test_the_answer_at_the_window_is_what_is_read_later(stage):
    stay = stage.stay()
    paid = cash(stage, stay)
    assert paid == deposits.view_order(stage.actor("CASHIER"), paid["id"])
    assert cash(stage, stay) == paid


def test_an_order_that_waits_for_its_channel_is_begun_and_not_paid(stage):
    stay, before = stage.stay(), everything(stage)
    qr(stage, stay, stage.actor("NURSE"))
    gained = {name: n - before[name] for name, n in everything(stage).items() if n != before[name]}
    assert gained == {"payment_order": 1, "state_move": 2, "admission_step": 1}


@pytest.mark.parametrize("state", [AdmissionState.SLIP, AdmissionState.LEAVING])
def test_no_deposit_before_or_after_the_stay(stage, state):
    stay, before = stage.stay(state=state), everything(stage)
    with pytest.raises(Refused, match="ADMISSION_NOT_IN_HOUSE"):
        cash(stage, stay)
    assert everything(stage) == before


@pytest.mark.parametrize(
    ("quota_fen", "code", "facts"),
    [(None, "QUOTA_NOT_SET", {}), (99_999, "DEPOSIT_CAP_EXCEEDED", {"room_fen": 99_999})],
)
def test_a_refusal_about_the_quota_leaves_nothing(stage, quota_fen, code, facts):
    stay, before = stage.stay(quota_fen=quota_fen), everything(stage)
    with pytest.raises(Refused, match=code) as no:
        cash(stage, stay)
    assert no.value.facts == facts
    assert everything(stage) == before


def test_open_orders_take_room_and_a_smaller_quota_leaves_none(stage):
    stay = stage.stay(quota_fen=100_100)
    qr(stage, stay, stage.actor("NURSE"))
    with pytest.raises(Refused, match="DEPOSIT_CAP_EXCEEDED") as no:
        cash(stage, stay, 100_001)
    assert no.value.facts == {"room_fen": 100_000}
    cash(stage, stay, 100_000)
    with Session.begin() as db:
        db.execute(text("UPDATE admission SET quota_fen = 1 WHERE id = :id"), {"id": stay.id})
    with pytest.raises(Refused) as no:
        cash(stage, stay, 1, "one-more-1")
    assert no.value.facts == {"room_fen": 0}


def test_who_may_not_know_of_the_stay_hears_that_there_is_none(stage):
    patient = stage.patient()
    stay, before = stage.stay(patient), everything(stage)
    home, phone = stage.hospital_id, stage.patient_actor(stage.patient(), "o-stranger")
    viewer = Actor(
        home,
        phone.name,
        phone.roles,
        Channel.PHONE,
        openid="o-viewer",
        patient_id=phone.patient_id,
        consents=frozenset({(patient.id, "VIEW")}),
    )
    strangers = [
        (
            Actor(home, "staff:w2", frozenset({"NURSE"}), Channel.BEDSIDE, wards=frozenset({"W2"})),
            Route.QR,
        ),
        (Actor(home, "staff:w0", frozenset({"NURSE"}), Channel.BEDSIDE), Route.QR),
        (Actor(new_id(), "staff:far", frozenset({"CASHIER"}), Channel.WINDOW), Route.CASH),
        (Actor(home, "staff:admin", frozenset({"ADMINISTRATOR"}), Channel.DESK), Route.QR),
        (phone, Route.MINI_PROGRAM),
        (viewer, Route.MINI_PROGRAM),
    ]
    for actor, route in strangers:
        with pytest.raises(NotFound, match="ADMISSION_UNKNOWN"):
            deposits.collect_deposit(
                actor, stage.outside, stay.id, Payment(100, route, "stranger-1")
            )
    assert everything(stage) == before


def test_a_relative_who_may_pay_does(stage):
    patient = stage.patient()
    stay, phone = stage.stay(patient), stage.patient_actor(stage.patient(), "o-son")
    son = Actor(
        stage.hospital_id,
        phone.name,
        phone.roles,
        Channel.PHONE,
        openid="o-son",
        patient_id=phone.patient_id,
        consents=frozenset({(patient.id, "PAY")}),
    )
    wish = Payment(100, Route.MINI_PROGRAM, "son-pays-1")
    order = deposits.collect_deposit(son, stage.outside, stay.id, wish)
    with Session() as db:
        assert db.get_one(PaymentOrder, order["id"]).patient_id == patient.id


def test_one_key_is_one_wish_in_all_the_house(stage):
    first, second = stage.stay(), stage.stay()
    cash(stage, first)
    before = everything(stage)
    with pytest.raises(Conflict, match="IDEMPOTENCY_CONFLICT"):
        cash(stage, second)
    assert everything(stage) == before


def test_the_same_key_for_two_stays_at_once_is_one_deposit(stage):
    """The second one finds no order, and meets the first one's only as it writes its own."""
    first, second = stage.stay(), stage.stay()
    cashier, now = stage.actor("CASHIER"), stage.clock.now()
    payment = Payment(100, Route.QR, "two-stays")
    waiting = (
        "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND query LIKE 'SELECT collect_deposit%' AND datname = current_database()"
    )
    with ThreadPoolExecutor(1) as other:
        with Session.begin() as db:
            wish = wish_of(cashier, first.id, first.patient_id, Purpose.DEPOSIT, payment)
            orders.claim(db, wish, now)
            db.flush()
            late = other.submit(
                deposits.collect_deposit, cashier, stage.outside, second.id, payment
            )
            wait_until(lambda: rows(waiting))
        with pytest.raises(Conflict, match="IDEMPOTENCY_CONFLICT"):
            late.result()
    with Session() as db:
        mine = select(PaymentOrder.subject_id).filter_by(client_key="two-stays")
        assert list(db.scalars(mine)) == [first.id]


@pytest.mark.clause("GZ-17", "T2")
def test_eight_windows_at_once_fill_the_quota_exactly(stage):
    stay = stage.stay(quota_fen=300_000)

    def window(number):
        try:
            return cash(stage, stay, 100_000, f"window-{number}")["receipt_no"]
        except Refused as no:
            return no.code

    stage.actor("CASHIER")
    answers = at_the_same_time([lambda n=n: window(n) for n in range(8)])
    assert answers.count("DEPOSIT_CAP_EXCEEDED") == 5
    assert till.held(stage, stay) == 300_000
    till.agree(stage)


def test_one_key_pressed_eight_times_at_once_is_one_deposit(stage):
    stay = stage.stay()
    stage.actor("CASHIER")
    answers = at_the_same_time([lambda: cash(stage, stay)] * 8)
    assert answers == [answers[0]] * 8
    assert till.held(stage, stay) == 100_000


def test_receipts_given_out_at_once_are_numbered_without_a_gap(stage):
    stays = [stage.stay() for _ in range(8)]
    poor = stage.stay(quota_fen=1)
    stage.actor("CASHIER")

    def refused():
        with pytest.raises(Refused):
            cash(stage, poor, 2, "too-much-1")

    at_the_same_time(
        [lambda n=n, stay=s: cash(stage, stay, 1, f"paper-{n}") for n, s in enumerate(stays)]
        + [refused] * 2
    )
    with Session() as db:
        numbers = db.scalars(select(Receipt.number).filter_by(hospital_id=stage.hospital_id))
        assert sorted(int(number[4:]) for number in numbers) == list(range(1, 9))


def test_an_order_in_another_state_than_was_seen_is_not_booked(stage):
    """The drawing was consulted for one state; the row is in another: nothing at all happens."""
    stay = stage.stay()
    order_id = till.order_qr(stage, stay, 100)["id"]
    now, before = stage.clock.now(), everything(stage)
    with Session() as db:
        seen = db.get_one(PaymentOrder, order_id)
    said = deposit_booking(seen, seen.arrival(now, "test", "4200000001"))
    said["moved"]["here"] = "CREATED"
    with pytest.raises(DBAPIError, match="is not CREATED"):
        at_once("SELECT order_paid(%s::jsonb)", json.dumps(said, default=str))
    assert everything(stage) == before
    with Session() as db:
        assert db.get_one(PaymentOrder, order_id).state == "WAITING"
        assert not db.scalar(
            select(func.count()).select_from(LedgerTransaction).filter_by(key=f"order:{order_id}")
        )
