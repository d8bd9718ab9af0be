"""The API on a real port: the simulator's notices and SMS receipts arrive by themselves."""

import base64
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

import pytest
import redis
from flask import Flask
from sqlalchemy import Engine, text
from werkzeug.serving import WSGIRequestHandler, make_server

from api.app import create_app
from config import Settings
from journeys.counterparts import Counterparts
from models.db import Session
from simulator.clients import OverNetwork
from tests.people import House
from tests.sim_process import Simulator, free_port, wait_until
from tests.stage import Clock, Stage, counterparts

THEIR_CODE = "GZ01"
"""The simulator's own name of the hospital; it stands in the path of its SMS receipts."""

QUIET = {"sms_limits": False, "refund_gap_seconds": 0}


class Address:
    """One app on one port for a whole test run; ``present`` is the hospital under test."""

    def __init__(self, simulator: Simulator, redis_url: str) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.clock, self.present = Clock(simulator), ""
        self._simulator, self._redis_url = simulator, redis_url

    def now(self) -> datetime:
        """The clock of the test that runs."""
        return self.clock.now()

    def outside_of(self, code: str) -> Counterparts:
        """The simulator, for whichever hospital asks."""
        return replace(self._outside, code=self.present if code == THEIR_CODE else code)

    @cached_property
    def app(self) -> Flask:
        told = Settings(
            production=False,
            database_url="",
            redis_url=self._redis_url,
            public_base_url=self.url,
            connections={},
            jwt_keys={"only": base64.b64encode(b"k" * 64).decode()},
            sealing_keys={},
            index_key="",
        )
        return create_app(told, self.outside_of, now=self.now)

    @cached_property
    def _outside(self) -> Counterparts:
        return counterparts(self._simulator, THEIR_CODE, "", self.now, self.url)


@dataclass
class ServedHouse(House):
    """Its clients speak over the network."""

    wires: list[OverNetwork] = field(default_factory=list)

    @property
    def wire(self) -> OverNetwork:
        carrier = OverNetwork(self.base_url)
        carrier.session.trust_env = False
        self.wires.append(carrier)
        return carrier


@dataclass
class Served:
    """One hospital: ``stage`` for its journeys, ``house`` for its people over HTTP."""

    stage: Stage
    house: ServedHouse

    @property
    def simulator(self) -> Simulator:
        """The outside world."""
        return self.stage.simulator

    def run_jobs(self) -> list[str]:
        """Do everything that is due."""
        return self.stage.run_jobs()

    def told(self, number: str, notices: int = 1) -> None:
        """Wait until so many notices of a number were delivered."""

        def delivered() -> bool:
            found = [each["state"] for each in self.simulator.notices(number)]
            return found.count("delivered") >= notices

        wait_until(delivered)


@pytest.fixture(scope="session")
def address(engine: Engine, outside_world: Simulator, redis_url: str) -> Iterator[Address]:
    """The served app of this worker."""
    address = Address(outside_world, redis_url)
    port = int(address.url.rpartition(":")[2])
    server = make_server("127.0.0.1", port, address.app, threaded=True, request_handler=_Silent)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield address
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def served(address: Address, outside_world: Simulator, redis_url: str) -> Iterator[Served]:
    """A new hospital behind the served API; no faults planned, the real time."""
    outside_world.reset()
    outside_world.settings(**QUIET, app_url=address.url)
    with redis.Redis.from_url(redis_url) as limits:
        limits.flushdb()
    with Session.begin() as db:
        db.execute(text("DELETE FROM procrastinate_jobs"))
    clock = address.clock = Clock(outside_world)
    house = ServedHouse(address.app, address.url, clock.now, outside_world)
    address.present = house.code
    outside = address.outside_of(house.code)
    stage = Stage(outside_world, clock, outside, house.hospital_id, THEIR_CODE)
    yield Served(stage, house)
    for wire in house.wires:
        wire.session.close()
    outside_world.reset()


class _Silent(WSGIRequestHandler):
    """Writes no line for each request."""

    def log(self, *_: object) -> None:
        return
