"""Staff come in by password on an enrolled device; guessing gets nowhere and learns nothing."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from journeys.console import at_console
from models.db import rows
from policies.passwords import PasswordRules
from policies.refusals import Unauthenticated
from simulator.clients import Answer, StaffClient
from tests.people import PASSWORD, House, MovedClock

WRONG = "Not-the-password-7"


def attempt(device: StaffClient, staff_no: str, password: str = WRONG) -> Answer:
    device.access_token = ""
    asked = {"hospital": device.hospital, "staff_no": staff_no, "password": password}
    return device.try_("POST", "/v1/staff/sessions", asked)


@pytest.mark.parametrize(
    ("role", "device", "channel"),
    [
        ("NURSE", {"kind": "HANDHELD"}, "BEDSIDE"),
        ("CASHIER", {"kind": "DESK", "ward": "", "window": "3号窗口"}, "WINDOW"),
        ("CASHIER", {"kind": "DESK", "ward": ""}, "DESK"),
        ("FINANCE_HEAD", {"kind": "DESK", "ward": "", "window": "3号窗口"}, "DESK"),
    ],
)
def test_who_logs_in_where_is_on_that_channel(
    house: House, role: str, device: dict[str, str], channel: str
) -> None:
    person = house.staff(role, wards=("W1", "W2"), **device)
    assert person.get("/v1/staff/me") == {
        "hospital": house.code,
        "name": f"staff:{person.staff_no}",
        "channel": channel,
        "roles": [role],
        "wards": ["W1", "W2"],
    }


def test_a_first_password_opens_only_its_own_change(house: House) -> None:
    staff_no, first = house.hire("NURSE", wards=("W1",))
    nurse = house.device()
    assert nurse.log_in(staff_no, first)["password_due"] is True
    stay = house.stay()
    refused = nurse.try_("GET", f"/probe/stays/{stay.id}")
    assert (refused.status, refused.code) == (403, "PASSWORD_DUE")
    nurse.put("/v1/staff/me/password", {"old": first, "new": PASSWORD})
    assert nurse.get(f"/probe/stays/{stay.id}") == {"ward": "W1"}
    assert nurse.log_in(staff_no, PASSWORD)["password_due"] is False


def test_an_unknown_device_is_refused_before_any_password_is_looked_at(house: House) -> None:
    staff_no, first = house.hire("NURSE")
    stranger = StaffClient(house.wire, house.code, now=house.now)
    assert attempt(stranger, staff_no, first).code == "DEVICE_UNKNOWN"
    assert rows("SELECT * FROM login_guess WHERE hospital_id = :id", id=house.hospital_id) == []


def test_five_wrong_passwords_lock_for_fifteen_minutes(house: House, clock: MovedClock) -> None:
    nurse = house.staff("NURSE")
    answers = [attempt(nurse, nurse.staff_no) for _ in range(5)]
    assert [(each.status, each.code) for each in answers] == [(401, "LOGIN_FAILED")] * 5
    assert attempt(nurse, nurse.staff_no, PASSWORD).code == "LOGIN_LOCKED"
    clock.forward(minutes=14, seconds=50)
    assert attempt(nurse, nurse.staff_no, PASSWORD).code == "LOGIN_LOCKED"
    clock.forward(seconds=20)
    assert attempt(nurse, nurse.staff_no, PASSWORD).status == 201
    assert [attempt(nurse, nurse.staff_no).code for _ in range(4)] == ["LOGIN_FAILED"] * 4
    assert attempt(nurse, nurse.staff_no, PASSWORD).status == 201


def test_guesses_sent_at_once_are_five_too(house: House) -> None:
    nurse = house.staff("NURSE")
    guessers = [
        StaffClient(house.wire, house.code, now=house.now, key=nurse.key) for _ in range(15)
    ]
    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(lambda each: attempt(each, nurse.staff_no).code, guessers))
    assert sorted(codes) == ["LOGIN_FAILED"] * 5 + ["LOGIN_LOCKED"] * 10


def test_an_unknown_number_answers_like_a_known_one(house: House) -> None:
    nurse = house.staff("NURSE")
    answers = {}
    for staff_no in (nurse.staff_no, "nobody"):
        answers[staff_no] = [attempt(nurse, staff_no) for _ in range(7)]
    said = {
        staff_no: [
            (each.status, {k: v for k, v in each.body.items() if k != "request_id"})
            for each in found
        ]
        for staff_no, found in answers.items()
    }
    assert said["nobody"] == said[nurse.staff_no]
    assert said["nobody"][4][1]["code"] == "LOGIN_FAILED"
    assert said["nobody"][5][1]["code"] == "LOGIN_LOCKED"


def test_a_stopped_person_is_as_unknown(house: House) -> None:
    nurse = house.staff("NURSE")
    admin = house.staff("ADMINISTRATOR", kind="DESK")
    admin.delete(f"/v1/staff/{nurse.staff_no}")
    assert attempt(nurse, nurse.staff_no, PASSWORD).code == "LOGIN_FAILED"


def test_too_many_tries_are_stopped_before_the_password_is_hashed(house: House) -> None:
    nurse = house.staff("NURSE")
    answers = [attempt(nurse, nurse.staff_no) for _ in range(21)]
    assert [each.status for each in answers[:18]] == [401] * 18
    last = answers[-1]
    assert (last.status, last.code, last.headers["Retry-After"]) == (
        429,
        "TOO_MANY_REQUESTS",
        "60",
    )


@pytest.mark.parametrize(
    ("rules", "new", "code"),
    [
        (PasswordRules.MLPS, "Aa1-xyz", "PASSWORD_LENGTH"),
        (PasswordRules.MLPS, "quartzharbourtulip", "PASSWORD_KINDS"),
        (PasswordRules.MLPS, "Password1", "PASSWORD_GUESSABLE"),
        (PasswordRules.MLPS, "周明月Tulip-94x", "PASSWORD_ABOUT_YOU"),
        (PasswordRules.MLPS, PASSWORD, "PASSWORD_SAME"),
        (PasswordRules.ASVS, "Tulip-94-qz", "PASSWORD_LENGTH"),
        (PasswordRules.ASVS, "passwordpassword", "PASSWORD_GUESSABLE"),
    ],
)
def test_a_weak_password_is_refused_by_the_hospitals_rules(
    house: House, rules: str, new: str, code: str
) -> None:
    person = house.staff("FINANCE_HEAD", kind="DESK")
    person.put("/v1/settings/password_rules", {"value": rules})
    answer = person.try_("PUT", "/v1/staff/me/password", {"old": PASSWORD, "new": new})
    assert (answer.status, answer.code) == (422, code)


def test_one_preset_asks_for_a_change_every_ninety_days_and_the_other_never(
    house: House, clock: MovedClock
) -> None:
    old_rules = house.staff("NURSE")
    head = house.staff("FINANCE_HEAD", kind="DESK")
    head.put("/v1/settings/password_rules", {"value": "ASVS"})
    changed = {"old": PASSWORD, "new": "quartz harbour tulip ninety"}
    head.put("/v1/staff/me/password", changed)
    clock.forward(days=89)
    assert old_rules.log_in(old_rules.staff_no, PASSWORD)["password_due"] is False
    clock.forward(days=2)
    assert old_rules.log_in(old_rules.staff_no, PASSWORD)["password_due"] is True
    assert head.log_in(head.staff_no, changed["new"])["password_due"] is False


def test_a_new_password_ends_the_other_sessions(house: House) -> None:
    nurse = house.staff("NURSE")
    elsewhere = house.device()
    elsewhere.log_in(nurse.staff_no, PASSWORD)
    changed = {"old": PASSWORD, "new": "Quartz-harbour-12-tulip"}
    nurse.put("/v1/staff/me/password", changed)
    assert elsewhere.try_("GET", "/v1/staff/me").code == "SESSION_OVER"
    assert nurse.try_("GET", "/v1/staff/me").status == 200


def test_logins_and_failures_are_in_the_audit_trail_and_passwords_nowhere(house: House) -> None:
    nurse = house.staff("NURSE")
    attempt(nurse, nurse.staff_no)
    attempt(nurse, "990101197503090013")
    found = rows(
        'SELECT "by", what, subject, facts::text FROM audit_entry'
        " WHERE hospital_id = :id ORDER BY no",
        id=house.hospital_id,
    )
    assert [(row["what"], row["subject"]) for row in found[-2:]] == [
        ("login failed", f"staff:{nurse.staff_no}"),
        ("login failed", "staff:unknown"),
    ]
    assert ("login", f"staff:{nurse.staff_no}") in [(row["what"], row["by"]) for row in found]
    assert PASSWORD not in str(found) and WRONG not in str(found)


def test_at_the_console_too_both_are_in_the_audit_trail(house: House) -> None:
    nurse = house.staff("NURSE")
    for staff_no in (nurse.staff_no, "990101197503090013"):
        with pytest.raises(Unauthenticated, match="LOGIN_FAILED"):
            at_console(house.code, staff_no, WRONG, house.now)
    assert at_console(house.code, nurse.staff_no, PASSWORD, house.now).id
    found = rows(
        'SELECT "by", what, subject FROM audit_entry'
        " WHERE hospital_id = :id AND facts->>'device' = 'console' ORDER BY no",
        id=house.hospital_id,
    )
    name = f"staff:{nurse.staff_no}"
    assert [tuple(row.values()) for row in found] == [
        ("unknown", "login failed", name),
        ("unknown", "login failed", "staff:unknown"),
        (name, "login", name),
    ]
