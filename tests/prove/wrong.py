"""Two servers that are wrong on purpose, so that the checker can be seen to find what they do.

Each is our own application inside a wrapper: ``granian … tests.prove.wrong:without_key``.
"""

import threading
import uuid
from collections.abc import Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import sessionmaker

from models.db import ReadSession, Session
from wsgi import app

LATE_S = 1.5


def without_key(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Whoever repeats a request is served a second time: each request gets a key of its own."""
    if "HTTP_IDEMPOTENCY_KEY" in environ:
        environ["HTTP_IDEMPOTENCY_KEY"] = uuid.uuid4().hex
    return app(environ, start_response)


def answer_first(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A deposit is answered at once, and what the answer promises is committed a moment later."""
    if not environ["PATH_INFO"].endswith("/deposits"):
        return app(environ, start_response)
    connection = _here.connection = _engine.connect()
    outer = connection.begin()
    try:
        return [b"".join(app(environ, start_response))]
    finally:
        _here.connection = None
        threading.Timer(LATE_S, _commit, (outer, connection)).start()


def _commit(outer: Any, connection: Connection) -> None:
    outer.commit()
    connection.close()


def _take_over(sessions: sessionmaker[Any]) -> None:
    """Let these sessions work in the late transaction where there is one."""
    own = sessions.kw["bind"]
    sessions.configure(join_transaction_mode="create_savepoint")
    sessions.class_.get_bind = lambda *_, **__: getattr(_here, "connection", None) or own  # type: ignore[method-assign]


_here = threading.local()
_engine: Engine = Session.kw["bind"]
_take_over(Session)
_take_over(ReadSession)
