"""A job is deferred on the connection that moves the money: it exists exactly when the row does."""

from datetime import datetime, timedelta
from typing import Any

import procrastinate
import psycopg
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import JobDeferrer
from sqlalchemy.orm import Session

from models.db import failed

DEFAULT, QUICK = "default", "quick"
"""Queues. ``QUICK``: jobs that ask nobody outside; every worker has slots for them alone."""

_app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())
_clock_shift = timedelta()


def use_clock_shift(shift: timedelta) -> None:
    """In a rehearsal our clock is ``shift`` ahead of the queue's, which is PostgreSQL's."""
    global _clock_shift
    _clock_shift = shift


def defer(
    db: Session,
    task: str,
    *,
    lock: str | None = None,
    once: str | None = None,
    at: datetime | None = None,
    priority: int = 0,
    queue: str = DEFAULT,
    **arguments: Any,
) -> None:
    """Queue ``task(**arguments)`` in the caller's transaction; arguments are JSON (ids as text).

    ``lock``: jobs of one lock run one after another. ``once``: dropped when a job with that key
    already waits. ``at``: not before this moment. ``priority``: of what is due the
    highest goes first. ``queue``: DEFAULT or QUICK. The tasks themselves are in ``jobs.py``.
    """
    try:
        if once is None:
            job = _configured(db, task, lock=lock, at=at, priority=priority, queue=queue)
            job.defer(**arguments)
            return
        with db.begin_nested():  # a twin in the queue must not spoil the caller's transaction
            job = _configured(db, task, lock=lock, once=once, at=at, priority=priority, queue=queue)
            job.defer(**arguments)
    except AlreadyEnqueued:
        return
    except ConnectorException as wrapped:  # a full disk or a lost line must be known as what it is
        if not isinstance(wrapped.__cause__, psycopg.Error):
            raise
        raise failed("defer", wrapped.__cause__) from wrapped


def queue_time(at: datetime) -> datetime:
    """Our moment by the queue's clock, for a function of the database that queues a job."""
    return at - _clock_shift


def _configured(
    db: Session,
    task: str,
    *,
    lock: str | None,
    at: datetime | None,
    once: str | None = None,
    priority: int = 0,
    queue: str = DEFAULT,
) -> JobDeferrer:
    # db.connection() inside the savepoint: SQLAlchemy sets the savepoint only when it is asked.
    return _app.configure_task(
        task,
        allow_unknown=True,
        queue=queue,
        lock=lock,
        queueing_lock=once,
        priority=priority,
        schedule_at=at and queue_time(at),
        connection=db.connection().connection.driver_connection,
    )
