"""A worker that only pays legs, until it is killed: ``python -m tests.prove.refund_hand`` with the
database, the simulator's connections, the code of a hospital in them, and the clock's shift in
seconds.
"""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import jobs
from journeys import refunds
from models import db as database
from tests.stage import counterparts

HANDS = 2


def main() -> None:
    """Do what is due in several hands, again and again."""
    url, connections, code, shift = sys.argv[1:]
    database.connect(url)

    def now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=float(shift))

    known = json.loads(Path(connections).read_text("utf8"))
    simulator: Any = SimpleNamespace(connections=known.__getitem__)
    outside = counterparts(simulator, code, code, now, "http://127.0.0.1:9")

    def work() -> None:
        while True:
            jobs.run_due(lambda _: outside, now, {"pay_leg": refunds.pay_leg})

    for _ in range(HANDS):
        Thread(target=work).start()


if __name__ == "__main__":
    main()
