"""The scenario ``variants``, the tests of the tests: cash at the window of two servers that are
wrong on purpose (wrong.py), with replies lost or workers killed. The checker must find them out.
"""

import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random

from tests.prove import checker, coming, paying
from tests.prove.books import Books, Finding
from tests.prove.cast import Cast
from tests.prove.house import House, children_of, house
from tests.prove.life import Life
from tests.prove.notebook import Notebook
from tests.prove.proxy import CALM, Weather
from tests.prove.report import Figure


@dataclass(frozen=True, slots=True)
class Variant:
    """A server of wrong.py, what is done to it, and what the checker must find there."""

    name: str
    server: str
    must_find: str
    payments: int
    weather: Weather
    kill_every: int = 0


VARIANTS = (
    Variant("wrong: without the key", "without_key", "DOUBLED", 10, Weather(lose=0.5)),
    Variant("wrong: answers before the commit", "answer_first", "LOST", 4, CALM, kill_every=2),
)

_serials = count(25_001)
"""Others may have lived in this house before."""


def run(seed: int, operations: int) -> list[Figure]:
    """A figure for each; ``operations`` changes nothing: few are enough to be found out."""
    home = Path(tempfile.mkdtemp(prefix="xianzhen-prove-"))
    home.chmod(0o755)  # PostgreSQL's user must get in
    with house(home, seed) as here:
        cast = Cast(here)
        cast.come()
        figures = [one(here, cast, seed, variant) for variant in VARIANTS]
    shutil.rmtree(home, ignore_errors=True)
    return figures


def one(here: House, cast: Cast, seed: int, variant: Variant) -> Figure:
    """What the checker finds of this one; the house keeps the wrong server."""
    begun, book = time.monotonic(), Notebook()
    here.serve(f"tests.prove.wrong:{variant.server}", worker=False)
    life = Life(cast, book, next(_serials), Random(f"{seed} {variant.name}"), homeward=True)
    coming.admit(life)
    here.weather(CALM, door=variant.weather)
    for number in range(1, variant.payments + 1):
        paying.pay(life, "DEPOSIT", f"{life.path}/deposits", life.chance.randrange(1, 9_000))
        if variant.kill_every and number % variant.kill_every == 0:
            _kill_workers(here)
    here.weather(CALM)
    found = Counter(finding.kind for finding in _by_hand(cast, book))
    kills = variant.payments // variant.kill_every if variant.kill_every else 0
    return Figure(
        name=variant.name,
        faults=f"{variant.weather.lose:.0%} of replies lost, all API workers killed {kills} times",
        must_hold=f"the checker finds {variant.must_find.lower()} payments",
        figure=f"{int(not found[variant.must_find])} of 1 wrong server not found out:"
        f" {found['DOUBLED']} doubled and {found['LOST']} lost of {variant.payments}"
        f" cash payments found with seed {seed}",
        seed=seed,
        seconds=time.monotonic() - begun,
        held=found[variant.must_find] > 0,
    )


def _by_hand(cast: Cast, book: Notebook) -> list[Finding]:
    """What the checker says of the cash of these stays alone: other variants have left theirs."""
    books = Books(cast, book)
    try:
        found = list(checker.taken_by_hand(books))
    finally:
        books.close()
    return [finding for finding in found if any(stay in finding.what for stay in book.stays)]


def _kill_workers(here: House) -> None:
    for pid in children_of(here.children.now["api"].pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
