"""One of several processes that ask the same channel: ``python -m tests.payments.pacing_process``
with database, hospital, channel and number of calls; prints when each was let out. Instead of a
number ``hold``: one call that never ends, with all slots of the channel that there are.
"""

import sys
import time
from uuid import UUID

from models import db as database
from payments.pacing import Limits, turn


def main() -> None:
    """Ask, and fail every second time."""
    url, hospital, channel, calls = sys.argv[1:]
    database.connect(url)
    if calls == "hold":
        hold(UUID(hospital), channel)
    for number in range(int(calls)):
        with turn(UUID(hospital), channel, Limits(40, 6_000, 6), old=False) as mine:
            sys.stdout.write(f"{time.monotonic()} {number % 2}\n")
            mine.failed = number % 2 == 1


def hold(hospital: UUID, channel: str) -> None:
    """Ask, and wait for ever for the answer."""
    with turn(hospital, channel, Limits(40, 6_000, 1), old=False):
        sys.stdout.write("asking\n")
        sys.stdout.flush()
        time.sleep(600)


if __name__ == "__main__":
    main()
