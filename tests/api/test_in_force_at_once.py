"""What an administrator takes away is gone with the next request: roles, wards, people, devices."""

import pytest
from sqlalchemy import update

from models.db import Session
from models.staff import Staff
from simulator.clients import StaffClient
from tests.people import PASSWORD, House


@pytest.fixture
def admin(house: House) -> StaffClient:
    return house.staff("ADMINISTRATOR", kind="DESK")


def test_a_role_change(house: House, admin: StaffClient) -> None:
    clerk = house.staff("SUPERVISOR", kind="DESK")
    stay = house.stay()
    assert clerk.try_("GET", f"/probe/stays/{stay.id}").code == "PERMISSION_MISSING"
    admin.put(f"/v1/staff/{clerk.staff_no}/roles", {"roles": ["CASHIER", "SUPERVISOR"]})
    assert clerk.get(f"/probe/stays/{stay.id}") == {"ward": "W1"}
    admin.put(f"/v1/staff/{clerk.staff_no}/roles", {"roles": ["SUPERVISOR"]})
    assert clerk.try_("GET", f"/probe/stays/{stay.id}").status == 403


def test_a_nurse_sees_the_patients_of_the_own_wards_now(house: House, admin: StaffClient) -> None:
    nurse = house.staff("NURSE", wards=("W1",))
    here, there = house.stay(ward="W1"), house.stay(ward="W2")
    assert nurse.get(f"/probe/stays/{here.id}") == {"ward": "W1"}
    assert nurse.try_("GET", f"/probe/stays/{there.id}").code == "ADMISSION_UNKNOWN"
    admin.put(f"/v1/staff/{nurse.staff_no}/wards", {"wards": ["W2"]})
    assert nurse.try_("GET", f"/probe/stays/{here.id}").status == 404
    assert nurse.get(f"/probe/stays/{there.id}") == {"ward": "W2"}


def test_a_foreign_hospital_sees_nothing(house: House, app, clock, simulator) -> None:
    elsewhere = House(app, house.base_url, clock, simulator)
    stay = house.stay()
    assert house.staff("CASHIER").get(f"/probe/stays/{stay.id}") == {"ward": "W1"}
    cashier = elsewhere.staff("CASHIER")
    assert cashier.try_("GET", f"/probe/stays/{stay.id}").code == "ADMISSION_UNKNOWN"
    nurse = house.staff("NURSE")
    admin = elsewhere.staff("ADMINISTRATOR", kind="DESK")
    for method, path, body in (
        ("PUT", f"/v1/staff/{nurse.staff_no}/roles", {"roles": []}),
        ("DELETE", f"/v1/staff/{nurse.staff_no}", None),
        ("DELETE", f"/v1/staff/{nurse.staff_no}/password", None),
    ):
        assert admin.try_(method, path, body).code == "STAFF_UNKNOWN"
    assert nurse.try_("GET", "/v1/staff/me").status == 200
    device = house.staff("ADMINISTRATOR", kind="DESK").get("/v1/devices")[-1]["id"]
    assert admin.try_("DELETE", f"/v1/devices/{device}").code == "DEVICE_NOT_FOUND"
    assert nurse.staff_no not in str(admin.get("/v1/staff"))


def test_a_stopped_person(house: House, admin: StaffClient) -> None:
    nurse = house.staff("NURSE")
    admin.delete(f"/v1/staff/{nurse.staff_no}")
    admin.delete(f"/v1/staff/{nurse.staff_no}")
    assert nurse.try_("GET", "/v1/staff/me").code == "SESSION_OVER"
    assert nurse.try_(
        "POST", "/v1/sessions/refresh", {"refresh_token": nurse.refresh_token}
    ).code in ("SESSION_OVER", "PROOF_INVALID")
    first = admin.delete(f"/v1/staff/{nurse.staff_no}/password")["first_password"]
    nurse.log_in(nurse.staff_no, first, "Quartz-harbour-12-tulip")
    assert nurse.get("/v1/staff/me")["roles"] == ["NURSE"]


def test_a_person_stopped_by_hand_in_the_database(house: House) -> None:
    nurse = house.staff("NURSE")
    with Session.begin() as db:
        stopped = update(Staff).where(Staff.staff_no == nurse.staff_no)
        db.execute(stopped.values(disabled_at=house.now()))
    assert nurse.try_("GET", "/v1/staff/me").code == "SESSION_OVER"


def test_a_lost_device(house: House, admin: StaffClient) -> None:
    nurse = house.staff("NURSE")
    lost = next(d for d in admin.get("/v1/devices") if d["kind"] == "HANDHELD")
    admin.delete(f"/v1/devices/{lost['id']}")
    admin.delete(f"/v1/devices/{lost['id']}")
    assert nurse.try_("GET", "/v1/staff/me").code == "SESSION_OVER"
    asked = {"hospital": house.code, "staff_no": nurse.staff_no, "password": PASSWORD}
    nurse.access_token = ""
    assert nurse.try_("POST", "/v1/staff/sessions", asked).code == "DEVICE_UNKNOWN"


def test_nobody_gives_themselves_powers(admin: StaffClient) -> None:
    own = f"/v1/staff/{admin.staff_no}"
    answer = admin.try_("PUT", f"{own}/roles", {"roles": ["ADMINISTRATOR", "FINANCE_HEAD"]})
    assert (answer.status, answer.code) == (403, "OWN_ROLES")
    assert admin.try_("DELETE", own).code == "OWN_ACCOUNT"


def test_who_reads_the_trail_does_nothing_else(house: House, admin: StaffClient) -> None:
    assert admin.try_("GET", "/v1/audit").code == "PERMISSION_MISSING"
    auditor = house.staff("AUDITOR", kind="DESK")
    assert auditor.get("/v1/audit")
    both = {"roles": ["AUDITOR", "CASHIER"]}
    answer = admin.try_("PUT", f"/v1/staff/{auditor.staff_no}/roles", both)
    assert (answer.status, answer.code) == (422, "ROLE_STANDS_ALONE")
    assert auditor.get("/v1/staff/me")["roles"] == ["AUDITOR"]
    new = {"staff_no": "n-902", "name": "何雨", "wards": []} | both
    assert admin.try_("POST", "/v1/staff", new).code == "ROLE_STANDS_ALONE"
    assert "n-902" not in [each["staff_no"] for each in admin.get("/v1/staff")]


def test_staff_are_created_once_and_only_with_known_roles(admin: StaffClient) -> None:
    new = {"staff_no": "n-900", "name": "何雨", "roles": ["NURSE"], "wards": ["W3"]}
    assert admin.post("/v1/staff", new)["staff_no"] == "n-900"
    assert admin.try_("POST", "/v1/staff", new).code == "STAFF_NO_TAKEN"
    answer = admin.try_("POST", "/v1/staff", new | {"staff_no": "n-901", "roles": ["HIS"]})
    assert (answer.status, answer.body["errors"][0]["field"]) == (422, "roles.0")
    assert {
        key: value
        for key, value in next(
            each for each in admin.get("/v1/staff") if each["staff_no"] == "n-900"
        ).items()
        if key != "disabled_at"
    } == {"staff_no": "n-900", "name": "何雨", "roles": ["NURSE"], "wards": ["W3"]}


@pytest.mark.parametrize("role", ["NURSE", "CASHIER", "FINANCE_HEAD", "SUPERVISOR"])
def test_only_administrators_administer(house: House, role: str) -> None:
    person = house.staff(role)
    new = {"staff_no": "x", "name": "x", "roles": [], "wards": []}
    for method, path, body in (
        ("POST", "/v1/staff", new),
        ("GET", "/v1/staff", None),
        ("PUT", "/v1/staff/x/roles", {"roles": []}),
        ("PUT", "/v1/staff/x/wards", {"wards": []}),
        ("DELETE", "/v1/staff/x", None),
        ("DELETE", "/v1/staff/x/password", None),
        ("POST", "/v1/devices/enrolments", {"name": "x", "kind": "DESK"}),
        ("GET", "/v1/devices", None),
        ("DELETE", f"/v1/devices/{house.hospital_id}", None),
    ):
        answer = person.try_(method, path, body)
        assert (answer.status, answer.code) == (403, "PERMISSION_MISSING"), (method, path)
