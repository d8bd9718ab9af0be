"""What an operation asks of others, counted exactly: statements, transactions, calls outside.

PostgreSQL's own client library writes down every message that it sends (PQtrace), so nothing is
missed: not what an ORM adds, not what the queue sends over the same connection.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import pq
from sqlalchemy import Engine, event

from tests.sim_process import Simulator

SENT = re.compile(r'^F\t\d+\t(?:(Execute)\b|Query\t "([A-Z]*)([^\n"]*))', re.M)
"""A prepared statement that is executed, or a plain text."""

NOT_OURS = {"DEALLOCATE"}
"""psycopg forgets a prepared statement: a matter of how many were used before."""

NOT_ASKED = {"callback", "confirmed", "paid", "receipt", "refunded"}
"""What the outside does by itself."""

CAN_COUNT = sys.platform == "linux"


@dataclass(frozen=True)
class Counts:
    """``statements``: without BEGIN, COMMIT and ROLLBACK. ``transactions``: those that were begun;
    one statement may be a transaction of its own. ``outside``: requests to counterparts.
    """

    statements: int
    transactions: int
    outside: int = 0


EXPECTED: dict[str, Counts] = {
    "a batch of charge lines": Counts(2, 0),
    "all daily bills of a hospital": Counts(1, 1),
    "a daily bill read again": Counts(2, 0),
    "a deposit in cash": Counts(2, 0),
    "a payment callback kept": Counts(1, 0),
    "a payment callback applied": Counts(5, 1),
    "a refund leg asked for": Counts(21, 2, 1),
    "a refund's notice applied": Counts(20, 1),
    "a settlement tried": Counts(13, 3, 2),
    "a settlement agreed to and closed": Counts(17, 4, 2),
}
"""operation -> what it costs others, whatever the number of lines or patients; test_counts.py holds
it."""


class Counter:
    """Counts what is sent since ``start``."""

    def __init__(self, file: Path, simulator: Simulator | None) -> None:
        self._file, self._simulator = file, simulator
        self.start()

    def start(self) -> None:
        """From now on."""
        self._place, self._outside = self._file.stat().st_size, self._asked()

    @property
    def sent(self) -> list[str]:
        """The texts of what was sent plainly and "Execute" for each prepared statement."""
        with self._file.open("r", encoding="utf8", errors="replace") as trace:
            trace.seek(self._place)
            found = SENT.findall(trace.read())
        return [executed or (word + rest) for executed, word, rest in found]

    @property
    def counts(self) -> Counts:
        """So far."""
        words = [text.split(" ")[0].rstrip(";") for text in self.sent]
        frame = {"BEGIN", "COMMIT", "ROLLBACK"} | NOT_OURS
        return Counts(
            statements=sum(word not in frame for word in words),
            transactions=words.count("BEGIN"),
            outside=self._asked() - self._outside,
        )

    def _asked(self) -> int:
        diary = (
            "/_sim/events?limit=1000000"  # all of it: after 500 lines its end alone stands still
        )
        events = self._simulator.get(diary) if self._simulator else []
        return sum(event["operation"] not in NOT_ASKED for event in events)


@contextmanager
def counting(engine: Engine, simulator: Simulator | None = None) -> Iterator[Counter]:
    """Trace every connection that is made from now on; the pools start anew."""
    traced: list[pq.PGconn] = []
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "trace"
        file.touch()
        number = os.open(file, os.O_WRONLY | os.O_APPEND)

        def trace(connection: Any, _record: Any) -> None:
            wire = connection.pgconn
            wire.trace(number)
            wire.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)
            traced.append(wire)

        engine.dispose()
        event.listen(engine, "connect", trace)
        try:
            yield Counter(file, simulator)
        finally:
            event.remove(engine, "connect", trace)
            engine.dispose()
            os.close(number)
