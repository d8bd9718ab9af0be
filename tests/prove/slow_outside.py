"""The scenario ``slow_outside``: WeChat, insurance and SMS answer after ten seconds, and everybody
who needs them waits. Charges, cash and bills must not: their times are measured in turns with
calm ones, and so is how long an arrived payment waits for its job among many slow messages.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from random import Random
from statistics import median, quantiles
from threading import Event
from typing import Any

from config import today
from simulator.clients import Answer
from tests.prove import checker, coming, leaving
from tests.prove.life import Life
from tests.prove.notebook import Intent
from tests.prove.outage import Close, Ward, alone
from tests.prove.proxy import CALM, Weather
from tests.prove.report import Figure

WAIT_S = 10.0
TURNS, EACH = 5, 40
CALLERS, SETTLERS = 5, 2
"""How many have a QR code made, and how many try a settlement with insurance, again and again."""
ARRIVALS = 4
"""Payments that arrive in each turn."""
AIM = 1.1
"""Slow ÷ calm, medians. A turn of few requests says less: the small form allows more."""
JOB_S = 3.0

_serials = count(20_001)


@dataclass
class Times:
    """Seconds of each kind of request."""

    of: dict[str, list[float]] = field(default_factory=dict)

    def add(self, kind: str, seconds: float) -> None:
        self.of.setdefault(kind, []).append(seconds)

    def median_ms(self, kind: str) -> float:
        """Half are faster."""
        return 1000 * median(self.of[kind])

    def p99_ms(self, kind: str) -> float:
        """One in a hundred is slower."""
        return 1000 * quantiles(self.of[kind], n=100, method="inclusive")[98]


class Desk:
    """The people whose work needs nobody outside, with a stay of their own."""

    def __init__(self, here: Ward) -> None:
        self.here, self.chance = here, Random(f"{here.seed} desk")
        self.life = new_life(here, self.chance)
        self.day = today(here.house.now()) - timedelta(days=1)
        self._report(1)
        maker = self.life.one_of("maker")
        self.life.ask(maker, "POST", "/v1/daily-bills/runs", {"day": self.day.isoformat()})
        self.orders: list[dict[str, Any]] = []

    def prepare(self) -> None:
        """Have codes made that will be paid when the outside is slow."""
        self.orders = [order_qr(self.life) for _ in range(ARRIVALS)]

    def turn(self, each: int, times: Times) -> None:
        """So many of each kind, one after another; then the payments arrive."""
        bill = f"{self.life.path}/daily-bills/{self.day}"
        for person in (*self.here.cast.staff["nurse"], *self.here.cast.staff["cashier"]):
            self.life.ask(person, "GET", "/v1/staff/me")  # whose token is over gets another
        for _ in range(each):
            self._timed(times, "charges", lambda: self._report(0))
            self._timed(times, "cash", self._cash)
            self._timed(times, "bills", lambda: self.life.one_of("nurse").client.try_("GET", bill))
        for order in self.orders:
            self._arrive(order, times)

    def _timed(self, times: Times, kind: str, ask: Callable[[], Answer]) -> None:
        begun = time.monotonic()
        answer = ask()
        times.add(kind, time.monotonic() - begun)
        if answer.status != 200:
            self.life.wrong(f"{kind}: {answer.status} {answer.code}")

    def _report(self, days_ago: int) -> Answer:
        lines = [coming.fee(self.life, days_ago) for _ in range(3)]
        event = {"source_event_id": self.life.number("EV"), "lines": lines}
        for line in lines:
            coming.note_line(self.life, line, 1)
        return self.here.cast.his.client.try_("POST", "/v1/his/events/charge-batch", event)

    def _cash(self) -> Answer:
        wish = wanted(self.life, "CASH", 100)
        body, path = {"amount_fen": 100, "route": "CASH"}, f"{self.life.path}/deposits"
        answer = self.life.one_of("cashier").client.try_("POST", path, body, key=wish.key)
        wish.order = answer.body if answer.status == 200 else None
        return answer

    def _arrive(self, order: dict[str, Any], times: Times) -> None:
        """Paid at WeChat; its notice is heard at once; then a job of ours books it."""
        shown = {name: value for name, value in order["pay_with"].items() if name != "qr_svg"}
        begun = time.monotonic()
        self.here.house.world("POST", "/_sim/wxpay/pay", shown | {"openid": "o-slow"})
        with self.here.house.database() as db:
            asked = "SELECT 1 FROM payment_order WHERE id = %s AND state = 'PAID'"
            booked = lambda: db.execute(asked, (order["id"],)).fetchone() is not None  # noqa: E731
            self.here.house.wait("a payment that arrived is booked", booked)
        times.add("arrivals", time.monotonic() - begun)


def run(seed: int, _operations: int) -> list[Figure]:
    """The figure; the number of requests is fixed, for a ratio needs enough of them."""
    return alone(seed, lambda here: slow(here, TURNS, EACH, AIM, WAIT_S))


def slow(here: Ward, turns: int, each: int, aim: float, wait_s: float) -> Close:
    """In turns: ``each`` requests of a kind in calm, and as many while the outside is slow."""
    begun, calm, waiting = time.monotonic(), Times(), Times()
    desk, callers = Desk(here), _callers(here)
    for _ in range(turns):
        desk.prepare()
        desk.turn(each, calm)
        desk.prepare()
        with _waiting(here, callers, wait_s):
            desk.turn(each, waiting)
    kinds = ("charges", "cash", "bills")
    ratios = {kind: waiting.median_ms(kind) / calm.median_ms(kind) for kind in kinds}
    longest = max(waiting.of["arrivals"])
    each_kind = "; ".join(
        f"{kind} {ratios[kind]:.2f} (p99 {waiting.p99_ms(kind) / calm.p99_ms(kind):.2f})"
        for kind in kinds
    )
    seconds = time.monotonic() - begun
    return lambda found: Figure(
        "the outside is slow",
        f"every answer of WeChat, insurance and SMS after {wait_s:.0f} s; {CALLERS} have QR"
        f" codes made and {SETTLERS} try insured settlements all the time",
        f"charges, cash and bills as fast as ever: slow ÷ calm at most {aim} (medians); an"
        f" arrived payment is booked within {JOB_S:.0f} s",
        f"{sum(ratio > aim for ratio in ratios.values())} of {len(kinds)} kinds slower (medians"
        f" slow ÷ calm of {turns * each} each, in turns: {each_kind});"
        f" {sum(took > JOB_S for took in waiting.of['arrivals'])} of"
        f" {len(waiting.of['arrivals'])} payments booked late (the last {longest:.1f} s after it"
        f" was paid, calm {max(calm.of['arrivals']):.1f} s); {checker.in_words(found)};"
        f" with seed {here.seed}",
        here.seed,
        seconds,
        not found and max(ratios.values()) <= aim and longest <= JOB_S,
    )


@contextmanager
def _waiting(here: Ward, callers: list[Callable[[], None]], wait_s: float) -> Iterator[None]:
    """The outside is slow, and everybody who needs it calls again and again."""
    over = Event()
    here.house.weather(Weather(wait=1.0, wait_s=wait_s), door=CALM)

    def call(again: Callable[[], None]) -> None:
        while not over.is_set():
            again()
            over.wait(0.5)

    with ThreadPoolExecutor(len(callers)) as pool:
        calls = [pool.submit(call, caller) for caller in callers]
        try:
            time.sleep(2)  # until all places are taken
            yield
        finally:
            over.set()
            here.house.weather(CALM)
    for done in calls:
        done.result()


def _callers(here: Ward) -> list[Callable[[], None]]:
    chance = Random(f"{here.seed} callers")
    payers = [new_life(here, chance) for _ in range(CALLERS)]
    leavers = [new_life(here, chance) for _ in range(SETTLERS)]
    for life in leavers:
        coming.insure(life)
        coming.charge(life)
        leaving.leave(life)
    return [
        *(lambda life=life: order_qr(life) for life in payers),
        *(lambda life=life: _try_settlement(life) for life in leavers),
    ]


def _try_settlement(life: Life) -> None:
    life.one_of("nurse").client.try_("POST", f"{life.path}/settlement/trial")


def order_qr(life: Life) -> dict[str, Any]:
    """Have a code made; empty when nobody could make one just now."""
    wish = wanted(life, "QR", life.chance.randrange(1, 100))
    body = {"amount_fen": wish.amount_fen, "route": "QR"}
    nurse = life.one_of("nurse").client
    answer = nurse.try_("POST", f"{life.path}/deposits", body, key=wish.key)
    wish.order = answer.body if answer.status == 200 else None
    return wish.order or {}


def wanted(life: Life, route: str, fen: int) -> Intent:
    """Somebody wants to pay this much once."""
    wish = Intent(life.number("K"), life.stay, "DEPOSIT", route, fen)
    with life.book.lock:
        life.book.intents[wish.key] = wish
    return wish


def new_life(here: Ward, chance: Random) -> Life:
    """Somebody who was admitted and whom the crowd takes home in the end."""
    life = Life(here.cast, here.crowd.book, next(_serials), Random(chance.random()))
    coming.admit(life)
    here.crowd.lives.append(life)
    return life
