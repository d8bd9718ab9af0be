"""The application as in production, which also tells how long each request waited for outsiders.

The time is taken around ``HTTPAdapter.send`` of ``requests``, through which every wire of ours
goes, and leaves in the standard header ``Server-Timing``.
"""

from time import perf_counter
from typing import Any

from flask import Response, g
from requests.adapters import HTTPAdapter

from wsgi import app

_send = HTTPAdapter.send


def _timed(adapter: HTTPAdapter, *args: Any, **kwargs: Any) -> Any:
    started = perf_counter()
    try:
        return _send(adapter, *args, **kwargs)
    finally:
        g.waited_s = g.get("waited_s", 0.0) + perf_counter() - started


@app.after_request
def tell_waiting(answer: Response) -> Response:
    """Milliseconds that others took."""
    if waited_s := g.get("waited_s"):
        answer.headers["Server-Timing"] = f"outside;dur={waited_s * 1000:.3f}"
    return answer


HTTPAdapter.send = _timed  # type: ignore[method-assign]
