"""Production starts only on a PostgreSQL that keeps what it acknowledged through a power cut."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import Engine, text

from models import durability
from simulator.clients import Client, OverApp
from tests.test_config import SAFE

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def forgetful(engine: Engine) -> Iterator[None]:
    """synchronous_commit is off for every new connection to this database."""
    name = engine.url.database
    with engine.begin() as db:
        db.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
    engine.dispose()
    yield
    with engine.begin() as db:
        db.execute(text(f'ALTER DATABASE "{name}" RESET synchronous_commit'))
    engine.dispose()


def test_what_is_off_is_named(forgetful: None) -> None:
    assert "synchronous_commit" in durability.switched_off()
    with pytest.raises(durability.NotDurable, match=r"PostgreSQL with .*off"):
        durability.refuse_forgetful()


def started(url: str, directory: Path, *start: str) -> subprocess.CompletedProcess[str]:
    """Start a program of ours as in production."""
    connections = directory / "connections.json"
    connections.write_text(json.dumps({"H1": SAFE}), "utf8")
    connections.chmod(0o600)
    told = {
        "ENVIRONMENT": "production",
        "DATABASE_URL": url,
        "REDIS_URL": "rediss://127.0.0.1:1/0",
        "PUBLIC_BASE_URL": "https://pay.hospital.example",
        "CONNECTIONS_FILE": str(connections),
        "AUDIT_ANCHOR_FILE": str(directory / "anchors"),
        "JWT_KEYS": json.dumps({"k": "A" * 43 + "="}),
        "SEALING_KEYS": json.dumps({"k": "A" * 43 + "="}),
        "INDEX_KEY": "A" * 43 + "=",
    }
    argv = [sys.executable, *start]
    told = os.environ | told
    return subprocess.run(argv, cwd=ROOT, env=told, capture_output=True, text=True, check=False)


def by_socket(engine: Engine) -> str:
    """The test's database without TCP, over which production wants TLS first."""
    with engine.connect() as db:
        place = str(db.scalar(text("SHOW unix_socket_directories"))).partition(",")[0]
    told = {"host": place, "port": str(engine.url.port)}
    url = engine.url.set(drivername="postgresql", host="", port=None).update_query_dict(told)
    return url.render_as_string(False)


@pytest.mark.parametrize("start", [("-c", "import wsgi"), ("-m", "jobs", "--once")])
def test_neither_api_nor_worker_start_on_it(
    engine: Engine, forgetful: None, tmp_path: Path, start: tuple[str, ...]
) -> None:
    done = started(by_socket(engine), tmp_path, *start)
    assert done.returncode == 1
    assert "NotDurable: refused in production: PostgreSQL with" in done.stderr


def test_a_database_that_is_away_does_not_stop_the_start(tmp_path: Path) -> None:
    nowhere = "postgresql://postgres@127.0.0.1:1/nowhere?sslmode=verify-full"
    done = started(nowhere, tmp_path, "-c", "import wsgi")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(("production", "status"), [(True, 503), (False, 200)])
def test_it_is_told_whether_work_may_be_given(
    make_app: Callable[..., Flask], forgetful: None, production: bool, status: int
) -> None:
    asked = Client(OverApp(make_app(production=production), ""), "").try_("GET", "/readyz")
    assert asked.status == status
    assert asked.body["status"] == ("not ready" if production else "ok")
    assert asked.body["checks"]["durability"].endswith("synchronous_commit off")
