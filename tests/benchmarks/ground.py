"""The ground on which everything is measured: real servers as in production, pinned apart.

The server under test (granian, one worker) has one core; PostgreSQL (durable: fsync on), Valkey,
the simulator and the load client share the other. On one core, or where a process cannot be pinned,
nothing is pinned and the table says so.
"""

import base64
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from local_servers import Children, free_port, start_postgres, start_valkey
from models import db as database
from models import schema, sealing
from simulator.clients import OverNetwork
from tests.benchmarks.load import fire, request
from tests.people import House
from tests.sim_process import ROOT, Simulator, running, wait_until
from tests.stage import Clock, Stage, counterparts

CODE = "GZ01"
"""The hospital under test has the code of the simulator's connections."""

BARE_REQUEST = request("GET", "/bare", {})
ROW_REQUEST = request("GET", "/row", {})
_numbers = count(1)


def _cores() -> tuple[set[int], set[int]] | None:
    if not hasattr(os, "sched_setaffinity"):
        return None
    free = sorted(os.sched_getaffinity(0))
    return (set(free[:1]), set(free[1:])) if len(free) > 1 else None


CORES = _cores()
"""(the server's, everybody else's), or None."""


@contextmanager
def on_core_of(whose: str) -> Iterator[None]:
    """Whatever this process does or starts meanwhile: on the core of "server" or "others"."""
    if CORES is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, CORES[0] if whose == "server" else CORES[1])
    yield
    os.sched_setaffinity(0, before)


@dataclass
class BenchHouse(House):
    """Its clients speak over the network, each from an address of its own behind our proxy."""

    @property
    def wire(self) -> OverNetwork:
        carrier = OverNetwork(self.base_url)
        carrier.session.trust_env = False
        carrier.session.headers["X-Forwarded-For"] = address()
        return carrier


@dataclass
class Ground:
    """What a bench stands on. ``house``: its people over HTTP; ``stage``: its journeys here."""

    url: str
    database_url: str
    house: BenchHouse
    stage: Stage
    server_pid: int
    bare_port: int
    short: bool = False
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """Of the server under test."""
        return int(self.url.rpartition(":")[2])

    def bare(self, requests: int = 4000, connections: int = 4) -> float:
        """Requests a second of the bare route."""
        took, _ = fire(self.bare_port, [BARE_REQUEST] * requests, connections=connections)
        return requests / took

    def row(self, requests: int = 2000) -> float:
        """Requests a second of the bare route that reads one row."""
        took, _ = fire(self.bare_port, [ROW_REQUEST] * requests)
        return requests / took

    def sql(self) -> psycopg.Connection[Any]:
        """A connection of the bench's own."""
        return psycopg.connect(self.database_url)

    def rounds(self, wanted: int) -> int:
        """Fewer while trying things out."""
        return 2 if self.short else wanted

    def forget_peak(self, pid: int = 0) -> None:
        """The next ``peak_mib`` counts from here."""
        Path(f"/proc/{pid or self.server_pid}/clear_refs").write_text("5")

    def peak_mib(self, pid: int = 0) -> float:
        """The most memory that the server's process, or another, had resident since it was told to
        forget.
        """
        for line in Path(f"/proc/{pid or self.server_pid}/status").read_text("utf8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        return 0.0


def address() -> str:
    """The address of one more client: limits by address count them apart, as in life."""
    number = next(_numbers)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


@contextmanager
def ground(*, short: bool = False) -> Iterator[Ground]:
    """Start everything, and leave nothing behind."""
    home = Path(tempfile.mkdtemp(prefix="xianzhen-bench-"))
    home.chmod(0o755)  # PostgreSQL's user must get in; what is inside has modes of its own
    os.environ["NO_PROXY"] = "127.0.0.1"
    try:
        with on_core_of("others"), running() as simulator, Children(home / "log") as children:
            yield _built(children, home, simulator, short)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _built(children: Children, home: Path, simulator: Simulator, short: bool) -> Ground:
    database_url = start_postgres(children, home)
    environment = _environment(database_url, start_valkey(children, home), simulator)
    schema.upgrade(database_url)
    database.connect(database_url)
    keys = json.loads(environment["SEALING_KEYS"])
    sealing.use_keys(keys, environment["INDEX_KEY"])
    bare_port = free_port()
    url = environment["PUBLIC_BASE_URL"]
    simulator.settings(app_url=url, sms_limits=False, refund_gap_seconds=0)
    with on_core_of("server"):
        _serve(children, "bare", bare_port, environment)
        server = _serve(children, "served", int(url.rpartition(":")[2]), environment)
    wait_until(lambda: _answers(bare_port, "/bare"))
    wait_until(lambda: _answers(int(url.rpartition(":")[2]), "/healthz"))
    clock = Clock(simulator)
    house = BenchHouse(None, url, clock.now, simulator, code=CODE)  # type: ignore[arg-type]
    outside = counterparts(simulator, CODE, CODE, clock.now, url)
    stage = Stage(simulator, clock, outside, house.hospital_id, CODE)
    return Ground(url, database_url, house, stage, _worker_of(server), bare_port, short)


def _serve(children: Children, name: str, port: int, environment: dict[str, str]) -> int:
    """As local.py and docs/operations.md do it: granian, one worker, eight threads."""
    serve = [sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws"]
    serve += ["--host", "127.0.0.1", "--port", str(port), "--blocking-threads", "8"]
    target = f"tests.benchmarks.{name}:app"
    return children.start(name, [*serve, target], cwd=ROOT, env=environment).pid


def _environment(database_url: str, redis_url: str, simulator: Simulator) -> dict[str, str]:
    key = base64.b64encode(b"k" * 32).decode()
    return os.environ | {
        "ENVIRONMENT": "development",
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "PUBLIC_BASE_URL": f"http://127.0.0.1:{free_port()}",
        "CONNECTIONS_FILE": str(simulator.connections_file),
        "JWT_KEYS": json.dumps({"bench": base64.b64encode(b"j" * 64).decode()}),
        "SEALING_KEYS": json.dumps({"bench": key}),
        "INDEX_KEY": key,
        "TRUSTED_PROXIES": "1",
    }


def _worker_of(master: int) -> int:
    """granian serves in a child of the process that we started."""
    children = Path(f"/proc/{master}/task/{master}/children").read_text("utf8").split()
    return int(children[0]) if children else master


def _answers(port: int, path: str) -> bool:
    try:
        fire(port, [request("GET", path, {})], connections=1)
    except OSError:
        return False
    return True
