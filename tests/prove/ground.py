"""The ground of scenarios that need no whole house: a database and a simulator of their own, and a
hospital on a stage whose journeys many threads call at once.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Barrier
from typing import Any

from local_servers import Children, start_postgres
from models import db as database
from models import schema, sealing
from models.db import Session
from models.ledger import prove
from policies.refusals import Refusal
from tests.prove.clear_text import scratch
from tests.sim_process import running
from tests.stage import Stage, build

KEYS, INDEX = {"test": "A" * 43 + "="}, "B" * 43 + "="
"""The same as those of the tests (tests/conftest.py), so that a child can open what they sealed."""


@contextmanager
def ground() -> Iterator[Stage]:
    """A new hospital over a fresh database; everything ended afterwards."""
    sealing.use_keys(KEYS, INDEX)
    with scratch() as home, running() as simulator, Children(home / "log") as children:
        url = start_postgres(children, home)
        schema.upgrade(url)
        engine = database.connect(url)
        simulator.settings(sms_limits=False, refund_gap_seconds=0)
        try:
            yield build(simulator)
        finally:
            engine.dispose()


@dataclass(frozen=True, slots=True)
class Said:
    """What one of two presses was told: a value, or the code of a refusal."""

    value: Any = None
    refused: str = ""


def at_once(presses: Sequence[Any], pool: ThreadPoolExecutor) -> list[Said]:
    """Call all of them at the same moment, each on a thread; what each was told."""
    start = Barrier(len(presses))

    def press(what: Any) -> Said:
        start.wait()
        try:
            return Said(what())
        except Refusal as no:
            return Said(refused=no.code)

    return list(pool.map(press, presses))


def findings(stage: Stage) -> int:
    """What the ledger's own proof finds."""
    with Session() as db:
        return len(prove(db, stage.hospital_id))
