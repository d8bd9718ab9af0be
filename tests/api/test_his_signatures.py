"""The HIS signs its requests: what was changed, is old, comes twice or is signed by another key is
refused."""

import json
from collections.abc import Callable

import pytest
from flask import Flask

from journeys import founding
from policies.refusals import Conflict
from simulator.clients import Answer, HisClient, OverApp
from tests.people import House, MovedClock

PATH = "/probe/his"


def signed(his: HisClient, body: bytes = b"", method: str = "GET", target: str = PATH) -> dict:
    return his.credentials(method, target, body)


def send(
    his: HisClient,
    headers: dict[str, str],
    body: bytes = b"",
    method: str = "GET",
    target: str = PATH,
) -> Answer:
    media = {"Content-Type": "application/json"} if body else {}
    return his.wire.send(method, target, headers | media, body)


def test_a_signed_request_comes_in_as_the_his(house: House) -> None:
    his = house.his()
    found = his.get(PATH, query={"day": "2025-07-04", "词": "值"})
    assert (found["channel"], found["hospital_id"]) == ("HIS", str(house.hospital_id))
    assert found["name"].startswith("his:S")
    assert his.post(PATH, {"事件": 1})["channel"] == "HIS"


@pytest.mark.parametrize(
    "changed",
    [
        {"X-Signature": "0" * 64},
        {"X-Signature": ""},
        {"X-Timestamp": "1700000000"},
        {"X-Nonce": "f" * 32},
        {"X-Key-Id": "other"},
        {"X-Hospital": "other"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_changed_header_is_refused(house: House, changed: dict[str, str]) -> None:
    his = house.his()
    answer = send(his, signed(his) | changed)
    assert answer.status == 401
    expected = "NOT_LOGGED_IN" if changed == {} else "SIGNATURE_INVALID"
    assert answer.code == expected


def test_a_signature_is_of_one_method_path_query_and_body(house: House) -> None:
    his, body = house.his(), json.dumps({"a": 1}).encode()
    headers = signed(his, body, "POST")
    assert send(his, headers, body + b" ", "POST").code == "SIGNATURE_INVALID"
    assert send(his, headers, body, "POST", PATH + "?a=1").code == "SIGNATURE_INVALID"
    assert send(his, headers, body, "PUT").status == 405
    assert send(his, headers, body, "POST").status == 200


@pytest.mark.parametrize(("seconds", "code"), [(301, "SIGNATURE_STALE"), (290, "")])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_signature_is_good_for_five_minutes_by_our_clock(
    house: House, clock: MovedClock, seconds: int, code: str, sign: int
) -> None:
    his = house.his()
    headers = signed(his)
    clock.forward(seconds=seconds * sign)
    assert send(his, headers).code == code


def test_a_nonce_is_good_once(house: House) -> None:
    his = house.his()
    headers = signed(his)
    assert send(his, headers).status == 200
    assert [send(his, headers).code for _ in range(5)] == ["SIGNATURE_REPLAYED"] * 5


def test_without_redis_a_repeat_is_let_through(
    house: House, make_app: Callable[..., Flask]
) -> None:
    """Every event is stored once by its source id, so a repeat changes nothing."""
    his = house.his()
    his.wire = OverApp(make_app(redis_url="redis://127.0.0.1:1/0"), house.base_url, "10.9.9.8")
    headers = signed(his)
    assert [send(his, headers).status for _ in range(2)] == [200, 200]


def test_a_short_nonce_is_refused(house: House) -> None:
    his = house.his()
    key_id, _ = his.key_id, his.secret
    short = HisClient(his.wire, his.hospital, now=his.now, key_id=key_id, secret=his.secret)
    headers = signed(short) | {"X-Nonce": "1"}
    assert send(his, headers).code == "SIGNATURE_INVALID"


def test_two_keys_live_while_one_is_rolled(house: House) -> None:
    keys = [founding.make_his_key(house.code, "HIS", house.now) for _ in range(2)]
    with pytest.raises(Conflict, match="HIS_KEYS_FULL"):
        founding.make_his_key(house.code, "HIS", house.now)
    old, new = (
        HisClient(house.wire, house.code, now=house.now, key_id=key_id, secret=secret)
        for key_id, secret in keys
    )
    assert (old.get(PATH)["name"], new.get(PATH)["name"]) == ("his:HIS", "his:HIS")
    founding.retire_his_key(house.code, old.key_id, house.now)
    assert old.try_("GET", PATH).code == "SIGNATURE_INVALID"
    assert new.try_("GET", PATH).status == 200
    founding.make_his_key(house.code, "HIS", house.now)


def test_a_key_is_good_in_its_own_hospital(house: House, app: Flask, clock: MovedClock) -> None:
    his, elsewhere = house.his(), House(app, house.base_url, clock, None)
    his.hospital = elsewhere.code
    assert his.try_("GET", PATH).code == "SIGNATURE_INVALID"


def test_the_his_may_only_report(house: House) -> None:
    his = house.his()
    assert his.try_("GET", "/v1/staff/me").code == "PERMISSION_MISSING"
    assert his.try_("DELETE", "/v1/sessions/current").code == "PERMISSION_MISSING"
