"""Waiting for somebody outside: never with a transaction open, and never by all threads at
once."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Semaphore

from models.db import assert_nothing_open
from policies.outcome import NotNow

PATIENCE_S = 0.25
"""How long a free place is waited for: whoever waits holds a thread as well."""


class _Places:
    """So many places, and a quarter as many who may stand in line for one.

    Were all to stand in line, they would hold the threads that the places leave free: with a few
    phones that press again and again, cash would wait a quarter of a second behind them.
    """

    def __init__(self, places: int, patience_s: float) -> None:
        self._free, self._line = Semaphore(places), Semaphore(places // 4)
        self._patience_s = patience_s

    def taken(self) -> bool:
        """Whether one was to be had; ``left`` gives it back."""
        return self._free.acquire(blocking=False) or self._stood_in_line()

    def left(self) -> None:
        """Somebody has come back."""
        self._free.release()

    def _stood_in_line(self) -> bool:
        if not self._line.acquire(blocking=False):
            return False
        try:
            return self._free.acquire(timeout=self._patience_s)
        finally:
            self._line.release()


_places: _Places | None = None


def at_most(places: int | None, *, patience_s: float = PATIENCE_S) -> None:
    """Let no more than so many threads of this process wait outside; None, as at first: all may."""
    global _places
    _places = None if places is None else _Places(places, patience_s)


@contextmanager
def outside() -> Iterator[None]:
    """Around each request that leaves this process.

    A counterpart that takes ten seconds would soon hold every thread of a server, and cash could
    not be taken because phones cannot pay. NotNow PLACES_TAKEN: surely nothing was sent.
    """
    assert_nothing_open()
    places = _places
    if places is None:
        yield
    elif places.taken():
        try:
            yield
        finally:
            places.left()
    else:
        raise NotNow("PLACES_TAKEN")
