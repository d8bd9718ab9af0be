"""Twelve kinds of bad access tokens, and keys that are rolled without anybody being thrown out."""

import base64
import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from flask import Flask

from simulator.clients import Answer, OverApp, PhoneClient, StaffClient
from tests.api.conftest import BASE_URL, KEYS
from tests.people import House, MovedClock

ME = "/v1/patient/binding"


@pytest.fixture
def phone(house: House) -> PhoneClient:
    return house.phone()


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    head, claims, _ = token.split(".")
    return tuple(json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, claims))


def forged(
    token: str, key: str = KEYS["new"], header: dict[str, Any] | None = None, **claims: Any
) -> str:
    """Our own token with some of it changed and signed again (by default with our own key)."""
    head, said = parts(token)
    head |= {"alg": "HS256"} | (header or {})
    said = {name: value for name, value in (said | claims).items() if value is not None}
    return jwt.encode(said, base64.b64decode(key), algorithm=head["alg"], headers=head)


def unsigned(token: str) -> str:
    head, said = parts(token)
    return jwt.encode(said, None, algorithm="none", headers={"kid": "new", "typ": head["typ"]})


def cut(token: str) -> str:
    return token[:-2] + ("AA" if token[-2:] != "AA" else "BB")


def shown(client: PhoneClient, token: str) -> Answer:
    return client.try_("GET", ME, headers={"Authorization": f"Bearer {token}"})


FOREIGN = base64.b64encode(b"f" * 32).decode()
BAD: dict[str, Callable[[str], str]] = {
    "not a token": lambda _: "nonsense",
    "no signature": unsigned,
    "a broken signature": cut,
    "a foreign key": lambda token: forged(token, key=FOREIGN),
    "an unknown key name": lambda token: forged(token, header={"kid": "other"}),
    "no key name": lambda token: forged(token, header={"kid": ""}),
    "another algorithm": lambda token: forged(token, header={"alg": "HS384"}),
    "another type": lambda token: forged(token, header={"typ": "JWT"}),
    "another audience": lambda token: forged(token, aud="xianzhen:staff"),
    "another issuer": lambda token: forged(token, iss="http://elsewhere.test"),
    "no end": lambda token: forged(token, exp=None),
    "a subject that is no id": lambda token: forged(token, sub="1 OR 1=1"),
    "made in the future": lambda token: forged(token, iat=parts(token)[1]["iat"] + 3600),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_token_is_refused(phone: PhoneClient, kind: str) -> None:
    assert shown(phone, phone.access_token).status == 200
    answer = shown(phone, BAD[kind](phone.access_token))
    assert (answer.status, answer.code) == (401, "TOKEN_INVALID")
    assert answer.headers["WWW-Authenticate"] == 'Bearer, DPoP algs="ES256"'


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
