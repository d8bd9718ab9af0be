"""Redis at the edge: which nonces of the HIS were seen a moment ago. It may be gone, and then
nobody waits for it."""

import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

PATIENCE = {
    "socket_timeout": 0.5,
    "socket_connect_timeout": 0.5,
    "retry": Retry(NoBackoff(), 0),
}
"""For every connection of the edge: half a second, once."""

REST_S = 5.0

T = TypeVar("T")

log = structlog.get_logger("memory")


class Resting:
    """Asks Redis; after a failure it is left alone for 5 s. ``event``: what the log then says."""

    def __init__(self, event: str, tick: Callable[[], float] = time.monotonic) -> None:
        self._event, self._tick = event, tick
        self._until = 0.0

    def ask(self, question: Callable[[], T]) -> T | None:
        """What Redis says; None while it is gone."""
        if self._tick() < self._until:
            return None
        try:
            return question()
        except RedisError as gone:
            self._until = self._tick() + REST_S
            log.warning(self._event, error=type(gone).__name__)
            return None


class Memory:
    """Remembers for a while that something was there."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url, **PATIENCE)
        self._resting = Resting("replays_not_seen")

    def first_time(self, key: str, remember_s: int) -> bool:
        """Whether this key was never seen in the last ``remember_s`` seconds; True while Redis is
        gone."""
        said = self._resting.ask(lambda: bool(self._redis.set(key, "1", nx=True, ex=remember_s)))
        return said is not False

    def answers(self) -> bool:
        """Whether Redis is there now."""
        try:
            return bool(self._redis.ping())
        except RedisError:
            return False
