"""One visit, one payment, one receipt, and each item given back by itself, over HTTP (GZ-19)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from uuid import uuid4

import pytest

from config import today
from journeys import refunds
from models import ledger
from models.admission import Admission
from models.db import Session, rows
from models.ledger import AccountKind
from models.prepay_account import PrepayAccount
from models.unreturnable import UnreturnableMark
from simulator.clients import Answer, Client
from tests.api.old_cards import balance, held, old_card
from tests.models.stored_money import findings
from tests.people import House

ITEMS = [
    {"order_no": "O-1", "name": "血常规", "amount_fen": 2_000},
    {"order_no": "O-2", "name": "胸部CT", "amount_fen": 26_050},
    {"order_no": "O-3", "name": "阿莫西林胶囊", "amount_fen": 1_890},
]
TOTAL = 29_940
LONG_AGO = date(2022, 5, 1)


class Clinic:
    """A patient's visit that the HIS has reported, and the people around it."""

    def __init__(self, house: House) -> None:
        self.house, self.his = house, house.his()
        self.phone, self.patient = house.patient_phone()
        self.cashier = house.staff("CASHIER", kind="DESK", ward="", window="3")
        self.checker = house.staff("FINANCE_CHECKER", kind="DESK", ward="")
        self.report = {
            "visit_no": f"V-{house.code}",
            "his_patient_no": self.patient.his_patient_no,
            "items": ITEMS,
        }
        self.visit = self.his.post("/v1/his/events/visit", self.report)
        self.path = f"/v1/visits/{self.visit['id']}"

    def pay(self, by: Client, fen: int = TOTAL, route: str = "CASH", key: str = "pay-0001") -> dict:
        return by.post(f"{self.path}/payments", {"amount_fen": fen, "route": route}, key=key)

    def try_pay(
        self, by: Client, fen: int = TOTAL, route: str = "CASH", key: str = "pay-0002"
    ) -> Answer:
        wish = {"amount_fen": fen, "route": route}
        return by.try_("POST", f"{self.path}/payments", wish, key=key)

    def give_back(self, place: int, by: Client, reason: str = "没有做") -> dict:
        item = self.visit["items"][place]["id"]
        shown = by.post(f"{self.path}/items/{item}/refund", {"reason": reason})
        return by.get(f"/v1/refunds/{shown['items'][place]['refund_id']}")

    def check(self, refund: dict, approve: bool = True) -> dict:
        path = f"/v1/refunds/{refund['id']}/check"
        return self.checker.post(path, {"approve": approve, "note": "看过了"})

    def ask_wechat(self) -> None:
        """What the timetable does for legs that are due."""
        outside = self.house.app.extensions["surroundings"].counterparts_of(self.house.code)
        refunds.sweep_legs(outside, self.house.hospital_id)

    def stands_at(self, kind: AccountKind, owner: str) -> int:
        with Session() as db:
            return ledger.balance(db, self.house.hospital_id, kind, owner)

    @property
    def earned(self) -> int:
        return -self.stands_at(AccountKind.REVENUE, "OUTPATIENT")

    def proven(self) -> bool:
        with Session() as db:
            return ledger.prove(db, self.house.hospital_id) == []


@pytest.fixture
def clinic(house: House, simulator) -> Clinic:
    simulator.settings(refund_gap_seconds=0)
    return Clinic(house)


@pytest.mark.clause("GZ-19", "T7")
def test_three_orders_are_one_payment_and_one_receipt(clinic: Clinic):
    shown = clinic.visit
    assert (shown["state"], shown["total_fen"], shown["order_id"]) == ("OPEN", TOTAL, None)
    assert [item["order_no"] for item in shown["items"]] == ["O-1", "O-2", "O-3"]
    paid = clinic.pay(clinic.cashier)
    assert paid["state"] == "PAID"
    receipt = clinic.cashier.get(f"/v1/receipts/{paid['receipt_no']}")
    assert (receipt["kind"], receipt["facts"]["amount_fen"]) == ("VISIT", TOTAL)
    held = "SELECT count(*) AS n FROM {} WHERE hospital_id = :h"
    for table in ("payment_order", "receipt"):
        assert rows(held.format(table), h=clinic.house.hospital_id) == [{"n": 1}]
    assert (clinic.earned, clinic.stands_at(AccountKind.CASH, "CASH")) == (TOTAL, TOTAL)
    assert clinic.proven()


@pytest.mark.clause("GZ-19", "T7")
def test_one_item_goes_back_by_cash_and_the_others_stay(clinic: Clinic):
    clinic.pay(clinic.cashier)
    refund = clinic.give_back(1, clinic.cashier)
    assert (refund["state"], refund["amount_fen"], refund["legs"][0]["route"]) == (
        "REQUESTED",
        26_050,
        "CASH",
    )
    leg = f"/v1/refunds/{refund['id']}/legs/{refund['legs'][0]['id']}/hand-over"
    early = clinic.cashier.try_("POST", leg, {"proof": "signed-in-ink"})
    assert (early.status, early.code) == (422, "REFUND_NOT_APPROVED")
    clinic.check(refund)
    assert clinic.cashier.post(leg, {"proof": "signed-in-ink"})["state"] == "PAID"
    seen = clinic.phone.get(clinic.path)
    assert [item["refund_id"] for item in seen["items"]] == [None, refund["id"], None]
    assert (clinic.earned, clinic.stands_at(AccountKind.CASH, "CASH")) == (3_890, 3_890)
    assert clinic.proven()


@pytest.mark.clause("GZ-19", "T7")
def test_paid_by_phone_it_goes_back_by_wechat(clinic: Clinic):
    simulator = clinic.house.simulator
    shown = clinic.pay(clinic.phone, route="MINI_PROGRAM")
    assert shown["state"] == "OPEN"
    order = clinic.phone.get(f"/v1/payments/{shown['order_id']}")
    openid = rows("SELECT payer_openid FROM payment_order WHERE id = :id", id=order["id"])
    pays = {**order["pay_with"], "openid": openid[0]["payer_openid"]}
    simulator.pay(**pays).raise_for_status()
    assert clinic.phone.get(f"/v1/payments/{order['id']}")["state"] == "PAID"
    assert clinic.phone.get(clinic.path)["state"] == "PAID"

    refund = clinic.give_back(0, clinic.phone)
    assert refund["legs"][0]["route"] == "WECHAT"
    clinic.ask_wechat()
    assert clinic.phone.get(f"/v1/refunds/{refund['id']}")["legs"][0]["state"] == "PLANNED"
    clinic.check(refund)
    for _ in range(3):
        clinic.ask_wechat()
        clinic.house.now.forward(seconds=20)
    assert clinic.phone.get(f"/v1/refunds/{refund['id']}")["state"] == "PAID"
    assert simulator.books()["wxpay"][order["id"].replace("-", "")]["refunded_fen"] == 2_000
    assert (clinic.earned, clinic.stands_at(AccountKind.CASH, "WECHAT")) == (27_940, 27_940)
    assert clinic.proven()


def test_a_qr_at_the_window_shows_what_to_scan(clinic: Clinic):
    shown = clinic.pay(clinic.cashier, route="QR")
    order = clinic.cashier.get(f"/v1/payments/{shown['order_id']}")
    assert (order["state"], order["purpose"], order["amount_fen"]) == ("WAITING", "VISIT", TOTAL)
    clinic.house.simulator.pay(code_url=order["pay_with"]["code_url"], openid="o-aunt")
    assert clinic.cashier.get(f"/v1/payments/{order['id']}")["receipt_no"]
    assert clinic.cashier.get(clinic.path)["state"] == "PAID"


@pytest.mark.clause("GZ-19", "T7")
def test_nobody_pays_twice(clinic: Clinic):
    first = clinic.pay(clinic.cashier)
    assert clinic.pay(clinic.cashier) == first
    again = clinic.try_pay(clinic.cashier)
    assert (again.status, again.code, again.body["clause"]) == (422, "VISIT_NOT_OPEN", "GZ-19")
    other = clinic.try_pay(clinic.cashier, fen=TOTAL - 1, key="pay-0001")
    assert (other.status, other.code) == (409, "IDEMPOTENCY_CONFLICT")
    assert clinic.stands_at(AccountKind.CASH, "CASH") == TOTAL


def test_while_one_pays_by_phone_the_window_takes_no_second_payment(clinic: Clinic):
    clinic.pay(clinic.phone, route="MINI_PROGRAM")
    second = clinic.try_pay(clinic.cashier)
    assert (second.status, second.code) == (422, "AMOUNT_IS_NOT_WHAT_IS_DUE")
    assert clinic.stands_at(AccountKind.CASH, "CASH") == 0


@pytest.mark.parametrize("fen", [1, TOTAL - 1, TOTAL + 1])
def test_another_amount_is_refused_and_the_right_one_is_said(clinic: Clinic, fen: int):
    answer = clinic.try_pay(clinic.cashier, fen=fen)
    assert (answer.status, answer.code) == (422, "AMOUNT_IS_NOT_WHAT_IS_DUE")
    assert "299.40" in answer.body["detail"] + answer.body["next_step"]
    assert (
        rows("SELECT 1 FROM payment_order WHERE hospital_id = :h", h=clinic.house.hospital_id) == []
    )


def test_nobody_else_s_visit_is_there(clinic: Clinic):
    stranger, _ = clinic.house.patient_phone()
    unbound = clinic.house.phone()
    elsewhere = House(clinic.house.app, clinic.house.base_url, clinic.house.now, None)
    cashier = elsewhere.staff("CASHIER", kind="DESK", ward="", window="1")
    item = f"{clinic.path}/items/{clinic.visit['items'][0]['id']}/refund"
    wish = {"amount_fen": TOTAL, "route": "MINI_PROGRAM"}
    for who in (stranger, unbound, cashier):
        wish["route"] = "CASH" if who is cashier else "MINI_PROGRAM"
        for method, path, body in (
            ("GET", clinic.path, None),
            ("POST", f"{clinic.path}/payments", wish),
            ("POST", item, {"reason": "不要了"}),
        ):
            answer = who.try_(method, path, body, key="stranger-1")
            assert (answer.status, answer.code) == (404, "VISIT_UNKNOWN"), path
    foreign = clinic.cashier.try_(
        "POST", item.replace(clinic.visit["items"][0]["id"], str(uuid4())), {"reason": "x"}
    )
    assert (foreign.status, foreign.code) == (404, "VISIT_UNKNOWN")
    assert clinic.earned == 0


def test_an_item_is_asked_back_once_only_after_payment_and_by_two_people(clinic: Clinic):
    item = f"{clinic.path}/items/{clinic.visit['items'][2]['id']}/refund"
    early = clinic.cashier.try_("POST", item, {"reason": "不要了"})
    assert (early.status, early.code) == (422, "VISIT_NOT_PAID")
    clinic.pay(clinic.cashier)
    both = clinic.house.staff("FINANCE_CHECKER", "CASHIER", kind="DESK", ward="", window="4")
    refund = clinic.give_back(2, both)
    assert clinic.give_back(2, clinic.cashier)["id"] == refund["id"]
    same = both.try_("POST", f"/v1/refunds/{refund['id']}/check", {"approve": True})
    assert (same.status, same.code) == (422, "SAME_PERSON_FORBIDDEN")
    alone = clinic.cashier.try_("POST", f"/v1/refunds/{refund['id']}/check", {"approve": True})
    assert (alone.status, alone.code) == (403, "PERMISSION_MISSING")
    assert rows("SELECT 1 AS one FROM refund WHERE subject_id = :v", v=clinic.visit["id"]) == [
        {"one": 1}
    ]


def test_a_rejected_item_is_earned_again_and_may_be_asked_back_again(clinic: Clinic):
    clinic.pay(clinic.cashier)
    for _ in range(2):
        refund = clinic.give_back(1, clinic.cashier)
        assert clinic.earned == 3_890
        assert clinic.check(refund, approve=False)["state"] == "REJECTED"
        assert clinic.earned == TOTAL
        assert clinic.stands_at(AccountKind.VISIT_PAYMENT, clinic.visit["id"]) == 0
    clinic.check(clinic.give_back(1, clinic.cashier))
    assert clinic.earned == 3_890
    assert clinic.proven()


def test_the_his_may_say_it_twice_but_not_differently(clinic: Clinic):
    assert clinic.his.post("/v1/his/events/visit", clinic.report) == clinic.visit
    changed = clinic.report | {"items": ITEMS[:2]}
    answer = clinic.his.try_("POST", "/v1/his/events/visit", changed)
    assert (answer.status, answer.code) == (409, "VISIT_CHANGED")
    assert clinic.cashier.get(clinic.path) == clinic.visit


def test_said_twice_at_the_same_moment_it_is_one_visit(clinic: Clinic):
    report = clinic.report | {"visit_no": "V-twice"}
    with ThreadPoolExecutor(4) as pool:
        ask = [pool.submit(clinic.his.post, "/v1/his/events/visit", report) for _ in range(8)]
        ids = {each.result()["id"] for each in ask}
    assert len(ids) == 1


@pytest.mark.parametrize(
    ("changed", "status", "code", "field"),
    [
        ({"his_patient_no": "nobody"}, 404, "PATIENT_UNKNOWN", ""),
        ({"items": []}, 422, "FIELDS_INVALID", "items"),
        ({"items": [ITEMS[0], ITEMS[0]]}, 422, "FIELDS_INVALID", "items"),
        ({"items": [ITEMS[0] | {"amount_fen": 0}]}, 422, "FIELDS_INVALID", "items.0.amount_fen"),
        ({"items": [ITEMS[0] | {"amount_fen": 1.0}]}, 422, "FIELDS_INVALID", "items.0.amount_fen"),
    ],
)
def test_what_the_his_may_not_report(clinic: Clinic, changed, status, code, field):
    report = clinic.report | {"visit_no": "V-new"} | changed
    answer = clinic.his.try_("POST", "/v1/his/events/visit", report)
    assert (answer.status, answer.code) == (status, code)
    assert [error["field"] for error in answer.body.get("errors", [])] == ([field] if field else [])
    assert rows("SELECT 1 FROM visit WHERE visit_no = 'V-new'") == []


def stored(clinic: Clinic, *fen: int) -> list:
    """Old cards of the patient, each with one top-up of long ago."""
    return [old_card(clinic.house, each, LONG_AGO, patient=clinic.patient) for each in fen]


def test_stored_money_pays_a_visit_and_an_item_comes_back(clinic: Clinic) -> None:
    first, second = stored(clinic, 20_000, 15_000)
    paid = clinic.pay(clinic.phone, route="BALANCE")
    assert (paid["state"], bool(paid["receipt_no"])) == ("PAID", True)
    assert clinic.pay(clinic.phone, route="BALANCE") == paid
    assert [held(clinic.house, card) for card in (first, second)] == [0, 35_000 - TOTAL]
    assert balance(clinic.house, AccountKind.REVENUE, "OUTPATIENT") == -TOTAL
    refund = clinic.give_back(1, clinic.cashier)
    assert (refund["amount_fen"], {leg["route"] for leg in refund["legs"]}) == (26_050, {"CASH"})
    assert clinic.check(refund, approve=False)["state"] == "REJECTED"
    assert findings(clinic.house.hospital_id) == []


def test_stored_money_pays_no_more_than_is_there_and_no_stay(clinic: Clinic) -> None:
    (card,) = stored(clinic, TOTAL - 1)
    short = clinic.try_pay(clinic.cashier, route="BALANCE")
    assert (short.status, short.code) == (422, "BALANCE_TOO_LOW")
    assert held(clinic.house, card) == TOTAL - 1
    stay = clinic.house.stay(clinic.patient)
    with Session.begin() as db:
        db.get_one(Admission, stay.id).quota_fen = 300_000
    wish = {"amount_fen": 100, "route": "BALANCE"}
    for client in (clinic.phone, clinic.cashier):
        other = client.try_("POST", f"/v1/admissions/{stay.id}/deposits", wish, key="deposit-01")
        assert (other.status, other.code) == (422, "BALANCE_PAYS_VISITS_ONLY")
    nurse = clinic.house.staff("NURSE", wards=("W1",))
    assert (
        nurse.try_("POST", f"/v1/admissions/{stay.id}/deposits", wish, key="k-000001").status == 403
    )


def test_a_holder_who_pays_with_it_is_not_lost(clinic: Clinic) -> None:
    (card,) = stored(clinic, TOTAL)
    with Session.begin() as db:
        db.add(
            UnreturnableMark(
                hospital_id=clinic.house.hospital_id,
                account_id=card,
                reason="CONTACT_CHANGED",
                risk_note="",
                found_on=LONG_AGO,
                marked_at=clinic.house.now(),
                marked_by="staff:x",
            )
        )
    clinic.pay(clinic.cashier, route="BALANCE")
    with Session() as db:
        assert UnreturnableMark.live(db, card) is None
        assert db.get_one(PrepayAccount, card).last_activity_on == today(clinic.house.now())


def test_two_payments_at_once_with_the_same_balance(clinic: Clinic) -> None:
    (card,) = stored(clinic, TOTAL)
    other = clinic.his.post("/v1/his/events/visit", clinic.report | {"visit_no": "V-other"})
    paths = (clinic.path, f"/v1/visits/{other['id']}")
    wish = {"amount_fen": TOTAL, "route": "BALANCE"}

    def pay(path: str) -> int:
        return clinic.cashier.try_("POST", f"{path}/payments", wish, key=f"key-{path[-8:]}").status

    with ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(pay, paths))
    assert answers[0] == 200
    assert answers[1] in (409, 422)
    assert held(clinic.house, card) == 0
    assert balance(clinic.house, AccountKind.REVENUE, "OUTPATIENT") == -TOTAL
    assert findings(clinic.house.hospital_id) == []
