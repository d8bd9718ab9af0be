"""A relative over HTTP: who may only look cannot pay, who may pay can, and a withdrawal counts at
once."""

from datetime import timedelta

import pytest

from models.admission import Admission
from models.db import Session, rows
from simulator.clients import Answer, Client
from tests.his_day import line
from tests.people import House

BACK = {"amount_fen": 100, "reason": "PATIENT_WISH"}
PHONE = {"amount_fen": 100, "route": "MINI_PROGRAM"}
AGREE = {"agree_to": "a" * 64}


class Family:
    """A patient and a relative, each on an own phone."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.phone, self.patient = house.patient_phone()
        self.relative = house.phone()
        self.stay = house.stay(self.patient)
        self.path = f"/v1/admissions/{self.stay.id}"
        with Session.begin() as db:
            db.get_one(Admission, self.stay.id).quota_fen = 300_000

    def consent(self, *scopes: str) -> str:
        """Given and redeemed; its id."""
        offer = {"scopes": list(scopes), "relation": "女儿", "days": 7}
        given = self.phone.post("/v1/patient/consents", offer)
        self.relative.post("/v1/patient/consents/redeem", {"code": given["code"]})
        return given["id"]

    def pays(self, key: str = "relative-1") -> Answer:
        return self.relative.try_("POST", f"{self.path}/deposits", PHONE, key=key)

    def orders(self) -> int:
        return rows(
            "SELECT count(*) AS n FROM payment_order WHERE subject_id = :s", s=self.stay.id
        )[0]["n"]


@pytest.fixture
def family(house: House) -> Family:
    return Family(house)


def test_who_may_only_look_cannot_pay(family: Family):
    family.consent("VIEW_BILL")
    assert family.relative.get(family.path)["state"] == "IN_HOUSE"
    answer = family.pays()
    assert (answer.status, answer.code, family.orders()) == (404, "ADMISSION_UNKNOWN", 0)
    due = family.relative.try_("POST", f"{family.path}/settlement/payments", PHONE, key="due-0001")
    assert (due.status, due.code) == (404, "ADMISSION_UNKNOWN")


def test_who_may_pay_pays_and_no_more_once_it_is_withdrawn(family: Family):
    consent = family.consent("PAY")
    order = family.pays()
    assert (order.status, order.body["state"], family.orders()) == (200, "WAITING", 1)
    looked = family.relative.get(f"/v1/payments/{order.body['id']}")
    assert looked["pay_with"] == order.body["pay_with"]
    assert family.relative.try_("GET", family.path).code == "ADMISSION_UNKNOWN"
    family.phone.delete(f"/v1/patient/consents/{consent}")
    again = family.pays(key="relative-2")
    assert (again.status, again.code, family.orders()) == (404, "ADMISSION_UNKNOWN", 1)
    gone = family.relative.try_("GET", f"/v1/payments/{order.body['id']}")
    assert (gone.status, gone.code) == (404, "ORDER_UNKNOWN")


def test_who_may_pay_pays_what_is_due_and_gets_an_answer(family: Family):
    family.consent("PAY")
    house = family.house
    his, nurse = house.his(), house.staff("NURSE", wards=("W1",))
    _charge_and_discharge(family, his)
    trial = nurse.post(f"{family.path}/settlement/trial")
    due = nurse.put(f"{family.path}/settlement", {"agree_to": trial["agree_to"]})
    assert (due["state"], due["due_fen"], due["order_id"]) == ("DUE", 30_000, None)
    wish = {"amount_fen": 30_000, "route": "MINI_PROGRAM"}
    paying = family.relative.post(f"{family.path}/settlement/payments", wish, key="the-due-1")
    order = family.relative.get(f"/v1/payments/{paying['order_id']}")
    assert (order["state"], order["purpose"], order["amount_fen"]) == (
        "WAITING",
        "SETTLEMENT",
        30_000,
    )
    openid = rows("SELECT payer_openid AS o FROM payment_order WHERE id = :i", i=order["id"])
    house.simulator.pay(**order["pay_with"], openid=openid[0]["o"]).raise_for_status()
    assert family.relative.get(f"/v1/payments/{order['id']}")["state"] == "PAID"
    for step in ("POST settlement/trial", "GET settlement", "GET daily-bills"):
        method, _, rest = step.partition(" ")
        answer = family.relative.try_(method, f"{family.path}/{rest}")
        assert (answer.status, answer.code) == (404, "ADMISSION_UNKNOWN"), step


def test_a_relative_never_acts_as_the_patient(family: Family):
    family.consent("VIEW_BILL", "PAY")
    for ask, body in (
        ("PUT registration", {}),
        ("PUT insurance", {}),
        ("POST deposit-refunds", BACK),
        ("POST settlement/trial", None),
        ("PUT settlement", AGREE),
    ):
        method, _, rest = ask.partition(" ")
        answer = family.relative.try_(method, f"{family.path}/{rest}", body, key="relative-3")
        assert (answer.status, answer.code) == (404, "ADMISSION_UNKNOWN"), ask


def _charge_and_discharge(family: Family, his: Client) -> None:
    number, now = family.stay.inpatient_no, family.house.now()
    charge = line(
        number,
        occurred_at=(now - timedelta(hours=2)).isoformat(),
        quantity="1",
        unit_price="300.00",
        amount="300.00",
    )
    his.post("/v1/his/events/charge-batch", {"source_event_id": "c-1", "lines": [charge]})
    left = {"source_event_id": "d-1", "inpatient_no": number}
    at = {"ordered_at": now.isoformat(), "left_at": now.isoformat()}
    his.post("/v1/his/events/discharge-order", left | at)
