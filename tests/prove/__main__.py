"""``python -m tests.prove [scenario…] [--seed N] [--operations N] [--no-report]``

Runs the scenarios (when none is named, all but those of ``BY_NAME``), writes the rows of each
into docs/reliability.md as it ends, prints what they found and ends with 0 only if everything
held; what could not be run on this machine is told «not run here», and its row says so. A new
scenario is a module with ``run(seed, operations) -> list[Figure]`` and a line in ``SCENARIOS``.
"""

import argparse
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from rich.console import Console

from config import today
from tests.prove import (
    bill_night,
    database_away,
    lost_yes,
    redis_away,
    refund_night,
    report,
    short,
    slow_outside,
    stays,
    twice,
    variants,
)
from tests.prove.report import Figure

BY_NAME = frozenset({"short"})
"""Runs only when it is named: it is a part of the others."""

SCENARIOS: dict[str, Callable[[int, int], list[Figure]]] = {
    "stays": stays.run,
    "redis_away": redis_away.run,
    "twice": twice.run,
    "lost_yes": lost_yes.run,
    "bill_night": bill_night.run,
    "database_away": database_away.away,
    "pool_exhausted": database_away.pool_exhausted,
    "disk_full": database_away.disk_full,
    "slow_outside": slow_outside.run,
    "variants": variants.run,
    "short": short.run,
    "refunds": refund_night.run,
}
OPERATIONS = 20_000
OF_ITS_OWN = {"refunds": 2_000}
"""Operations when none are told, where OPERATIONS are not fit."""

say = Console(soft_wrap=True, highlight=False, markup=False)


def main() -> int:
    """Run what was named."""
    parser = argparse.ArgumentParser(prog="python -m tests.prove", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="scenario", default=[])
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--operations", type=int)
    parser.add_argument("--no-report", action="store_true", help="leave the document alone")
    told = parser.parse_args()
    figures: list[Figure] = []
    for name in told.scenarios or [each for each in SCENARIOS if each not in BY_NAME]:
        say.print(f"{name}: seed {told.seed}")
        begun = time.monotonic()
        operations = told.operations or OF_ITS_OWN.get(name, OPERATIONS)
        found = SCENARIOS[name](told.seed, operations)
        say.print(f"{name}: {time.monotonic() - begun:.0f} s")
        if not told.no_report:  # now: a later scenario that breaks off loses nothing of this one
            report.write(found, today(datetime.now(UTC)))
        figures += found
    for figure in figures:
        say.print(f"{figure.verdict}: {figure.figure}")
    return 0 if all(figure.held or not figure.ran for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
