"""Good tokens: how long, for whom, and keys that are rolled without anybody being thrown out."""

import base64
from collections.abc import Callable

import pytest
from flask import Flask

from simulator.clients import Answer, OverApp, PhoneClient, StaffClient
from tests.api.conftest import BASE_URL, KEYS
from tests.api.forged_tokens import forged, parts
from tests.people import House, MovedClock

ME = "/v1/patient/binding"


@pytest.fixture
def phone(house: House) -> PhoneClient:
    return house.phone()


def shown(client: PhoneClient, token: str) -> Answer:
    return client.try_("GET", ME, headers={"Authorization": f"Bearer {token}"})


def test_a_token_ends_after_ten_minutes_of_the_injected_clock(
    phone: PhoneClient, clock: MovedClock
) -> None:
    clock.forward(minutes=9, seconds=55)
    assert phone.try_("GET", ME).status == 200
    clock.forward(seconds=6)
    answer = phone.try_("GET", ME)
    assert (answer.status, answer.code) == (401, "TOKEN_EXPIRED")


@pytest.mark.parametrize("days", [-300, 300])
def test_on_a_rehearsed_day_everybody_comes_in(house: House, clock: MovedClock, days: int) -> None:
    clock.forward(days=days)
    assert house.phone().try_("GET", ME).status == 200
    nurse = house.staff("NURSE")
    nurse.refresh()
    assert nurse.try_("GET", "/v1/staff/me").status == 200


def test_the_other_tokens_are_no_access_tokens(house: House, phone: PhoneClient) -> None:
    nurse = house.staff("NURSE")
    assert shown(phone, phone.refresh_token).code == "TOKEN_INVALID"
    assert shown(phone, nurse.access_token).code == "TOKEN_INVALID"
    nurse.access_token = phone.access_token
    assert nurse.try_("GET", "/v1/staff/me").code == "TOKEN_INVALID"


def test_a_staff_token_without_its_proof_is_worth_nothing(house: House) -> None:
    nurse = house.staff("NURSE")
    plain = PhoneClient(house.wire, house.code, access_token=nurse.access_token)
    assert plain.try_("GET", "/v1/staff/me").code == "TOKEN_INVALID"
    unproven = {"Authorization": f"DPoP {nurse.access_token}"}
    stranger = PhoneClient(house.wire, house.code)
    assert stranger.try_("GET", "/v1/staff/me", headers=unproven).code == "PROOF_INVALID"


def test_nobody_is_let_in_without_a_credential(house: House) -> None:
    stranger = PhoneClient(house.wire, house.code)
    for headers in ({}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer "}):
        answer = stranger.try_("GET", ME, headers=headers)
        assert (answer.status, answer.code) in ((401, "NOT_LOGGED_IN"), (401, "TOKEN_INVALID"))


def test_a_patient_is_not_staff_and_staff_are_not_a_patient(
    house: House, phone: PhoneClient
) -> None:
    assert phone.try_("GET", "/v1/staff/me").code == "PERMISSION_MISSING"
    assert house.staff("NURSE").try_("GET", ME).code == "PERMISSION_MISSING"


def test_tokens_carry_only_ids(house: House) -> None:
    nurse = house.staff("NURSE", wards=("W1",))
    header, claims = parts(nurse.access_token)
    assert header == {"alg": "HS256", "kid": "new", "typ": "at+jwt"}
    assert set(claims) == {"iss", "aud", "sub", "jti", "iat", "exp", "cnf"}
    assert claims["exp"] - claims["iat"] == 600


def test_keys_are_rolled(house: House, phone: PhoneClient, make_app: Callable[..., Flask]) -> None:
    newest = KEYS | {"newest": base64.b64encode(b"n" * 32).decode()}
    rolled = OverApp(make_app(jwt_keys=newest), BASE_URL, "10.8.0.1")
    nurse: StaffClient = house.staff("NURSE")
    for client, path in ((phone, ME), (nurse, "/v1/staff/me")):
        client.wire = rolled
        client.get(path)
        client.refresh()
        assert parts(client.access_token)[0]["kid"] == "newest"
        client.get(path)
    without_new = OverApp(make_app(jwt_keys={"newest": newest["newest"]}), BASE_URL, "10.8.0.2")
    old = forged(phone.access_token, header={"kid": "new"})
    phone.wire = without_new
    assert phone.try_("GET", ME).status == 200
    assert shown(phone, old).code == "TOKEN_INVALID"
