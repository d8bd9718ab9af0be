"""One night at once: every line of the timetable for every hospital, and every job that is due.

A process of its own (``python -m tests.prove.night``), because the database is bound to a process;
the seconds after its name are added to the clock.
"""

import sys
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import text

import jobs
from config import read_settings
from journeys.counterparts import registry
from models import db as database
from models import queue, sealing

WAITED_ENOUGH = """
UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo' AND attempts > 0
"""
"""Whatever waits for its next try, at most an hour, has had it before the night. A sweep that still
waits is not queued again, so the night would do nothing of it."""

OPEN = "SELECT count(*) AS open FROM message WHERE state IN ('QUEUED', 'SENDING', 'UNKNOWN')"


def main() -> None:
    """Sweep until nothing is due."""
    settings = read_settings()
    later = timedelta(seconds=float(sys.argv[1]))
    settings = replace(settings, clock_shift=settings.clock_shift + later)
    database.connect(settings.database_url)
    sealing.use_keys(settings.sealing_keys, settings.index_key)
    queue.use_clock_shift(settings.clock_shift)
    with database.Session.begin() as db:
        db.execute(text(WAITED_ENOUGH))
    for name in jobs.SWEEPS:
        jobs.for_every_hospital(name)
    counterparts_of = registry(settings)
    left = None
    while left != (left := open_messages()):
        # The queue's clock is PostgreSQL's, which nobody shifts.
        jobs.run_due(counterparts_of, lambda: settings.now() - settings.clock_shift)
        jobs.for_every_hospital("sweep_messages")


def open_messages() -> int:
    """Those without an end: a sweep takes some hundred of them, and a night has many minutes."""
    (found,) = database.rows(OPEN)
    return int(found["open"])


if __name__ == "__main__":
    main()
