"""(d) A deposit in cash at the window: login, device's proof, quota, ledger, receipt, message."""

import json
from itertools import count
from typing import Any

from tests.benchmarks.ground import Ground, address
from tests.benchmarks.load import fire, request
from tests.benchmarks.measure import Bench, Figure, in_turns

CASHIERS, STAYS, WISHES = 30, 100, 300
_keys = count(1)


def run(ground: Ground) -> list[Figure]:
    """Deposits a second beside the bare route."""
    ground.kept["cashiers"] = [
        ground.house.staff("CASHIER", kind="DESK", ward="", window="1") for _ in range(CASHIERS)
    ]
    ground.kept["desks"] = [address() for _ in range(CASHIERS)]
    ground.kept["payers"] = [ground.stage.stay(quota_fen=10**9) for _ in range(STAYS)]
    ground.forget_peak()
    series = in_turns(lambda: collect(ground), ground.bare, ground.rounds(7))
    return [
        Figure(
            "d",
            "a deposit in cash at the window, over HTTP with login",
            "bare Flask route",
            series,
            "/s",
            aim=0.25,
            peak_mib=ground.peak_mib(),
        )
    ]


def collect(ground: Ground) -> float:
    """Each with a key of its own; what was acknowledged must be in the ledger."""
    before = _held(ground)
    wishes = [_wish(ground, number) for number in range(WISHES)]
    took, answers = fire(ground.port, wishes)
    assert all(b'"PAID"' in answer for answer in answers)
    assert _held(ground) - before == 100 * WISHES
    return WISHES / took


def _wish(ground: Ground, number: int) -> bytes:
    """Signed just before the round: a device's proof is good for a minute."""
    cashier: Any = ground.kept["cashiers"][number % CASHIERS]
    stay = ground.kept["payers"][number % STAYS]
    target = f"/v1/admissions/{stay.id}/deposits"
    body = json.dumps({"amount_fen": 100, "route": "CASH"}).encode()
    headers = {
        "Content-Type": "application/json",
        "Idempotency-Key": f"bench-deposit-{next(_keys)}",
        "X-Forwarded-For": ground.kept["desks"][number % CASHIERS],
        **cashier.credentials("POST", target, body),
    }
    return request("POST", target, headers, body)


def _held(ground: Ground) -> int:
    sql = (
        "SELECT coalesce(-sum(balance_fen), 0)::bigint FROM account"
        " WHERE hospital_id = %s AND kind = 'INPATIENT_DEPOSIT'"
    )
    with ground.sql() as db:
        row = db.execute(sql, (ground.house.hospital_id,)).fetchone()
    return int(row[0]) if row else 0


BENCH = Bench("d", "deposits at the window", run)
