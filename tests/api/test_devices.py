"""A device is enrolled once, with a code and its own key, and signs every request itself."""

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from flask import Flask
from sqlalchemy import text

import jobs
from models.db import Session, rows
from simulator.clients import Answer, OverApp, StaffClient
from tests.people import House, MovedClock

ME = "/v1/staff/me"


@pytest.fixture
def announced(house: House) -> str:
    admin = house.staff("ADMINISTRATOR", kind="DESK")
    asked = {"name": "一病区手持机", "kind": "HANDHELD", "ward": "W1"}
    return admin.post("/v1/devices/enrolments", asked)["code"]


def enrolment(device: StaffClient, code: str) -> Answer:
    asked = {"hospital": device.hospital, "code": code, "jwk": device.jwk}
    return device.try_("POST", "/v1/devices", asked)


def new_device(house: House) -> StaffClient:
    return StaffClient(house.wire, house.code, now=house.now)


def test_a_code_enrols_one_device(house: House, announced: str) -> None:
    first = new_device(house)
    enrolled = enrolment(first, f" {announced.lower()}")
    assert (enrolled.status, enrolled.body["name"], enrolled.body["kind"]) == (
        201,
        "一病区手持机",
        "HANDHELD",
    )
    again = enrolment(new_device(house), announced)
    assert (again.status, again.code) == (422, "ENROLMENT_CODE_INVALID")


def test_a_code_ends_after_a_day(house: House, announced: str, clock: MovedClock) -> None:
    clock.forward(hours=24, seconds=1)
    assert enrolment(new_device(house), announced).code == "ENROLMENT_CODE_INVALID"


def test_a_code_is_good_in_its_own_hospital(
    house: House, announced: str, app: Flask, clock: MovedClock
) -> None:
    elsewhere = House(app, house.base_url, clock, None)
    assert enrolment(new_device(elsewhere), announced).code == "ENROLMENT_CODE_INVALID"


def test_one_key_is_one_device(house: House, announced: str) -> None:
    known = house.device()
    answer = enrolment(known, announced)
    assert (answer.status, answer.code) == (409, "DEVICE_KEY_TAKEN")


def test_a_key_that_did_not_sign_is_not_enrolled(house: House, announced: str) -> None:
    device, other = new_device(house), new_device(house)
    asked = {"hospital": house.code, "code": announced, "jwk": other.jwk}
    assert device.try_("POST", "/v1/devices", asked).code == "PROOF_INVALID"
    assert enrolment(other, announced).status == 201


def spoiled(nurse: StaffClient, **claims: object) -> Answer:
    proof = nurse.proof("GET", ME, b"", **claims)
    return nurse.try_("GET", ME, headers={"DPoP": proof})


def test_a_proof_is_good_for_one_request(house: House) -> None:
    nurse = house.staff("NURSE")
    proof = nurse.proof("GET", ME, b"")
    assert nurse.try_("GET", ME, headers={"DPoP": proof}).status == 200
    for _ in range(20):
        again = nurse.try_("GET", ME, headers={"DPoP": proof})
        assert (again.status, again.code) == (401, "PROOF_REPLAYED")


@pytest.mark.parametrize(
    "claims",
    [
        {"htm": "POST"},
        {"htu": "http://xianzhen.test/v1/staff"},
        {"htu": "http://elsewhere.test/v1/staff/me"},
        {"ath": "x" * 43},
        {"ath": None},
        {"bh": "x" * 43},
        {"jti": "short"},
        {"jti": None},
        {"iat": None},
    ],
    ids=str,
)
def test_a_proof_of_something_else_is_refused(house: House, claims: dict[str, object]) -> None:
    assert spoiled(house.staff("NURSE"), **claims).code == "PROOF_INVALID"


@pytest.mark.parametrize(("seconds", "code"), [(-62, "PROOF_STALE"), (62, "PROOF_STALE"), (50, "")])
def test_a_proof_is_good_for_a_minute_by_our_clock(
    house: House, clock: MovedClock, seconds: int, code: str
) -> None:
    clock.forward(days=30)
    assert spoiled(house.staff("NURSE"), iat=int(clock().timestamp()) + seconds).code == code


def test_a_proof_covers_the_body(house: House) -> None:
    admin = house.staff("ADMINISTRATOR", kind="DESK")
    path, meant, forged = "/v1/staff/x/wards", {"wards": ["W1"]}, {"wards": ["W1", "W2"]}
    proof = admin.proof("PUT", path, json.dumps(meant).encode())
    assert admin.try_("PUT", path, forged, headers={"DPoP": proof}).code == "PROOF_INVALID"
    assert admin.try_("PUT", path, meant, headers={"DPoP": proof}).code == "STAFF_UNKNOWN"


def test_another_enrolled_device_cannot_use_the_token(house: House) -> None:
    nurse, thief = house.staff("NURSE"), house.staff("NURSE")
    thief.access_token = nurse.access_token
    assert thief.try_("GET", ME).code == "DEVICE_OTHER"


@pytest.mark.parametrize("header", ["", "x.y.z", "a" * 5000])
def test_a_missing_or_broken_proof_is_refused(house: House, header: str) -> None:
    nurse = house.staff("NURSE")
    assert nurse.try_("GET", ME, headers={"DPoP": header}).code == "PROOF_INVALID"


def test_a_proof_with_a_private_key_or_another_algorithm_is_refused(house: House) -> None:
    nurse = house.staff("NURSE")
    good = nurse.proof("GET", ME, b"")
    head, claims, signature = good.split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    for changed in (
        {"typ": "jwt"},
        {"alg": "none"},
        {"alg": "HS256"},
        {"jwk": header["jwk"] | {"d": "x"}},
        {"jwk": header["jwk"] | {"x": header["jwk"]["y"]}},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"jwk": "text"},
    ):
        forged = base64.urlsafe_b64encode(json.dumps(header | changed).encode()).decode()
        proof = ".".join((forged.rstrip("="), claims, signature))
        assert nurse.try_("GET", ME, headers={"DPoP": proof}).code == "PROOF_INVALID", changed


def test_a_copy_is_refused_when_redis_is_gone_or_has_forgotten(
    house: House, make_app: Callable[..., Flask], redis_client: redis.Redis
) -> None:
    nurse = house.staff("NURSE")
    proof = nurse.proof("GET", ME, b"")
    assert nurse.try_("GET", ME, headers={"DPoP": proof}).status == 200
    redis_client.flushall()
    assert nurse.try_("GET", ME, headers={"DPoP": proof}).code == "PROOF_REPLAYED"
    nurse.wire = OverApp(make_app(redis_url="redis://127.0.0.1:1/0"), house.base_url, "10.9.9.9")
    assert nurse.try_("GET", ME, headers={"DPoP": proof}).code == "PROOF_REPLAYED"
    assert nurse.try_("GET", ME).status == 200


def test_of_two_copies_at_once_one_passes(house: House) -> None:
    nurse = house.staff("NURSE")
    sent = {"DPoP": nurse.proof("GET", ME, b"")}
    with ThreadPoolExecutor(8) as copies:
        answers = list(copies.map(lambda _: nurse.try_("GET", ME, headers=sent).code, range(8)))
    assert sorted(answers) == ["", *["PROOF_REPLAYED"] * 7]


def test_a_login_heard_on_the_way_opens_no_second_session(house: House) -> None:
    staff_no, password = house.hire("NURSE")
    device, path = house.device(), "/v1/staff/sessions"
    asked = {"hospital": house.code, "staff_no": staff_no, "password": password}
    sent = {"DPoP": device.proof("POST", path, json.dumps(asked).encode())}
    answers = [device.try_("POST", path, asked, headers=sent) for _ in range(2)]
    assert [answer.code for answer in answers] == ["", "PROOF_REPLAYED"]


def test_proofs_are_forgotten_long_after_their_minute(house: House) -> None:
    house.staff("NURSE").get(ME)
    with Session.begin() as db:
        db.execute(text("UPDATE proof_seen SET seen_at = seen_at - interval '5 minutes'"))
    nurse = house.staff("NURSE")
    proof = nurse.proof("GET", ME, b"")
    nurse.get(ME, headers={"DPoP": proof})
    kept = rows("SELECT count(*) AS n FROM proof_seen WHERE seen_at > now() - interval '1 minute'")
    jobs.SWEEPS["forget_proofs"][1](None)
    assert rows("SELECT count(*) AS n FROM proof_seen") == kept
    assert nurse.try_("GET", ME, headers={"DPoP": proof}).code == "PROOF_REPLAYED"
