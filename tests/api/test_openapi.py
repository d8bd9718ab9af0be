"""The published OpenAPI document is valid, whole, and true: whatever it allows to be sent never
makes the server fail."""

import copy
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from simulator.clients import Client
from tests.people import House

EXAMPLES = 2
"""For each operation and caller, the same each time; take more to look for something new."""

ENDS_THE_SESSION = {"DELETE /v1/sessions/current", "PUT /v1/staff/me/password"}
EVERYTHING = ("CASHIER", "FINANCE_MAKER", "FINANCE_HEAD", "INSURANCE_OFFICE", "ADMINISTRATOR")


@pytest.fixture
def spec(house: House) -> dict[str, Any]:
    return Client(house.wire, house.code).get("/openapi.json")


def operations(spec: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, operation)
        for path, item in spec["paths"].items()
        for method, operation in item.items()
        if method in ("get", "put", "post", "delete", "patch")
    ]


def test_it_is_valid_openapi_3_1(spec: dict[str, Any]):
    assert spec["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(spec).validate()
    broken = copy.deepcopy(spec)
    broken["paths"]["/v1/admissions"]["get"]["parameters"] = [{"name": "no place"}]
    with pytest.raises(Exception, match="is a required property"):
        schemathesis.openapi.from_dict(broken).validate()


def test_each_operation_says_who_may_call_it_or_why_everybody_may(spec: dict[str, Any]):
    for method, path, operation in operations(spec):
        name = f"{method} {path}"
        assert operation["summary"] and operation["tags"], name
        assert bool(operation["security"]) == bool(operation["x-permissions"]), name
        assert bool(operation["security"]) != bool(operation.get("x-public-because")), name


OWN_WORDS = {("/readyz", "503"), ("/wxpay/notify/{hospital}/{subject}", "401")}
"""Where load balancers and WeChat Pay expect a body of another form."""


def test_each_operation_says_how_it_may_fail(spec: dict[str, Any]):
    problem = {"$ref": "#/components/responses/Problem"}
    for method, path, operation in operations(spec):
        wanted = {"429", "500", "503", "default"}
        wanted |= {"401", "403", "404"} if operation["security"] else set()
        wanted |= {"401", "404", "409", "422"} if method != "get" else set()
        wanted |= {"422"} if "parameters" in operation else set()
        wanted -= {status for place, status in OWN_WORDS if place == path}
        wanted |= {"400", "413", "415"} if "requestBody" in operation else set()
        told = {status for status, answer in operation["responses"].items() if answer == problem}
        assert wanted <= told, f"{method} {path}"


def test_every_whole_number_that_may_be_sent_has_room_in_a_column(spec: dict[str, Any]):
    """A number that PostgreSQL's bigint cannot hold is refused at the edge, not by a failure."""
    sent = [node for node in _sent(spec) if "integer" in str(node.get("type", ""))]
    assert len(sent) > 10
    for node in sent:
        assert node.get("minimum", -(2**64)) >= -(2**63), node
        assert node.get("maximum", 2**64) < 2**63, node


def test_every_day_that_may_be_sent_is_one_that_somebody_can_mean(spec: dict[str, Any]):
    """The day after 9999-12-31 does not exist, and to look for it is a failure."""
    sent = [node for node in _sent(spec) if str(node.get("format")) in {"date", "date-time"}]
    assert len(sent) > 10
    for node in sent:
        assert node.get("x-minimum", "0") >= "1850", node
        assert node.get("x-maximum", "9") < "2200", node


def _sent(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for _, _, operation in operations(spec):
        yield from _parts(spec, operation.get("parameters", []))
        yield from _parts(spec, operation.get("requestBody", {}))


def _parts(spec: dict[str, Any], node: Any) -> Iterator[dict[str, Any]]:
    """Every part of a schema, references followed."""
    if isinstance(node, list):
        for each in node:
            yield from _parts(spec, each)
    elif isinstance(node, dict):
        if reference := node.get("$ref"):
            node = spec["components"][reference.split("/")[2]][reference.split("/")[3]]
        yield node
        for each in node.values():
            yield from _parts(spec, each)


def test_money_moves_only_under_a_documented_key(spec: dict[str, Any]):
    keyed = {
        path
        for _, path, operation in operations(spec)
        for each in operation.get("parameters", [])
        if each["name"] == "Idempotency-Key" and each["required"] and each["in"] == "header"
    }
    assert keyed >= {
        "/v1/admissions/{admission_id}/deposits",
        "/v1/admissions/{admission_id}/deposit-refunds",
        "/v1/admissions/{admission_id}/settlement/payments",
        "/v1/visits/{visit_id}/payments",
    }


@dataclass
class Fuzz:
    """One caller sends what the document allows; half the time with the ``known`` numbers."""

    house: House
    caller: Client | None
    known: dict[str, str] = field(default_factory=dict)
    seen: Counter[int] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)

    def run(self, app: Flask, way: str) -> None:
        schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
        for found in schema.get_all_operations():
            operation = found.ok()
            ways = {name for way in operation.definition.raw["security"] for name in way}
            if operation.label not in ENDS_THE_SESSION and (not way or way in ways):
                self.some(operation)

    def some(self, operation: Any) -> None:
        @given(case=operation.as_strategy(), real=st.booleans())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        def send(case: Any, real: bool) -> None:
            self.send(case, real)

        send()

    def send(self, case: Any, real: bool) -> None:
        if real:
            case.path_parameters |= {
                name: value for name, value in self.known.items() if name in case.path_parameters
            }
        query = urlencode(case.query or {}, doseq=True)
        target = quote(case.formatted_path, safe="/%") + (f"?{query}" if query else "")
        headers = {str(name): str(value) for name, value in (case.headers or {}).items()}
        body = b""
        if case.media_type:
            body = json.dumps(case.body).encode()
            headers["Content-Type"] = "application/json"
        if self.caller:
            headers |= self.caller.credentials(case.method, target, body)
        answer = self.house.wire.send(case.method, target, headers, body)
        self.seen[answer.status] += 1
        if answer.status >= 500:
            label = f"{answer.status} {case.method} {case.path}"
            self.failed.setdefault(label, f"{target} {body[:300]!r} {answer.text[:200]}")


def test_nothing_that_the_document_allows_makes_the_server_fail(house: House, app: Flask):
    """By somebody who holds nearly every permission, on a stay, a patient and a ward that exist."""
    stay = house.stay()
    known = {"admission_id": str(stay.id), "patient_id": str(stay.patient_id), "ward": "W1"}
    fuzz = Fuzz(house, house.staff(*EVERYTHING, kind="DESK", ward="", window="3"), known)
    fuzz.run(app, "staff")
    assert fuzz.failed == {}
    assert {200, 404, 422} <= set(fuzz.seen), fuzz.seen
    assert 429 not in fuzz.seen, fuzz.seen


def test_nobody_gets_in_or_breaks_anything_without_credentials(house: House, app: Flask):
    fuzz = Fuzz(house, None)
    fuzz.run(app, "")
    assert fuzz.failed == {}
    assert fuzz.seen[401] > 60
    assert not {201, 204, 429} & set(fuzz.seen), fuzz.seen
