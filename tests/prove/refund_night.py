"""The scenario ``refunds``: a night in which stored money goes back, killed in the middle of it.

``operations`` is the number of legs at the start. The simulator is never killed: it counts how fast
it was asked, and its books are compared with ours.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, TypeVar
from unittest import mock
from uuid import UUID

from rich.console import Console
from sqlalchemy.exc import DBAPIError

from config import read_settings
from journeys.counterparts import registry
from journeys.settings import change_setting
from models import db as database
from models import sealing
from models.binding import WeChatBinding
from models.db import Session, new_id, rows
from models.hospital import Hospital
from models.patient import Patient
from payments.pacing import WECHAT_REFUNDS
from tests import purse, till
from tests.prove.house import HOSPITAL, House, house
from tests.prove.proxy import CALM, Weather
from tests.prove.refund_people import People
from tests.prove.report import Figure
from tests.stage import Stage

MOST = 10_000
REFUSED = ("throttled", "not_visible_yet", "error500_before", "error500_after")
FAULTS = (*REFUSED, "before", "after", "abnormal", "closed")
KILLED = ("job worker", "database backend", "postmaster", "job worker", "API worker", "API master")
KILL_EVERY, MOST_KILLS, FAULT_EVERY, NIGHTS = 60, 40, 12, 12
PATIENCE_S = 300
"""The storm is given up when no leg more was asked for so long, however many legs there are."""

AWAY_S = 120
"""The database is back after this."""

APPROVED_AT_ONCE = 200
"""Refunds that are approved in one round, so that people work while the night runs."""

ROUND_S, PEOPLE_S, SAY_S, QUIET_S = 0.3, 3.0, 10.0, 30.0
"""Between two looks, two rounds of everybody's own work, two lines of progress; and how long the
queue may get no shorter."""
FOUL = Weather(lose=0.02, cut=0.01)
T = TypeVar("T")

say = Console(soft_wrap=True, highlight=False, markup=False)


class Night:
    """One hospital, its owners of stored money, and what goes wrong meanwhile."""

    def __init__(self, here: House, seed: int) -> None:
        self.here, self.chance, self.faults = here, Random(f"{seed} refunds"), 0
        with mock.patch.dict("os.environ", here.environment):
            settings = read_settings()
        database.connect(settings.database_url)
        sealing.use_keys(settings.sealing_keys, settings.index_key)
        with Session() as db:
            hospital_id = Hospital.by_code(db, HOSPITAL).id
        outside = replace(registry(settings)(HOSPITAL), now=here.now)
        self.stage = Stage(None, here, outside, hospital_id, HOSPITAL)  # type: ignore[arg-type]
        change_setting(
            self.stage.actor("ADMINISTRATOR"),
            "refund.fallback_order",
            "BANK,TRANSFER,CASH",
            here.now,
        )
        self.people = People(self.stage, here)
        self.owed_fen = self.legs = 0
        self.to_approve: list[UUID] = []
        self._told = 0.0

    def fill(self, legs: int) -> None:
        """So many legs are planned; WeChat Pay remembers the payments; nothing is approved yet."""
        while self.legs < legs:
            parts = min(self.chance.choice((1, 2, 3, 4)), legs - self.legs)
            self.to_approve.append(self._owner(parts))
            self._progress(f"planned {self.legs:,} of {legs:,} legs")

    def _owner(self, legs: int) -> Any:
        """Somebody with as many top-ups as legs: some by WeChat, perhaps one that is too old."""
        patient, payments, fen = self.stage.patient(), [], 0
        way = self.chance.choice(("BANK", "TRANSFER", "", ""))
        self._reach(patient, way)
        for place in range(legs):
            old = bool(way) and place == 0
            days = self.chance.randrange(400, 900) if old else self.chance.randrange(1, 300)
            part = self.chance.randrange(10, 60_000)
            number = purse.store(self.stage, patient, part, "WECHAT", days=days)
            fen += part
            if not old:
                paid_at = rows(
                    "SELECT paid_at FROM lot WHERE channel_transaction = :number", number=number
                )[0]["paid_at"]
                told = {"transaction_id": number, "paid_at": paid_at.isoformat(), "total": part}
                payments.append(told)
        told = {"hospital": HOSPITAL, "payments": payments}
        self.here.world("POST", "/_sim/wxpay/history", told)
        self.legs, self.owed_fen = self.legs + legs, self.owed_fen + fen
        return purse.ask_back(self.stage, patient, fen)

    def _reach(self, patient: Patient, way: str) -> None:
        """An own bank card, or an own WeChat account, or neither."""
        if way == "BANK":
            purse.card(self.stage, patient)
        if way == "TRANSFER":
            with Session.begin() as db:
                db.add(
                    WeChatBinding(
                        hospital_id=self.stage.hospital_id,
                        appid=self.stage.outside.wechat_pay.appid,
                        openid=f"o{new_id().hex[-26:]}x",
                        patient_id=patient.id,
                        bound_at=self.here.now(),
                    )
                )

    def storm(self, kills: int) -> bool:
        """Until every leg that WeChat Pay is asked about was asked about once; False when nothing
        went on any more."""
        kill_at = [self.legs * (n + 1) // (kills + 1) for n in range(kills)]
        fault_at, people_at, done, until = 0, 0.0, -1, 0.0
        while self.to_approve or done < self._asked()[1]:
            self.insist(self._approve)
            before, (done, legs) = done, self._asked()
            now = time.monotonic()
            if done > before:
                until = now + PATIENCE_S
            elif now > until:
                return False
            while fault_at <= done:
                self._go_wrong()
                fault_at += FAULT_EVERY
            if kill_at and done >= kill_at[0]:
                self.here.kill(KILLED[(kills - len(kill_at)) % len(KILLED)])
                kill_at.pop(0)
            self.here.mend()
            if now > people_at:
                self.insist(self.people.do_theirs)
                people_at = time.monotonic() + PEOPLE_S
            self._progress(f"asked for {done:,} of {legs:,}, {sum(self.here.kills.values())} kills")
            time.sleep(ROUND_S)
        return True

    def _approve(self) -> None:
        for refund in self.to_approve[:APPROVED_AT_ONCE]:
            till.check(self.stage, refund)
            self.to_approve.remove(refund)

    def _go_wrong(self) -> None:
        plan = {"wire": "wxpay", "operation": "refund", "fault": self.chance.choice(FAULTS)}
        self.here.world("POST", "/_sim/faults", plan)
        self.faults += 1

    def _progress(self, what: str) -> None:
        if time.monotonic() > self._told + SAY_S:
            self._told = time.monotonic()
            say.print(f"{time.strftime('%H:%M:%S')} {what}")

    def dawn(self) -> None:
        """Calm weather; nights go by and people do theirs until everybody has their money."""
        self.here.weather(CALM)
        self.here.world("DELETE", "/_sim/faults")
        self.here.wait_ready()
        self._drain()
        for night in range(1, NIGHTS + 1):
            self.here.sweep(days_ahead=night)
            self.insist(self.people.do_theirs)
            if not rows("SELECT FROM refund WHERE state <> 'PAID' LIMIT 1"):
                return

    def _drain(self) -> None:
        """Let the worker do what is due, as long as it gets less: it has several hands."""
        fewest, until = None, 0.0
        while left := self.insist(lambda: rows(DUE))[0]["left"]:
            now = time.monotonic()
            if fewest is None or left < fewest:
                fewest, until = left, now + QUIET_S
            if now > until:
                return
            self.here.mend()
            self._progress(f"{left:,} jobs are due")
            time.sleep(ROUND_S)

    def insist(self, act: Callable[[], T]) -> T:
        """Say it again while the database is away: people do, too."""
        until = time.monotonic() + AWAY_S
        while True:
            try:
                return act()
            except DBAPIError:
                if time.monotonic() > until:
                    raise
                self.here.mend()
                time.sleep(0.1)

    def _asked(self) -> tuple[int, int]:
        """How many legs were asked about, or wait until an open transfer of the same patient ends,
        and of how many."""
        (row,) = self.insist(
            lambda: rows(
                "SELECT count(*) FILTER (WHERE tries > 0 OR next_try_at > now()) AS asked,"
                " count(*) AS all FROM refund_leg"
                " WHERE route IN ('WECHAT', 'TRANSFER') AND state <> 'REROUTED'"
            )
        )
        return row["asked"], row["all"]

    def limits(self) -> dict[str, int]:
        """What was most in any window of the channel, and how many were over."""
        (seen,) = self.here.world("GET", "/_sim/wxpay/limits").values()
        return seen

    def findings(self) -> list[str]:
        """Whatever is not as it must be."""
        world = self.here.world("GET", "/_sim/books")
        theirs = {
            number.removeprefix("OLD"): page["refunded_fen"]
            for number, page in world["wxpay"].items()
            if page["refunded_fen"]
        }
        sent = {
            number: page["paid_fen"]
            for number, page in world["wxpay_transfers"].items()
            if page["paid_fen"]
        }
        pairs = (
            ("WeChat Pay", theirs, _paid("channel_transaction", "WECHAT")),
            ("transfers", sent, _paid("replace(id::text, '-', '')", "TRANSFER")),
            ("bank", self.people.bank_paid, _paid("replace(id::text, '-', '')", "BANK")),
            ("window", self.people.handed_over, _paid("id::text", "CASH", "NEXT_VISIT")),
        )
        found = [
            f"{who}: {number} there {there.get(number, 0)}, here {ours.get(number, 0)}"
            for who, there, ours in pairs
            for number in sorted(there.keys() | ours.keys())
            if there.get(number, 0) != ours.get(number, 0)
        ]
        if self.owed_fen != (paid := sum(sum(ours.values()) for _, _, ours in pairs)):
            found.append(f"owed {self.owed_fen}, paid {paid}")
        found += [f"unfinished: {row}" for row in rows(UNFINISHED)]
        if self.limits()["over"] or self.limits()["calls"] > WECHAT_REFUNDS.calls:
            found.append(f"too fast: {self.limits()}")
        with suppress(AssertionError):
            till.proven(self.stage)
            return found
        return [*found, "the ledger's proof is not empty"]


DUE = (
    "SELECT count(*) AS left FROM procrastinate_jobs"
    " WHERE status = 'doing' OR status = 'todo' AND coalesce(scheduled_at, now()) <= now()"
)
UNFINISHED = (
    "SELECT id::text, state FROM refund WHERE state <> 'PAID' UNION ALL"
    " SELECT id::text, task_name FROM procrastinate_jobs WHERE status = 'failed' UNION ALL"
    " SELECT owner, kind FROM account WHERE balance_fen <> 0"
    " AND kind IN ('REFUND_IN_TRANSIT', 'OUTPATIENT_PREPAY', 'SUSPENSE')"
)


def _paid(number: str, *routes: str) -> dict[str, int]:
    query = (
        f"SELECT {number} AS number, sum(amount_fen)::bigint AS fen FROM refund_leg"  # noqa: S608
        " WHERE state = 'PAID' AND route = ANY(:routes) GROUP BY 1"
    )
    return {row["number"]: row["fen"] for row in rows(query, routes=list(routes))}


def run(seed: int, operations: int) -> list[Figure]:
    """The figure of one night; every finding is printed, and its logs are kept."""
    begun, legs = time.monotonic(), min(operations, MOST)
    home = Path(tempfile.mkdtemp(prefix="xianzhen-prove-"))
    home.chmod(0o755)  # PostgreSQL's user must get in
    with house(home, seed) as here:
        night = Night(here, seed)
        night.fill(legs)
        here.weather(FOUL)
        began = time.monotonic()
        all_asked = night.storm(min(MOST_KILLS, max(1, legs // KILL_EVERY)))
        lasted = time.monotonic() - began
        night.dawn()
        found, seen = night.findings(), night.limits()
        if not all_asked:
            found.append(f"for {PATIENCE_S} s of storm no leg more was asked for")
        kills = ", ".join(f"{part} {times}" for part, times in here.kills.items() if times)
    for finding in found:
        say.print(finding)
    if not found:
        shutil.rmtree(home, ignore_errors=True)
    people = night.people
    return [
        Figure(
            name="refund night",
            faults=f"SIGKILL of {kills}; {night.faults} of 429, 404, 500 and cuts before and after"
            f" the commit, ABNORMAL and CLOSED; {people.bank_rejected} rejected by the bank,"
            f" {people.rerouted} refunds sent another way; 2 % of replies lost, 1 % of requests"
            " cut",
            must_hold="all paid once, every counterpart's books equal ours, limits kept",
            figure=f"{len(found)} of {night.legs} legs, {night.owed_fen / 100:,.2f} yuan, lost,"
            f" doubled or wrong under these faults with seed {seed};"
            f" WeChat Pay was asked at most {seen['calls']} times a second (limit"
            f" {WECHAT_REFUNDS.calls}), {seen['failures']} failing (6), {seen['old']} old ones a"
            f" minute (5,000), {seen['over']} over; every leg asked for after {lasted:.0f} s,"
            f" {night.legs / lasted:.1f} a second",
            seed=seed,
            seconds=time.monotonic() - begun,
            held=not found,
        )
    ]
