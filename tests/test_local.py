"""Local mode: engines that keep their data, die with us, and come back after a kill."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest
import redis

import local
from local_servers import Children, DidNotStart, free_port, start_postgres, start_valkey

ROOT = Path(__file__).parent.parent
GRANDCHILD = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from local_servers import Children
child = Children(Path(sys.argv[2])).start("sleeper", ["sleep", "60"])
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place with a space in its name that PostgreSQL's user may enter."""
    path = tmp_path_factory.mktemp("local") / "a house"
    path.mkdir()
    for step in (path, *path.parents):
        if step.owner() == path.owner() and step != step.parent:
            step.chmod(step.stat().st_mode | 0o011)
    return path


def wait_for_end(pid: int) -> None:
    until = time.monotonic() + 10
    while not gone(pid):
        assert time.monotonic() < until, "it outlived its parent"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_engines_keep_what_they_were_given_and_listen_at_private_sockets(home: Path) -> None:
    with Children(home / "log") as children:
        url, memory = start_postgres(children, home), start_valkey(children, home)
        with psycopg.connect(url) as db:
            db.execute("CREATE TABLE kept (fen bigint)")
            db.execute("INSERT INTO kept VALUES (312472)")
            assert db.execute("SHOW listen_addresses").fetchone() == ("",)
            assert db.execute("SHOW fsync").fetchone() == ("on",)
            (sockets,) = db.execute("SHOW unix_socket_directories").fetchone()
        assert stat.S_IMODE(Path(sockets).stat().st_mode) == 0o700
        with redis.Redis.from_url(memory) as kept:
            kept.set("kept", "yes")
            assert kept.config_get("port") == {"port": "0"}
    assert not Path(sockets).exists()
    with Children(home / "log") as children:
        with psycopg.connect(start_postgres(children, home)) as db:
            assert db.execute("SELECT fen FROM kept").fetchone() == (312_472,)
        with redis.Redis.from_url(start_valkey(children, home)) as kept:
            assert kept.get("kept") == b"yes"


def test_postgres_comes_back_after_a_kill_that_is_reaped_late(home: Path) -> None:
    killed = Children(home / "log")
    start_postgres(killed, home)
    (data,) = home.glob("postgres-*")
    os.kill(int((data / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
    reaping = threading.Timer(1, killed.stop)
    reaping.start()
    with Children(home / "log") as children, psycopg.connect(start_postgres(children, home)) as db:
        assert db.execute("SELECT 1").fetchone() == (1,)
    reaping.join()


def test_children_die_with_a_parent_that_was_killed(home: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", GRANDCHILD, ROOT, home / "log"], stdout=subprocess.PIPE, text=True
    )
    child = int(parent.stdout.readline())
    assert not gone(child)
    parent.kill()
    parent.communicate()
    wait_for_end(child)


def test_what_does_not_start_says_where_its_log_is(home: Path) -> None:
    with Children(home / "log") as children:
        children.start("broken", [sys.executable, "-c", "raise SystemExit('no')"])
        with pytest.raises(DidNotStart, match=r"broken did not start: see .*broken\.log"):
            children.wait_for("broken", lambda: False)
    assert (home / "log" / "broken.log").read_text() == "no\n"


def test_who_does_not_listen_is_reaped_with_its_own(home: Path) -> None:
    with Children(home / "log") as children:
        script = "sleep 60 & echo $!; wait"
        children.start("parent", ["sh", "-c", script])
        log = home / "log" / "parent.log"
        children.wait_for("parent", lambda: log.read_text().strip() != "")
        orphan = int(log.read_text())
    wait_for_end(orphan)


def test_keys_are_made_once_and_for_their_owner_only(home: Path) -> None:
    file = home / "keys.json"
    made = local.keys(file)
    assert local.keys(file) == made
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert set(made) == {"JWT_KEYS", "SEALING_KEYS", "INDEX_KEY"}
    assert json.loads(made["JWT_KEYS"]) != json.loads(made["SEALING_KEYS"])


def test_a_taken_port_is_left_alone() -> None:
    wanted = free_port()
    assert free_port(wanted) == wanted
    with socket.create_server(("127.0.0.1", wanted)):
        assert free_port(wanted) != wanted
