"""Random lives at the simulator: what a state machine of them begins with, and how it is played.

In the long run, and where SEED is told, everything drawn follows from it (tests/figures.py).
"""

import os
from collections import Counter
from typing import ClassVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant

from models.machine import ForbiddenMove
from policies.refusals import Conflict, Refused
from tests.figures import LONG, SEED
from tests.sim_process import Simulator
from tests.stage import Stage, build

NOES = (Refused, Conflict, ForbiddenMove)
"""What a person may be told; anything else is a fault of ours."""


class Life(RuleBasedStateMachine):
    """One hospital of its own for each story."""

    simulator: ClassVar[Simulator]
    looked_at: ClassVar[Counter[str]] = Counter()
    """By name: after how many steps the invariants were asked, opening included."""
    stage: Stage

    def open(self) -> None:
        """A new hospital, with nothing planned to go wrong."""
        self.calm()
        self.stage = build(self.simulator)

    @invariant()
    def the_step_is_counted(self) -> None:
        self.looked_at[type(self).__module__] += 1

    def calm(self) -> None:
        """No planned faults; a minute between two refunds of a payment, as in life."""
        self.simulator.reset()
        self.simulator.settings(sms_limits=False)
        if hasattr(self, "stage"):
            self.stage.clock.forward(seconds=0)


def play(life: type[Life], simulator: Simulator, *, more: str, stories: int, steps: int) -> int:
    """Play so many stories, or as many as the environment's ``more`` says; how many steps."""
    before = life.looked_at[life.__module__]
    life.simulator = simulator
    life.TestCase.settings = settings(
        max_examples=int(os.environ.get(more, stories)),
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.reuse, Phase.generate),  # a shorter story takes too long
        suppress_health_check=list(HealthCheck),
    )
    if LONG or "SEED" in os.environ:
        seed(SEED)(life)
    try:
        life.TestCase().runTest()
    finally:
        simulator.reset()
    return life.looked_at[life.__module__] - before
