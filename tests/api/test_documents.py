"""The OpenAPI document says of every operation what it is, who may call it, and how it fails."""

import json
import re
from typing import Any

import pytest
from flask import Flask

from simulator.clients import Client
from tests.people import House

METHODS = ("get", "put", "post", "delete", "patch")


@pytest.fixture
def spec(house: House) -> dict[str, Any]:
    return Client(house.wire, house.code).get("/openapi.json")


def operations(spec: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method} {path}", operation)
        for path, item in spec["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    ]


def test_it_is_openapi_3_1(spec: dict[str, Any]) -> None:
    assert spec["openapi"] == "3.1.0"
    assert set(spec["components"]["securitySchemes"]) == {"patient", "staff", "his"}


def test_every_operation_is_whole(spec: dict[str, Any]) -> None:
    for name, operation in operations(spec):
        assert operation["summary"], name
        assert operation["tags"], name
        assert "security" in operation, name
        assert operation["responses"]["default"] == {"$ref": "#/components/responses/Problem"}, name
        assert {"429", "500", "503"} <= set(operation["responses"]), name
        if operation["security"]:
            assert {"401", "403"} <= set(operation["responses"]), name
        successes = [status for status in operation["responses"] if status.startswith("2")]
        assert successes, name


def test_every_tag_is_described(spec: dict[str, Any]) -> None:
    described = {tag["name"] for tag in spec["tags"] if tag["description"]}
    assert {tag for _, operation in operations(spec) for tag in operation["tags"]} <= described


def test_every_pattern_is_one_that_javascript_knows(spec: dict[str, Any]) -> None:
    patterns = set(re.findall(r'"pattern": "((?:[^"\\\\]|\\\\.)*)"', json.dumps(spec)))
    assert patterns
    for pattern in patterns:
        assert (pattern[0], pattern[-1], "\\\\Z" in pattern) == ("^", "$", False), pattern


def test_every_reference_leads_somewhere(spec: dict[str, Any]) -> None:
    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                *_, kind, name = node["$ref"].split("/")
                assert name in spec["components"][kind]
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(spec)


def test_every_route_is_documented(spec: dict[str, Any], app: Flask) -> None:
    unlisted = {"/openapi.json", "/documents", "/documents/{name}"}
    documented = set(spec["paths"]) | unlisted
    served = {
        "/".join(
            "{" + part.strip("<>").rpartition(":")[2] + "}" if part.startswith("<") else part
            for part in rule.rule.split("/")
        )
        for rule in app.url_map.iter_rules()
    }
    assert {path for path in served if not path.startswith("/probe/")} == documented
