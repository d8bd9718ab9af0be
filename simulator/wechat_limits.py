"""WeChat Pay's limits on refunds: how many calls, how many about old orders, how many that fail."""

import time
from collections import defaultdict, deque
from collections.abc import Callable
from datetime import timedelta
from threading import Lock
from typing import Any

from flask import Blueprint, Response, jsonify

from .wechat_gate import Answer, Problem
from .world import World

OLD = timedelta(days=30)
WINDOWS = {  # what is counted: (seconds of the sliding window, setting that names the limit)
    "calls": (1, "refunds_per_second"),
    "old": (60, "old_refunds_per_minute"),
    "failures": (1, "failing_refunds_per_second"),
}


class Limits:
    """Counts in real time, by merchant; what was most in any window is kept for the tests."""

    def __init__(self, world: World) -> None:
        self._world, self._lock = world, Lock()
        self.forget()

    def forget(self) -> None:
        """Begin to count anew."""
        self._seen: dict[tuple[str, str], deque[float]] = defaultdict(deque)
        self._most: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(WINDOWS, 0))
        self._over: dict[str, int] = defaultdict(int)

    def count(self, mchid: str, what: str) -> bool:
        """Count one; False when it is one too many."""
        seconds, setting = WINDOWS[what]
        # Before the lock: who asks may hold the store's lock, and the setting is in the store.
        limit = self._world.setting(setting)
        now = time.monotonic()
        with self._lock:
            seen = self._seen[mchid, what]
            seen.append(now)
            while seen[0] <= now - seconds:
                seen.popleft()
            self._most[mchid][what] = max(self._most[mchid][what], len(seen))
            within = len(seen) <= limit
            self._over[mchid] += not within
        return within

    def told(self) -> dict[str, Any]:
        """merchant -> the most seen in one window of each kind, and how many were over."""
        with self._lock:
            return {
                mchid: {**most, "over": self._over[mchid]} for mchid, most in self._most.items()
            }


def of(world: World) -> Limits:
    """The one counter of this world."""
    counter: Limits = world.shared("wechat limits", lambda: Limits(world))
    return counter


def blueprint(world: World) -> Blueprint:
    """GET /_sim/wxpay/limits; whoever forgets what is under way begins to count anew."""
    routes = Blueprint("wechat_limits", __name__, url_prefix="/_sim/wxpay/limits")
    world.forgetters.append(of(world).forget)

    @routes.get("")
    def look() -> Response:
        return jsonify(of(world).told())

    return routes


def within_limits(world: World, mchid: str, work: Callable[[], Answer]) -> Answer:
    """Do the work of a refund call unless there are too many, or too many that fail."""
    try:
        if not of(world).count(mchid, "calls"):
            raise too_fast("申请退款过于频繁，请稍后用原单号重试")
        return work()
    except Problem:
        if not of(world).count(mchid, "failures"):
            raise too_fast("错误请求过于频繁，请稍后重试") from None
        raise


def check_old(world: World, mchid: str, age: timedelta) -> None:
    """Orders of more than a month go back slowly."""
    if age > OLD and not of(world).count(mchid, "old"):
        raise too_fast("频率限制，1个月之前的订单请降低申请频率再重试")


def too_fast(message: str) -> Problem:
    """429: the same number again, later."""
    return Problem(429, "FREQUENCY_LIMITED", message)
