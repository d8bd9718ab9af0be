"""Random lives at the simulator: what a state machine of them begins with, and how it is played."""

import os
from typing import ClassVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine

from models.machine import ForbiddenMove
from policies.refusals import Conflict, Refused
from tests.sim_process import Simulator
from tests.stage import Stage, build

NOES = (Refused, Conflict, ForbiddenMove)
"""What a person may be told; anything else is a fault of ours."""


class Life(RuleBasedStateMachine):
    """One hospital of its own for each story."""

    simulator: ClassVar[Simulator]
    stage: Stage

    def open(self) -> None:
        """A new hospital, with nothing planned to go wrong."""
        self.calm()
        self.stage = build(self.simulator)

    def calm(self) -> None:
        """No planned faults; a minute between two refunds of a payment, as in life."""
        self.simulator.reset()
        self.simulator.settings(sms_limits=False)
        if hasattr(self, "stage"):
            self.stage.clock.forward(seconds=0)


def play(life: type[Life], simulator: Simulator, *, more: str, stories: int, steps: int) -> None:
    """Play so many stories, or as many as the environment's ``more`` says."""
    life.simulator = simulator
    life.TestCase.settings = settings(
        max_examples=int(os.environ.get(more, stories)),
        stateful_step_count=steps,
        deadline=None,
        phases=(Phase.explicit, Phase.reuse, Phase.generate),  # a shorter story takes too long
        suppress_health_check=list(HealthCheck),
    )
    try:
        life.TestCase().runTest()
    finally:
        simulator.reset()
