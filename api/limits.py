"""How often anybody may ask: counted in Redis by address, actor and secret being guessed; in memory
when Redis is gone."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Flask, current_app, request
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage, RedisStorage
from werkzeug.exceptions import TooManyRequests

from api.memory import PATIENCE, Resting
from policies.access import Actor

LIMITS: dict[str, RateLimitItem] = {
    name: parse(limit)
    for name, limit in {
        "address": "6000/minute",  # a whole hospital may stand behind one
        "actor": "600/minute",
        "his": "6000/minute",
        "staff-login-address": "60/minute",
        "staff-login-number": "20/minute",
        "patient-login-address": "600/minute",
        "refresh-address": "600/minute",
        "binding-account": "5/15 minutes",
        "binding-identity": "10/hour",
        "enrolment-address": "20/minute",
        "consent-code-account": "10/15 minutes",
    }.items()
}

BUNDLED = frozenset({"address", "actor", "his"})
"""What every request counts; of the others, which guard a secret, Redis is told each time."""

SHARE, BUNDLE_S = 16, 1.0
"""A process tells Redis when it has counted this part of what was left, or this long after."""

MANY = 20_000
"""Keys of which bundles are kept; what more of them would not be told is let go."""


class Limited(TooManyRequests):
    """A 429 that knows when to come back."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class Bundle:
    """What this process has counted of one key and Redis was not told yet."""

    untold: int = 0
    room: int = 1
    told_at: float = 0.0


class Counts:
    """Counts of one process, shared with the others through Redis.

    Whatever is left of a limit is shared out in bundles, which become smaller with it: close to the
    limit each request is told by itself, so that one process alone keeps it exactly, and of P
    processes each may be a sixteenth of the rest and one second behind.
    """

    def __init__(self, redis_url: str, tick: Callable[[], float] = time.monotonic) -> None:
        options: Any = PATIENCE
        uri = redis_url.replace("unix:", "redis+unix:", 1)  # the library's own name of a socket
        self._shared = RedisStorage(uri, key_prefix="limit", **options)
        self._own = MemoryStorage()
        self._tick, self._resting = tick, Resting("limits_in_memory", tick)
        self._bundles: dict[str, Bundle] = {}
        self._lock = threading.Lock()

    def allows(self, what: str, key: str) -> bool:
        """Whether one more of ``what`` is within its limit for this key; it is counted either
        way."""
        limit = LIMITS[what]
        name = limit.key_for(what, key)
        if what not in BUNDLED:
            return self._seen(limit, name, 1) <= limit.amount
        now = self._tick()
        with self._lock:
            if len(self._bundles) > MANY:
                self._bundles.clear()
            bundle = self._bundles.setdefault(name, Bundle())
            bundle.untold += 1
            if bundle.untold < bundle.room and now - bundle.told_at < BUNDLE_S:
                return True
            told, bundle.untold = bundle.untold, 0
        seen = self._seen(limit, name, told)
        with self._lock:
            bundle.room, bundle.told_at = max(1, (limit.amount - seen) // SHARE), now
        return seen <= limit.amount

    def _seen(self, limit: RateLimitItem, name: str, more: int) -> int:
        """How many there were in this window, these included; by this process alone while Redis is
        gone."""
        told = (name, limit.get_expiry(), more)
        seen = self._resting.ask(lambda: self._shared.incr(*told))
        return self._own.incr(*told) if seen is None else seen


def install(app: Flask, redis_url: str) -> None:
    """Count every request by its address; the finer counts are called where the key is known."""
    app.extensions["counts"] = Counts(redis_url)
    app.before_request(_count_request)


def count(what: str, key: str) -> None:
    """One more of ``what`` for this key; Limited beyond the table's number. Called before costly
    work."""
    counts: Counts = current_app.extensions["counts"]
    if not counts.allows(what, key):
        raise Limited(LIMITS[what].get_expiry())


def count_address(what: str) -> None:
    """One more of ``what`` from the caller's address."""
    count(what, request.remote_addr or "127.0.0.1")


def count_actor(actor: Actor) -> None:
    """One more request of this person or system."""
    count("his" if "HIS" in actor.roles else "actor", f"{actor.hospital_id} {actor.name}")


def _count_request() -> None:
    count_address("address")
