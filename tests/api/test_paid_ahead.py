"""Courses, group contracts and other plans are no prepayment, and their rest goes back (GZ-9)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models import ledger
from models.db import Session
from models.ledger import AccountKind
from models.payment_order import OrderState, PaymentOrder
from simulator.clients import Answer
from tests.exceptions import Clinic, account
from tests.people import House, MovedClock

HOME = "/v1/paid-ahead"
COURSE = {"code": "COURSE", "course": "REHABILITATION", "units": 10}


class Desk(Clinic):
    """The window and finance, working on plans."""

    def open(self, claim: dict[str, Any], price_fen: int, **whose: Any) -> Answer:
        self.keys += 1
        wish = {"claim": claim, "price_fen": price_fen, **whose}
        return self.cashier.try_("POST", HOME, wish, key=f"plan-{self.keys:05}")

    def course(self, price_fen: int = 600_000, units: int = 10) -> str:
        """The path of a course that somebody has paid."""
        plan = self.open(COURSE | {"units": units}, price_fen, patient_id=self.somebody).body
        path = f"{HOME}/{plan['id']}"
        self.pay(path, price_fen)
        return path

    @property
    def somebody(self) -> str:
        return str(self.patient().id)

    def pay(self, path: str, fen: int, route: str = "CASH", key: str = "") -> Answer:
        self.keys += 1
        wish = {"amount_fen": fen, "route": route}
        key = key or f"pay-plan-{self.keys:05}"
        return self.cashier.try_("POST", f"{path}/payments", wish, key=key)

    def use(self, path: str, use_no: str, **more: Any) -> Answer:
        return self.cashier.try_("POST", f"{path}/uses", {"use_no": use_no, **more})

    def stop(self, path: str) -> Answer:
        return self.cashier.try_("POST", f"{path}/stop", {"reason": "患者不再治疗"})

    def give_back(self, refund_id: str) -> int:
        """Approve a refund and hand it over at the window; what was given."""
        refund = f"/v1/refunds/{refund_id}"
        self.checker.post(f"{refund}/check", {"approve": True})
        for leg in self.cashier.get(refund)["legs"]:
            self.cashier.post(f"{refund}/legs/{leg['id']}/hand-over", {"proof": "signed-1"})
        done = self.cashier.get(refund)
        assert done["state"] == "PAID"
        return done["amount_fen"]

    def stands_at(self, kind: AccountKind, owner: str) -> int:
        with Session() as db:
            return ledger.balance(db, self.house.hospital_id, kind, owner)

    @property
    def proven(self) -> bool:
        with Session() as db:
            return ledger.prove(db, self.house.hospital_id) == []


@pytest.fixture
def desk(house: House, clock: MovedClock) -> Desk:
    return Desk(house, clock)


def no(answer: Answer, code: str, status: int = 422) -> None:
    assert (answer.status, answer.code) == (status, code), answer.text


@pytest.mark.clause("GZ-9", "T1")
def test_a_course_of_treatment_is_course_money(desk):
    patient = desk.patient()
    claim = {"code": "COURSE", "course": "ORTHODONTICS", "units": 24}
    plan = desk.open(claim, 1_200_000, patient_id=str(patient.id)).body
    assert (plan["state"], plan["answer"]) == ("OPEN", "NOT_PREPAY:COURSE")
    no(desk.pay(f"{HOME}/{plan['id']}", 1_199_999), "AMOUNT_IS_NOT_WHAT_IS_DUE")
    paid = desk.pay(f"{HOME}/{plan['id']}", 1_200_000).body
    assert (paid["state"], paid["left_fen"]) == ("RUNNING", 1_200_000)
    assert paid["receipt_no"]
    assert desk.stands_at(AccountKind.COURSE_PREPAY, plan["id"]) == -1_200_000
    assert desk.maker.get("/v1/prepay/clearance") == {
        "accounts": 0,
        "total_fen": 0,
        "no_contact": 0,
        "by_channel": [],
    }
    assert desk.cashier.get(account(patient))["held_fen"] == 0
    assert desk.proven


@pytest.mark.clause("GZ-9", "T2")
@pytest.mark.parametrize(
    "claim",
    [
        {"code": "COURSE", "course": "DENTAL_FILLING", "units": 1},
        {"code": "COURSE", "course": "DENTAL_FILLING", "units": 3},
        {"code": "COURSE", "course": "ORTHODONTICS", "units": 1},
        {"code": "SPECIAL_OUTPATIENT_DISEASE"},
        {"code": "PRE_SURGERY_TESTS"},
    ],
)
def test_a_single_visit_is_not_a_course(desk, claim):
    answer = desk.open(claim, 30_000, patient_id=desk.somebody)
    no(answer, "EXCLUSION_NOT_APPLICABLE")
    assert answer.body["clause"] == "GZ-9"
    assert desk.cashier.get(HOME) == []


@pytest.mark.clause("GZ-9", "T3")
def test_a_group_check_up_belongs_to_the_group(desk):
    claim = {"code": "GROUP_EXAM", "proof": "HT-2025-7", "units": 100}
    no(desk.open(claim, 5_000_000, patient_id=desk.somebody), "PLAN_OWNER_WRONG")
    no(desk.open(claim, 99, employer="示范制造公司"), "PLAN_PRICE_TOO_LOW")
    plan = desk.open(claim, 5_000_000, employer="示范制造公司").body
    path = f"{HOME}/{plan['id']}"
    assert (plan["answer"], plan["employer"]) == ("NOT_PREPAY:GROUP_EXAM", "示范制造公司")
    assert plan["patient_id"] is None
    no(desk.pay(path, 5_000_000), "PLAN_OWNER_WRONG")
    told = {"channel": "BANK", "reference": "B-20250701-1"}
    paid = desk.maker.put(f"{path}/employers-payment", told)
    assert desk.maker.put(f"{path}/employers-payment", told) == paid
    other = desk.maker.try_("PUT", f"{path}/employers-payment", told | {"reference": "B-2"})
    assert (other.status, other.code) == (409, "LEDGER_KEY_REUSED")
    assert (paid["state"], paid["left_fen"]) == ("RUNNING", 5_000_000)
    assert paid["receipt_no"]
    assert desk.use(path, "TJ-1").body["left_fen"] == 4_950_000
    assert desk.stop(path).body["refund_id"] is None
    no(desk.use(path, "TJ-2"), "PLAN_NOT_RUNNING")
    for _ in range(2):
        back = desk.checker.put(f"{path}/repayment", {"slip_no": "B-20250801-9"})
        assert back["state"] == "REPAID"
    assert desk.stands_at(AccountKind.CASH, "BANK") == 50_000
    assert desk.stands_at(AccountKind.COURSE_PREPAY, plan["id"]) == 0
    assert desk.proven


@pytest.mark.clause("GZ-9", "T4")
def test_other_needs_a_second_person(desk):
    claim = {"code": "OTHER", "reason": "康复器械租用押金"}
    no(desk.open({"code": "OTHER"}, 50_000, patient_id=desk.somebody), "EXCLUSION_NOT_APPLICABLE")
    plan = desk.open(claim, 50_000, patient_id=desk.somebody).body
    path = f"{HOME}/{plan['id']}"
    assert plan["state"] == "TO_APPROVE"
    no(desk.pay(path, 50_000), "EXCLUSION_NEEDS_APPROVAL")
    approval = {"approve": True, "note": "看过租用单"}
    no(desk.cashier.try_("PUT", f"{path}/approval", approval), "PERMISSION_MISSING", 403)
    for _ in range(2):
        assert desk.checker.put(f"{path}/approval", approval)["state"] == "OPEN"
    assert desk.pay(path, 50_000).body["state"] == "RUNNING"
    no(desk.use(path, "ZJ-1"), "AMOUNT_NOT_POSITIVE")
    assert desk.use(path, "ZJ-1", amount_fen=12_345).body["left_fen"] == 37_655
    assert desk.use(path, "ZJ-1", amount_fen=12_345).body["used"] == 1
    no(desk.use(path, "ZJ-1", amount_fen=1), "IDEMPOTENCY_CONFLICT", 409)
    no(desk.use(path, "ZJ-2", amount_fen=37_656), "BALANCE_TOO_LOW")

    refused = f"{HOME}/{desk.open(claim, 50_000, patient_id=desk.somebody).body['id']}"
    assert desk.head.put(f"{refused}/approval", {"approve": False})["state"] == "REFUSED"
    no(desk.pay(refused, 50_000), "EXCLUSION_NEEDS_APPROVAL")


def test_who_opens_another_kind_does_not_approve_it_in_any_role(desk):
    both = desk.house.staff("CASHIER", "FINANCE_CHECKER", kind="DESK", ward="", window="3")
    wish = {"claim": {"code": "OTHER", "reason": "押金"}, "price_fen": 100}
    plan = both.post(HOME, wish | {"patient_id": desk.somebody}, key="both-0001")
    answer = both.try_("PUT", f"{HOME}/{plan['id']}/approval", {"approve": True})
    no(answer, "SAME_PERSON_FORBIDDEN")


@pytest.mark.clause("GZ-9", "T5")
def test_the_unused_part_of_a_course_comes_back_at_plan_price(desk):
    path = desk.course(600_000, 10)
    for visit in range(4):
        desk.use(path, f"KF-{visit}")
    assert desk.use(path, "KF-3").body["used"] == 4, "the same number is the same visit"
    stopped = desk.stop(path).body
    assert desk.stop(path).body == stopped
    assert desk.give_back(stopped["refund_id"]) == 360_000
    assert desk.cashier.get(path)["left_fen"] == 0
    assert desk.stands_at(AccountKind.CASH, "CASH") == 240_000
    assert desk.stands_at(AccountKind.REVENUE, "OUTPATIENT") == -240_000
    assert desk.proven


def test_a_rejected_refund_lets_the_course_run_on(desk):
    path = desk.course()
    first = desk.stop(path).body["refund_id"]
    no(desk.use(path, "KF-1"), "PLAN_NOT_RUNNING")
    desk.checker.post(f"/v1/refunds/{first}/check", {"approve": False, "note": "患者改变主意"})
    assert desk.use(path, "KF-1").body["left_fen"] == 540_000
    again = desk.stop(path).body["refund_id"]
    assert again != first
    assert desk.give_back(again) == 540_000
    assert desk.proven


def test_a_visit_recorded_by_mistake_is_taken_back_from_the_end(desk):
    path = desk.course(10_000, 3)
    desk.use(path, "KF-1")
    assert desk.use(path, "KF-2").body["left_fen"] == 3_334
    undo = f"{path}/uses/undo"
    no(desk.cashier.try_("POST", undo, {"use_no": "KF-1"}), "USE_IS_NOT_THE_LATEST")
    for _ in range(2):
        assert desk.cashier.post(undo, {"use_no": "KF-2"})["left_fen"] == 6_667
    desk.use(path, "KF-2")
    full = desk.use(path, "KF-3").body
    assert (full["used"], full["left_fen"]) == (3, 0)
    no(desk.use(path, "KF-4"), "PLAN_USED_UP")
    no(desk.stop(path), "NOTHING_TO_REFUND")
    assert desk.proven


def test_several_hands_at_once_use_and_pay_only_once(desk):
    plan = desk.open(COURSE | {"units": 2}, 20_000, patient_id=desk.somebody).body
    path = f"{HOME}/{plan['id']}"
    desk.cashier  # noqa: B018  logged in before the race
    together = Barrier(4)

    def at_once(what: Callable[[int], Answer]) -> list[int]:
        def one(number: int) -> int:
            together.wait()
            return what(number).status

        with ThreadPoolExecutor(4) as people:
            return sorted(people.map(one, range(4)))

    paid = at_once(lambda number: desk.pay(path, 20_000, "CASH", f"race-{number:04}"))
    assert paid == [200, 422, 422, 422]
    assert at_once(lambda number: desk.use(path, f"KF-{number}")) == [200, 200, 422, 422]
    assert desk.cashier.get(path)["left_fen"] == 0
    assert desk.stands_at(AccountKind.CASH, "CASH") == 20_000
    assert desk.proven


def test_what_came_in_twice_goes_back_while_the_course_runs_on(desk, simulator, clock):
    """The QR was given up, the window took cash, and then the phone's payment arrives after all."""
    plan = desk.open(COURSE, 600_000, patient_id=desk.somebody).body
    path = f"{HOME}/{plan['id']}"
    waiting = desk.pay(path, 600_000, "QR").body["order_id"]
    code_url = desk.cashier.get(f"/v1/payments/{waiting}")["pay_with"]["code_url"]
    no(desk.pay(path, 600_000), "AMOUNT_IS_NOT_WHAT_IS_DUE")
    with Session.begin() as db:
        order = PaymentOrder.locked(db, UUID(waiting))
        order.move(db, OrderState.CLOSED, at=clock(), by="system", why="given up")
    assert desk.pay(path, 600_000).body["state"] == "RUNNING"
    no(desk.cashier.try_("POST", f"{path}/surplus-refund"), "NOTHING_TO_REFUND")
    simulator.pay(code_url=code_url, openid="o-late").raise_for_status()
    assert desk.cashier.get(f"/v1/payments/{waiting}")["state"] == "PAID"
    (task,) = desk.cashier.get("/v1/work-items", query={"kind": "PAID_AHEAD_TWICE"})
    assert task["subject"] == f"paid-ahead:{plan['id']}"
    assert desk.use(path, "KF-1").body["left_fen"] == 1_140_000
    refund_id = desk.cashier.post(f"{path}/surplus-refund")["refund_id"]
    assert desk.cashier.get(f"/v1/refunds/{refund_id}")["amount_fen"] == 600_000
    assert desk.cashier.get(path)["left_fen"] == 540_000
    no(desk.cashier.try_("POST", f"{path}/surplus-refund"), "NOTHING_TO_REFUND")
    assert desk.proven


def test_a_patient_sees_and_stops_the_own_plans_only(desk):
    phone, patient = desk.house.patient_phone()
    plan = desk.open(COURSE, 600_000, patient_id=str(patient.id)).body
    path = f"{HOME}/{plan['id']}"
    desk.pay(path, 600_000)
    desk.course()
    desk.open({"code": "GROUP_EXAM", "proof": "HT-1", "units": 2}, 200, employer="某公司")
    assert [each["id"] for each in phone.get(HOME)] == [plan["id"]]
    assert desk.house.phone().get(HOME) == []
    assert len(desk.cashier.get(HOME)) == 3
    assert len(desk.cashier.get(HOME, query={"code": "GROUP_EXAM"})) == 1
    stopped = phone.post(f"{path}/stop", {"reason": "搬家了"})
    assert desk.give_back(stopped["refund_id"]) == 600_000


def test_the_same_key_is_one_plan(desk):
    wish = {"claim": COURSE, "price_fen": 600_000, "patient_id": desk.somebody}
    once = desk.cashier.post(HOME, wish, key="plan-same-1")
    assert desk.cashier.post(HOME, wish, key="plan-same-1") == once
    changed = desk.cashier.try_("POST", HOME, wish | {"price_fen": 1}, key="plan-same-1")
    assert (changed.status, changed.code) == (409, "IDEMPOTENCY_CONFLICT")


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_no_fen_of_a_course_is_lost_in_any_history(desk, data):
    """Random uses and undos, then the patient stops: taken = used + given back, to the fen."""
    units = data.draw(st.integers(2, 6))
    price = data.draw(st.integers(units, 100_000))
    before = desk.stands_at(AccountKind.REVENUE, "OUTPATIENT")
    path = desk.course(price, units)
    live: list[str] = []
    for step, undo in enumerate(data.draw(st.lists(st.booleans(), max_size=8))):
        if undo and live:
            desk.cashier.post(f"{path}/uses/undo", {"use_no": live.pop()})
        elif desk.use(path, f"KF-{step}").status == 200:
            live.append(f"KF-{step}")
    shown = desk.cashier.get(path)
    assert shown["used"] == len(live)
    earned = before - desk.stands_at(AccountKind.REVENUE, "OUTPATIENT")
    assert earned == price * len(live) // units
    assert shown["left_fen"] == price - earned
    if shown["left_fen"]:
        refund = desk.cashier.get(f"/v1/refunds/{desk.stop(path).body['refund_id']}")
        assert refund["amount_fen"] == price - earned
    assert desk.proven
