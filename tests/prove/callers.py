"""Those who need somebody outside, at one rhythm whether the outside is slow or not: as often as a
place to wait outside comes free, somebody takes it and two more press in vain.

In calm nobody is sent away, so those two ask for what costs the server the same and needs nobody:
a deposit above the quota. What is measured beside them then differs by the waiting alone.
"""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle
from threading import Event, Lock
from typing import Any

from tests.prove import coming, leaving
from tests.prove.house import API_WORKERS, THREADS
from tests.prove.life import Life
from tests.prove.notebook import Intent

PLACES = API_WORKERS * THREADS // 2
"""So many requests may wait outside at a time (``OUTSIDE_AT_ONCE`` of each process)."""
IN_VAIN = 2
AT_ONCE_S = 2.0
"""Who is told 503 sooner has waited for nobody outside."""
TOO_MUCH_FEN = 10**8


class Callers:
    """``payers`` have QR codes made, ``leavers`` try a settlement with insurance."""

    def __init__(self, payers: list[Life], leavers: list[Life], wait_s: float) -> None:
        self.beat_s = wait_s / PLACES
        self.calls = self.sent_away = 0
        """While the outside is slow."""
        for life in leavers:
            coming.insure(life)
            coming.charge(life)
            leaving.leave(life)
        self._lives = cycle([*payers, *leavers])
        self._payer, self._leavers = payers[0], leavers
        self._unheard: list[tuple[Life, Intent]] = []
        """Wishes that were sent away: they are said again, with the same key."""
        self._lock = Lock()

    @contextmanager
    def calling(self, *, slow: bool) -> Iterator[None]:
        """They call while this lasts."""
        over, beaten, self._slow = Event(), list[Future[Any]](), slow
        with ThreadPoolExecutor(4 * PLACES) as pool:

            def beat() -> None:
                takers = PLACES
                while True:
                    vain = self._reach if slow else self._too_much
                    calls = [self._reach] * takers + [vain] * IN_VAIN
                    beaten.extend(pool.submit(call) for call in calls)
                    takers = 1
                    if over.wait(self.beat_s):
                        return

            rhythm = pool.submit(beat)
            try:
                yield
            finally:
                over.set()
                rhythm.result()
        for done in beaten:
            done.result()

    def _reach(self) -> None:
        """Somebody needs the outside."""
        with self._lock:
            life = next(self._lives)
            again = self._unheard.pop() if self._unheard and life not in self._leavers else None
            wish = again[1] if again else None
            life = again[0] if again else life
            if wish is None and life not in self._leavers:
                wish = wanted(life, "QR", life.chance.randrange(1, 100))
        begun = time.monotonic()
        if wish is None:
            status = life.one_of("nurse").once("POST", f"{life.path}/settlement/trial").status
        else:
            status = say(life, wish)
        with self._lock:
            self.calls += self._slow
            self.sent_away += status == 503 and time.monotonic() - begun < AT_ONCE_S
            if wish is not None and wish.open:
                self._unheard.append((life, wish))

    def _too_much(self) -> None:
        """Somebody is sent away by a rule."""
        with self._lock:
            key = self._payer.number("K")
        body, path = {"amount_fen": TOO_MUCH_FEN, "route": "QR"}, f"{self._payer.path}/deposits"
        self._payer.one_of("nurse").once("POST", path, body, key=key)


def order_qr(life: Life) -> dict[str, Any]:
    """Have a code made; empty when nobody could make one just now."""
    wish = wanted(life, "QR", life.chance.randrange(1, 100))
    say(life, wish)
    return wish.order or {}


def say(life: Life, wish: Intent) -> int:
    """Ask for what is wished; the status. An answer is noted with the wish."""
    body = {"amount_fen": wish.amount_fen, "route": wish.route}
    nurse = life.one_of("nurse")
    answer = nurse.once("POST", f"{life.path}/deposits", body, key=wish.key)
    wish.order = answer.body if answer.status == 200 else None
    return answer.status


def wanted(life: Life, route: str, fen: int) -> Intent:
    """Somebody wants to pay this much once."""
    wish = Intent(life.number("K"), life.stay, "DEPOSIT", route, fen)
    with life.book.lock:
        life.book.intents[wish.key] = wish
    return wish
