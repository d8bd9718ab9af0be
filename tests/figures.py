"""How much a test tries in ``make test`` and in ``make fuzz``, and what the long run found: rows
of docs/reliability.md.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from config import today
from tests.prove import report

LONG = "FUZZ" in os.environ
SEED = int(os.environ.get("SEED", "20261125"))


def size(short: int, long: int) -> int:
    """So many tries now; FUZZ=1 makes it the long run."""
    return long if LONG else short


@dataclass
class Figures:
    """The rows of one run."""

    rows: list[report.Figure] = field(default_factory=list)
    since: float = field(default_factory=time.monotonic)

    def add(self, name: str, faults: str, must_hold: str, figure: str) -> None:
        """A scenario held; an assertion before this call says so."""
        now = time.monotonic()
        self.rows.append(
            report.Figure(name, faults, must_hold, figure, SEED, now - self.since, held=True)
        )
        self.since = now


@pytest.fixture(scope="session")
def all_figures() -> Iterator[Figures]:
    """Written down at the end of a long run."""
    figures = Figures()
    yield figures
    if LONG and figures.rows:
        report.write(figures.rows, today(datetime.now(UTC)))


@pytest.fixture
def figures(all_figures: Figures) -> Figures:
    """The figures, with the seconds counted from here."""
    all_figures.since = time.monotonic()
    return all_figures
