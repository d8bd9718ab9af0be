"""The queue: a job exists with its row, runs when due, and waits when nobody answers."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

import jobs
from models.db import Session, new_id
from models.hospital import Hospital
from models.queue import QUICK, defer, use_clock_shift
from policies.outcome import NoAnswer

ROOT = Path(__file__).parent.parent
EVERY_FOREIGN_KEY = """
import jobs
from models.db import Base
print(len([key.column for table in Base.metadata.tables.values() for key in table.foreign_keys]))
"""
NOON = datetime(2025, 7, 4, 4, 0, tzinfo=UTC)


@pytest.fixture
def hospital_id(engine: Engine) -> Iterator[UUID]:
    """A hospital and an empty queue."""
    with Session.begin() as db:
        db.execute(text("DELETE FROM procrastinate_jobs"))
        code = f"J{new_id().hex[-12:]}"
        hospital = Hospital(
            id=new_id(), code=code, name="队列医院", institution_type="PUBLIC", county_code="990101"
        )
        hospital.rule_packs = ["national"]
        db.add(hospital)
    yield hospital.id
    with Session.begin() as db:
        db.execute(text("DELETE FROM procrastinate_jobs"))


class Seen:
    """Tasks that remember how they were called; ``failures`` are raised first."""

    def __init__(self, *failures: BaseException) -> None:
        self.calls: list[Any] = []
        self.failures = list(failures)
        self.tasks = {"one": self.one, "sweep": self.sweep}

    def one(self, outside: Any, thing_id: UUID) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.calls.append((outside.code, thing_id))

    def sweep(self, outside: Any, hospital_id: UUID) -> None:
        self.calls.append((outside.code, hospital_id))

    def run(self, now: datetime = NOON) -> list[str]:
        return jobs.run_due(outside_of, lambda: now, self.tasks)


def outside_of(code: str) -> Any:
    return SimpleNamespace(code=code)


def waiting() -> list[tuple[str, str, int]]:
    with Session() as db:
        found = db.execute(
            text("SELECT task_name, status, attempts FROM procrastinate_jobs ORDER BY id")
        )
        return [tuple(row) for row in found]


def code_of(hospital_id: UUID) -> str:
    with Session() as db:
        return db.get_one(Hospital, hospital_id).code


def test_a_job_is_there_only_with_its_transaction(hospital_id: UUID) -> None:
    with Session() as db:
        defer(db, "one", hospital_id=str(hospital_id), thing_id=str(new_id()))
        db.rollback()
    assert waiting() == []


@pytest.mark.parametrize("once", [None, "only"])
def test_a_line_lost_while_deferring_is_the_database_s_failure(once: str | None) -> None:
    """The edge answers 503 to it, and 500 to what it does not know."""
    with Session() as db:
        db.connection().connection.driver_connection.close()
        with pytest.raises(OperationalError):
            defer(db, "one", once=once, hospital="H", thing_id=str(new_id()))
        db.invalidate()


def test_a_job_gets_its_hospital_s_counterparts_and_its_ids_back(hospital_id: UUID) -> None:
    seen, thing = Seen(), new_id()
    with Session.begin() as db:
        defer(db, "one", hospital_id=str(hospital_id), thing_id=str(thing))
        defer(db, "one", hospital="BY-CODE", thing_id=str(thing))
        defer(db, "sweep", hospital_id=str(hospital_id))
    assert seen.run() == ["one", "one", "sweep"]
    code = code_of(hospital_id)
    assert seen.calls == [(code, thing), ("BY-CODE", thing), (code, hospital_id)]
    assert waiting() == []


def test_a_job_waits_for_its_moment(hospital_id: UUID) -> None:
    seen = Seen()
    with Session.begin() as db:
        defer(db, "one", hospital="H", thing_id=str(new_id()), at=NOON + timedelta(seconds=1))
    assert seen.run(NOON) == []
    assert seen.run(NOON + timedelta(seconds=1)) == ["one"]


def test_in_a_rehearsal_the_moment_is_told_in_the_queue_s_time(hospital_id: UUID) -> None:
    use_clock_shift(timedelta(days=30))
    try:
        with Session.begin() as db:
            defer(db, "one", hospital="H", thing_id=str(new_id()), at=NOON)
    finally:
        use_clock_shift(timedelta())
    with Session() as db:
        at = db.scalar(text("SELECT scheduled_at FROM procrastinate_jobs"))
    assert at == NOON - timedelta(days=30)


def test_who_got_no_answer_asks_again_later(hospital_id: UUID) -> None:
    seen = Seen(NoAnswer(), NoAnswer())
    with Session.begin() as db:
        defer(db, "one", hospital="H", thing_id=str(new_id()))
    assert seen.run(NOON) == []
    assert waiting() == [("one", "todo", 1)]
    assert seen.run(NOON + timedelta(seconds=1)) == []
    assert seen.run(NOON + timedelta(seconds=5)) == []
    assert seen.run(NOON + timedelta(seconds=6)) == ["one"]


def test_what_is_done_at_once_is_not_stalled_for_a_worker_beside_it(hospital_id: UUID) -> None:
    """The queue takes a job from a worker without a name or a sign of life."""
    nameless = (
        "SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing' AND worker_id IS NULL"
    )
    workers = "SELECT count(*) FROM procrastinate_workers"
    met: list[tuple[int, int]] = []

    def look(outside: Any, thing_id: UUID) -> None:
        met.append((_count(nameless), _count(workers)))

    with Session.begin() as db:
        defer(db, "one", hospital="H", thing_id=str(new_id()))
    before = _count(workers)
    assert jobs.run_due(outside_of, lambda: NOON, {"one": look}) == ["one"]
    assert met == [(0, before + 1)]
    assert _count(workers) == before


def _count(sql: str) -> int:
    with Session() as db:
        return int(db.scalar(text(sql)) or 0)


def test_a_fault_of_ours_is_raised_and_kept(hospital_id: UUID) -> None:
    seen = Seen(ZeroDivisionError())
    with Session.begin() as db:
        defer(db, "one", hospital="H", thing_id=str(new_id()))
    with pytest.raises(ZeroDivisionError):
        seen.run()
    assert waiting() == [("one", "failed", 1)]


def test_a_twin_that_still_waits_is_dropped(hospital_id: UUID) -> None:
    with Session.begin() as db:
        defer(db, "one", hospital="H", thing_id=str(new_id()), once="same")
        defer(db, "one", hospital="H", thing_id=str(new_id()), once="same")
    assert waiting() == [("one", "todo", 0)]


def test_a_sweep_is_queued_once_for_every_hospital(hospital_id: UUID) -> None:
    for _ in range(2):
        jobs.for_every_hospital("sweep")
    with Session() as db:
        args = db.scalars(text("SELECT args->>'hospital_id' FROM procrastinate_jobs")).all()
        hospitals = db.scalars(text("SELECT id::text FROM hospital")).all()
    assert sorted(args) == sorted(hospitals)


def test_what_asks_nobody_is_done_while_the_outside_holds_all_other_slots(
    hospital_id: UUID, engine: Engine
) -> None:
    """The quick job comes last, and lets the slow ones go; then the worker is told to stop."""
    all_taken, done, heard = threading.Barrier(jobs.CONCURRENCY + 1), threading.Event(), []

    def slow(outside: Any, thing_id: UUID) -> None:
        all_taken.wait(30)
        heard.append(done.wait(30))

    def quick(outside: Any, thing_id: UUID) -> None:
        try:
            all_taken.wait(30)
            done.set()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    with Session.begin() as db:
        for _ in range(jobs.CONCURRENCY):
            defer(db, "slow", hospital="H", thing_id=str(new_id()))
        defer(db, "quick", hospital="H", thing_id=str(new_id()), queue=QUICK)
    url = engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    asyncio.run(jobs.work(jobs.worker(url, outside_of, {"slow": slow, "quick": quick})))
    assert heard == [True] * jobs.CONCURRENCY
    assert [row for row in waiting() if row[0] in ("slow", "quick")] == []


def test_a_sweep_that_asks_nobody_waits_behind_no_counterpart(hospital_id: UUID) -> None:
    for name in ("sweep_notices", "sweep_orders"):
        jobs.for_every_hospital(name)
    with Session() as db:
        found = db.execute(text("SELECT DISTINCT task_name, queue_name FROM procrastinate_jobs"))
        assert sorted(map(tuple, found)) == [
            ("sweep_notices", QUICK),
            ("sweep_orders", "default"),
        ]
    assert jobs.SWEEPS.keys() >= jobs.ASK_NOBODY


def test_the_worker_does_what_waits_and_tries_again(hospital_id: UUID, engine: Engine) -> None:
    seen = Seen(*[NoAnswer()] * 99)
    with Session.begin() as db:
        db.execute(text("DELETE FROM procrastinate_jobs"))  # what other tests left waiting
        defer(db, "one", hospital_id=str(hospital_id), thing_id=str(new_id()))
        defer(db, "sweep", hospital_id=str(hospital_id))
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    app = jobs.worker(url, outside_of, seen.tasks)
    app.run_worker(wait=False, install_signal_handlers=False, delete_jobs="successful")
    assert seen.calls == [(code_of(hospital_id), hospital_id)]
    assert [job for job in waiting() if job[0] == "one"] == [
        ("one", "todo", 99 - len(seen.failures))
    ]


def test_the_jobs_of_a_dead_worker_are_done_though_one_of_them_has_a_twin_that_waits(
    engine: Engine, hospital_id: UUID
) -> None:
    """Else one of them keeps all others from being given to another worker, for ever."""
    seen, once, twin = Seen(), new_id(), str(new_id())
    with Session.begin() as db:
        db.execute(text("DELETE FROM procrastinate_jobs"))
        defer(db, "one", once="twin", hospital_id=str(hospital_id), thing_id=twin)
        defer(db, "one", hospital_id=str(hospital_id), thing_id=str(once))
        db.execute(text("UPDATE procrastinate_jobs SET status = 'doing'"))
        later = datetime.now(UTC) + timedelta(hours=1)
        defer(db, "one", once="twin", at=later, hospital_id=str(hospital_id), thing_id=twin)
        defer(db, "retry_stalled", timestamp=0)
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    for _ in range(2):
        app = jobs.worker(url, outside_of, seen.tasks)
        app.run_worker(wait=False, install_signal_handlers=False, delete_jobs="successful")
    assert seen.calls == [(code_of(hospital_id), once)]
    assert [job for job in waiting() if job[0] == "one"] == [("one", "todo", 0)]


def test_tries_become_slower_and_end() -> None:
    assert [jobs.wait_before(n) for n in (0, 1, 6, 7, 47)] == [1, 5, 3600, 3600, 3600]
    patience = jobs.Patience()
    last, over = (SimpleNamespace(attempts=n) for n in (jobs.TRIES - 1, jobs.TRIES))
    assert patience.get_retry_decision(exception=NoAnswer(), job=last) is not None
    assert patience.get_retry_decision(exception=NoAnswer(), job=over) is None


@pytest.mark.parametrize(
    ("shanghai", "utc"),
    [
        ("* * * * *", "* * * * *"),
        ("*/5 * * * *", "*/5 * * * *"),
        ("30 5 * * *", "30 21 * * *"),
        ("0 9 * * *", "0 1 * * *"),
        ("*/10 5-6 * * *", "*/10 21-22 * * *"),
    ],
)
def test_the_timetable_is_in_shanghai_time(shanghai: str, utc: str) -> None:
    assert jobs.utc(shanghai) == utc


@pytest.mark.parametrize("cron", ["30 5 * * 1", "0 5 1 * *", "0 */2 * * *"])
def test_an_hour_that_cannot_be_moved_is_refused(cron: str) -> None:
    with pytest.raises(ValueError, match="stand without a day"):
        jobs.utc(cron)


def test_every_line_of_the_timetable_can_be_read() -> None:
    for cron, _ in jobs.SWEEPS.values():
        assert len(jobs.utc(cron).split()) == 5


def test_a_worker_alone_knows_every_table_that_a_row_points_at() -> None:
    """In these tests every model is imported anyhow; in a worker only what its journeys need."""
    told = subprocess.run(
        [sys.executable, "-c", EVERY_FOREIGN_KEY],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(told.stdout) > 100


def test_every_task_of_the_worker_is_tried_again() -> None:
    """Else the night in which the database restarts at six has no daily bills."""
    tasks = jobs.worker("postgresql://nobody@127.0.0.1:9/none", outside_of).tasks
    ours = {name: task for name, task in tasks.items() if "procrastinate" not in task.name}
    assert {"retry_stalled", "every hospital: make_daily_bills", "apply_notice"} <= set(ours)
    assert [name for name, task in ours.items() if task.retry_strategy is None] == []
