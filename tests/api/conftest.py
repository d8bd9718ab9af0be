"""The app over a real database and Redis, with WeChat played by the simulator; each test has its
own hospital."""

import base64
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
import redis
from flask import Flask
from sqlalchemy import Engine

from api.app import create_app
from config import Settings
from journeys.counterparts import Counterparts
from tests.api import probe
from tests.people import House, MovedClock
from tests.sim_process import Simulator, running
from tests.stage import counterparts

BASE_URL = "https://xianzhen.test"
KEYS = {name: base64.b64encode(name[:1].encode() * 64).decode() for name in ("old", "new")}


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    with running(hospitals=("GZ01:贵州示范医院:csb-guizhou",)) as simulator:
        yield simulator


@pytest.fixture(scope="session")
def the_clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def clock(the_clock: MovedClock) -> Iterator[MovedClock]:
    """Real time until the test moves it."""
    yield the_clock
    the_clock.shift = timedelta()


@pytest.fixture(scope="session")
def told(redis_url: str) -> Settings:
    return Settings(
        production=False,
        database_url="",
        redis_url=redis_url,
        public_base_url=BASE_URL,
        connections={},
        jwt_keys=KEYS,
        sealing_keys={},
        index_key="",
    )


@pytest.fixture(scope="session")
def make_app(
    engine: Engine, told: Settings, the_clock: MovedClock, simulator: Simulator
) -> Callable[..., Flask]:
    """An app like the one under test, with some settings changed and the probe's routes."""

    @cache  # reading a merchant's key takes longer than most requests
    def all_hospitals() -> Counterparts:
        return counterparts(simulator, "GZ01", "", the_clock, BASE_URL)

    def outside(code: str) -> Counterparts:
        return replace(all_hospitals(), code=code)

    def make(**changed: Any) -> Flask:
        app = create_app(replace(told, **changed), outside, now=the_clock)
        app.register_blueprint(probe.blp)
        return app

    return make


@pytest.fixture(scope="session")
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app()


@pytest.fixture(autouse=True)
def fresh_counts(redis_url: str) -> None:
    """Limits and replays of earlier tests are forgotten."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()


@pytest.fixture
def house(app: Flask, clock: MovedClock, simulator: Simulator) -> House:
    return House(app, BASE_URL, clock, simulator)


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    """This worker's Redis, to forget counts in the middle of a long test."""
    with redis.Redis.from_url(redis_url) as client:
        yield client
