"""Two servers that are wrong on purpose, so that the checker can be seen to find what they do.

Each is our own application inside a wrapper: ``granian … tests.prove.wrong:without_key``.
"""

import threading
import uuid
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from sqlalchemy import Engine
from sqlalchemy.pool import PoolProxiedConnection

from models import db as database
from models.db import ReadSession
from wsgi import app

LATE_S = 1.5


def without_key(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Whoever repeats a request is served a second time: each request gets a key of its own."""
    if "HTTP_IDEMPOTENCY_KEY" in environ:
        environ["HTTP_IDEMPOTENCY_KEY"] = uuid.uuid4().hex
    return app(environ, start_response)


def answer_first(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A deposit is answered at once, and what the answer promises is committed a moment later."""
    _here.late = environ["PATH_INFO"].endswith("/deposits")
    return app(environ, start_response)


class LateLine:
    """A line out of the pool, as `at_once` takes one, whose statement is not committed at once."""

    def __init__(self, line: PoolProxiedConnection) -> None:
        self._line = line
        self._driver: Any = line.driver_connection
        self.driver_connection = self  # of which somebody sets ``autocommit``, without effect
        self.cursor = self._driver.cursor

    @property
    def closed(self) -> bool:
        return bool(self._driver.closed)

    def invalidate(self) -> None:
        self._line.invalidate()

    def close(self) -> None:
        threading.Timer(LATE_S, self._commit).start()

    def _commit(self) -> None:
        self._driver.commit()
        self._line.close()


class LateReader:
    """The reader of models/db.py, whose bare lines are late while a deposit is answered."""

    def __init__(self, on_time: Engine) -> None:
        self.connect, self._on_time = on_time.connect, on_time

    def raw_connection(self) -> Any:
        line = self._on_time.raw_connection()
        return LateLine(line) if getattr(_here, "late", False) else line


_here = threading.local()
database._reader = LateReader(ReadSession.kw["bind"])  # type: ignore[assignment]
