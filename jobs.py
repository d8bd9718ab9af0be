"""What runs unasked: the queue's worker, its table of tasks and ONE timetable, in Shanghai time.

A task is a function of a journey: first the hospital's counterparts, then the job's arguments, with
``…_id`` made a UUID again. A job names its hospital: ``hospital_id``, or ``hospital``, the code.
``python -m jobs`` works until it is told to stop; with ``--once`` it does what is due and ends.
"""

import argparse
import asyncio
import inspect
import re
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import procrastinate
from procrastinate.exceptions import UniqueViolation
from procrastinate.jobs import Job, Status
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from sqlalchemy import select, text

import logs
from config import read_settings
from journeys import (
    audit_anchor,
    campaigns,
    cockpit,
    daily_bill,
    deposits,
    discharge,
    his_charges,
    insurance_office,
    login,
    notices,
    proof,
    reconciliation,
    refunds,
    turnover,
    words,
)
from journeys.counterparts import Counterparts, registry
from models import db as database
from models import durability, queue, schema, sealing
from models.db import ReadSession, Session
from models.hospital import Hospital
from policies.outcome import NoAnswer, NotNow
from policies.refusals import Busy

schema.import_all()  # a row may point at a table whose module no journey here needs

Task = Callable[..., Any]
CounterpartsOf = Callable[[str], Counterparts]

TASKS: Mapping[str, Task] = {
    "advance_settlement": discharge.continue_settlement,
    "apply_notice": notices.apply_notice,
    "deliver_message": words.deliver_message,
    "deliver_messages": words.deliver_messages,
    "pay_leg": refunds.pay_leg,
    "send_campaign": campaigns.send_campaign,
}
"""Jobs that a journey defers with the row that they are about."""

SWEEPS: Mapping[str, tuple[str, Task]] = {
    "sweep_notices": ("* * * * *", notices.sweep_notices),
    "sweep_orders": ("* * * * *", deposits.sweep_orders),
    "sweep_settlements": ("* * * * *", discharge.sweep_settlements),
    "sweep_legs": ("* * * * *", refunds.sweep_legs),
    "sweep_messages": ("* * * * *", words.sweep_messages),
    "sweep_insurance": ("* * * * *", insurance_office.sweep_insurance),
    "correct_daily_bills": ("20 * * * *", daily_bill.correct_bills),
    "anchor_trail": ("0 1 * * *", audit_anchor.anchor_trail),
    "forget_proofs": ("*/5 * * * *", login.forget_proofs),
    "note_attempts": ("50 * * * *", campaigns.note_attempts),
    "remind_of_clearance": ("0 8 * * *", cockpit.remind),
    "complete_turnovers": ("40 * * * *", turnover.complete_turnovers),
    "upload_fees": ("0 2 * * *", insurance_office.upload_fees),
    "make_charge_months": ("0 3 * * *", his_charges.make_charge_months),
    "prove_ledger": ("0 4 * * *", proof.prove_ledger),
    "make_daily_bills": ("0 6 * * *", daily_bill.make_yesterdays_bills),
    "check_daily_bills": ("0 7 * * *", daily_bill.check_yesterday),
    "reconcile_wechat": ("20 10-22 * * *", reconciliation.reconcile_wechat),
    "reconcile_insurance": ("30 11 * * *", insurance_office.reconcile_insurance),
}
"""The timetable: name -> (minute hour day month weekday in Shanghai, function of one hospital).

A sweep finds what was lost: everything that it does is harmless to do twice.
"""

ASK_NOBODY = frozenset(
    {
        "check_daily_bills",
        "complete_turnovers",
        "correct_daily_bills",
        "forget_proofs",
        "make_charge_months",
        "make_daily_bills",
        "prove_ledger",
        "sweep_notices",
    }
)
"""Sweeps that no counterpart can keep waiting; they go into the queue of the quick."""

CONCURRENCY, QUICK_CONCURRENCY = 4, 2
"""Slots for jobs of any kind, and besides them for those that ask nobody outside: a counterpart
that takes ten seconds soon holds the former, and what has arrived must be booked nevertheless."""
SHANGHAI_AHEAD = 8
MAINTENANCE_QUEUE = "builtin"
STALLED_AFTER = 60
"""Seconds without a sign of life after which a worker's jobs are given to others."""

WAITS = (1, 5, 15, 60, 300, 900, 3600)
"""Seconds before each further try of a failed job; the last one repeats."""
TRIES = 48


class Patience(BaseRetryStrategy):
    """Try again, ever slower, and stop after TRIES: a sweep finds what is then still open."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """When to try again; None to give up."""
        if job.attempts >= TRIES:
            return None
        return RetryDecision(retry_in={"seconds": wait_before(job.attempts)})


MAINTENANCE: Any = {"queue": MAINTENANCE_QUEUE, "retry": Patience()}
"""A line of the timetable that met a restart of the database is tried again, not left out."""


def wait_before(attempt: int) -> int:
    """Seconds to wait after this many failed tries."""
    return WAITS[min(attempt, len(WAITS) - 1)]


def worker(
    database_url: str, counterparts_of: CounterpartsOf, tasks: Mapping[str, Task] | None = None
) -> procrastinate.App:
    """The queue's application, every task and the timetable registered; ``run_worker`` runs it."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=database_url))
    for name, task in (tasks or all_tasks()).items():
        app.task(name=name, retry=Patience())(_job(task, counterparts_of))
    for name, (cron, _) in SWEEPS.items():
        spread = app.task(name=f"every hospital: {name}", **MAINTENANCE)(_spread(name))
        app.periodic(cron=utc(cron), periodic_id=name)(spread)
    app.periodic(cron="* * * * *", periodic_id="stalled")(
        app.task(name="retry_stalled", pass_context=True, **MAINTENANCE)(_retry_stalled)
    )
    return app


async def work(app: procrastinate.App) -> None:
    """Work in all slots until SIGTERM or SIGINT, then let running jobs end, 30 seconds at most."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(CONCURRENCY + QUICK_CONCURRENCY))
    options: Any = {
        "delete_jobs": "successful",
        "shutdown_graceful_timeout": 30,
        "install_signal_handlers": False,
    }
    quick = [queue.QUICK, MAINTENANCE_QUEUE]
    async with app.open_async(), asyncio.TaskGroup() as group:
        running = [
            group.create_task(app.run_worker_async(queues=queues, concurrency=slots, **options))
            for slots, queues in ((CONCURRENCY, None), (QUICK_CONCURRENCY, quick))
        ]
        for stop in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(stop, lambda: [slots.cancel() for slots in running])


def all_tasks() -> dict[str, Task]:
    """Every name that a job may carry."""
    return {**TASKS, **{name: task for name, (_, task) in SWEEPS.items()}}


def utc(cron: str) -> str:
    """A line of the timetable in UTC, as the queue reads it: hours are moved, days cannot be."""
    minute, hour, *rest = cron.split()
    if any(character.isdigit() for character in hour):
        if rest != ["*", "*", "*"] or "/" in hour:
            raise ValueError(f"{cron}: hours are plain and stand without a day: moved, it changes")
        hour = re.sub(r"\d+", lambda found: str((int(found[0]) - SHANGHAI_AHEAD) % 24), hour)
    return " ".join([minute, hour, *rest])


def for_every_hospital(name: str) -> None:
    """Queue one sweep a hospital; one that still waits is not queued twice."""
    with Session.begin() as db:
        for hospital_id in db.scalars(select(Hospital.id)):
            one = {"hospital_id": str(hospital_id), "once": f"{name}:{hospital_id}"}
            quick = queue.QUICK if name in ASK_NOBODY else queue.DEFAULT
            queue.defer(db, name, queue=quick, **one)


def run(task: Task, arguments: Mapping[str, Any], counterparts_of: CounterpartsOf) -> None:
    """Do one job now, in this thread."""
    given = {key: UUID(value) if key.endswith("_id") else value for key, value in arguments.items()}
    code = str(given.pop("hospital", "")) or _code_of(given["hospital_id"])
    if "hospital_id" not in inspect.signature(task).parameters:
        given.pop("hospital_id", None)
    task(counterparts_of(code), **given)


def run_due(
    counterparts_of: CounterpartsOf,
    now: Callable[[], datetime],
    tasks: Mapping[str, Task] | None = None,
) -> list[str]:
    """Do what is due by this clock, job after job, until nothing is; the names of those done.

    A job that got no answer waits for its next try, as in the worker. Any other failure is
    raised, and the job stays in the queue as failed.
    """
    known, done = tasks or all_tasks(), []
    while job := _claim(now(), list(known)):
        try:
            run(known[job["task_name"]], job["args"], counterparts_of)
        except (NotNow, NoAnswer, Busy):
            again = now() + timedelta(seconds=wait_before(job["attempts"]))
            _settle(job, "procrastinate_retry_job_v2(:id, :at, NULL, NULL, NULL)", at=again)
        except BaseException:
            _settle(job, "procrastinate_finish_job_v1(:id, 'failed', false)")
            raise
        else:
            _settle(job, "procrastinate_finish_job_v1(:id, 'succeeded', true)")
            done.append(job["task_name"])
    return done


def main() -> None:
    """Work until told to stop, letting running jobs end."""
    parser = argparse.ArgumentParser(prog="python -m jobs", description=__doc__)
    parser.add_argument("--once", action="store_true", help="do what is due, then end")
    once = parser.parse_args().once
    settings = read_settings()
    logs.configure()
    database.connect(settings.database_url, connections=settings.database_connections)
    if settings.production:
        durability.refuse_forgetful()
    sealing.use_keys(settings.sealing_keys, settings.index_key)
    queue.use_clock_shift(settings.clock_shift)
    counterparts_of = registry(settings)
    if once:
        run_due(counterparts_of, lambda: settings.now() - settings.clock_shift)
        return
    asyncio.run(work(worker(settings.database_url, counterparts_of)))


_DUE = """
UPDATE procrastinate_jobs SET status = 'doing', worker_id = :worker WHERE id = (
  SELECT id FROM procrastinate_jobs job
  WHERE status = 'todo' AND (scheduled_at IS NULL OR scheduled_at <= :now)
    AND task_name = ANY(:known)
    AND NOT EXISTS (SELECT FROM procrastinate_jobs other
                    WHERE other.lock = job.lock AND other.status = 'doing')
  ORDER BY priority DESC, id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, task_name, args, attempts, worker_id
"""

_LEAVE = "SELECT procrastinate_unregister_worker_v1(:worker)"


def _claim(now: datetime, known: list[str]) -> dict[str, Any] | None:
    """The next job, under a worker's name of its own: one without a name counts as stalled, and a
    worker beside us would do it too."""
    with Session.begin() as db:
        worker = db.scalar(text("SELECT worker_id FROM procrastinate_register_worker_v1()"))
        values = {"now": now, "known": known, "worker": worker}
        if row := db.execute(text(_DUE), values).mappings().first():
            return dict(row)
        db.execute(text(_LEAVE), values)
    return None


def _settle(job: dict[str, Any], call: str, **values: Any) -> None:
    with Session.begin() as db:
        db.execute(text(f"SELECT {call}"), {"id": job["id"], **values})
        db.execute(text(_LEAVE), {"worker": job["worker_id"]})


def _job(task: Task, counterparts_of: CounterpartsOf) -> Callable[..., None]:
    def job(**arguments: Any) -> None:
        run(task, arguments, counterparts_of)

    return job


def _spread(name: str) -> Callable[[int], None]:
    def spread(timestamp: int) -> None:
        for_every_hospital(name)

    return spread


async def _retry_stalled(context: procrastinate.JobContext, timestamp: int) -> None:
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_AFTER):
        try:
            await manager.retry_job(job)
        except UniqueViolation:  # its twin waits and does the same: it must not hold up the others
            await manager.finish_job(job, Status.ABORTED, delete_job=True)


@cache
def _code_of(hospital_id: UUID) -> str:
    with ReadSession() as db:
        return db.get_one(Hospital, hospital_id).code


if __name__ == "__main__":
    main()
