"""The scenario ``stays``: random stays of many clients while everything is killed and cut."""

import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.console import Console

from tests.prove import checker, spoiled
from tests.prove.books import Finding
from tests.prove.cast import Cast
from tests.prove.crowd import Crowd
from tests.prove.house import PARTS, House, house
from tests.prove.proxy import CALM, Fate
from tests.prove.report import Figure
from tests.prove.storm import BRITTLE, FOUL, Storm

THREADS = 6
KILL_EVERY = 200
"""Acts between two kills, on average; fewer in a short run: each part has its turn once."""

LONG = 2_000
"""Operations after which every kind of act must have succeeded."""

say = Console(soft_wrap=True, highlight=False, markup=False)


def run(seed: int, operations: int) -> list[Figure]:
    """The figure, after ``operations`` acts; every finding is printed, and its logs are kept."""
    begun = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="xianzhen-prove-"))
    home.chmod(0o755)  # PostgreSQL's user must get in
    kill_every = min(KILL_EVERY, operations / (len(PARTS) + 1))
    with house(home, seed, database_line=True) as here:
        cast = Cast(here)
        cast.come()
        crowd = Crowd(cast, seed, THREADS)
        storm = Storm(here, crowd, seed, kill_every=kill_every, fault_every=10)
        here.weather(FOUL, database=BRITTLE)
        crowd.play(operations, storm)
        settle_dust(here, crowd)
        found = checker.check(cast, crowd.book)
        by_hand = spoiled.spoiled(cast, crowd.book, seed)
        if operations >= LONG:
            found += checker.never_done(cast.counts)
        _tell(here, cast, storm, found)
    if not found:
        shutil.rmtree(home, ignore_errors=True)
    return [figure(here, cast, found, operations, seed, time.monotonic() - begun), by_hand]


def settle_dust(here: House, crowd: Crowd) -> None:
    """Calm weather and everything up; a night goes by, people do what is theirs to do, and two
    more go by: whatever waited for its time was due, also what was asked in the first of them. What
    the outside said last has its night too."""
    here.weather(CALM)
    here.wait_ready()
    here.world("DELETE", "/_sim/faults")
    here.next_day()
    here.sweep()
    crowd.finish(here.mend)
    for days_ahead in (1, 2, 2):
        here.sweep(days_ahead=days_ahead)
        here.wait("all notices and receipts came", lambda: not sum(coming(here).values()))


def coming(here: House) -> dict[str, int]:
    """What the outside has still to say, by kind."""
    said: dict[str, int] = here.world("GET", "/_sim/under-way")
    return said


def figure(
    here: House, cast: Cast, found: list[Finding], operations: int, seed: int, seconds: float
) -> Figure:
    """What the table says of a storm that is over."""
    met = Counter[Fate]()
    for name, line in here.lines.items():
        if name != "database":
            met.update(line.met)
    database = here.lines["database"]
    faults = (
        f"SIGKILL {sum(here.kills.values())} times ("
        + ", ".join(f"{part} {times}" for part, times in here.kills.items())
        + f"); {met[Fate.REPLY_LOST]} replies lost, {met[Fate.CUT]} requests cut,"
        f" {met[Fate.WAITS]} kept waiting for {FOUL.wait_s:.0f} s;"
        f" {database.met[Fate.REPLY_LOST]} replies of PostgreSQL lost, {database.commits_lost} of"
        " them to a COMMIT"
    )
    return Figure(
        name=f"stays, {operations} operations",
        faults=faults,
        must_hold="nothing lost, doubled or off by a fen; every machine final or a person's task",
        figure=f"{checker.in_words(found)} of {cast.counts.acts} operations under these faults with"
        f" seed {seed}",
        seed=seed,
        seconds=seconds,
        held=not found,
    )


def _tell(here: House, cast: Cast, storm: Storm, found: list[Finding]) -> None:
    say.print(f"{cast.counts.requests} requests, {cast.counts.no_answer} without an answer,")
    say.print(f"{cast.counts.pressed_twice} pressed twice, {storm.faults} faults planned outside")
    say.print(dict(cast.counts.statuses.most_common()))
    lost = here.lines["database"].met[Fate.REPLY_LOST]
    say.print(
        f"{lost} replies of PostgreSQL lost, {here.lines['database'].commits_lost} to a COMMIT"
    )
    say.print("asked for, and with success:")
    for kind, (asked, yes) in sorted(cast.counts.kinds.items()):
        say.print(f"  {kind}: {asked}, {yes}")
    say.print(here.kills, here.directory)
    for finding in found:
        say.print(f"{finding.kind}: {finding.what}")
