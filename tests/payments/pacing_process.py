"""One of several processes that ask the same channel: ``python -m tests.payments.pacing_process``
with database, hospital, channel and number of calls; prints when each was let out.
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
    for number in range(int(calls)):
        with turn(UUID(hospital), channel, Limits(40, 6_000, 6), old=False) as mine:
            sys.stdout.write(f"{time.monotonic()} {number % 2}\n")
            mine.failed = number % 2 == 1


if __name__ == "__main__":
    main()
