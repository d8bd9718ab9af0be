"""How often an operation asks the database and the outside cannot change unseen.

Each operation is done once to warm up (caches, prepared statements) and counted the second time.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Engine

from config import today
from journeys import daily_bill, notices, refunds
from tests import arrivals, genuine, purse, till
from tests.benchmarks.counts import CAN_COUNT, EXPECTED, Counter, Counts, counting
from tests.his_day import line
from tests.served import Served

pytestmark = pytest.mark.skipif(not CAN_COUNT, reason="libpq traces on Linux only")

_serial = count(1)


@pytest.fixture
def counter(served: Served, engine: Engine) -> Iterator[Counter]:
    with counting(engine, served.simulator) as counter:
        yield counter


def counted(counter: Counter, operation: Callable[[], Any]) -> Counts:
    operation()
    counter.start()
    operation()
    return counter.counts


@pytest.mark.parametrize("lines", [1, 40])
def test_a_batch_of_charges(served: Served, counter: Counter, lines: int) -> None:
    his, stay = served.house.his(), served.stage.stay()
    at = served.stage.clock.now().isoformat()

    def send() -> None:
        said = [line(stay.inpatient_no, occurred_at=at) for _ in range(lines)]
        event = {"source_event_id": f"count-{next(_serial)}", "lines": said}
        assert his.post("/v1/his/events/charge-batch", event)["accepted"] == lines

    assert counted(counter, send) == EXPECTED["a batch of charge lines"]


@pytest.mark.parametrize("patients", [1, 7])
def test_the_bills_of_a_night(served: Served, counter: Counter, patients: int) -> None:
    clock = served.stage.clock
    for _ in range(2):
        stays = [served.stage.stay() for _ in range(patients)]
        for stay in stays:
            served.stage.charge(stay, 100, 200)
        day = today(stays[0].admitted_at + timedelta(hours=3))
        counter.start()
        assert daily_bill.make_bills(served.house.hospital_id, day, clock.now) == patients
    assert counter.counts == EXPECTED["all daily bills of a hospital"]


def test_a_daily_bill_that_is_read(served: Served, counter: Counter) -> None:
    phone, patient = served.house.patient_phone()
    stay = served.stage.stay(patient)
    served.stage.charge(stay, 100, 200)
    day = today(stay.admitted_at + timedelta(hours=3))
    daily_bill.make_bills(served.house.hospital_id, day, served.stage.clock.now)

    def read() -> None:
        bill = phone.get(f"/v1/admissions/{stay.id}/daily-bills/{day}")
        assert len(bill["lines"]) == 2

    assert counted(counter, read) == EXPECTED["a daily bill read again"]


def test_a_deposit_at_the_window(served: Served, counter: Counter) -> None:
    cashier = served.house.staff("CASHIER", kind="DESK", ward="", window="1")
    stay, cash = served.stage.stay(), {"amount_fen": 100, "route": "CASH"}

    def collect() -> None:
        key = f"count-deposit-{next(_serial)}"
        path = f"/v1/admissions/{stay.id}/deposits"
        assert cashier.post(path, cash, key=key)["state"] == "PAID"

    assert counted(counter, collect) == EXPECTED["a deposit in cash"]


def test_a_callback_kept_and_then_applied(served: Served, counter: Counter) -> None:
    stay = served.stage.stay()
    kept: list[Counts] = []
    applied: list[Counts] = []
    for _ in range(2):
        number = till.order_qr(served.stage, stay, 100)["id"].hex
        now = served.stage.clock.now()
        told = genuine.payment(served.simulator, number, 100, now)
        headers, body = genuine.notice(served.simulator, "TRANSACTION.SUCCESS", told, now)
        counter.start()
        assert arrivals.post(served, headers, body).status_code == 204
        kept.append(counter.counts)
        (notice_id,) = arrivals.kept_ids(number)
        counter.start()
        notices.apply_notice(served.stage.outside, notice_id)
        applied.append(counter.counts)
    assert arrivals.kept(number) == ["APPLIED"]
    assert kept[-1] == EXPECTED["a payment callback kept"]
    assert applied[-1] == EXPECTED["a payment callback applied"]


@pytest.mark.parametrize("lines", [5, 30])
def test_a_whole_settlement(served: Served, counter: Counter, lines: int) -> None:
    nurse = served.house.staff("NURSE", wards=("W1",))
    tried: list[Counts] = []
    settled: list[Counts] = []
    for _ in range(2):
        patient = served.stage.patient()
        served.stage.insured(patient)
        stay = served.stage.stay(patient)
        served.stage.register_insurance(stay)
        served.stage.charge(stay, *[10_000] * lines)
        till.pay_cash(served.stage, stay, 200_000)
        served.stage.leaving(stay)
        path = f"/v1/admissions/{stay.id}/settlement"
        counter.start()
        trial = nurse.post(f"{path}/trial")
        tried.append(counter.counts)
        counter.start()
        done = nurse.put(path, {"agree_to": trial["agree_to"]})
        settled.append(counter.counts)
    assert done["state"] == "CLOSED"
    assert tried[-1] == EXPECTED["a settlement tried"]
    assert settled[-1] == EXPECTED["a settlement agreed to and closed"]


def test_a_leg_asked_for_and_then_paid(served: Served, counter: Counter) -> None:
    stage = served.stage
    stage.simulator.settings(refund_seconds=3600)  # its own notice must not be counted too
    asked: list[Counts] = []
    told: list[Counts] = []
    for _ in range(2):
        patient = stage.patient()
        number = purse.store(stage, patient, 100, "WECHAT")
        paid_at = (stage.clock.now() - timedelta(days=10)).isoformat()
        known = {"transaction_id": number, "paid_at": paid_at, "total": 100}
        payments = {"hospital": stage.world_code, "payments": [known]}
        stage.simulator.post("/_sim/wxpay/history", payments)
        refund = purse.ask_back(stage, patient, 100)
        till.check(stage, refund)
        (leg,) = till.legs_of(refund)
        counter.start()
        refunds.pay_leg(stage.outside, leg.id)
        asked.append(counter.counts)
        now = stage.clock.now()
        said = genuine.refund(served.simulator, leg.number, 100, now, "SUCCESS")
        headers, body = genuine.notice(served.simulator, "REFUND.SUCCESS", said, now)
        assert arrivals.post(served, headers, body, "refund").status_code == 204
        (notice_id,) = arrivals.kept_ids(leg.number)
        counter.start()
        notices.apply_notice(stage.outside, notice_id)
        told.append(counter.counts)
        assert till.look(stage, refund)["state"] == "PAID"
    assert asked[-1] == EXPECTED["a refund leg asked for"]
    assert told[-1] == EXPECTED["a refund's notice applied"]
