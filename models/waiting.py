"""Waiting for somebody outside: never with a transaction open, and never by all threads at
once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from models.db import assert_nothing_open
from policies.outcome import NotNow

PATIENCE_S = 0.25
"""How long a free place is waited for: whoever waits holds a thread as well."""

_places: threading.Semaphore | None = None


def at_most(places: int | None) -> None:
    """Let no more than so many threads of this process wait outside; None, as at first: all may."""
    global _places
    _places = None if places is None else threading.Semaphore(places)


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
    elif places.acquire(timeout=PATIENCE_S):
        try:
            yield
        finally:
            places.release()
    else:
        raise NotNow("PLACES_TAKEN")
