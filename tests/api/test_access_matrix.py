"""Every route, every caller, own and foreign things: who gets in, and who learns nothing.

The expectations are in access_matrix.yaml; a new route fails until it has its entry there.
"""

import json
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from flask import Flask
from sqlalchemy import text

from api.app import create_app
from models.db import Base, Session
from policies.access import ROLES
from simulator.clients import Answer, Client, PhoneClient
from tests.api.access_world import CALLERS, ROUTES, World, named
from tests.api.belongings import PERSON, Belongings, belongings
from tests.api.conftest import BASE_URL
from tests.figures import SEED, Figures
from tests.people import House, MovedClock
from tests.sim_process import Simulator
from tests.test_routes import TOLD

REFUSED = (401, 403, 404)
Cells = dict[tuple[str, str], int]

BY_OTHERS = ("POST /wxpay/", "POST /sms/")
"""Their bodies are somebody else's: signed, or behind a secret path, before they are read."""


@pytest.fixture(scope="module")
def world(app: Flask, the_clock: MovedClock, simulator: Simulator) -> World:
    return World(*(House(app, BASE_URL, the_clock, simulator) for _ in range(2)))


@pytest.fixture(scope="module")
def cells(all_figures: Figures) -> Iterator[Cells]:
    """Route and whose things: by how many callers that was tried, and stayed closed."""
    all_figures.since = time.monotonic()
    tried: Cells = {}
    yield tried
    if len(tried) == 2 * len(ROUTES):  # else not all were run, or one failed
        all_figures.add(
            "access matrix",
            f"{len(ROUTES)} routes x {len(CALLERS)} kinds of caller, each with own and with foreign"
            " things (another patient's, another hospital's)",
            "only who may is let in; foreign things do not exist: same answer as for absent ones,"
            " nothing told, no row changed",
            f"0 of {sum(tried.values()):,} cells open to anybody who may not, under these requests"
            f" with seed {SEED}",
        )


@dataclass
class Sent:
    """One request and what came back."""

    target: str
    body: str
    answer: Answer

    def names(self, things: Belongings) -> set[str]:
        """What the request itself says of these things."""
        return {mark for mark in things.marks if mark in self.target + self.body}

    def without(self, things: Belongings) -> str:
        """The answer without its number and without the names that the request had."""
        told = re.sub(r'"request_id": ?"[^"]*"', "", self.answer.text)
        for mark in self.names(things) | {things.names["serial"]}:
            told = told.replace(mark, "…")
        return told


def send(route: str, caller: Client, things: Belongings, **more: str) -> Sent:
    """The route's sound request about these things; ``more`` fields that it does not have."""
    method, _, rule = route.partition(" ")
    entry = ROUTES[route]
    pays_by = "MINI_PROGRAM" if isinstance(caller, PhoneClient) else "QR"
    things.names.update(serial=secrets.token_hex(6), route=pays_by)
    target = things.path(rule, things.body(entry.get("path", {})))
    body = things.body(entry.get("body"))
    body = body | more if more else body
    key = f"key-{caller.calls:06}"
    answer = caller.try_(method, target, body, query=entry.get("query"), key=key)
    return Sent(target, json.dumps(body, ensure_ascii=False), answer)


def test_every_route_is_classified(app: Flask) -> None:
    """A new route: add its entry to access_matrix.yaml (CONTRIBUTING.md says how)."""
    rules = create_app(TOLD, lambda code: None).url_map.iter_rules()
    routes = {f"{m} {rule.rule}" for rule in rules for m in rule.methods - {"HEAD", "OPTIONS"}}
    assert routes - set(ROUTES) == set(), "not classified"
    assert set(ROUTES) - routes == set(), "no longer there"


def test_every_role_is_a_caller() -> None:
    assert set(ROLES) - {"SYSTEM"} <= set(CALLERS)
    for route, entry in ROUTES.items():
        assert named(entry, "may") and named(entry, "may") <= set(CALLERS), route
        assert not named(entry, "may") & named(entry, "finds_nothing"), route


@pytest.mark.parametrize("route", ROUTES)
def test_foreign_things_do_not_exist(world: World, route: str, cells: Cells) -> None:
    """Nothing is told of them and nothing happens to them, whoever asks."""
    entry = ROUTES[route]
    of_both = not {"foreign", "leaves"} & entry.keys()
    before, tried = stored(world, of_both=of_both), 0
    for name, caller in world.callers.items():
        acts = name in named(entry, "may") and not route.startswith("GET ")
        if acts and ("spends" in entry or not about_things(route)):
            continue
        unknown = send(route, caller, world.absent)
        for things in world.foreign_to(name):
            found = send(route, caller, things)
            if about_things(route):
                assert found.answer.status == expected(route, name, foreign=True), (name, found)
                assert found.without(things) == unknown.without(world.absent), (name, found)
            told = {mark for mark in things.marks if mark in found.answer.text}
            assert told <= found.names(things), (name, found)
            assert shown_in_full(found, things) == set(), (name, found)
        tried += 1
    assert stored(world, of_both=of_both) == before
    cells[route, "foreign"] = tried


@pytest.mark.parametrize("route", ROUTES)
def test_own_things_are_reached_by_those_who_may(world: World, route: str, cells: Cells) -> None:
    """And a person is shown in full where the entry says so, to somebody, and nowhere else."""
    entry, said = ROUTES[route], set()
    for name in CALLERS:
        may = name in named(entry, "may")
        spent = may and entry.get("spends")
        caller = world.caller(name) if spent else world.callers[name]
        changes = may and about_things(route) and not route.startswith("GET ")
        things = belongings(world.here, world.patient) if changes else world.mine
        found = send(route, caller, things)
        wanted = expected(route, name)
        if wanted:
            assert found.answer.status == wanted, (name, found)
            told = {mark for mark in things.marks if mark in found.answer.text}
            assert told <= found.names(things), (name, found)
        else:
            said |= shown_in_full(found, things)
            reached = found.answer.code == entry.get("reached")
            assert reached or found.answer.status not in REFUSED, (name, found)
            assert found.answer.status < 500, (name, found)
    assert said == set(entry.get("says", {}).get("what", []))
    cells[route, "own"] = len(CALLERS)


def shown_in_full(sent: Sent, things: Belongings) -> set[str]:
    """What of the person a 2xx answer shows, even if the request had it."""
    answer = sent.answer
    assert not answer.text.startswith("PK"), "a packed table cannot be searched: ask for csv"
    good = 200 <= answer.status < 300
    return {kind for kind in PERSON if good and things.names[kind] in answer.text}


@pytest.mark.parametrize("route", [route for route in ROUTES if "body" in ROUTES[route]])
def test_a_field_that_a_route_does_not_name_is_refused(world: World, route: str) -> None:
    """Nobody sets what a row has and the request must not say."""
    caller = next(name for name in CALLERS if name in named(ROUTES[route], "may"))
    answer = send(route, world.callers[caller], world.mine, approved_by="me").answer
    if route.startswith(BY_OTHERS):
        assert answer.status == ROUTES[route]["refuses"]
    else:
        assert (answer.status, answer.code) == (422, "FIELDS_INVALID"), answer
        assert "approved_by" in [each["field"] for each in answer.body["errors"]]


def expected(route: str, caller: str, *, foreign: bool = False) -> int:
    """The refusal's status; 0: let in, whatever the journey says then."""
    entry = ROUTES[route]
    if "ANYBODY" in entry["may"]:
        return entry.get("refuses", 0)
    if caller in named(entry, "finds_nothing"):
        return 404
    if caller in named(entry, "stopped"):
        return 404 if foreign else 403
    if caller not in named(entry, "may"):
        return 401 if caller == "NOBODY" else 403
    told = entry.get("foreign", {})
    return next((told[who] for who in told if caller in named({"as": [who]}, "as")), 404) * foreign


def about_things(route: str) -> bool:
    """Whether the request names something that may be foreign."""
    entry = ROUTES[route]
    fixed = {"day"} | {name for name, value in entry.get("path", {}).items() if "$" not in value}
    return bool(set(re.findall(r"(\w+)>", route)) - fixed) or bool(
        set(re.findall(r"\$(\w+)", json.dumps(entry.get("body")))) - {"serial", "route"}
    )


def stored(world: World, *, of_both: bool) -> str:
    """A digest of every row of the foreign hospital, or of both."""
    tables = [table for table in Base.metadata.sorted_tables if "hospital_id" in table.columns]
    each = " UNION ALL ".join(
        f"SELECT '{table.name}' || md5(t::text) AS row FROM \"{table.name}\" t"  # noqa: S608
        " WHERE t.hospital_id = ANY(:hospitals)"
        for table in tables
    )
    houses = [world.elsewhere, world.here] if of_both else [world.elsewhere]
    with Session() as db:
        return db.scalar(
            text(f"SELECT md5(string_agg(row, '' ORDER BY row)) FROM ({each}) rows"),  # noqa: S608
            {"hospitals": [house.hospital_id for house in houses]},
        )
