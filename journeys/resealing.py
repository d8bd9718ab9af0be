"""Retiring a sealing key: every value that it sealed is sealed again with the present one."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from models import resealing
from models.db import ReadSession, Session

BATCH = 500
"""Rows of one transaction: enough to be quick, few enough that nobody waits for it."""
PASSES = 3
"""How often the tables are gone through: a row that somebody held is free the next time."""


@dataclass(slots=True)
class Progress:
    """Rows found, rows done; ``shut``: ``table:column:id`` of values that no key of the ring
    opens."""

    found: int
    done: int = 0
    shut: set[str] = field(default_factory=set)


def reseal(batch: int = BATCH) -> Iterator[Progress]:
    """Go through all tables and say after each batch how far it is.

    May be killed and run again at any moment, and while the API works: each batch is one
    transaction, and what it sealed is not looked for again.
    """
    progress = Progress(_old())
    yield progress
    for _ in range(PASSES):
        for table, names in resealing.sealed_tables().items():
            after = None
            while True:
                with Session.begin() as db:
                    done = resealing.reseal_batch(db, table, names, after, batch)
                if (after := done.last) is None:
                    break
                progress.done += done.resealed
                progress.shut |= set(done.shut)
                yield progress
        if not _old():
            return


def values_by_key() -> dict[str, int]:
    """Key name -> how many stored values it sealed. A key that is not named may be retired."""
    with ReadSession() as db:
        return resealing.values_by_key(db)


def shut_values() -> list[str]:
    """Open everything that is sealed; ``table:column:id`` of what does not open."""
    with Session() as db:  # its rows come by a cursor of the server, which needs a transaction
        return resealing.shut_values(db)


def _old() -> int:
    with ReadSession() as db:
        return resealing.count_old(db)
