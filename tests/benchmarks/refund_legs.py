"""(j) A night of refunds: legs of stored money go back to WeChat, beside what WeChat Pay bears."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count
from time import perf_counter, sleep
from uuid import UUID

import jobs
from models.db import rows
from payments.pacing import WECHAT_REFUNDS
from tests.benchmarks.ground import Ground, on_core_of
from tests.benchmarks.measure import Bench, Figure, Series

LEGS = 200_000 if os.environ.get("FULL") else 200
PORTION, POLL = 1_000, 0.05
_serial = count(1)

FILL = """
DELETE FROM procrastinate_jobs;
CREATE TEMP TABLE night AS
SELECT gen_random_uuid() AS id, gen_random_uuid() AS leg, %(serial)s || n AS number,
    100 + n %% 50000 AS fen
FROM generate_series(1, %(legs)s) n;
INSERT INTO refund (id, hospital_id, state, key, request_hash, reason, account_kind, account_owner,
    subject_id, patient_id, amount_fen, requested_by, requested_at, checked_by, checked_at, note)
SELECT id, %(h)s, 'PAYING', number, '', 'CLEARANCE', 'OUTPATIENT_PREPAY', %(p)s::text, %(p)s, %(p)s,
    fen, 'bench:maker', %(now)s, 'bench:checker', %(now)s, '' FROM night;
INSERT INTO refund_leg (id, hospital_id, refund_id, state, route, amount_fen, channel_transaction,
    order_total_fen, closes_at, next_try_at, tries, answer)
SELECT leg, %(h)s, id, 'PLANNED', 'WECHAT', fen, number, fen, %(paid_at)s + interval '365 days',
    %(now)s, 0, '' FROM night;
INSERT INTO account (id, hospital_id, kind, owner, balance_fen)
SELECT gen_random_uuid(), %(h)s, 'REFUND_IN_TRANSIT', id::text, -fen FROM night;
INSERT INTO procrastinate_jobs (queue_name, task_name, args, queueing_lock, status)
SELECT 'default', 'pay_leg', jsonb_build_object('hospital_id', %(h)s, 'leg_id', leg),
    'pay-leg:' || leg, 'todo' FROM night
"""
OPEN = """
SELECT count(*) AS legs FROM refund_leg WHERE hospital_id = :h
AND state IN ('PLANNED', 'ASKED', 'PROCESSING') AND channel_transaction LIKE 'night%'
"""
"""Of this night alone: what earlier benches left to be paid has lost its jobs."""


def run(ground: Ground) -> list[Figure]:
    """Legs a second until every one has arrived, with all the notices and messages they bring."""
    rounds = 1 if os.environ.get("FULL") else ground.rounds(3)
    ground.forget_peak(os.getpid())
    rates = [night(ground) for _ in range(rounds)]
    limit = float(WECHAT_REFUNDS.calls)
    return [
        Figure(
            "j",
            f"a night of {LEGS:,} legs by {jobs.CONCURRENCY} hands of one worker, with notices and"
            " messages",
            "what WeChat Pay bears",
            Series(rates, [limit] * rounds),
            "legs/s",
            peak_mib=ground.peak_mib(os.getpid()),
        )
    ]


def night(ground: Ground) -> float:
    """One night; the limits were kept, and the money is where it belongs."""
    hospital = ground.stage.hospital_id
    before = _back(ground)
    fen = filled(ground, hospital)
    began = perf_counter()
    with on_core_of("server"), ThreadPoolExecutor(jobs.CONCURRENCY) as hands:
        working = [hands.submit(_work, ground, hospital) for _ in range(jobs.CONCURRENCY)]
        for hand in working:
            hand.result()
    took = perf_counter() - began
    assert _back(ground) - before == fen
    (seen,) = ground.stage.simulator.get("/_sim/wxpay/limits").values()
    assert (seen["over"], seen["failures"]) == (0, 0)
    return LEGS / took


def filled(ground: Ground, hospital: UUID) -> int:
    """So many approved legs, each of a payment of last week that WeChat Pay remembers; the fen.
    Triggers are left out: what came before the night is not what is measured.
    """
    now = ground.stage.clock.now()
    values = {
        "h": hospital,
        "p": ground.stage.patient().id,
        "now": now,
        "paid_at": now - timedelta(days=7),
        "serial": f"night{next(_serial)}-",
        "legs": LEGS,
    }
    with ground.sql() as sql:
        sql.execute("SET session_replication_role = replica")
        for statement in FILL.split(";\n"):
            sql.execute(statement, values)
        known = sql.execute("SELECT number, fen FROM night").fetchall()
    told = [
        {"transaction_id": number, "paid_at": values["paid_at"].isoformat(), "total": fen}
        for number, fen in known
    ]
    for first in range(0, LEGS, PORTION):
        payments = {"hospital": ground.stage.world_code, "payments": told[first : first + PORTION]}
        ground.stage.simulator.post("/_sim/wxpay/history", payments)
    return sum(fen for _, fen in known)


def _work(ground: Ground, hospital: UUID) -> None:
    while rows(OPEN, h=hospital)[0]["legs"]:
        jobs.run_due(lambda _: ground.stage.outside, ground.stage.clock.now)
        sleep(POLL)


def _back(ground: Ground) -> int:
    """What WeChat Pay gave back in all."""
    return sum(page["refunded_fen"] for page in ground.stage.simulator.books()["wxpay"].values())


BENCH = Bench("j", "a night of refunds", run)
