"""Many clients at once: each thread lives through stays, act by act, drawn from its own seed."""

import threading
from collections.abc import Callable
from itertools import count
from random import Random

from tests.prove import coming, leaving, paying, refunding
from tests.prove.cast import Cast
from tests.prove.life import Life
from tests.prove.notebook import Notebook
from tests.prove.stubborn import GaveUp

Act = Callable[[Life], object]

ACTS: dict[str, tuple[tuple[int, Act], ...]] = {
    "slip": ((1, coming.admit),),
    "in house": (
        (4, coming.insure),
        (10, paying.deposit),
        (2, paying.rush),
        (8, coming.charge),
        (2, coming.reverse),
        (1, coming.move_bed),
        (2, coming.daily_bill),
        (1, coming.invite_relative),
        (3, refunding.ask_back),
        (2, refunding.tend),
        (3, leaving.leave),
    ),
    "leaving": (
        (12, leaving.settle),
        (1, leaving.stay_after_all),
        (1, coming.charge),
        (1, leaving.undo),
        (1, refunding.tend),
    ),
    "over": (
        (5, refunding.tend),
        (1, leaving.undo),
        (1, coming.charge),
        (1, leaving.look),
    ),
}
"""phase -> (weight, act). What is impossible at that moment is refused, and that is an act too;
where nobody was asked anything it is none."""

AT_ONCE = 4
"""Stays that one thread has in its hands at a time."""


class Crowd:
    """``threads`` clients that together do so many acts; ``done`` counts them."""

    def __init__(self, cast: Cast, seed: int, threads: int) -> None:
        self.cast, self.seed, self.threads = cast, seed, threads
        self.book = Notebook()
        self.lives: list[Life] = []
        self._serials = count(1)
        self._lock = threading.Lock()
        self._left = 0
        self._broken: list[BaseException] = []

    @property
    def done(self) -> int:
        """Acts that asked somebody something and came to an answer."""
        return self.cast.counts.acts

    def play(self, operations: int, meanwhile: Callable[[], None]) -> None:
        """Do so many acts; ``meanwhile`` runs again and again in this thread (the main one)."""
        self._left = operations
        self._run([self._live] * self.threads, meanwhile)

    def stop(self) -> None:
        """Begin no further act."""
        with self._lock:
            self._left = 0

    def finish(self, meanwhile: Callable[[], None]) -> None:
        """Everybody goes home: what nobody answered is said again, every stay is settled, paid, and
        its refunds are given; in calm weather."""
        shares = [self.lives[number :: self.threads] for number in range(self.threads)]
        self._run([lambda own=own: self._all_home(own) for own in shares], meanwhile)

    def _run(self, works: list[Callable[..., None]], meanwhile: Callable[[], None]) -> None:
        threads = [
            threading.Thread(target=self._safely, args=(work, number), name=f"client {number}")
            for number, work in enumerate(works)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                meanwhile()
                thread.join(0.05)
        if self._broken:
            raise self._broken[0]

    def _safely(self, work: Callable[..., None], number: int) -> None:
        try:
            work(number) if work == self._live else work()
        except BaseException as broken:  # shown by the main thread
            self._broken.append(broken)

    def _live(self, number: int) -> None:
        chance = Random(f"{self.seed} client {number}")
        mine: list[Life] = []
        while self._one_more():
            mine = [life for life in mine if not self._gone(life)]
            while len(mine) < AT_ONCE:
                mine.append(self._new_life(chance))
            life = chance.choice(mine)
            weights, acts = zip(*ACTS[life.phase], strict=True)
            self._act(life, chance.choices(acts, weights)[0])

    def _act(self, life: Life, act: Act) -> None:
        life.act, before = act.__name__, life.asked
        try:
            act(life)
        except GaveUp as nobody:
            life.wrong(f"nobody answered {nobody}")
        with self._lock:
            if life.asked > before:
                self.cast.counts.acts += 1
            else:
                self._left += 1

    def _new_life(self, chance: Random) -> Life:
        with self._lock:
            serial = next(self._serials)
        life = Life(self.cast, self.book, serial, Random(chance.random()))
        self.lives.append(life)
        return life

    def _gone(self, life: Life) -> bool:
        return life.phase == "over" and life.likely(0.3)

    def _one_more(self) -> bool:
        with self._lock:
            if self._left <= 0 or self._broken:
                return False
            self._left -= 1
            return True

    def _all_home(self, lives: list[Life]) -> None:
        for life in lives:
            go_home(life)


def go_home(life: Life) -> None:
    """What is left of a stay, in order; what does not come to its end is found by the checker."""
    life.homeward, life.act = True, "go_home"
    if life.phase == "slip":
        return
    life.book.home.add(life.stay)
    for intent in list(life.book.intents.values()):
        if intent.stay == life.stay and intent.open:
            paying.take_up_again(life, intent)
    for _ in range(6):
        if life.phase == "in house":
            leaving.leave(life)
        if life.insured and not any(line.stay == life.stay for _, line in life.book.lines_now()):
            coming.charge(life)  # the platform settles no empty bill
        leaving.settle(life)
        if life.phase == "over" and refunding.tend(life, approve=True):
            break
