"""What goes wrong while everybody works: kills, and faults of the outside, drawn from the seed."""

from random import Random
from typing import Any

import requests

from tests.prove.crowd import Crowd
from tests.prove.house import PARTS, House
from tests.prove.proxy import Weather

FOUL = Weather(lose=0.10, cut=0.02, wait=0.004, wait_s=10.0)
"""Ten percent of replies lost, two of requests cut, here and there ten seconds of silence."""

BRITTLE = Weather(lose=0.002)
"""Before PostgreSQL: two COMMITs in a thousand are done and nobody hears of it."""

OUTSIDE: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    *(("wxpay", "callback", "duplicate", {"copies": copies}) for copies in (1, 3)),
    *(("wxpay", "callback", "late", {"seconds": seconds}) for seconds in (0.5, 3)),
    ("wxpay", "callback", "out_of_order", {"seconds": 20}),
    ("wxpay", "callback", "drop", {}),
    ("wxpay", "callback", "bad_signature", {}),
    *(("wxpay", "refund", name, {}) for name in ("abnormal", "closed", "not_enough", "throttled")),
    *(("wxpay", "*", name, {}) for name in ("before", "after", "error500_after")),
    *(
        ("insurance", infno, name, {})
        for infno in ("2301", "2304", "2305", "2401", "2402", "2405", "*")
        for name in ("before", "after", "error500_after")
    ),
    *(("sms", "*", name, {}) for name in ("before", "after")),
)
"""Faults that the simulator plays at the next call that fits: wire, operation, name, options."""


class Storm:
    """Called again and again by the main thread: kills every ``kill_every`` acts on average, plans
    a fault of the outside every ``fault_every``, and mends the house."""

    def __init__(
        self, house: House, crowd: Crowd, seed: int, *, kill_every: float, fault_every: float
    ) -> None:
        self.house, self.crowd = house, crowd
        self._chance = Random(f"{seed} storm")
        self._every = {self._kill: kill_every, self._disturb: fault_every}
        self._next = {what: self._chance.expovariate(1 / n) for what, n in self._every.items()}
        self._order = list(PARTS)
        self._chance.shuffle(self._order)
        self.faults = 0

    def __call__(self) -> None:
        for what, every in self._every.items():
            if self.crowd.done >= self._next[what]:
                what()
                self._next[what] += self._chance.expovariate(1 / every)
        self.house.mend()

    def _kill(self) -> None:
        """Each part has its turn before any has a second one."""
        if not self._order:
            self._order = list(PARTS)
            self._chance.shuffle(self._order)
        self.house.kill(self._order.pop())

    def _disturb(self) -> None:
        wire, operation, fault, options = self._chance.choice(OUTSIDE)
        plan = {"wire": wire, "operation": operation, "fault": fault, "options": options}
        try:
            with requests.Session() as session:
                session.trust_env = False
                session.post(f"{self.house.simulator_url}/_sim/faults", json=plan, timeout=5)
            self.faults += 1
        except requests.RequestException:
            return  # the simulator is down at this moment: that is fault enough
