"""How often anybody may ask: counted in Redis by address, actor and secret being guessed; in memory
when Redis is gone."""

from typing import Any

import structlog
from flask import Flask, current_app
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from limits import RateLimitItem, parse
from werkzeug.exceptions import TooManyRequests

from api.memory import PATIENCE
from policies.access import Actor

ADDRESS = "6000/minute"
"""A whole hospital may stand behind one address."""

LIMITS: dict[str, RateLimitItem] = {
    name: parse(limit)
    for name, limit in {
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

log = structlog.get_logger("limits")


class Limited(TooManyRequests):
    """A 429 that knows when to come back."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__()
        self.retry_after_s = retry_after_s


def install(app: Flask, redis_url: str) -> None:
    """Count every request by its address; the finer counts are called where the key is known."""
    options: Any = PATIENCE
    limiter = Limiter(
        get_remote_address,
        app=app,
        application_limits=[ADDRESS],
        storage_uri=redis_url.replace("unix:", "redis+unix:", 1),  # its own name of a socket
        storage_options=options,
        in_memory_fallback_enabled=True,
        key_prefix="limit",
        headers_enabled=False,
    )
    app.extensions["counts"] = limiter


def count(what: str, key: str) -> None:
    """One more of ``what`` for this key; Limited beyond the table's number. Called before costly
    work."""
    limit = LIMITS[what]
    counts: Limiter = current_app.extensions["counts"]
    try:
        allowed = counts.limiter.hit(limit, "limit", what, key)
    except Exception as gone:
        # The count by address, made first, has nearly always noticed and switched to memory.
        log.warning("limit_not_counted", code=what, error=type(gone).__name__)
        return
    if not allowed:
        raise Limited(limit.get_expiry())


def count_address(what: str) -> None:
    """One more of ``what`` from the caller's address."""
    count(what, get_remote_address())


def count_actor(actor: Actor) -> None:
    """One more request of this person or system."""
    count("his" if "HIS" in actor.roles else "actor", f"{actor.hospital_id} {actor.name}")
