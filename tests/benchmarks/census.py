"""(n) The census of old cards: a released dump, beside raw COPY of the same files."""

import tempfile
from itertools import count
from pathlib import Path
from time import perf_counter

from simulator.old_cards import TABLES, cards, write
from tests.benchmarks.ground import Ground
from tests.benchmarks.measure import Bench, Figure, in_turns
from tests.old_dump import an_office

ACCOUNTS = 10_000
_serial = count(1)


def run(ground: Ground) -> list[Figure]:
    """Accounts a second, ours and COPY's; the check before the release is not counted."""
    with tempfile.TemporaryDirectory() as place:
        dump = Path(place) / "dump"
        write(dump, cards(ACCOUNTS))
        series = in_turns(lambda: released(dump), lambda: by_copy(ground, dump), ground.rounds(3))
    return [
        Figure(
            "n",
            "a dump of old cards, checked again and made accounts, lots, facts and entries",
            "raw COPY of the same five files into bare text tables",
            series,
            "accounts/s",
            aim=0.25,
        )
    ]


def released(dump: Path) -> float:
    """A new hospital takes the dump in; its accounts hold what the dump says."""
    office = an_office(dump)
    made = office.check()
    began = perf_counter()
    shown = office.release(made["id"])
    took = perf_counter() - began
    assert shown["state"] == "IMPORTED"
    assert sum(office.held().values()) == shown["report"]["totals"]["balance_fen"]
    return ACCOUNTS / took


def by_copy(ground: Ground, dump: Path) -> float:
    """The bytes of the files as they are, into tables without an index, in one transaction."""
    with ground.sql() as sql:
        serial = next(_serial)
        began = perf_counter()
        for name, headings in TABLES.items():
            table = f"bare_{name}_{serial}"
            columns = ", ".join(f"c{place} text" for place in range(len(headings)))
            sql.execute(f"CREATE TABLE {table} ({columns})")
            with sql.cursor().copy(f"COPY {table} FROM STDIN (FORMAT csv, HEADER)") as copying:
                copying.write((dump / f"{name}.csv").read_bytes())
        sql.commit()
        return ACCOUNTS / (perf_counter() - began)


BENCH = Bench("n", "the census of old cards", run)
