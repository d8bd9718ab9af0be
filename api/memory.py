"""Redis at the edge: which nonces of the HIS were seen a moment ago. It may be gone, and then
nobody waits for it."""

import time

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

log = structlog.get_logger("memory")


class Memory:
    """Remembers for a while that something was there. After a failure Redis is left alone for 5
    s."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url, **PATIENCE)
        self._resting_until = 0.0

    def first_time(self, key: str, remember_s: int) -> bool:
        """Whether this key was never seen in the last ``remember_s`` seconds; True while Redis is
        gone."""
        if time.monotonic() < self._resting_until:
            return True
        try:
            return bool(self._redis.set(key, "1", nx=True, ex=remember_s))
        except RedisError as gone:
            self._resting_until = time.monotonic() + REST_S
            log.warning("replays_not_seen", error=type(gone).__name__)
            return True

    def answers(self) -> bool:
        """Whether Redis is there now."""
        try:
            return bool(self._redis.ping())
        except RedisError:
            return False
