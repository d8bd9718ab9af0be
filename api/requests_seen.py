"""Every request has a number that is returned and logged, one log line, and the headers that keep
browsers careful."""

import re
import time
import uuid

import structlog
from flask import Flask, Response, g, request
from structlog.contextvars import bind_contextvars, clear_contextvars
from werkzeug.datastructures import Headers

from api.surroundings import settings

_SANE = re.compile(r"[A-Za-z0-9_-]{8,64}")

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""Set unless the view set its own."""

OVER_HTTPS = HEADERS | {"Strict-Transport-Security": "max-age=31536000; includeSubDomains"}
"""Those, where we are reached by HTTPS."""

log = structlog.get_logger("requests")


def install(app: Flask) -> None:
    """Number requests on the way in; tell of them on the way out."""
    app.before_request(_number)
    app.after_request(_tell)


def route() -> str:
    """The rule that matched, never the address itself: addresses carry ids."""
    return request.url_rule.rule if request.url_rule else "(none)"


def _number() -> None:
    offered = request.headers.get("X-Request-ID", "")
    g.request_id = offered if _SANE.fullmatch(offered) else uuid.uuid4().hex
    g.started = time.perf_counter()
    clear_contextvars()
    bind_contextvars(request_id=g.request_id)


def _tell(answer: Response) -> Response:
    _careful(answer.headers)
    actor = g.get("actor")
    log.info(
        "request",
        method=request.method,
        route=route(),
        status=answer.status_code,
        ms=round((time.perf_counter() - g.started) * 1000, 1),
        actor=actor.name if actor else "",
        hospital=g.get("hospital_code", ""),
        code=g.get("problem_code", ""),
    )
    return answer


def _careful(headers: Headers) -> None:
    """Add what the view did not say itself; its headers are walked once, not once for each name."""
    said = {name.title() for name, _ in headers}
    careful = OVER_HTTPS if settings().public_base_url.startswith("https://") else HEADERS
    for name, value in careful.items():
        if name not in said:
            headers.add(name, value)
    headers.add("X-Request-ID", g.request_id)
