"""The HIS over HTTP: signed events, their verdicts, and the same answer to the same event."""

import json
from datetime import date, datetime, timedelta

import pytest
from flask import Flask

from api.his_events import BatchVerdict
from models.db import rows
from simulator.clients import Answer, HisClient
from tests.his_day import REAL_TOTAL_FEN, line, real_day
from tests.people import House
from tests.stage import id_number

EVENTS = "/v1/his/events"


def slip(house: House, number: str, **changed) -> dict:
    return {
        "source_event_id": f"adm-{number}",
        "inpatient_no": number,
        "admitted_at": (house.now() - timedelta(hours=1)).isoformat(),
        "ward": "W1",
        "ward_name": "普外一病区",
        "bed": "12",
        "department_code": "0301",
        "department_name": "普外科",
        "doctor_code": "D0001",
        "doctor_name": "李示范",
        "diagnosis_code": "K35.800",
        "diagnosis_name": "急性阑尾炎",
        "patient": {
            "his_patient_no": f"P-{number}",
            "name": "张小丰",
            "id_no": id_number(41),
            "phone": "19900000041",
            "sex": "1",
        },
    } | changed


def escaped(his: HisClient, event: str, body: dict) -> Answer:
    """Sent with every character beyond ASCII as an escape, which can name what is no character."""
    sent, target = json.dumps(body).encode(), f"{EVENTS}/{event}"
    headers = {"Content-Type": "application/json"} | his.credentials("POST", target, sent)
    return his.wire.send("POST", target, headers, sent)


def today_of(house: House) -> date:
    return (house.now() + timedelta(hours=8)).date()


@pytest.fixture
def his(house: House) -> HisClient:
    return house.his()


def test_a_stay_from_admission_to_discharge(house: House, his: HisClient) -> None:
    told = his.post(f"{EVENTS}/admission", slip(house, "ZY1"))
    assert told["state"] == "SLIP"
    change = {
        "source_event_id": "chg-1",
        "inpatient_no": "ZY1",
        "occurred_at": house.now().isoformat(),
        "bed": "14",
    }
    assert his.post(f"{EVENTS}/admission-change", change)["changed"] == ["bed"]
    nurse = house.staff("NURSE", wards=("W1",))
    nurse.put(f"/v1/admissions/{told['admission_id']}/registration", {})
    lines = real_day("ZY1", today_of(house) - timedelta(days=1))
    batch = {"source_event_id": "fee-1", "lines": lines}
    answer = his.post(f"{EVENTS}/charge-batch", batch)
    assert (answer["accepted"], answer["duplicate"], answer["refused"]) == (69, 0, 0)
    assert answer["lines"][0] == {
        "place": 0,
        "source_line_id": lines[0]["source_line_id"],
        "verdict": "ACCEPTED",
        "field": "",
        "reason": "已记入费用。",
    }
    back = {
        "source_line_id": "R1",
        "inpatient_no": "ZY1",
        "reverses": lines[0]["source_line_id"],
        "occurred_at": lines[0]["occurred_at"],
        "quantity": "1",
        "amount": "0.90",
    }
    answer = his.post(f"{EVENTS}/charge-reversal", {"source_event_id": "rev-1", "lines": [back]})
    assert answer["lines"][0]["verdict"] == "ACCEPTED"
    charged = rows(
        "SELECT sum(amount_fen)::bigint AS fen FROM charge_line WHERE hospital_id = :h",
        h=house.hospital_id,
    )
    assert charged == [{"fen": REAL_TOTAL_FEN - 90}]
    order = {
        "source_event_id": "dis-1",
        "inpatient_no": "ZY1",
        "ordered_at": "2025-07-04 10:00:00",
        "leaving_way": "1",
    }
    leaving = his.post(f"{EVENTS}/discharge-order", order | {"ordered_at": house.now().isoformat()})
    assert (leaving["state"], leaving["leaving_way"]) == ("LEAVING", "1")
    cancel = {"source_event_id": "can-1", "inpatient_no": "ZY1"}
    assert his.post(f"{EVENTS}/discharge-cancel", cancel)["state"] == "IN_HOUSE"


def test_the_same_event_gets_the_same_answer_to_the_byte(house: House, his: HisClient) -> None:
    first = his.try_("POST", f"{EVENTS}/admission", slip(house, "ZY2"))
    again = slip(house, "ZY2") | {"admitted_at": slip(house, "ZY2")["admitted_at"]}
    sent = slip(house, "ZY3")
    told = [his.try_("POST", f"{EVENTS}/admission", sent).text for _ in range(2)]
    assert told[0] == told[1]
    changed = his.try_("POST", f"{EVENTS}/admission", again | {"bed": "99"})
    assert (first.status, changed.status, changed.code) == (200, 409, "EVENT_ID_REUSED")


def test_a_batch_with_good_and_bad_lines(house: House, his: HisClient) -> None:
    his.post(f"{EVENTS}/admission", slip(house, "ZY4"))
    now = house.now().isoformat()
    lines = [
        line("ZY4", "A", occurred_at=now),
        line("ZY4", "B", occurred_at=now, amount=85.46),
        line("ZY4", "C", occurred_at=now, amount="\ud800"),
        line("ZY4", "\ud800", occurred_at=now),
        {},
        line("ZY4", "A", occurred_at=now),
    ]
    told = escaped(his, "charge-batch", {"source_event_id": "fee-4", "lines": lines}).body
    assert [said["verdict"] for said in told["lines"]] == [
        "ACCEPTED",
        *["MALFORMED"] * 4,
        "DUPLICATE",
    ]
    assert [said["source_line_id"] for said in told["lines"]] == ["A", "B", "C", None, None, "A"]


@pytest.mark.parametrize(
    "lines", [[], [{}] * 1001, "lines", [1], None], ids=["none", "too many", "text", "no", "null"]
)
def test_a_batch_that_is_none_is_refused(his: HisClient, lines: object) -> None:
    answer = his.try_("POST", f"{EVENTS}/charge-batch", {"source_event_id": "x", "lines": lines})
    assert (answer.status, answer.code) == (422, "FIELDS_INVALID")


def test_a_thousand_lines_are_taken_in_one_request(house: House, his: HisClient) -> None:
    his.post(f"{EVENTS}/admission", slip(house, "ZY5"))
    now = house.now().isoformat()
    lines = [line("ZY5", f"N{number}", occurred_at=now) for number in range(1000)]
    told = his.post(f"{EVENTS}/charge-batch", {"source_event_id": "fee-5", "lines": lines})
    assert told["accepted"] == 1000


def test_a_change_of_an_unknown_stay_is_not_found(house: House, his: HisClient) -> None:
    change = {
        "source_event_id": "chg-6",
        "inpatient_no": "ZY-nobody",
        "occurred_at": house.now().isoformat(),
    }
    answer = his.try_("POST", f"{EVENTS}/admission-change", change)
    assert (answer.status, answer.code) == (404, "ADMISSION_UNKNOWN")


def test_text_that_no_database_holds_is_refused(house: House, his: HisClient) -> None:
    for wrong in ("a\x00b", "\ud800"):
        answer = escaped(his, "admission", slip(house, "ZY7", bed=wrong))
        assert (answer.status, answer.code) == (422, "FIELDS_INVALID")


def test_nobody_but_the_his_may_send_events(house: House) -> None:
    nurse = house.staff("NURSE", wards=("W1",))
    answer = nurse.try_("POST", f"{EVENTS}/admission", slip(house, "ZY8"))
    assert (answer.status, answer.code) == (403, "PERMISSION_MISSING")


def test_a_changed_body_does_not_fit_its_signature(house: House, his: HisClient) -> None:
    headers = his.credentials("POST", f"{EVENTS}/admission", b"{}")
    answer = his.try_("POST", f"{EVENTS}/admission", slip(house, "ZY9"), headers=headers)
    assert (answer.status, answer.code) == (401, "SIGNATURE_INVALID")


def test_times_without_an_offset_are_shanghai_times(house: House, his: HisClient) -> None:
    his.post(f"{EVENTS}/admission", slip(house, "ZY10", admitted_at="2025-07-03 08:00:00"))
    stored = rows("SELECT admitted_at FROM admission WHERE hospital_id = :h", h=house.hospital_id)
    assert stored[0]["admitted_at"] == datetime.fromisoformat("2025-07-03T00:00:00+00:00")


@pytest.mark.parametrize("field", ["source_event_id", "inpatient_no", "his_patient_no"])
def test_no_number_of_theirs_may_be_an_identity_number(house: House, field: str) -> None:
    """It would be stored, logged and told in clear."""
    event, number = slip(house, f"clear-{field}"), id_number(7)
    (event["patient"] if field == "his_patient_no" else event)[field] = number
    answer = house.his().try_("POST", f"{EVENTS}/admission", event)
    assert (answer.status, answer.code, number in answer.text) == (422, "FIELDS_INVALID", False)
    assert [each["field"].rpartition(".")[2] for each in answer.body["errors"]] == [field]


def test_the_verdicts_are_byte_equal_to_the_schemas_dump(app: Flask, house: House) -> None:
    his, stay = house.his(), house.stay()
    at = (house.now() - timedelta(hours=1)).isoformat()
    lines = [line(stay.inpatient_no, occurred_at=at), line("ZY-nobody"), {"unit": "盒"}]
    batch = {"source_event_id": "fee-bytes", "lines": lines}
    for _ in range(2):
        served = his.try_("POST", f"{EVENTS}/charge-batch", batch)
        assert [told["verdict"] for told in served.body["lines"]] == [
            "ACCEPTED",
            "UNKNOWN_ADMISSION",
            "MALFORMED",
        ]
        dumped = app.json.response(BatchVerdict().dump(served.body))
        assert served.text == dumped.get_data(as_text=True)
