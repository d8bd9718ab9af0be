"""Requests that Schemathesis makes up from the OpenAPI document, sound and spoiled, sent by every
kind of caller about their own things."""

import contextlib
import io
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import ceil
from typing import Any
from urllib.parse import quote, urlencode

import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core import NOT_SET

import logs
from tests.api.access_world import CALLERS, ROUTES, World, named
from tests.api.belongings import Belongings, belongings
from tests.api.contract import Contract

NASTY: tuple[Any, ...] = (
    "\x00",
    "\ud800",
    "𠮷\u202e\ufeff\u0007",
    "中" * 5000,
    "' OR 1=1 --",
    "../../etc/passwd",
    "9999-12-31",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "1e999999",
    2**63,
    -(2**63) - 1,
    10**400,
    1e308,
    float("nan"),
    True,
    None,
    [],
    {},
    [[[[[]]]]],
)
"""What has broken a server somewhere before."""

NASTY_PATHS = ("%00", "%ff", "..%2f..%2fetc", "%F0%A0%AE%B7", "x" * 3000, "%20", "%3F%23", "0", "")
NASTY_BODIES = (b"{", b"\xff\xfe{}", b"[" * 100_000, b'{"a":1}{"a":1}', b"null", b"9" * 10_000)


@dataclass
class Fuzz:
    """Everything sent follows from ``seed``; ``failed`` must be empty in the end."""

    app: Flask
    world: World
    contract: Contract
    seed: int
    forget_counts: Callable[[], None]
    generated: int = 0
    seen: Counter[int] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def sent(self) -> int:
        """How many requests were answered."""
        return self.seen.total()

    def run(self, requests: int, callers: int) -> None:
        """At least so many requests, each case sent by so many callers: every operation gets its
        share of sound cases and of spoiled ones, and some cannot be spoiled."""
        schema = schemathesis.openapi.from_wsgi("/openapi.json", self.app)
        operations = [found.ok() for found in schema.get_all_operations()]
        share = ceil(requests / len(operations) / 2 / (callers - 1))
        with logged() as lines:
            for operation in operations:
                things = belongings(self.world.here, self.world.patient)
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                    dice = random.Random(f"{self.seed} {operation.label} {mode}")
                    for place, case in enumerate(self._cases(operation, mode, share)):
                        self._send(case, things, self._turn(case, place, callers), dice)
                self._read(lines, operation.label)

    def _cases(self, operation: Any, mode: GenerationMode, count: int) -> list[Any]:
        found: list[Any] = []

        @seed(self.seed)
        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=count + 1,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        def collect(case: Any) -> None:
            found.append(case)

        with contextlib.suppress(Unsatisfiable):  # nothing in it that could be spoiled
            collect()
        found = found[-count:]  # the first is the emptiest there is
        self.generated += len(found)
        return found

    def _turn(self, case: Any, place: int, callers: int) -> list[str]:
        """So many: those who may, in turn, and at least one who may not, in turn."""
        may = [name for name in CALLERS if name in named(ROUTES[route_of(case)], "may")]
        others = [name for name in CALLERS if name not in may]
        some = _rotated(may, place)[: callers - 1 if others else callers]
        return some + _rotated(others, place)[: callers - len(some)]

    def _send(self, case: Any, things: Belongings, names: list[str], dice: random.Random) -> None:
        method, target, headers, body = request_of(case, things, dice)
        for name in names:
            self.forget_counts()
            spent = "spends" in ROUTES[route_of(case)] and name != "NOBODY"
            caller = self.world.caller(name) if spent else self.world.callers[name]
            signed = headers | caller.credentials(method, target, body)
            answer = caller.wire.send(method, target, signed, body)
            self.seen[answer.status] += 1
            if why := self.contract.breaks(case.method, case.path, answer):
                told = f"{name} {target[:300]} {headers} {body[:300]!r} -> {answer.text[:400]}"
                self.failed.setdefault(f"{case.method} {case.path}: {why}", told)

    def _read(self, lines: io.StringIO, label: str) -> None:
        written = lines.getvalue()
        lines.seek(0)
        lines.truncate()
        if told := {secret for secret in self.contract.secrets if secret in written}:
            self.failed[f"{label}: the log tells {told}"] = ""


def _rotated(names: list[str], place: int) -> list[str]:
    start = place % len(names) if names else 0
    return names[start:] + names[:start]


def route_of(case: Any) -> str:
    """The case's name in access_matrix.yaml."""
    if not _BY_DOCUMENT:
        for route in ROUTES:
            _BY_DOCUMENT[re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)] = route
    return _BY_DOCUMENT[f"{case.method} {case.path}"]


_BY_DOCUMENT: dict[str, str] = {}


def request_of(
    case: Any, things: Belongings, dice: random.Random
) -> tuple[str, str, dict[str, str], bytes]:
    """Method, target, headers and body: the case, often about real things, sometimes nasty."""
    known = things.names if dice.random() < 0.7 else {}
    parts = {name: _segment(value, dice) for name, value in (case.path_parameters or {}).items()}
    parts |= {name: known[name] for name in parts if name in known}
    if parts and dice.random() < 0.05:
        parts[dice.choice(list(parts))] = dice.choice(NASTY_PATHS)
    target = re.sub(r"{(\w+)}", lambda part: parts.get(part[1], "x"), case.path)
    query = case.query if isinstance(case.query, dict) else {}
    if query and dice.random() < 0.2:
        query = query | {dice.choice(list(query)): dice.choice(NASTY)}
    if query:
        target += "?" + urlencode(query, doseq=True, errors="replace")
    headers = {
        str(name): str(value)
        for name, value in (case.headers or {}).items()
        if re.fullmatch(r"[\x20-\x7e]*", str(value)) and re.fullmatch(r"[\w-]+", str(name))
    }
    if case.media_type is None and case.body is NOT_SET:
        return case.method, target, headers, b""
    headers["Content-Type"] = case.media_type or "application/json"
    return case.method, target, headers, _body(case.body, known, dice)


def _segment(value: Any, dice: random.Random) -> str:
    return quote(str(value), safe="", errors="replace")


def _body(body: Any, known: dict[str, str], dice: random.Random) -> bytes:
    if dice.random() < 0.03:
        return dice.choice(NASTY_BODIES)
    if body is NOT_SET:
        return b""
    if isinstance(body, bytes):
        return body
    body = _with_known(body, known)
    if dice.random() < 0.3:
        body = _spoiled(body, dice)
    return json.dumps(body).encode()


def _with_known(node: Any, known: dict[str, str]) -> Any:
    """Real names, numbers and phones where the fields are called so."""
    if isinstance(node, dict):
        return {
            key: known[key]
            if key in known and isinstance(value, str)
            else _with_known(value, known)
            for key, value in node.items()
        }
    return [_with_known(one, known) for one in node] if isinstance(node, list) else node


def _spoiled(node: Any, dice: random.Random) -> Any:
    """One leaf replaced by something nasty."""
    if isinstance(node, dict) and node:
        key = dice.choice(list(node))
        return node | {key: _spoiled(node[key], dice)}
    if isinstance(node, list) and node:
        place = dice.randrange(len(node))
        return [*node[:place], _spoiled(node[place], dice), *node[place + 1 :]]
    return dice.choice(NASTY)


@contextlib.contextmanager
def logged() -> Iterator[io.StringIO]:
    """The lines as they would be written to the log file."""
    lines = io.StringIO()
    logs.configure(lines)
    try:
        yield lines
    finally:
        logs.configure()
