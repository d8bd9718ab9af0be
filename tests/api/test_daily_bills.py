"""Daily bills over HTTP: byte-equal to the schema, for the patient, the ward and the desk."""

import json
from datetime import date, timedelta
from types import SimpleNamespace

import pytest
from flask import Flask

from api.daily_bills import DailyBill as Shape
from config import SHANGHAI
from journeys import bill_reading, daily_bill
from models.admission import Admission
from policies.access import Actor, Channel
from tests.his_day import line, real_day
from tests.people import House


def yesterday_of(house: House) -> date:
    return (house.now() + timedelta(hours=8)).date() - timedelta(days=1)


@pytest.fixture
def stay(house: House) -> Admission:
    """A stay with the real day yesterday, and its bill."""
    stay = house.stay()
    lines = real_day(stay.inpatient_no, yesterday_of(house))
    house.his().post("/v1/his/events/charge-batch", {"source_event_id": "f1", "lines": lines})
    assert daily_bill.make_bills(house.hospital_id, yesterday_of(house), house.now) == 1
    return stay


def test_the_fast_path_is_byte_equal_to_the_schemas_dump(
    app: Flask, house: House, stay: Admission
) -> None:
    day = yesterday_of(house)
    nurse = house.staff("NURSE", wards=("W1",))
    served = nurse.try_("GET", f"/v1/admissions/{stay.id}/daily-bills/{day}")
    actor = Actor(house.hospital_id, "staff:x", frozenset({"SERVICE_DESK"}), Channel.DESK)
    bill, lines = bill_reading.read_bill(actor, stay.id, day, None, house.now)
    view = bill | {"lines": json.loads(lines)}
    assert len(view["lines"]) == 69
    with app.app_context():
        assert served.text == app.json.response(Shape().dump(view)).data.decode()


def test_the_patient_opens_asks_and_is_answered(house: House, stay: Admission) -> None:
    day, path = yesterday_of(house), f"/v1/admissions/{stay.id}/daily-bills"
    from models.db import Session
    from models.patient import Patient

    with Session() as db:
        patient = db.get_one(Patient, stay.patient_id)
    phone, _ = house.patient_phone(patient)
    (listed,) = phone.get(path)
    assert (listed["day"], listed["total_fen"], listed["opened_at"]) == (str(day), 312472, None)
    bill = phone.get(f"{path}/{day}")
    assert bill["opened_at"] is not None
    assert "急性阑尾炎" not in str(bill)
    question = {"line_seq": bill["lines"][0]["seq"], "text": "抽了几管血？"}
    asked = phone.post(f"{path}/{day}/questions", question)
    assert phone.post(f"{path}/{day}/questions", question)["id"] == asked["id"]
    nurse = house.staff("NURSE", wards=("W1",))
    (waiting,) = nurse.get("/v1/wards/W1/questions")
    assert (waiting["id"], waiting["text"]) == (asked["id"], "抽了几管血？")
    nurse.post(f"/v1/questions/{asked['id']}/answer", {"text": "三管"})
    assert nurse.get("/v1/wards/W1/questions") == []
    assert phone.get(f"{path}/{day}")["questions"][0]["answer"] == "三管"


@pytest.mark.clause("CQ-5.3", "T4")
def test_the_details_need_a_login(house: House, stay: Admission) -> None:
    path = f"/v1/admissions/{stay.id}/daily-bills"
    nobody = house.device()
    stranger = house.phone()
    for where in (path, f"{path}/{yesterday_of(house)}"):
        assert nobody.try_("GET", where).status == 401
        assert stranger.try_("GET", where).status == 404


def test_days_and_versions_that_do_not_exist(house: House, stay: Admission) -> None:
    path = f"/v1/admissions/{stay.id}/daily-bills"
    nurse = house.staff("NURSE", wards=("W1",))
    unknown = nurse.try_("GET", f"{path}/2020-01-01")
    assert (unknown.status, unknown.code) == (404, "DAILY_BILL_UNKNOWN")
    assert nurse.try_("GET", f"{path}/2025-02-30").status == 404
    assert nurse.try_("GET", f"{path}/{yesterday_of(house)}?version=2").status == 404
    wrong = nurse.try_("GET", f"{path}/{yesterday_of(house)}?version=x")
    assert (wrong.status, wrong.code) == (422, "FIELDS_INVALID")


def test_the_report_of_missing_bills(house: House, stay: Admission) -> None:
    day = yesterday_of(house)
    finance = house.staff("FINANCE_HEAD", kind="DESK")
    assert finance.get("/v1/daily-bills/missing", query={"day": day}) == []
    forgotten = house.stay(ward="W2")
    (row,) = finance.get("/v1/daily-bills/missing", query={"day": day})
    assert (row["admission_id"], row["ward"]) == (str(forgotten.id), "W2")
    nurse = house.staff("NURSE", wards=("W1",))
    assert nurse.try_("GET", "/v1/daily-bills/missing", query={"day": day}).status == 403


def test_a_run_by_hand_makes_what_is_missing_once(house: House) -> None:
    house.stay()
    desk = house.staff("FINANCE_MAKER", kind="DESK")
    yesterday = {"day": str(yesterday_of(house))}
    assert desk.post("/v1/daily-bills/runs", yesterday) == {"made": 1}
    assert desk.post("/v1/daily-bills/runs", yesterday) == {"made": 0}
    today = {"day": str(yesterday_of(house) + timedelta(days=1))}
    early = desk.try_("POST", "/v1/daily-bills/runs", today)
    assert (early.status, early.code) == (422, "DAY_NOT_OVER")


def test_the_print_queue_of_a_ward(house: House, stay: Admission) -> None:
    nurse = house.staff("NURSE", wards=("W1",))
    assert nurse.get("/v1/wards/W1/print-queue") == []
    other = nurse.try_("GET", "/v1/wards/W2/print-queue")
    assert (other.status, other.code) == (403, "OTHER_WARD")
    unknown = nurse.try_("POST", f"/v1/wards/W1/print-queue/{stay.id}/printed")
    assert (unknown.status, unknown.code) == (404, "PRINT_JOB_UNKNOWN")


def test_a_late_line_shows_in_the_second_version(house: House, stay: Admission) -> None:
    day = yesterday_of(house)
    late = line(stay.inpatient_no, "late", occurred_at=f"{day} 12:00:00")
    house.his().post("/v1/his/events/charge-batch", {"source_event_id": "f2", "lines": [late]})
    noon = house.now().astimezone(SHANGHAI).replace(hour=12)
    outside = SimpleNamespace(now=lambda: noon)
    assert daily_bill.correct_bills(outside, house.hospital_id) == 1
    nurse = house.staff("NURSE", wards=("W1",))
    bill = nurse.get(f"/v1/admissions/{stay.id}/daily-bills/{day}")
    assert (bill["version"], bill["added_count"]) == (2, 1)
    assert [shown["item_name"] for shown in bill["lines"] if shown["added"]] == ["肝爽颗粒"]
