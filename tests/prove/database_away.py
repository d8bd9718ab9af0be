"""The scenarios ``database_away``, ``pool_exhausted`` and ``disk_full``: what everything stands on
is away, taken, or full, while a crowd works. Everybody is told 503 and when to come back, nothing
is half written, and it goes on by itself.
"""

import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event

import psycopg

from tests.prove import checker
from tests.prove.outage import Close, Script, Told, Ward, after, alone, say, statuses, within
from tests.prove.report import Figure

AWAY_S = 30.0
HELD_S = 20.0
KNOCKERS, THREADS, REFUSALS = 24, 24, 50
"""Clients beside the crowd that ask while the connections are taken, threads of an API worker, so
that they wait for a connection and not for a thread, and how many must be told that there is none.

Who waits for the locked table gives its connection back after 15 s, and who waits for a connection
gives up after 10: with few clients each gets one in time, and nobody is refused at all.
"""
FULL_S = 10.0
LONGEST_S = 42.0
"""No answer may take longer: the pool's patience is 10 s, a lock's 15 s, and one may meet both; who
waits for a row may have a second lock before him, because the row's holder waits for the table."""
DISK, DISK_MIB = "disk full", 224
OPERATIONS = 600
"""At least so many acts: the crowd works until everything is over."""
_FILLED = f"PostgreSQL's data on a tmpfs of {DISK_MIB} MiB, filled to the last byte"
_MUST_HOLD = "503 with Retry-After, none late; nothing half written; it goes on by itself"


@dataclass
class Outage:
    """What was seen of one: from when to when, and how long until it worked again."""

    gone: float = 0.0
    back: float = 0.0
    told: list[Told] = field(default_factory=list)
    first_yes_s: float = 0.0
    first_job_s: float = 0.0

    @property
    def wrong(self) -> list[Told]:
        """Answers that were not 503."""
        return [one for one in self.told if one.status != 503]

    @property
    def failures(self) -> list[Told]:
        """No answer, or one of a fault: where not everybody needs what is gone."""
        return [one for one in self.told if one.status is None or one.status >= 500]

    @property
    def longest_s(self) -> float:
        """The slowest answer."""
        return max((one.heard - one.sent for one in self.told), default=0.0)


def away(seed: int, operations: int) -> list[Figure]:
    """PostgreSQL is shut down for half a minute, and then killed for as long."""
    return alone(seed, lambda here: gone(here, min(operations, OPERATIONS), AWAY_S))


def gone(here: Ward, operations: int, seconds: float) -> Close:
    """The scene of it, each time for so many seconds."""
    begun, outages = time.monotonic(), list[Outage]()
    here.play(_shut_and_killed(here, operations, seconds, outages))
    told = [one for outage in outages for one in outage.told]
    wrong = sum(len(outage.wrong) for outage in outages)
    longest = max(outage.longest_s for outage in outages)
    return _closing(
        here,
        begun,
        "PostgreSQL away",
        f"shut down for {seconds:.0f} s, then SIGKILL and away for {seconds:.0f} s, under a"
        f" crowd of {here.crowd.threads} clients",
        f"{wrong} of {len(told)} answers meanwhile not 503 ({statuses(told)}), the slowest"
        f" after {longest:.1f} s; first success {_each(o.first_yes_s for o in outages)} s and"
        f" first job {_each(o.first_job_s for o in outages)} s after it was back",
        held=bool(told) and not wrong and longest < LONGEST_S,
    )


def pool_exhausted(seed: int, operations: int) -> list[Figure]:
    """Two connections for each API process, and somebody holds a lock that every request needs."""
    scene = partial(
        pool_taken, operations=min(operations, OPERATIONS), seconds=HELD_S, refusals=REFUSALS
    )
    return alone(seed, scene)


def pool_taken(here: Ward, operations: int, seconds: float, refusals: int) -> Close:
    """The scene of it; the API is started with the small pool, and anew afterwards."""
    begun, outage = time.monotonic(), Outage()
    here.house.environment["DATABASE_CONNECTIONS"] = "2"
    usual, here.house.threads = here.house.threads, THREADS
    here.house.serve()
    here.play(_held(here, operations, seconds, outage, refusals))
    del here.house.environment["DATABASE_CONNECTIONS"]
    here.house.threads = usual
    here.house.serve()
    empty = _refused(outage)
    wrong = [one for one in outage.failures if one.status != 503]
    return _closing(
        here,
        begun,
        "connection pool exhausted",
        f"2 connections a process, {here.crowd.threads} clients and {KNOCKERS} that only ask, a"
        f" table that all need locked for {seconds:.0f} s, and until {refusals} got no connection",
        f"{len(wrong)} of {len(outage.failures)} failures meanwhile not 503"
        f" ({statuses(outage.failures)}), the slowest after {outage.longest_s:.1f} s; first success"
        f" {outage.first_yes_s:.1f} s after the lock was gone",
        held=empty >= refusals and not wrong and outage.longest_s < LONGEST_S,
    )


def disk_full(seed: int, operations: int) -> list[Figure]:
    """PostgreSQL's data on a small tmpfs, which somebody fills to the last byte; where nobody may
    mount one the row says that it was not run."""
    with ExitStack() as stack:
        if (disk := disk_if_allowed(stack)) is None:
            return [_not_run(seed)]
        scene = partial(filled, disk=disk, operations=min(operations, OPERATIONS), seconds=FULL_S)
        return alone(seed, scene, store=disk)


def filled(here: Ward, disk: Path, operations: int, seconds: float) -> Close:
    """The scene of it, in a house whose PostgreSQL lives on that disk."""
    begun, outage = time.monotonic(), Outage()
    here.play(_filled(here, disk, operations, seconds, outage))
    told = outage.failures
    wrong = [one for one in told if one.status != 503]
    return _closing(
        here,
        begun,
        DISK,
        f"{_FILLED} for {seconds:.0f} s after the first refusal",
        f"{len(wrong)} of {len(told)} failures meanwhile not 503 ({statuses(told)}), the"
        f" slowest answer after {outage.longest_s:.1f} s; first success"
        f" {outage.first_yes_s:.1f} s after there was room again",
        held=bool(told) and not wrong and outage.longest_s < LONGEST_S,
    )


def disk_if_allowed(stack: ExitStack) -> Path | None:
    """A small disk for as long as the stack lasts; None, and a word about it, where nobody may
    mount one."""
    try:
        return stack.enter_context(small_disk(DISK_MIB))
    except PermissionError as no:
        say.print(f"disk_full is left out: {no}")
        return None


@contextmanager
def small_disk(mib: int) -> Iterator[Path]:
    """A file system of its own; PermissionError where nobody may mount one."""
    place = Path(tempfile.mkdtemp(prefix="xianzhen-disk-"))
    size = f"size={mib}m,mode=0755"
    mount = ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        place.rmdir()
        raise PermissionError("this machine lets nobody mount a tmpfs")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
        place.rmdir()


def _shut_and_killed(here: Ward, operations: int, seconds: float, outages: list[Outage]) -> Script:
    for number, how in enumerate((signal.SIGINT, signal.SIGKILL), start=1):
        yield here.done(operations * number / 3)
        here.house.children.away("postgres", how)
        outage = Outage(gone=time.monotonic())
        outages.append(outage)
        yield after(seconds)
        here.house.children.back("postgres")
        outage.told = here.watch.during(outage.gone, time.monotonic())
        yield within("PostgreSQL is back", lambda: _answers(here))
        yield from _recovered(here, outage)
    yield here.done(operations)


def _held(here: Ward, operations: int, seconds: float, outage: Outage, refusals: int) -> Script:
    yield here.done(operations / 3)
    # The lock goes first, then the knockers: they leave when they were answered.
    with _knocking(here), here.house.database() as db:
        db.execute("SET lock_timeout = '10s'")
        with db.transaction():
            db.execute("LOCK TABLE admission IN ACCESS EXCLUSIVE MODE")
            outage.gone = time.monotonic()
            yield after(seconds)
            yield within("so many get no connection", lambda: _exhausted(here, outage, refusals))
    yield from _recovered(here, outage)
    yield here.done(operations)


@contextmanager
def _knocking(here: Ward) -> Iterator[None]:
    """Nurses look at a stay again and again, many at a time."""
    over, stay = Event(), next(life for life in here.crowd.lives if life.stay)

    def knock(number: int) -> None:
        while not over.is_set():
            stay.ask(stay.cast.staff["nurse"][number % 3], "GET", stay.path)

    with ThreadPoolExecutor(KNOCKERS) as pool:
        knocks = [pool.submit(knock, number) for number in range(KNOCKERS)]
        try:
            yield
        finally:
            over.set()
    for done in knocks:
        done.result()


def _exhausted(here: Ward, outage: Outage, refusals: int) -> bool:
    outage.told = here.watch.during(outage.gone, time.monotonic())
    return _refused(outage) >= refusals


def _refused(outage: Outage) -> int:
    return sum(one.code == "POOL_EXHAUSTED" for one in outage.told)


def _filled(here: Ward, disk: Path, operations: int, seconds: float, outage: Outage) -> Script:
    yield here.done(operations / 3)
    filler, outage.gone = disk / "filler", time.monotonic()

    def refused() -> bool:
        _fill(filler)
        told = here.watch.during(outage.gone, time.monotonic())
        return any(one.status == 503 for one in told)

    yield within("somebody is told that the disk is full", refused)
    yield after(seconds)
    outage.told = here.watch.during(outage.gone, time.monotonic())
    filler.unlink()
    yield within("PostgreSQL is back", lambda: _answers(here))
    yield from _recovered(here, outage)
    yield here.done(operations)


def _recovered(here: Ward, outage: Outage) -> Script:
    """Without anybody's help: requests are answered, and the worker does its jobs."""
    outage.back, then = time.monotonic(), here.house.now()
    yield within("requests succeed", lambda: here.watch.first_yes(outage.back) is not None)
    outage.first_yes_s = here.watch.first_yes(outage.back) or 0.0

    def working() -> bool:
        with suppress(psycopg.OperationalError), here.house.database() as db:
            asked = db.execute("SELECT 1 FROM message WHERE claimed_at > %s LIMIT 1", (then,))
            return asked.fetchone() is not None
        return False

    yield within("the worker does jobs", working)
    outage.first_job_s = time.monotonic() - outage.back


def _answers(here: Ward) -> bool:
    with suppress(psycopg.OperationalError), here.house.database() as db:
        return db.execute("SELECT 1").fetchone() is not None
    return False


def _fill(filler: Path) -> None:
    """Until not one byte more goes in."""
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    file.write(b"\0" * size)


def _each(seconds: Iterator[float]) -> str:
    return " and ".join(f"{one:.1f}" for one in seconds)


def _not_run(seed: int) -> Figure:
    return Figure(
        name=DISK,
        faults=_FILLED,
        must_hold=_MUST_HOLD,
        figure="this machine lets nobody mount a tmpfs",
        seed=seed,
        seconds=0,
        held=False,
        ran=False,
    )


def _closing(here: Ward, begun: float, name: str, faults: str, seen: str, *, held: bool) -> Close:
    seconds, acts = time.monotonic() - begun, here.crowd.done - here.before
    return lambda found: Figure(
        name=name,
        faults=f"{faults}; {acts} operations",
        must_hold=_MUST_HOLD,
        figure=f"{seen}; {checker.in_words(found)}; with seed {here.seed}",
        seed=here.seed,
        seconds=seconds,
        held=held and not found,
    )
