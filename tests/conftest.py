"""Real PostgreSQL and real Redis, started once a test run; every worker has a fresh database.

``TEST_POSTGRES_URL`` (no database name) and ``TEST_REDIS_URL`` name servers that already run.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import redis
from sqlalchemy import Engine

import local_servers
from models import db as database
from models import schema, sealing

pytest_plugins = ["tests.clauses", "tests.stage", "tests.served", "tests.figures"]

SERVERS = pytest.StashKey[tuple[str, str]]()
CLEAN_UP = pytest.StashKey[ExitStack]()


LONGEST = Path(__file__).parent / "prove" / "test_prove.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first: else one worker is alone with it in the end."""
    items.sort(key=lambda item: item.path != LONGEST)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[CLEAN_UP] = ExitStack()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node) -> None:
    """pytest-xdist starts a worker: the servers belong to this process, which outlives it."""
    node.workerinput["servers"] = _servers(node.config)


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[CLEAN_UP].close()


def _servers(config: pytest.Config) -> tuple[str, str]:
    if SERVERS not in config.stash:
        given = (os.environ.get("TEST_POSTGRES_URL"), os.environ.get("TEST_REDIS_URL"))
        config.stash[SERVERS] = (
            given
            if all(given)
            else config.stash[CLEAN_UP].enter_context(local_servers.for_one_test_run())
        )
    return config.stash[SERVERS]


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> tuple[str, str]:
    if worker := getattr(request.config, "workerinput", None):
        return tuple(worker["servers"])
    return _servers(request.config)


@pytest.fixture(scope="session")
def postgres_url(servers: tuple[str, str]) -> str:
    """The server, without a database name."""
    return servers[0]


@pytest.fixture(scope="session")
def redis_url(servers: tuple[str, str], worker_number: int) -> Iterator[str]:
    """A numbered database of this worker alone, empty at the start."""
    url = servers[1].partition("?")[0] + f"?db={worker_number}"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture(scope="session")
def worker_number(request: pytest.FixtureRequest) -> int:
    """0 without pytest-xdist, else 0, 1, ..."""
    worker = getattr(request.config, "workerinput", {"workerid": "gw0"})
    return int(worker["workerid"].removeprefix("gw"))


@pytest.fixture(scope="session")
def engine(postgres_url: str) -> Iterator[Engine]:
    """A fresh database with the whole schema, dropped at the end."""
    name = f"t_{uuid.uuid4().hex}"
    with psycopg.connect(f"{postgres_url}/postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    engine = database.connect(f"{postgres_url}/{name}")
    sealing.use_keys({"test": "A" * 43 + "="}, "B" * 43 + "=")
    schema.upgrade(f"{postgres_url}/{name}")
    yield engine
    engine.dispose()
    with psycopg.connect(f"{postgres_url}/postgres", autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
