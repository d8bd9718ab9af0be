"""One stay over several channels, by people who lose answers, wards, phones and patience."""

from datetime import timedelta

import pytest

from policies.money import yuan
from tests.his_day import line
from tests.people import House
from tests.stage import id_number

EVENTS = "/v1/his/events"


@pytest.fixture
def team(house: House):
    """The people of one hospital around one patient of 70 who is in the HIS's index."""
    return Team(house)


class Team:
    def __init__(self, house: House) -> None:
        self.house, self.his = house, house.his()
        self.number = f"ZY-{house.code}"
        self.id_no = id_number(int(house.code[1:].partition("-")[0]))
        self.nurse = house.staff("NURSE", wards=("W1",))
        self.cashier = house.staff("CASHIER", kind="DESK", ward="", window="3")
        self.maker = house.staff("FINANCE_MAKER", kind="DESK", ward="")
        self.checker = house.staff("FINANCE_CHECKER", kind="DESK", ward="")
        seed = {"certno": self.id_no, "name": "张小丰", "fixed": {"hifp_pay": "600.00"}}
        house.simulator.post("/_sim/insurance/GZ01/persons", seed)

    def slip(self, **changed) -> str:
        told = self.his.post(
            f"{EVENTS}/admission",
            {
                "source_event_id": f"adm-{self.number}",
                "inpatient_no": self.number,
                "admitted_at": (self.house.now() - timedelta(days=1)).isoformat(),
                "ward": "W1",
                "bed": "12",
                "department_code": "0301",
                "department_name": "普外科",
                "doctor_code": "D0001",
                "doctor_name": "李示范",
                "diagnosis_code": "K35.800",
                "diagnosis_name": "急性阑尾炎",
                "patient": {
                    "his_patient_no": f"P-{self.number}",
                    "name": "张小丰",
                    "id_no": self.id_no,
                    "phone": "19900000070",
                },
            }
            | changed,
        )
        return f"/v1/admissions/{told['admission_id']}"

    def phone(self):
        client = self.house.phone()
        client.bind("张小丰", self.id_no)
        return client

    def in_house(self) -> str:
        stay = self.slip()
        self.nurse.put(f"{stay}/registration", {})
        self.maker.put(f"{stay}/quota", {"quota_fen": 300_000, "basis": "同病种"})
        return stay

    def charged(self, fen: int) -> None:
        body = {
            "source_event_id": f"chg-{self.number}-{fen}",
            "lines": [
                line(
                    self.number,
                    occurred_at=(self.house.now() - timedelta(hours=2)).isoformat(),
                    quantity="1",
                    unit_price=yuan(fen),
                    amount=yuan(fen),
                )
            ],
        }
        answer = self.his.post(f"{EVENTS}/charge-batch", body)
        assert answer["accepted"] == 1, answer

    def leaves(self) -> None:
        at = self.house.now().isoformat()
        body = {
            "source_event_id": f"dis-{self.number}",
            "inpatient_no": self.number,
            "ordered_at": at,
            "left_at": at,
        }
        self.his.post(f"{EVENTS}/discharge-order", body)


def cash(fen: int) -> dict:
    return {"amount_fen": fen, "route": "CASH"}


@pytest.mark.clause("GZ-20", "T1")
def test_one_admission_over_three_channels(team: Team):
    stay = team.slip()
    team.phone().put(f"{stay}/registration", {})
    team.nurse.put(f"{stay}/insurance", {})
    team.maker.put(f"{stay}/quota", {"quota_fen": 300_000, "basis": "同病种"})
    team.cashier.post(f"{stay}/deposits", cash(100_000), key="window-0001")
    seen = team.cashier.get(stay)
    trail = [(step["step"], step["channel"]) for step in seen["steps"]]
    assert trail[-4:] == [
        ("registration", "PHONE"),
        ("insurance", "BEDSIDE"),
        ("quota", "DESK"),
        ("deposit", "WINDOW"),
    ]
    assert (seen["insurance"], seen["deposit_held_fen"]) == ("390", 100_000)
    assert [each["inpatient_no"] for each in team.cashier.get("/v1/admissions")] == [team.number]


@pytest.mark.clause("GZ-20", "T2")
def test_a_repeated_request_has_the_same_answer_and_one_payment(team: Team):
    stay = team.in_house()
    wish = {"amount_fen": 50_000, "route": "QR"}
    first = team.nurse.post(f"{stay}/deposits", wish, key="lost-answer")
    assert team.nurse.post(f"{stay}/deposits", wish, key="lost-answer") == first
    seen = team.nurse.get(stay)
    assert first["state"] == "WAITING", first
    assert (seen["deposit_pending_fen"], seen["deposit_held_fen"]) == (50_000, 0)


@pytest.mark.clause("GZ-20", "T3")
def test_the_same_key_with_another_amount_is_a_conflict(team: Team):
    stay = team.in_house()
    team.cashier.post(f"{stay}/deposits", cash(50_000), key="one-and-only")
    answer = team.cashier.try_("POST", f"{stay}/deposits", cash(50_001), key="one-and-only")
    assert (answer.status, answer.code) == (409, "IDEMPOTENCY_CONFLICT")
    assert team.cashier.get(stay)["deposit_held_fen"] == 50_000


@pytest.mark.clause("GZ-20", "T5")
def test_a_nurse_of_another_ward_sees_and_does_nothing(team: Team):
    stay = team.in_house()
    team.leaves()
    stranger = team.house.staff("NURSE", wards=("W2",), ward="W2")
    tries = [
        ("GET", stay, None),
        ("PUT", f"{stay}/insurance", {}),
        ("POST", f"{stay}/deposits", {"amount_fen": 100, "route": "QR"}),
        ("POST", f"{stay}/settlement/trial", None),
        ("PUT", f"{stay}/settlement", {"agree_to": "a" * 64}),
        ("GET", f"{stay}/settlement", None),
        ("GET", f"{stay}/daily-bills", None),
    ]
    for method, path, body in tries:
        answer = stranger.try_(method, path, body, key="stranger-1")
        assert (answer.status, answer.code) == (404, "ADMISSION_UNKNOWN"), path
    assert stranger.get("/v1/admissions") == []


@pytest.mark.clause("GZ-20", "T6")
def test_from_settle_to_the_receipt_in_six_calls(team: Team):
    stay = team.in_house()
    team.nurse.put(f"{stay}/insurance", {})
    team.charged(100_000)
    team.leaves()
    calls = team.cashier.calls
    trial = team.cashier.post(f"{stay}/settlement/trial")
    due = team.cashier.put(f"{stay}/settlement", {"agree_to": trial["agree_to"]})
    assert (due["state"], due["due_fen"]) == ("DUE", 40_000)
    done = team.cashier.post(f"{stay}/settlement/payments", cash(40_000), key="the-rest-1")
    assert done["state"] == "CLOSED"
    receipt = team.cashier.get(f"/v1/receipts/{done['receipts'][0]}")
    assert team.cashier.calls - calls <= 6
    assert receipt["facts"]["personal_fen"] == 40_000
    assert receipt["facts"]["topped_up_fen"] == 40_000
    assert team.cashier.get(f"/v1/receipts/{done['receipts'][0]}")["times_read"] == 2


@pytest.mark.clause("GZ-20", "T7")
def test_somebody_of_seventy_without_a_phone_does_everything_at_bed_and_window(team: Team):
    stay = team.in_house()
    team.nurse.put(f"{stay}/insurance", {})
    paper = {"kind": "SOCIAL_CARD", "form": "COPY", "sha256": "a" * 64}
    team.nurse.post(f"{stay}/documents", paper)
    deposit = team.cashier.post(f"{stay}/deposits", cash(100_000), key="in-cash-01")
    assert (deposit["state"], len(deposit["receipt_no"])) == ("PAID", 14)
    team.charged(100_000)
    team.leaves()
    trial = team.nurse.post(f"{stay}/settlement/trial")
    signed = {"agree_to": trial["agree_to"], "signature_sha256": "b" * 64}
    done = team.nurse.put(f"{stay}/settlement", signed)
    assert (done["state"], done["rest_fen"]) == ("CLOSED", 60_000)
    (refund,) = done["refunds"]
    assert refund["routes"] == ["CASH"]
    path = f"/v1/refunds/{refund['id']}"
    team.checker.post(f"{path}/check", {"approve": True})
    (leg,) = team.cashier.get(path)["legs"]
    paid = team.cashier.post(f"{path}/legs/{leg['id']}/hand-over", {"proof": "signed-in-ink"})
    assert paid["state"] == "PAID"
    (task,) = team.cashier.get("/v1/work-items", query={"kind": "RETURN_DOCUMENTS"})
    assert task["due_at"] is not None
    team.nurse.post(f"{stay}/documents/return", {"signature_sha256": "c" * 64})
    assert team.cashier.get("/v1/work-items", query={"kind": "RETURN_DOCUMENTS"}) == []


def test_a_window_shows_what_is_missing_before_the_stay_begins(team: Team):
    stay = team.slip()
    answer = team.cashier.try_("POST", f"{stay}/deposits", cash(1), key="too-early-1")
    assert (answer.status, answer.code) == (422, "ADMISSION_NOT_IN_HOUSE")
    assert answer.body["next_step"]
