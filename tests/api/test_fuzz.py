"""Whatever anybody sends to any operation: no failure of the server, no answer that the document
does not promise, and nobody's name, number or phone in an error or in the log."""

import re

import redis
from flask import Flask

from models.db import new_id
from tests.api.access_world import CALLERS, World
from tests.api.conftest import BASE_URL
from tests.api.contract import Contract
from tests.api.fuzzing import Fuzz
from tests.figures import SEED, Figures, size
from tests.people import House, MovedClock
from tests.sim_process import Simulator


def test_every_address_names_its_methods(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        address = re.sub("<date:[^>]*>", "2026-01-05", rule.rule)
        address = re.sub("<uuid:[^>]*>", str(new_id()), address)
        for method in ("PATCH", "TRACE", "PROPFIND"):
            answer = app.test_client().open(re.sub("<[^>]*>", "x", address), method=method)
            assert answer.status_code == 405, (method, rule.rule)
            assert rule.methods <= set(answer.headers["Allow"].split(", ")), rule.rule
            assert answer.content_type == "application/problem+json"


def test_every_operation_keeps_its_promises(
    app: Flask, the_clock: MovedClock, simulator: Simulator, redis_url: str, figures: Figures
) -> None:
    world = World(*(House(app, BASE_URL, the_clock, simulator) for _ in range(2)))
    people = (world.mine, world.neighbours, world.abroad)
    secrets = {things.names[name] for things in people for name in ("name", "id_no", "phone")}
    spec = app.test_client().get("/openapi.json").get_json()
    with redis.Redis.from_url(redis_url) as counts:
        contract = Contract(spec, frozenset(secrets))
        fuzz = Fuzz(app, world, contract, SEED, counts.flushdb)
        fuzz.run(size(500, 20_000), callers=size(3, 6))
    assert not fuzz.failed, "\n".join(f"{what}\n    {how}" for what, how in fuzz.failed.items())
    assert {200, 201, 204, 400, 401, 403, 404, 409, 422} <= set(fuzz.seen), fuzz.seen
    assert fuzz.sent >= size(500, 20_000)
    operations = sum(len(item.keys() - {"parameters"}) for item in spec["paths"].values())
    figures.add(
        "fuzz",
        f"{fuzz.generated:,} cases made up by Schemathesis from {operations} operations,"
        f" sound, spoiled and nasty, each sent once by each of six of {len(CALLERS)} kinds of"
        " caller in turn, those who may and those who may not",
        "no 5xx, no status or body that the document does not promise, nobody's data in an error or"
        " in the log",
        f"0 of {fuzz.sent:,} requests ({fuzz.generated:,} cases x 6 callers) under these cases with"
        f" seed {SEED}",
    )
