"""The scenario ``redis_away``: while stays are lived, Valkey is flushed, stopped, killed and hung,
each alone. Money is right, and every row of the table in docs/operations.md is looked at each time.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import redis

from tests.prove import checker
from tests.prove.cast import Cast
from tests.prove.crowd import Crowd
from tests.prove.house import House
from tests.prove.outage import Close, Ward, alone
from tests.prove.redis_watch import Watch, readiness
from tests.prove.report import Figure
from tests.prove.stays import say

OPERATIONS = 400
"""At most so many acts; Redis is gone for half of them."""
LONGEST_S = 5.0
"""Each call of a Redis that hangs is given up after half a second."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way in which Redis loses what it knew, or is gone until ``back``."""

    name: str
    befall: Callable[[House], None]
    back: Callable[[House], None]
    gone: bool = True


def _flush(here: House) -> None:
    with redis.Redis.from_url(here.environment["REDIS_URL"]) as client:
        client.flushall()


def _stop(here: House) -> None:
    here.children.away("valkey", signal.SIGTERM)


def _kill(here: House) -> None:
    here.kill("Valkey")
    here.children.away("valkey")


def _start(here: House) -> None:
    here.children.back("valkey")
    here.mend()


def _hang(here: House) -> None:
    os.kill(here.children.now["valkey"].pid, signal.SIGSTOP)


def _go_on(here: House) -> None:
    os.kill(here.children.now["valkey"].pid, signal.SIGCONT)


WAYS = (
    Way("flushed", _flush, lambda _: None, gone=False),
    Way("stopped", _stop, _start),
    Way("killed", _kill, _start),
    Way("hung", _hang, _go_on),
)


class Meddler:
    """Called again and again by the main thread: lets the ways happen one after another, each for a
    share of the acts, and has them watched."""

    def __init__(self, here: House, cast: Cast, crowd: Crowd, share: float) -> None:
        self.here, self.cast, self.crowd, self.share = here, cast, crowd, share
        self.seen: list[Watch] = []
        self._left, self._until = list(WAYS), 0.0
        self._now: Way | None = None

    def __call__(self) -> None:
        if self.crowd.done >= self._until:
            if self._now:
                self._end(self._now)
            elif self._left:
                self._begin(self._left.pop(0))
        self.here.mend()

    def finish(self) -> None:
        """What the crowd was too quick for."""
        while self._now or self._left:
            self._until = 0.0
            self()

    def _begin(self, way: Way) -> None:
        watch = Watch(self.here, self.cast, self.crowd, way.name)
        self.seen.append(watch)
        watch.before()
        way.befall(self.here)
        watch.during(gone=way.gone)
        self._now, self._until = way, self.crowd.done + self.share

    def _end(self, way: Way) -> None:
        way.back(self.here)
        self.here.wait("Redis is seen again", lambda: readiness(self.here) == "ok")
        self.seen[-1].afterwards()
        self._now, self._until = None, self.crowd.done + self.share


def run(seed: int, operations: int) -> list[Figure]:
    """The figure; findings and rows that behaved otherwise are printed."""
    return alone(seed, lambda here: lost(here, min(operations, OPERATIONS)))


def lost(here: Ward, operations: int) -> Close:
    """The scene of it."""
    begun, before = time.monotonic(), here.crowd.done
    meddler = Meddler(here.house, here.cast, here.crowd, operations / (2 * len(WAYS)))
    here.crowd.play(operations, meddler)
    meddler.finish()
    looks = [look for watch in meddler.seen for look in watch.looks]
    otherwise = [f"{look.way}: {look.row}: {look.found}" for look in looks if look.found]
    slowest = max(watch.slowest_s for watch in meddler.seen)
    for line in otherwise:
        say.print(line)
    seconds, acts = time.monotonic() - begun, here.crowd.done - before
    return lambda found: Figure(
        "Redis flushed, stopped, killed, hung",
        f"each while {here.crowd.threads} clients live through stays, for"
        f" {operations // (2 * len(WAYS))} operations or more",
        "money unaffected; every row of «Redis, feature by feature» as written",
        f"{checker.in_words(found)} of {acts} operations; {len(otherwise)} of"
        f" {len(looks)} looks at that table's rows found it otherwise; the slowest answer after"
        f" {slowest:.1f} s; with seed {here.seed}",
        here.seed,
        seconds,
        not found and not otherwise and slowest < LONGEST_S,
    )
