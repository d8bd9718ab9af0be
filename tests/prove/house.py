"""The house under proof: every part is a real process, can be killed at any moment, and comes back.

``with house(directory, seed) as h:`` starts PostgreSQL, Valkey, the simulator, the API under
granian with several workers and the job worker, founds a hospital and lays the faulty lines:

    clients, notices ──> h.door ──> API ──> h.wechat ────> simulator   (also the mini-program)
                                        ──> h.insurance ─> simulator   (also medical aid)
                                        ──> h.sms ───────> simulator
                               API, job worker ──> database ──> PostgreSQL

``h.kill(part)`` is SIGKILL to one of ``PARTS``; ``h.mend()`` starts again whatever has ended, as
systemd would, and must be called from the main thread again and again (children die with the
thread that made them). ``h.next_day()`` moves every clock by a day. A scenario that wants a part
gone for a while calls ``children.away`` and ``children.back`` with its name (a key of
``children.now``).
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import requests

import local
from config import SHANGHAI, today
from local_servers import Children, free_port, start_postgres, start_valkey
from tests.prove.proxy import CALM, DatabaseLine, Line, Lines, Weather

PARTS = (
    "API worker",
    "API master",
    "job worker",
    "database backend",
    "postmaster",
    "Valkey",
    "simulator",
)
HOSPITAL = "PROVE"
API_WORKERS = 2
THREADS = 4
PATIENCE_S = 120.0
RIGHT = "wsgi:app"


class Supervised(Children):
    """Children that are started again the way they were started first."""

    def __init__(self, logs: Path) -> None:
        super().__init__(logs)
        self.now: dict[str, subprocess.Popen[bytes]] = {}
        self.down: set[str] = set()
        """Those that must not come back yet."""
        self.starts = 0
        self._how: dict[str, tuple[Any, dict[str, Any]]] = {}

    def start(self, name: str, argv: Any, **how: Any) -> subprocess.Popen[bytes]:
        self.starts += 1
        log = self.logs / f"{name}.log"
        if log.exists():
            log.rename(self.logs / f"{name}.{self.starts:05d}.log")
        self._how[name] = argv, how
        self.now[name] = super().start(name, argv, **how)
        return self.now[name]

    def mend(self) -> list[str]:
        """Start what has ended; the names."""
        ended = [
            name
            for name, process in self.now.items()
            if name not in self.down and process.poll() is not None
        ]
        for name in ended:
            self.end(name)
            argv, how = self._how[name]
            self.start(name, argv, **how)
        return ended

    def away(self, name: str, how: int = signal.SIGKILL) -> None:
        """Let it go by this signal, and not come back before ``back``."""
        self.down.add(name)
        if how != signal.SIGKILL:
            self.now[name].send_signal(how)
            self.now[name].wait()
        self.end(name)

    def back(self, name: str) -> None:
        """Let it come back at the next mending."""
        self.down.discard(name)

    def end(self, name: str) -> None:
        """SIGKILL to the whole group: systemd leaves nobody of a dead service behind either."""
        process = self.now[name]
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.forget(process)

    def stop(self) -> None:
        """Everything ends; ours by force: a server that was hurt takes half a minute to leave."""
        for name in ("api", "worker"):
            if name in self.now:
                self.end(name)
        super().stop()


@dataclass
class House:
    """One running house. ``known``: what the first administrator and the HIS need to come in."""

    children: Supervised
    directory: Path
    environment: dict[str, str]
    lines: dict[str, Line]
    simulator_url: str
    api_port: int
    chance: random.Random
    known: dict[str, dict[str, str]] = field(default_factory=dict)
    shift: timedelta = timedelta()
    threads: int = THREADS
    """Of each API worker, from the next ``serve`` on."""
    database_line: bool = False
    """Whether API and job worker reach PostgreSQL over a line that can lose its replies."""
    nights: set[date] = field(default_factory=set)
    """The days whose lists a whole night has made."""
    kills: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PARTS, 0))

    @property
    def door(self) -> Line:
        """Where clients and notices come in."""
        return self.lines["door"]

    @property
    def database_url(self) -> str:
        """PostgreSQL as the API and the job worker reach it."""
        plain = "sslmode=disable&gssencmode=disable"  # the line reads what is said
        return f"postgresql://postgres@127.0.0.1:{self.lines['database'].port}/xianzhen?{plain}"

    def now(self) -> datetime:
        """The clock of all parts."""
        return datetime.now(UTC) + self.shift

    def weather(
        self, outside: Weather, door: Weather | None = None, database: Weather = CALM
    ) -> None:
        """Let it blow: on the lines to the outside, at the door, and before PostgreSQL."""
        here = {"door": door or outside, "database": database}
        for name, line in self.lines.items():
            line.weather = here.get(name, outside)

    def database(self) -> psycopg.Connection[dict[str, Any]]:
        """A connection of our own to the database, in AUTOCOMMIT, not over the faulty line."""
        url = self.environment["DATABASE_URL"]
        return psycopg.connect(url, autocommit=True, row_factory=psycopg.rows.dict_row)

    def world(self, method: str, path: str, body: Any = None) -> Any:
        """The simulator's strings, not through a faulty line; repeated while it is away."""
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                with requests.Session() as session:
                    session.trust_env = False
                    url = self.simulator_url + path
                    answer = session.request(method, url, json=body, timeout=20)
                if answer.status_code < 500:
                    return answer.json()
            except requests.RequestException:
                pass
            if time.monotonic() > until:
                raise AssertionError(f"the simulator does not answer {method} {path}")
            time.sleep(0.2)

    @contextlib.contextmanager
    def worker_held(self) -> Iterator[None]:
        """The job worker stands still, with whatever it has in its hands (SIGSTOP)."""
        worker = self.children.now["worker"].pid
        os.killpg(worker, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(worker, signal.SIGCONT)

    def cpu_s(self) -> float:
        """The seconds of processor that all parts have used (Linux)."""
        return sum(cpu_s_of(process.pid) for process in self.children.now.values())

    # killing and coming back

    def kill(self, part: str) -> None:
        """SIGKILL. Of an API worker and a backend any one is taken; of the rest there is one."""
        names = {"API master": "api", "job worker": "worker", "postmaster": "postgres"}
        if part == "API worker":
            victims = children_of(self.children.now["api"].pid)
        elif part == "database backend":
            backends = children_of(self.children.now["postgres"].pid)
            victims = [pid for pid in backends if b"[local]" in command_of(pid)]
        else:
            victims = [self.children.now[names.get(part, part.lower())].pid]
        if victims:
            self.kills[part] += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.chance.choice(victims), signal.SIGKILL)

    def mend(self) -> list[str]:
        """Start again whatever has ended; the names."""
        return self.children.mend()

    def wait_ready(self) -> None:
        """Until the API may be given work and the simulator answers, mending meanwhile."""
        port = f"http://127.0.0.1:{self.api_port}"

        def ready() -> bool:
            return local.answers(f"{port}/readyz") and local.answers(
                f"{self.simulator_url}/_sim/health"
            )

        self.wait("the house is ready", ready)

    def wait(self, what: str, happened: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
        """Until it happened, mending meanwhile; AssertionError when patience is over."""
        until = time.monotonic() + seconds
        while not happened():
            if time.monotonic() > until:
                raise AssertionError(f"not within {seconds:.0f} s: {what} ({self.directory})")
            self.mend()
            time.sleep(0.05)

    # the API and the clocks

    def serve(self, target: str = RIGHT, *, worker: bool = True) -> None:
        """Start the API anew (``target``: a WSGI application), and the job worker unless told not
        to."""
        for name in ("api", "worker"):
            if name in self.children.now:
                self.children.end(name)
                del self.children.now[name]
        way = {"DATABASE_URL": self.database_url} if self.database_line else {}
        environment = self.environment | way
        argv = [sys.executable, "-m", "granian", "--interface", "wsgi", "--no-ws"]
        argv += ["--host", "127.0.0.1", "--port", str(self.api_port)]
        argv += ["--workers", str(API_WORKERS), "--blocking-threads", str(self.threads)]
        argv += ["--respawn-failed-workers", "--respawn-interval", "0.1", target]
        self.children.start("api", argv, cwd=local.ROOT, env=environment)
        if worker:
            jobs = [sys.executable, "-m", "jobs"]
            self.children.start("worker", jobs, cwd=local.ROOT, env=environment)
        self.wait_ready()

    def next_day(self) -> None:
        """Every clock goes on by a day: whatever waits for its time is due."""
        self.shift += timedelta(days=1)
        self.environment["REHEARSAL_DATE"] = today(self.now()).isoformat()
        self._set_their_clock(self.shift)
        self.serve()

    def sweep(self, *, days_ahead: int = 0) -> None:
        """Do the whole timetable and every job that is due, in a process of its own.

        On a later day the job worker, which does not live there, is stopped for good.
        """
        if days_ahead and "worker" not in self.children.down:
            self.children.away("worker")
        # Only when nobody else of ours works by the other clock.
        later = _until_seven(self.now()) if days_ahead else timedelta()
        day = today(self.now() + timedelta(days=days_ahead)).isoformat()
        self._set_their_clock(self.shift + timedelta(days=days_ahead) + later)
        self.nights.add(date.fromisoformat(day) - timedelta(days=1))
        night = ["-m", "tests.prove.night", str(later.total_seconds())]
        local.run(*night, env=self.environment | {"REHEARSAL_DATE": day})
        self._set_their_clock(self.shift)

    def _set_their_clock(self, shift: timedelta) -> None:
        self.world("POST", "/_sim/clock", {"shift_seconds": shift.total_seconds()})


def _until_seven(now: datetime) -> timedelta:
    """How long until seven of that day, when the night's bills are made; nothing after it."""
    here = now.astimezone(SHANGHAI)
    return max(timedelta(), here.replace(hour=7, minute=0) - here)


@contextlib.contextmanager
def house(
    directory: Path,
    seed: int,
    weather: Weather = CALM,
    *,
    store: Path | None = None,
    database_line: bool = False,
) -> Iterator[House]:
    """Everything started, the hospital founded; everything ended afterwards.

    ``store``: where PostgreSQL keeps its data, unless in the directory. ``database_line``: see
    House; it costs time, so only for those who make it lose something.
    """
    with Supervised(directory / "log") as children, Lines() as lines:
        api_port, outside_port = free_port(), free_port()
        laid = {
            name: lines.lay(Line(name, to, seed))
            for name, to in (
                ("door", api_port),
                *((name, outside_port) for name in ("wechat", "insurance", "sms")),
            )
        }
        direct = start_postgres(children, store or directory)
        laid["database"] = lines.lay(DatabaseLine("database", socket_of(direct), seed))
        simulator = directory / "simulator"
        url = f"http://127.0.0.1:{outside_port}"
        environment = os.environ | {
            "ENVIRONMENT": "development",
            "DATABASE_URL": direct,
            "REDIS_URL": start_valkey(children, directory),
            "PUBLIC_BASE_URL": laid["door"].url,
            "CONNECTIONS_FILE": str(simulator / "connections.json"),
            "NO_PROXY": "127.0.0.1",
            "OUTSIDE_AT_ONCE": str(THREADS // 2),
            **local.keys(directory / "keys.json"),
        }
        chance = random.Random(f"{seed} kills")
        here = House(children, directory, environment, laid, url, api_port, chance)
        here.database_line = database_line
        local.start_outside(children, simulator, HOSPITAL, url, laid["door"].url)
        point_through(laid, simulator / "connections.json")
        local.run("-m", "alembic", "upgrade", "head", env=environment)
        here.known = local.found(HOSPITAL, environment)
        here.world("POST", "/_sim/settings", {"sms_limits": False, "refund_gap_seconds": 0})
        here.serve()
        here.weather(weather)
        yield here


def point_through(lines: dict[str, Line], connections: Path) -> None:
    """Let the application reach everybody outside over the faulty lines."""
    known = json.loads(connections.read_text("utf8"))
    for code, outside in known.items():
        for wire in ("wechat_pay", "mini_program"):
            outside[wire]["base_url"] = lines["wechat"].url
        outside["sms"]["endpoint"] = lines["sms"].url.removeprefix("http://")
        outside["insurance"]["base_url"] = f"{lines['insurance'].url}/insurance/{code}"
        outside["medical_aid"]["base_url"] = f"{lines['insurance'].url}/medical-aid/{code}"
    connections.write_text(json.dumps(known, ensure_ascii=False, indent=1), "utf8")


def socket_of(database_url: str) -> str:
    """Where PostgreSQL listens: its URL names the directory and the port."""
    asked = parse_qs(urlsplit(database_url).query)
    return f"{asked['host'][0]}/.s.PGSQL.{asked['port'][0]}"


def children_of(pid: int) -> list[int]:
    """The processes that this one has started (Linux)."""
    with contextlib.suppress(OSError):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def cpu_s_of(pid: int) -> float:
    """What a process and all below it have used, also those that have ended (Linux)."""
    used = sum(cpu_s_of(child) for child in children_of(pid))
    with contextlib.suppress(OSError):
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used += sum(int(ticks) for ticks in after_name[11:15]) / os.sysconf("SC_CLK_TCK")
    return used


def command_of(pid: int) -> bytes:
    """A process's command line; empty when it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
