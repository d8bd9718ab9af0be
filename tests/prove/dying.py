"""Settles stays, one in each child process, and every child is killed by SIGKILL when the insurance
platform's yes to 2304 has arrived and before anything of it is written down.

``python -m tests.prove.dying`` reads what it needs to know from its input
(tests/prove/lost_yes.py). A fork of a process with one thread and no connection: what dies is a
real process.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from config import Connections
from journeys import discharge
from journeys.counterparts import Counterparts
from models import db as database
from models import sealing
from payments.insurance import profile
from payments.insurance.desk import InsuranceDesk
from payments.insurance.transport import GATEWAYS, Platform, Reply
from policies.access import Actor, Channel
from tests.stage import counterparts


class DeadlyYes:
    """A gateway whose yes to a settlement nobody lives to hear."""

    def __init__(self, platform: Platform) -> None:
        self.settings, self._platform = platform.settings, platform

    def ask(self, infno: str, envelope: Mapping[str, Any]) -> Reply:
        """As the platform does; after its yes to 2304 this process is gone."""
        reply = self._platform.ask(infno, envelope)
        if infno == "2304":
            os.kill(os.getpid(), signal.SIGKILL)
        return reply


def main() -> int:
    """0 if every child died by SIGKILL."""
    told = json.load(sys.stdin)
    deaths = 0
    for stay in told["stays"]:
        child = os.fork()
        if not child:
            _settle(told, UUID(stay))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        deaths += os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return 0 if deaths == len(told["stays"]) else 1


def _settle(told: dict[str, Any], stay_id: UUID) -> None:
    database.connect(told["database"])
    sealing.use_keys(told["keys"], told["index"])
    outside = _outside(told)
    nurse = Actor(
        UUID(told["hospital"]),
        told["nurse"]["name"],
        frozenset({"NURSE"}),
        Channel.BEDSIDE,
        id=UUID(told["nurse"]["id"]),
        wards=frozenset({"W1"}),
    )
    agreed = discharge.try_settlement(nurse, outside, stay_id)["agree_to"]
    discharge.settle_discharge(nurse, outside, stay_id, agreed=agreed, signature_sha256=None)


def _outside(told: dict[str, Any]) -> Counterparts:
    shift = timedelta(seconds=told["shift_s"])

    def now() -> datetime:
        return datetime.now(UTC) + shift

    known = Connections.read(told["connections"]).insurance
    ways = profile.load(known.profile)
    desk = InsuranceDesk(DeadlyYes(GATEWAYS[ways.gateway](known, ways, now)), ways, now)
    simulator: Any = SimpleNamespace(connections=lambda _: told["connections"])
    everybody = counterparts(simulator, "", told["code"], now, "http://127.0.0.1:9")
    return replace(everybody, insurance=desk)


if __name__ == "__main__":
    sys.exit(main())
