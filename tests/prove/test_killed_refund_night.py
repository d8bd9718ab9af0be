"""The small form of the killed night of refunds: the same faults, workers that are killed, and the
simulator's books beside ours.
"""

import subprocess
import sys
from random import Random
from uuid import UUID

from sqlalchemy import Engine

from journeys import refunds
from models.db import rows
from payments.pacing import WECHAT_REFUNDS
from tests import purse, till
from tests.prove.refund_night import REFUSED
from tests.sim_process import ROOT, wait_until
from tests.stage import Stage

LEGS, KILLS, FAULTS, NIGHTS, SEED = 24, 3, 10, 6, 20261125
HEAL = (*REFUSED, "before", "after")
"""Faults that time heals; what ends as ABNORMAL or CLOSED needs people."""

ASKED = "SELECT count(*) AS n FROM refund_leg WHERE hospital_id = :h AND tries > 0"
OURS = """
SELECT leg.channel_transaction AS number, leg.state, leg.amount_fen AS fen,
    (SELECT count(*) FROM ledger_transaction WHERE key = 'refund-leg:' || leg.id) AS booked
FROM refund_leg leg WHERE hospital_id = :h
"""


def test_a_killed_night_pays_each_leg_once_and_keeps_the_limits(
    stage: Stage, engine: Engine
) -> None:
    dice, owed = Random(SEED), {}
    for _ in range(LEGS):
        number, fen = planned(stage, dice.randrange(10, 60_000))
        owed[number] = fen
    for _ in range(FAULTS):
        stage.simulator.fault("wxpay", "refund", dice.choice(HEAL))
    for kill in range(1, KILLS + 1):
        killed_after(stage, engine, LEGS * kill // (KILLS + 1))
        stage.clock.forward(hours=2)
    for _ in range(NIGHTS):
        stage.clock.forward(hours=2)
        refunds.sweep_legs(stage.outside, stage.hospital_id)
    assert {leg["number"]: leg["fen"] for leg in ours(stage)} == owed
    assert {(leg["state"], leg["booked"]) for leg in ours(stage)} == {("PAID", 1)}
    books = stage.simulator.books()["wxpay"]
    assert {number: books[f"OLD{number}"]["refunded_fen"] for number in owed} == owed
    seen = stage.simulator.get("/_sim/wxpay/limits")[mchid(stage)]
    assert (seen["over"], seen["calls"] <= WECHAT_REFUNDS.calls) == (0, True)
    assert 0 < seen["failures"] <= WECHAT_REFUNDS.failures
    till.proven(stage)


def planned(stage: Stage, fen: int) -> tuple[str, int]:
    """An approved leg of a payment that WeChat Pay remembers."""
    patient = stage.patient()
    number = purse.store(stage, patient, fen, "WECHAT", days=40)
    (lot,) = rows("SELECT paid_at FROM lot WHERE channel_transaction = :n", n=number)
    known = {"transaction_id": number, "paid_at": lot["paid_at"].isoformat(), "total": fen}
    payments = {"hospital": stage.world_code, "payments": [known]}
    stage.simulator.post("/_sim/wxpay/history", payments)
    till.check(stage, purse.ask_back(stage, patient, fen))
    return number, fen


def killed_after(stage: Stage, engine: Engine, asked: int) -> None:
    """A worker pays until so many legs were asked for, and is killed with more under way."""
    url = engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    told = [url, str(stage.simulator.connections_file), stage.world_code]
    shift = str(stage.clock.shift.total_seconds())
    command = [sys.executable, "-m", "tests.prove.refund_hand", *told, shift]
    with subprocess.Popen(command, cwd=ROOT) as hand:
        try:
            wait_until(lambda: hand.poll() is not None or count(stage.hospital_id) >= asked)
            assert hand.poll() is None
        finally:
            hand.kill()


def count(hospital_id: UUID) -> int:
    """Legs that were asked for."""
    found: int = rows(ASKED, h=hospital_id)[0]["n"]
    return found


def ours(stage: Stage) -> list[dict[str, object]]:
    """Every leg, and how often it was booked."""
    return rows(OURS, h=stage.hospital_id)


def mchid(stage: Stage) -> str:
    """By what WeChat Pay knows the hospital."""
    found: str = stage.simulator.connections(stage.world_code)["wechat_pay"]["mchid"]
    return found
