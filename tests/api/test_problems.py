"""Every failure is one problem document: stable code, clause, plain words, next step, and nothing
of the inside."""

import json
from collections.abc import Callable
from uuid import uuid4

import pytest
from flask import Flask

from models.db import Session, rows
from simulator.clients import Answer, Client, OverApp
from tests.people import House

MEMBERS = {"type", "title", "status", "code", "clause", "detail", "next_step", "request_id"}


@pytest.fixture
def anybody(house: House) -> Client:
    return Client(house.wire, house.code)


def raw(anybody: Client, method: str, path: str, body: bytes, media: str = "") -> Answer:
    headers = {"Content-Type": media} if media else {}
    return anybody.wire.send(method, path, headers, body)


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("refused", 422, "DEPOSIT_CAP_EXCEEDED"),
        ("not_found", 404, "ADMISSION_UNKNOWN"),
        ("conflict", 409, "IDEMPOTENCY_CONFLICT"),
        ("forbidden", 403, "PERMISSION_MISSING"),
        ("unauthenticated", 401, "NOT_LOGGED_IN"),
        ("busy", 503, "WECHAT_AWAY"),
        ("move", 409, "STATE_CHANGED"),
        ("no_answer", 503, "COUNTERPART_AWAY"),
        ("not_now", 503, "COUNTERPART_AWAY"),
        ("declined", 422, "COUNTERPART_DECLINED"),
        ("pool", 503, "POOL_EXHAUSTED"),
        ("database", 503, "DATABASE_AWAY"),
        ("crash", 500, "UNEXPECTED"),
        ("unworded", 422, "NOBODY_WROTE_THIS"),
    ],
)
def test_a_failure_is_a_problem_document(anybody: Client, how: str, status: int, code: str) -> None:
    answer = anybody.try_("GET", f"/probe/fail/{how}")
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.body
    assert set(problem) == MEMBERS
    assert (problem["type"], problem["status"]) == (f"urn:xianzhen:problem:{code}", status)
    assert problem["detail"] and problem["next_step"] and problem["title"]
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert ("Retry-After" in answer.headers) == (status == 503)
    for inside in ("张小丰", "13812345678", "990101", "Traceback", ".py", "psycopg"):
        assert inside not in answer.text


def test_facts_fill_the_sentence(anybody: Client) -> None:
    problem = anybody.try_("GET", "/probe/fail/refused").body
    assert problem["clause"] == "GZ-17"
    assert "1234.05元" in problem["detail"]


def test_after_the_database_hung_up_the_next_request_is_served(anybody: Client) -> None:
    assert anybody.try_("GET", "/probe/fail/database").status == 503
    assert rows("SELECT 1 AS one") == [{"one": 1}]
    with Session.begin() as db:
        assert db.connection()


def test_every_wrong_field_is_named(anybody: Client) -> None:
    wrong = {"lines": [{"amount_fen": 1}, {"amount_fen": 1.5}, {"amount_fen": -1, "x": 1}, {}]}
    answer = anybody.try_("POST", "/probe/orders", wrong)
    assert (answer.status, answer.code) == (422, "FIELDS_INVALID")
    assert {each["field"] for each in answer.body["errors"]} == {
        "lines.1.amount_fen",
        "lines.2.amount_fen",
        "lines.2.x",
        "lines.3.amount_fen",
    }
    assert all(each["message"] for each in answer.body["errors"])


def test_a_name_that_no_field_can_have_is_not_repeated(anybody: Client) -> None:
    for person in ("张小丰", "19900000001", "990101197503090013"):
        answer = anybody.try_("POST", "/probe/orders", {"lines": [], person: person})
        assert (answer.status, person in answer.text) == (422, False)
        assert "?" in [each["field"] for each in answer.body["errors"]]


@pytest.mark.parametrize("amount", [True, "5", 5.0, None, [], 10**13])
def test_money_is_whole_fen(anybody: Client, amount: object) -> None:
    answer = anybody.try_("POST", "/probe/orders", {"lines": [{"amount_fen": amount}]})
    assert [each["field"] for each in answer.body["errors"]] == ["lines.0.amount_fen"]


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[1", b"NaN"])
def test_a_body_that_is_no_json(anybody: Client, body: bytes) -> None:
    answer = raw(anybody, "POST", "/probe/orders", body, "application/json")
    assert (answer.status, answer.code) in ((400, "REQUEST_MALFORMED"), (422, "FIELDS_INVALID"))


def test_http_has_its_own_refusals(anybody: Client) -> None:
    unknown = anybody.try_("GET", "/v1/nothing")
    assert (unknown.status, unknown.code) == (404, "ADDRESS_UNKNOWN")
    method = anybody.try_("PUT", "/probe/orders", {})
    assert (method.status, method.code) == (405, "METHOD_NOT_ALLOWED")
    assert set(method.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}
    media = raw(anybody, "POST", "/probe/orders", b"<x/>", "application/xml")
    assert (media.status, media.code) == (415, "MEDIA_TYPE_UNSUPPORTED")
    never = f"/v1/admissions/{uuid4()}/daily-bills/9999-12-31"
    for nowhere in ("/probe/fail/%00", "/probe//fail/refused", "/v1/staff//password", never):
        assert anybody.try_("GET", nowhere).code == "ADDRESS_UNKNOWN"
    nothing = raw(anybody, "POST", "/probe/orders", b"")
    assert (nothing.status, nothing.body["errors"][0]["field"]) == (422, "lines")


def test_a_body_is_as_large_as_its_route_allows(anybody: Client, house: House) -> None:
    large = json.dumps({"lines": [], "x": "y" * 1024 * 1024}).encode()
    answer = raw(anybody, "POST", "/probe/orders", large, "application/json")
    assert (answer.status, answer.code) == (413, "BODY_TOO_LARGE")
    his = house.his()
    assert his.try_("POST", "/probe/his", {"x": "y" * 3 * 1024 * 1024}).status == 200
    assert his.try_("POST", "/probe/his", {"x": "y" * 4 * 1024 * 1024}).status == 413


def test_limits_by_address_hold_in_memory_when_redis_is_gone(
    house: House, make_app: Callable[..., Flask]
) -> None:
    wire = OverApp(make_app(redis_url="redis://127.0.0.1:1/0"), house.base_url, "10.9.9.7")
    asked = {"hospital": house.code, "code": "AAAA", "jwk": {}}
    anybody = Client(wire, house.code)
    assert anybody.try_("POST", "/v1/devices", asked).status == 422
    device = house.device()
    device.wire = wire
    answers = [device.try_("POST", "/v1/devices", asked | {"jwk": device.jwk}) for _ in range(21)]
    assert [each.status for each in answers] == [422] * 20 + [429]
    assert answers[-1].headers["Retry-After"] == "60"
