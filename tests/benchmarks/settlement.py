"""(f) A whole settlement at the bed: trial, agreement, insurer, books, receipt, the rest back."""

import json
import re
from time import perf_counter
from typing import Any

from tests import till
from tests.benchmarks.ground import Ground
from tests.benchmarks.load import fire, request
from tests.benchmarks.measure import Bench, Figure, in_turns

LINES = 30
STAYS = 6
"""Settled one after another in each round."""


def run(ground: Ground) -> list[Figure]:
    """Our own milliseconds for a settlement, as a multiple of a request to the bare route."""
    ground.kept["nurse"] = ground.house.staff("NURSE", wards=("W1",))
    ground.kept["waits"] = []
    ground.forget_peak()
    series = in_turns(lambda: own_ms(ground), lambda: _bare_ms(ground), ground.rounds(5))
    waited, whole = (sum(column) for column in zip(*ground.kept["waits"], strict=True))
    return [
        Figure(
            "f",
            f"a whole settlement ({LINES} lines, insured), our own time;"
            f" {waited / whole:.0%} of the whole was spent waiting for the simulator",
            "one request to the bare Flask route",
            series,
            "ms",
            aim=40,
            at_most=True,
            peak_mib=ground.peak_mib(),
        )
    ]


def own_ms(ground: Ground) -> float:
    """Both requests of the nurse, without the time that others took."""
    stays = [_ready(ground) for _ in range(STAYS)]
    own = 0.0
    for stay in stays:
        path = f"/v1/admissions/{stay.id}/settlement"
        tried, waited, trial = _ask(ground, "POST", f"{path}/trial")
        agreed = {"agree_to": trial["agree_to"]}
        settled, waited_too, done = _ask(ground, "PUT", path, agreed)
        assert done["state"] == "CLOSED", done
        own += tried + settled - waited - waited_too
        ground.kept["waits"].append((waited + waited_too, tried + settled))
    return own / STAYS


def _ready(ground: Ground) -> Any:
    stage = ground.stage
    patient = stage.patient()
    stage.insured(patient)
    stay = stage.stay(patient)
    stage.register_insurance(stay)
    stage.charge(stay, *[10_000] * LINES)
    till.pay_cash(stage, stay, 200_000)
    stage.leaving(stay)
    return stay


def _ask(
    ground: Ground, method: str, target: str, said: Any = None
) -> tuple[float, float, dict[str, Any]]:
    """Milliseconds it took, milliseconds of them waiting for others, and the answer."""
    body = json.dumps(said).encode() if said else b""
    headers = ground.kept["nurse"].credentials(method, target, body)
    if body:
        headers["Content-Type"] = "application/json"
    started = perf_counter()
    _, answers = fire(ground.port, [request(method, target, headers, body)], connections=1)
    took = (perf_counter() - started) * 1000
    head, _, content = answers[0].partition(b"\r\n\r\n")
    waited = re.search(rb"outside;dur=([\d.]+)", head)
    return took, float(waited[1]) if waited else 0.0, json.loads(content)


def _bare_ms(ground: Ground) -> float:
    return 1000 / ground.bare(1000, connections=1)


BENCH = Bench("f", "a whole settlement", run)
