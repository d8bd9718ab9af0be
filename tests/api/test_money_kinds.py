"""What kind of money it is, asked at the window before it is taken (GZ-5)."""

from datetime import date

import pytest

from models.db import rows
from tests.exceptions import Clinic
from tests.people import House, MovedClock

PENDING = "/v1/outpatient-money/without-invoice"


@pytest.fixture
def clinic(house: House, clock: MovedClock) -> Clinic:
    return Clinic(house, clock).on(date(2025, 7, 1))


def ask(clinic: Clinic, patient, fen: int, key: str = "kind-0001", **facts):
    path = f"/v1/patients/{patient.id}/outpatient-money/classifications"
    return clinic.cashier.try_("POST", path, {"amount_fen": fen, **facts}, key=key)


@pytest.mark.clause("GZ-5", "T1", "T2", "T3", "T4")
@pytest.mark.parametrize(
    ("fen", "facts", "answer", "may_be_taken"),
    [
        (20_000, {}, "OUTPATIENT_PREPAY", False),
        (18_600, {"order_ids": ["O-88"], "invoice_no": "5200-1"}, "ORDINARY_PAYMENT", True),
        (
            1_500,
            {"claim": {"code": "REGISTRATION_FEE", "proof": "YY-7"}},
            "NOT_PREPAY:REGISTRATION_FEE",
            True,
        ),
        (20_000, {"order_ids": ["O-88"]}, "ORDINARY_PAYMENT_PENDING_INVOICE", True),
        (
            30_000,
            {"claim": {"code": "COURSE", "course": "DENTAL_FILLING", "units": 1}},
            "EXCLUSION_NOT_APPLICABLE",
            False,
        ),
        (
            30_000,
            {"claim": {"code": "OTHER", "reason": "器械押金"}},
            "EXCLUSION_NEEDS_APPROVAL",
            False,
        ),
    ],
)
def test_what_it_is_and_what_is_kept_of_it(clinic, fen, facts, answer, may_be_taken):
    told = ask(clinic, clinic.patient(), fen, **facts).body
    assert (told["answer"], told["may_be_taken"]) == (answer, may_be_taken)
    assert told["say"] and told["next"]
    (kept,) = rows("SELECT * FROM classification WHERE id = :id", id=told["id"])
    assert (kept["answer"], kept["amount_fen"], kept["version"]) == (answer, fen, "2025-06.1")
    assert kept["order_ids"] == facts.get("order_ids", [])
    assert kept["invoice_no"] == facts.get("invoice_no", "")
    assert (kept["rules"]["clause"], kept["rules"]["answer"]) == ("GZ-5", answer)
    assert kept["rules"]["packs"] == ["GZ-2025-06-30", "CN-2025-03-31"]
    assert kept["rules"]["inputs"]["to_institution"] is True


@pytest.mark.clause("GZ-5", "T4")
def test_an_order_without_an_invoice_is_listed_the_next_day_until_it_has_one(clinic):
    patient = clinic.patient()
    told = ask(clinic, patient, 20_000, order_ids=["O-88"]).body
    assert ask(clinic, patient, 20_000, order_ids=["O-88"]).body == told
    assert ask(clinic, patient, 20_000).code == "IDEMPOTENCY_CONFLICT"
    ask(clinic, patient, 5_000, key="kind-0002", order_ids=["O-89"], invoice_no="5200-2")
    assert clinic.cashier.get(PENDING) == []
    clinic.on(date(2025, 7, 2))
    (late,) = clinic.cashier.get(PENDING)
    assert (late["id"], late["order_ids"], late["invoice_no"]) == (told["id"], ["O-88"], "")
    invoice = f"/v1/outpatient-money/classifications/{told['id']}/invoice"
    for _ in range(2):
        assert clinic.cashier.put(invoice, {"invoice_no": "5200-3"})["invoice_no"] == "5200-3"
    assert clinic.cashier.try_("PUT", invoice, {"invoice_no": "5200-4"}).status == 409
    assert clinic.cashier.get(PENDING) == []


def test_a_visits_services_count_as_determined(clinic):
    patient = clinic.patient()
    report = {
        "visit_no": f"V-{clinic.house.code}",
        "his_patient_no": patient.his_patient_no,
        "items": [{"order_no": "O-1", "name": "血常规", "amount_fen": 2_000}],
    }
    visit = clinic.house.his().post("/v1/his/events/visit", report)
    told = ask(clinic, patient, 2_000, visit_id=visit["id"]).body
    assert (told["answer"], told["order_ids"]) == ("ORDINARY_PAYMENT_PENDING_INVOICE", ["O-1"])
    other = ask(clinic, clinic.patient(), 2_000, key="kind-0002", visit_id=visit["id"])
    assert (other.status, other.code) == (404, "VISIT_UNKNOWN")
    plain = ask(clinic, patient, 20_000, key="kind-0003").body
    invoice = f"/v1/outpatient-money/classifications/{plain['id']}/invoice"
    no = clinic.cashier.try_("PUT", invoice, {"invoice_no": "5200-3"})
    assert (no.status, no.code) == (404, "CLASSIFICATION_UNKNOWN")
