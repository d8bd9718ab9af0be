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
    # The queue's clock is PostgreSQL's, which nobody shifts.
    jobs.run_due(registry(settings), lambda: settings.now() - settings.clock_shift)


if __name__ == "__main__":
    main()
