"""The outside says yes and we do not hear it: we are dead, or the answer is lost.

``python -m tests.prove lost_yes`` lets a process of ours be killed between the insurance platform's
commit of a settlement (2304) and our record of it, again and again, and loses the answers to
accepted refunds at WeChat Pay.
"""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from jobs import CONCURRENCY
from models.admission import Admission
from models.db import Session
from models.ledger import AccountKind
from models.settlement import Settlement
from tests import till
from tests.prove.ground import INDEX, KEYS, findings, ground
from tests.prove.report import Figure
from tests.prove.twice import settled_there
from tests.sim_process import ROOT
from tests.stage import Stage

BILL_FEN, FUND_YUAN = 900_000, "6000.00"
FUND_FEN, DEPOSIT_FEN, PAID_FEN = 600_000, 350_000, 10_000
DEATHS, LOST_ANSWERS = 20, 1_000


def run(seed: int, _operations: int) -> list[Figure]:
    """Both figures. Every round meets its fault: the seed is only noted."""
    with ground() as stage:
        return [die_after_yes(stage, DEATHS, seed), lose_answers(stage, LOST_ANSWERS, seed)]


def die_after_yes(stage: Stage, rounds: int, seed: int = 0) -> Figure:
    """In each round a child process settles and dies with the platform's yes in its hands; later
    the timetable alone goes on where it stopped."""
    begun, there = time.monotonic(), len(settled_there(stage))
    stays = [_leaving(stage) for _ in range(rounds)]
    claimed, reversed_ = _asked(stage, "2304"), _asked(stage, "2601")
    _die(stage, stays)
    died = _asked(stage, "2304") - claimed
    till.later(stage, minutes=5)
    claimed, reversed_ = _asked(stage, "2304") - claimed, _asked(stage, "2601") - reversed_
    blind, there = claimed - rounds - reversed_, len(settled_there(stage)) - there
    resumed = sum(_state(stay.id) == "CLOSED" for stay in stays)
    off_fen = till.balance(stage, AccountKind.FUND_RECEIVABLE, "BASIC") - rounds * FUND_FEN
    wrong = findings(stage)
    return Figure(
        "insurance said yes and we died",
        f"SIGKILL {died} times between the platform's commit of 2304 and our record",
        "the lost claim is reversed (2601) before another is made; one stands; it resumes alone",
        f"{blind} of {rounds} claims repeated without reversal, {there - rounds} too many stand,"
        f" {rounds - resumed} of {rounds} settlements not resumed; fund off by {off_fen} fen;"
        f" {wrong} findings of the ledger's proof; with seed {seed}",
        seed,
        time.monotonic() - begun,
        (died, blind, there, resumed, off_fen, wrong) == (rounds, 0, rounds, rounds, 0, 0),
    )


def lose_answers(stage: Stage, count: int, seed: int = 0) -> Figure:
    """WeChat Pay takes each refund and every answer to it is lost.

    As many jobs are done at once as a worker has slots: WeChat Pay's six failures a second are
    then what takes the time.
    """
    begun = time.monotonic()
    for role in ("NURSE", "CASHIER", "FINANCE_CHECKER"):
        stage.actor(role)  # known before threads ask for them
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        refunds = list(pool.map(lambda _: _paid_and_asked_back(stage), range(count)))
        stage.simulator.fault("wxpay", "refund", "after", times=count)
        for refund_id in refunds:
            till.check(stage, refund_id)
        for _ in range(4):
            list(pool.map(lambda _: stage.run_jobs(), range(CONCURRENCY)))
            stage.clock.forward(minutes=1)
    unmet = sum(plan["times"] for plan in stage.simulator.get("/_sim/faults"))
    paid = sum(till.look(stage, refund_id)["state"] == "PAID" for refund_id in refunds)
    extra = -till.theirs(stage)
    return Figure(
        "refund accepted and the answer lost",
        f"{count - unmet:,} answers of WeChat Pay to accepted refunds lost",
        "each refund once, asked about with its own number",
        f"{count - paid} of {count:,} refunds not paid, {extra} fen extra; {findings(stage)}"
        f" findings of the ledger's proof; with seed {seed}",
        seed,
        time.monotonic() - begun,
        (unmet, paid, extra, findings(stage)) == (0, count, 0, 0),
    )


def _paid_and_asked_back(stage: Stage) -> UUID:
    stay = stage.stay()
    till.pay_qr(stage, stay, PAID_FEN)
    return till.ask_back(stage, stay, PAID_FEN)


def _leaving(stage: Stage) -> Admission:
    patient = stage.patient()
    stage.insured(patient, fixed={"hifp_pay": FUND_YUAN})
    stay = stage.stay(patient, quota_fen=10_000_000)
    stage.register_insurance(stay)
    stage.charge(stay, BILL_FEN)
    till.pay_cash(stage, stay, DEPOSIT_FEN)
    stage.leaving(stay)
    return stay


def _die(stage: Stage, stays: list[Admission]) -> None:
    """One child for each stay, killed by itself at the moment (tests/prove/dying.py)."""
    nurse = stage.actor("NURSE")
    with Session() as db:
        url = db.get_bind().engine.url.set(drivername="postgresql")
    told = {
        "database": url.render_as_string(hide_password=False),
        "connections": stage.simulator.connections(stage.world_code),
        "hospital": str(stage.hospital_id),
        "code": stage.outside.code,
        "nurse": {"id": str(nurse.id), "name": nurse.name},
        "keys": KEYS,
        "index": INDEX,
        "shift_s": stage.clock.shift.total_seconds(),
        "stays": [str(stay.id) for stay in stays],
    }
    subprocess.run(
        [sys.executable, "-m", "tests.prove.dying"],
        cwd=ROOT,
        input=json.dumps(told),
        text=True,
        check=True,
    )


def _asked(stage: Stage, infno: str) -> int:
    """How often the platform was asked this."""
    events = stage.simulator.get("/_sim/events?wire=insurance&limit=1000000")
    return sum(event["operation"] == infno for event in events)


def _state(stay_id: UUID) -> str:
    with Session() as db:
        return db.query(Settlement.state).filter_by(admission_id=stay_id).scalar() or ""
