"""(o) Planning refunds of stored balances, beside a loop that only reads and sums the same lots."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from time import perf_counter
from typing import Any

from policies.lots import Lot
from policies.refund_plan import Payee, Routes, plan
from tests.benchmarks.ground import Ground
from tests.benchmarks.measure import Bench, Figure, in_turns

BALANCES = 1_000_000 if os.environ.get("FULL") else 20_000
NOW = datetime(2025, 12, 20, 4, tzinfo=UTC)

FILL = f"""
CREATE TABLE bench_lot AS
SELECT balance, gen_random_uuid() AS id, (ARRAY['WECHAT', 'WECHAT', 'CASH', 'CARD'])[1 + n % 4]
    AS channel, '4200' || balance || n AS number, NULL::uuid AS order_id,
    timestamptz '2025-12-20 12:00+08' - (1 + (balance * 37 + n * 91) % 500) * interval '1 day'
    AS paid_at, 1 + (balance * 7919::bigint + n * 31) % 20000 AS fen
FROM generate_series(1, {BALANCES}) balance, generate_series(1, 1 + balance % 5) n
"""  # noqa: S608  (a number of ours)
READ = (
    "SELECT balance, id, channel, number, order_id, paid_at, fen, fen, fen, 0, NULL FROM bench_lot"
)
PORTION = 10_000
"""Lots in memory at once."""


def run(ground: Ground) -> list[Figure]:
    """Seconds for all balances, read from PostgreSQL by one cursor in portions on both sides."""
    with ground.sql() as sql:
        sql.execute(FILL)
    return [
        Figure(
            "o",
            f"refund plans of {BALANCES:,} balances of 3 lots on average",
            "a loop that reads the same lots by the same cursor and sums them",
            in_turns(
                lambda: timed(ground, planned), lambda: timed(ground, summed), ground.rounds(3)
            ),
            "s",
            aim=5,
            at_most=True,
        )
    ]


def timed(ground: Ground, work: Callable[[Iterator[tuple[Any, ...]]], int]) -> float:
    """Seconds; the work has seen every balance."""
    with ground.sql() as sql, sql.cursor("lots") as cursor:
        cursor.itersize = PORTION
        began = perf_counter()
        cursor.execute(READ)
        assert work(iter(cursor)) == BALANCES
        return perf_counter() - began


def planned(rows: Iterator[tuple[Any, ...]]) -> int:
    """Plan every balance away; the legs sum to it."""
    routes, payee, balances = Routes(), Payee(), 0
    for _, of_one in groupby(rows, itemgetter(0)):
        lots = [Lot(*row[1:]) for row in of_one]
        fen = sum(lot.remaining_fen for lot in lots)
        assert sum(leg.amount_fen for leg in plan(lots, fen, NOW, routes, payee).legs) == fen
        balances += 1
    return balances


def summed(rows: Iterator[tuple[Any, ...]]) -> int:
    """Read and sum, nothing more."""
    balances = 0
    for _, of_one in groupby(rows, itemgetter(0)):
        assert sum(row[6] for row in of_one) > 0
        balances += 1
    return balances


BENCH = Bench("o", "planning refunds", run)
