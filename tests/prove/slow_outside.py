"""The scenario ``slow_outside``: WeChat, insurance and SMS answer after ten seconds, and everybody
who needs them waits. Charges, cash and bills must not: their times are measured in turns with
calm ones, and so is how long an arrived payment waits for its job among many slow messages.

Slow and calm turns differ by the waiting alone. The same calls go on beside both
(``callers.py``); before each the queue is empty and as many messages are on their way; and while
requests are measured the job worker stands still, because in calm it would send at full speed what
it cannot send when the outside is slow, and take the processors from the API.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from random import Random
from statistics import median
from typing import Any

from config import today
from jobs import CONCURRENCY
from simulator.clients import Answer
from tests.prove import checker, coming
from tests.prove.callers import PLACES, Callers, order_qr, wanted
from tests.prove.life import Life
from tests.prove.outage import Close, Ward, alone
from tests.prove.proxy import CALM, Weather
from tests.prove.report import Figure
from tests.prove.turns import Compared, Pair, Times, busier, compare

WAIT_S = 10.0
PAIRS, EACH = 12, 84
"""Pairs of turns, and requests of each kind in a turn: a thousand in all."""
PAYERS, LEAVERS = 5, 2
"""How many have QR codes made, and how many try a settlement with insurance."""
ARRIVALS = 4
"""Payments that arrive in each turn."""
AIM = 1.1
JOB_S, LATEST_JOB_S = 3.0, 8.0
"""Half of the arrived payments are booked within the one, all within the other: a worker whom
the queue's call does not reach looks for itself every 5 s, still sooner than anybody outside
answers."""
TOKENS_S = 240.0
"""Tokens are renewed between turns when they are older."""
CONTROL = "control"
"""A request to the simulator, whose lines alone are slow."""
KINDS = ("charges", "cash", "bills")
DUE = """
SELECT count(*) FILTER (WHERE status = 'todo') AS todo,
       count(*) FILTER (WHERE status = 'doing' AND queue_name = 'default') AS doing
FROM procrastinate_jobs
WHERE status IN ('todo', 'doing') AND coalesce(scheduled_at, now()) <= now()
"""

_serials = count(20_001)


class Desk:
    """The people whose work needs nobody outside, with a stay of their own."""

    def __init__(self, here: Ward) -> None:
        self.here, self.chance = here, Random(f"{here.seed} desk")
        self.life = new_life(here, self.chance)
        self.day = today(here.house.now()) - timedelta(days=1)
        self.his, self._logged_in = here.cast.his, 0.0
        self._report(1)
        maker = self.life.one_of("maker")
        self.life.ask(maker, "POST", "/v1/daily-bills/runs", {"day": self.day.isoformat()})
        self.orders: list[dict[str, Any]] = []

    def prepare(self) -> None:
        """Get new tokens, and have codes made that will be paid in the turn."""
        if time.monotonic() - self._logged_in > TOKENS_S:
            for person in (*self.here.cast.staff["nurse"], *self.here.cast.staff["cashier"]):
                person.log_in()
            self._logged_in = time.monotonic()
        self.orders = [order_qr(self.life) for _ in range(ARRIVALS)]

    def write_words(self) -> None:
        """Twice as many messages as there are slots for jobs that may wait outside: if the queue's
        call for one is not heard, its slot is taken by the next."""
        for _ in range(2 * CONCURRENCY):
            self._cash()

    def turn(self, each: int, pace_s: float, times: Times) -> None:
        """So many of each kind, one after another, no faster than the pace."""
        bill, begun = f"{self.life.path}/daily-bills/{self.day}", time.monotonic()
        for number in range(each):
            time.sleep(max(0.0, begun + number * pace_s - time.monotonic()))
            with times.taken(CONTROL):
                self.here.house.world("GET", "/_sim/health")
            self._timed(times, "charges", lambda: self._report(0))
            self._timed(times, "cash", self._cash)
            self._timed(times, "bills", lambda: self.life.one_of("nurse").once("GET", bill))
        times.lasted_s = time.monotonic() - begun

    def arrive(self, times: Times) -> None:
        """The payments arrive."""
        for order in self.orders:
            self._arrive(order, times)

    def _timed(self, times: Times, kind: str, ask: Any) -> None:
        with times.taken(kind):
            answer: Answer = ask()
        if answer.status != 200:
            self.life.wrong(f"{kind}: {answer.status} {answer.code}")

    def _report(self, days_ago: int) -> Answer:
        lines = [coming.fee(self.life, days_ago) for _ in range(3)]
        event = {"source_event_id": self.life.number("EV"), "lines": lines}
        for line in lines:
            coming.note_line(self.life, line, 1)
        return self.his.once("POST", "/v1/his/events/charge-batch", event)

    def _cash(self) -> Answer:
        wish = wanted(self.life, "CASH", 100)
        body, path = {"amount_fen": 100, "route": "CASH"}, f"{self.life.path}/deposits"
        answer = self.life.one_of("cashier").once("POST", path, body, key=wish.key)
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


@dataclass
class Turns:
    """All of them, in pairs; calm and slow take turns in being first."""

    here: Ward
    each: int
    wait_s: float
    calm: list[Times] = field(default_factory=list)
    slow: list[Times] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.desk, chance = Desk(self.here), Random(f"{self.here.seed} callers")
        payers = [new_life(self.here, chance) for _ in range(PAYERS)]
        leavers = [new_life(self.here, chance) for _ in range(LEAVERS)]
        self.callers = Callers(payers, leavers, self.wait_s)
        self._sky = Weather(wait=1.0, wait_s=self.wait_s)

    def play(self, pairs: int) -> None:
        """Calm, slow; slow, calm; ..."""
        for number in range(pairs):
            for slow in (False, True) if number % 2 == 0 else (True, False):
                (self.slow if slow else self.calm).append(self._turn(slow=slow))

    def compared(self, kind: str) -> Compared:
        """What the turns say of this kind."""
        return compare(self.pairs(kind), self.pairs(CONTROL), Random(self.here.seed))

    def pairs(self, kind: str) -> list[Pair]:
        """Its times, turn by turn."""
        return [(c.of[kind], s.of[kind]) for c, s in zip(self.calm, self.slow, strict=True)]

    def _turn(self, *, slow: bool) -> Times:
        times, house = Times(), self.here.house
        self._until(lambda found: found["todo"] + found["doing"] == 0, "the queue is empty")
        self.desk.prepare()
        with self._outside(slow=slow), self.callers.calling(slow=slow):
            self.desk.write_words()
            if slow:
                taken = lambda found: found["doing"] >= CONCURRENCY  # noqa: E731
                self._until(taken, "all slots for any job wait outside")
            time.sleep(min(2.0, self.wait_s))  # until all places are taken
            with house.worker_held():
                before = house.cpu_s()
                self.desk.turn(self.each, self.wait_s / self.each, times)
                times.cpu_s = house.cpu_s() - before
            self.desk.arrive(times)
        return times

    @contextmanager
    def _outside(self, *, slow: bool) -> Iterator[None]:
        self.here.house.weather(self._sky if slow else CALM, door=CALM)
        try:
            yield
        finally:
            self.here.house.weather(CALM)

    def _until(self, happened: Any, what: str) -> None:
        with self.here.house.database() as db:
            self.here.house.wait(what, lambda: happened(db.execute(DUE).fetchone()))


def run(seed: int, _operations: int) -> list[Figure]:
    """The figure; the number of requests is fixed, for a ratio needs enough of them."""
    return alone(seed, lambda here: slow(here, PAIRS, EACH, AIM, WAIT_S))


def slow(here: Ward, pairs: int, each: int, aim: float, wait_s: float) -> Close:
    """In turns: ``each`` requests of a kind in calm, and as many while the outside is slow."""
    begun, turns = time.monotonic(), Turns(here, each, wait_s)
    turns.play(pairs)
    found = {kind: turns.compared(kind) for kind in KINDS}
    booked = [s for times in turns.slow for s in times.of["arrivals"]]
    seconds, callers = time.monotonic() - begun, turns.callers
    held = all(one.held(aim) for one in found.values()) and (
        median(booked) <= JOB_S and max(booked) <= LATEST_JOB_S
    )
    return lambda findings: Figure(
        "the outside is slow",
        f"every answer of WeChat, insurance and SMS after {wait_s:.0f} s; {PAYERS} have QR codes"
        f" made and {LEAVERS} try insured settlements: three at a time for each of the"
        f" {PLACES} places to wait outside that comes free",
        f"charges, cash and bills as fast as ever: slow ÷ calm at most {aim}, medians and p99, or"
        f" no surer than the machine's noise; half of the arrived payments are booked within"
        f" {JOB_S:.0f} s, all within {LATEST_JOB_S:.0f}",
        f"{sum(not one.held(aim) for one in found.values())} of {len(KINDS)} kinds slower (slow ÷"
        f" calm of {pairs * each} each over the control's, in {pairs} pairs of turns, 98 of 100"
        f" draws of the pairs: "
        + "; ".join(f"{kind} {one}" for kind, one in found.items())
        + f"); {_load(turns)};"
        f" {callers.sent_away} of {callers.calls} callers sent away at once; booked"
        f" {median(booked):.1f} s after it was paid, {max(booked):.1f} s at the latest;"
        f" {checker.in_words(findings)}; with seed {here.seed}",
        here.seed,
        seconds,
        held and not findings,
    )


def new_life(here: Ward, chance: Random) -> Life:
    """Somebody who was admitted and whom the crowd takes home in the end."""
    life = Life(here.cast, here.crowd.book, next(_serials), Random(chance.random()))
    coming.admit(life)
    here.crowd.lives.append(life)
    return life


def _load(turns: Turns) -> str:
    """How much of a processor the house itself took: alike, or the turns are not."""
    calm, slow = (
        sum(times.cpu_s for times in side) / sum(times.lasted_s for times in side)
        for side in (turns.calm, turns.slow)
    )
    return (
        f"the house took {calm:.2f} of a processor in calm turns, {slow:.2f} in slow ones, and the"
        f" control {busier(turns.pairs(CONTROL)):.2f} times as long in these"
    )
