"""The short form of all scenarios that need a whole house: they befall one house after another, and
its books are asked once, in the end. ``python -m tests.prove short --operations 60``
"""

import time
from contextlib import ExitStack

from tests.prove import database_away, redis_away, slow_outside, spoiled, variants
from tests.prove.house import PARTS
from tests.prove.outage import Close, Ward, tell, ward
from tests.prove.proxy import CALM
from tests.prove.report import Figure
from tests.prove.stays import figure
from tests.prove.storm import BRITTLE, FOUL, Storm

ACTS = 24
"""Of each scene at least."""


def run(seed: int, operations: int) -> list[Figure]:
    """All figures; ``operations`` are those of the storm."""
    with ExitStack() as stack:
        disk = database_away.disk_if_allowed(stack)
        here = stack.enter_context(ward(seed, store=disk, database_line=True))
        scenes = [
            _storm(here, operations),
            redis_away.lost(here, ACTS),
            slow_outside.slow(here, pairs=1, each=20, aim=3.0, wait_s=3.0),
            database_away.gone(here, ACTS, seconds=2.0),
            database_away.pool_taken(here, ACTS, seconds=12.0, refusals=20),
            *([database_away.filled(here, disk, ACTS, seconds=1.0)] if disk else []),
        ]
        found = here.check()
        tell(found)
        by_hand = spoiled.spoiled(here.cast, here.crowd.book, seed)
        wrong = [variants.one(here.house, here.cast, seed, each) for each in variants.VARIANTS]
    return [*(close(found) for close in scenes), by_hand, *wrong]


def _storm(here: Ward, operations: int) -> Close:
    """Each part of the house is killed once, in foul weather."""
    begun = time.monotonic()
    every = operations / (len(PARTS) + 1)
    here.house.weather(FOUL, database=BRITTLE)
    here.crowd.play(
        operations, Storm(here.house, here.crowd, here.seed, kill_every=every, fault_every=10)
    )
    here.house.weather(CALM)
    here.house.wait_ready()
    here.house.world("DELETE", "/_sim/faults")
    seconds = time.monotonic() - begun
    return lambda found: figure(here.house, here.cast, found, operations, here.seed, seconds)
