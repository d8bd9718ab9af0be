"""What the scenarios share in which something that all need is away for a while: a house at work, a
watch that knows when each request was sent and what it was told, and a script of what befalls it.
"""

import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.prove import checker
from tests.prove.books import Finding
from tests.prove.cast import Cast
from tests.prove.crowd import Crowd
from tests.prove.house import House, house
from tests.prove.proxy import CALM
from tests.prove.report import Figure
from tests.prove.stays import say, settle_dust
from tests.prove.stubborn import Counts

THREADS = 6
PATIENCE_S = 90.0
ENDLESS = 10**9

Until = Callable[[], bool]
Script = Generator[Until, None, None]
"""Yields what must have happened before it goes on."""


@dataclass(frozen=True, slots=True)
class Told:
    """One request: sent, answered (seconds of the monotonic clock), and the answer."""

    sent: float
    heard: float
    status: int | None
    code: str


@dataclass
class Watch(Counts):
    """Counts that keep every request."""

    told: list[Told] = field(default_factory=list)

    def met(self, status: int | None, code: str = "", *, begun: float = 0.0) -> None:
        super().met(status, code)
        with self.lock:
            self.told.append(Told(begun, time.monotonic(), status, code))

    def during(self, begin: float, end: float) -> list[Told]:
        """Those that were sent and answered in this time."""
        with self.lock:
            return [one for one in self.told if begin <= one.sent and one.heard <= end]

    def first_yes(self, after: float) -> float | None:
        """The seconds from this moment to the first 2xx answer to a request sent later."""
        with self.lock:
            yes = [t.heard for t in self.told if t.sent >= after and t.status and t.status < 300]
        return min(yes) - after if yes else None


@dataclass
class Ward:
    """A house with its people."""

    house: House
    cast: Cast
    crowd: Crowd
    watch: Watch
    seed: int
    before: int = 0
    """Acts that were done before this script began."""

    def play(self, script: Script) -> None:
        """Let the crowd work until the script was played to its end."""
        waiting: list[Until] = [lambda: True]
        self.before = self.crowd.done

        def meanwhile() -> None:
            self.house.mend()
            if waiting and waiting[0]():
                waiting[:] = [until] if (until := next(script, None)) else []
            if not waiting:
                self.crowd.stop()

        self.crowd.play(ENDLESS, meanwhile)

    def check(self) -> list[Finding]:
        """All findings, after the dust has settled."""
        settle_dust(self.house, self.crowd)
        return checker.check(self.cast, self.crowd.book)

    def done(self, operations: float) -> Until:
        """Whether the crowd has done so many acts since the script began."""
        return lambda: self.crowd.done - self.before >= operations


Close = Callable[[list[Finding]], Figure]
"""Makes a scene's figure when it is known what the books say."""
Scene = Callable[[Ward], Close]
"""Something that befalls a house at work; afterwards all is as before."""


def alone(seed: int, scene: Scene, *, store: Path | None = None) -> list[Figure]:
    """The figure of one scene in a house of its own."""
    with ward(seed, store=store) as here:
        close = scene(here)
        found = here.check()
    tell(found)
    return [close(found)]


@contextmanager
def ward(seed: int, *, store: Path | None = None, database_line: bool = False) -> Iterator[Ward]:
    """Everybody is there, in calm weather. The logs are kept when something was raised."""
    home = Path(tempfile.mkdtemp(prefix="xianzhen-prove-"))
    home.chmod(0o755)  # PostgreSQL's user must get in
    with house(home, seed, CALM, store=store, database_line=database_line) as here:
        watch = Watch()
        cast = Cast(here, watch)
        cast.come()
        yield Ward(here, cast, Crowd(cast, seed, THREADS), watch, seed)
    shutil.rmtree(home, ignore_errors=True)


def after(seconds: float) -> Until:
    """Whether so many seconds have gone by since now."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def within(what: str, happened: Until, seconds: float = PATIENCE_S) -> Until:
    """The same, but AssertionError when it takes too long."""
    end = time.monotonic() + seconds

    def until() -> bool:
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        return happened()

    return until


def statuses(told: list[Told]) -> str:
    """«503 DATABASE_AWAY 41», by frequency."""
    met = Counter(f"{one.status or 'no answer'} {one.code}".strip() for one in told)
    return ", ".join(f"{what} {times}" for what, times in met.most_common())


def tell(found: list[Finding]) -> None:
    """Print them."""
    for finding in found:
        say.print(f"{finding.kind}: {finding.what}")
