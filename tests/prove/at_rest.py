"""``make prove-secrets``: nobody in clear on a disk, a key retired under kills, audit trails
tampered with. Each writes its row into docs/reliability.md."""

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import psycopg

from config import today
from local_servers import for_one_test_run
from models import db as database
from models import schema, sealing
from tests.models.test_audit import new_hospital
from tests.prove import clear_text
from tests.prove.report import Figure, write
from tests.prove.rotation import INDEX, OLD, rotate
from tests.prove.tampering import EVERY, KINDS, ROWS, Forger

SEED = 20251125


def retire_a_key(people: int, kills: int, seed: int) -> Figure:
    """All values sealed again, the command killed on the way."""
    with for_one_test_run() as (server, _), tempfile.TemporaryDirectory() as directory:
        engine = database.connect(_fresh(server))
        began = time.monotonic()
        batch = max(1, people // (20 * kills))
        found = rotate(engine, Path(directory), people=people, kills=kills, batch=batch, seed=seed)
        seconds = time.monotonic() - began
        engine.dispose()
    return Figure(
        "a sealing key retired",
        f"keys reseal killed {found.kills} times by SIGKILL, {found.changed} people changed "
        "meanwhile; from AES-256-GCM to SM4-GCM",
        "every value opens with the new key alone and says what it said",
        f"{found.shut} of {found.values} values unreadable, {found.left} left with the old key, "
        f"{found.wrong} of {people} people read wrongly",
        seed,
        seconds,
        (found.shut, found.left, found.wrong) == (0, 0, 0),
    )


def tamper(count: int, seed: int) -> Figure:
    """An audit trail, changed in six ways by somebody who owns the database."""
    with for_one_test_run() as (server, _), tempfile.TemporaryDirectory() as directory:
        engine = database.connect(_fresh(server))
        sealing.use_keys({"old": OLD}, INDEX)
        forger = Forger(engine, new_hospital(), Path(directory) / "anchors", Random(seed))
        forger.write_trail()
        began = time.monotonic()
        found = forger.try_all(count)
        seconds = time.monotonic() - began
        engine.dispose()
    silent = [kind for kind in KINDS if not found.unanchored[kind]]
    return Figure(
        "audit trail tampered with",
        f"{sum(found.tried.values())} tamperings of {len(KINDS)} kinds ({', '.join(KINDS)}) by the "
        f"owner of the database; {ROWS} rows, anchored outside every {EVERY}",
        "each is found, and the first wrong row named (written anew: the first anchor after it)",
        f"{len(found.missed)} of {sum(found.tried.values())} not found; without the anchors none "
        f"of «{'» and «'.join(silent)}» would be",
        seed,
        seconds,
        not found.missed,
    )


def _fresh(server: str) -> str:
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        admin.execute("CREATE DATABASE at_rest")
    schema.upgrade(f"{server}/at_rest")
    return f"{server}/at_rest"


def main() -> int:
    """Prove the three, one after another; 0 if all held."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tests.prove.at_rest")
    parser.add_argument("--people", type=int, default=1000)
    parser.add_argument("--sealed", type=int, default=34_000, help="people whose key is retired")
    parser.add_argument("--tamperings", type=int, default=1002)
    parser.add_argument("--seed", type=int, default=SEED)
    asked = parser.parse_args()
    held = True
    for prove in (
        lambda: tamper(asked.tamperings, asked.seed),
        lambda: retire_a_key(asked.sealed, 10, asked.seed),
        lambda: clear_text.prove(asked.people, asked.seed)[0],
    ):
        figure = prove()
        held &= figure.held
        word = "held" if figure.held else "NOT HELD"
        sys.stdout.write(f"{word}  {figure.name}: {figure.figure}\n")
        write([figure], today(datetime.now(UTC)))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
