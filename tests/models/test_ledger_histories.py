"""Random histories of collect / spend / settle / refund / move / undo against a model of ten lines.

After every step the database's balances and lots are the model's, and the proof finds nothing.
``LEDGER_HISTORIES=1000`` plays more of them, ``SEED=n`` the same ones again.
"""

import itertools
import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import text

from models.db import Session
from models.ledger import LIABILITIES, STORED, AccountKind, NewLot, Take
from policies import refund_plan
from policies.lots import spend_oldest_first
from policies.refund_plan import Payee, Routes
from policies.refusals import Conflict, Refused
from tests.figures import LONG, SEED, size
from tests.models import stored_money as money
from tests.models.stored_money import DEPOSIT, NOON, PREPAY

CASH, REVENUE = AccountKind.CASH, AccountKind.REVENUE
DEBT, TRANSIT = AccountKind.PATIENT_RECEIVABLE, AccountKind.REFUND_IN_TRANSIT
owners = st.sampled_from(["a", "b"])
stored = st.sampled_from([DEPOSIT, PREPAY])
amounts = st.integers(1, 500)


@dataclass
class Booked:
    """A movement as the model remembers it."""

    id: object
    again: object
    lines: list
    takes: list
    new: list
    undone: bool = False


@dataclass
class Model:
    balances: Counter = field(default_factory=Counter)
    left: dict = field(default_factory=dict)
    booked: list = field(default_factory=list)

    def allows(self, lines, takes):
        after = Counter(self.balances)
        for kind, owner, fen in lines:
            after[kind, owner] += fen
        taken = Counter()
        for lot, fen in takes:
            taken[lot] += fen
        return (
            all(fen <= 0 for (kind, _), fen in after.items() if kind in LIABILITIES)
            and all(fen >= 0 for (kind, _), fen in after.items() if kind == DEBT)
            and all(self.left[lot] >= fen for lot, fen in taken.items())
        )

    def book(self, lines, takes):
        for kind, owner, fen in lines:
            self.balances[kind, owner] += fen
        for lot, fen in takes:
            self.left[lot] -= fen


class Histories(RuleBasedStateMachine):
    steps = 0
    """After how many the invariants were asked."""

    @initialize()
    def open_a_hospital(self):
        self.house = money.a_hospital()
        self.model = Model()
        self.number = itertools.count()
        for kind, owner in itertools.product((DEPOSIT, PREPAY), "ab"):
            self.collect(kind, owner, 400, 0)

    def book(self, *lines, new_lots=(), takes=()):
        """Post it to both; both must agree on whether it is possible."""
        key, said = f"k{next(self.number)}", {"new_lots": new_lots, "takes": takes}
        lines = [line for line in lines if line[2]]
        taken = [(take.lot_id, take.amount_fen) for take in takes]
        if not self.model.allows(lines, taken):
            with pytest.raises(Refused, match="BALANCE_TOO_LOW"):
                money.post(self.house, key, *lines, **said)
            return
        done = money.post(self.house, key, *lines, **said)
        self.model.book(lines, taken)
        new = self.new_lots()
        self.model.left |= new
        self.model.booked.append(
            Booked(done, lambda: money.post(self.house, key, *lines, **said), lines, taken, [*new])
        )

    def new_lots(self):
        with Session() as db:
            rows = db.execute(
                text("SELECT id, amount_fen FROM lot WHERE hospital_id = :h"), {"h": self.house}
            )
            return {row.id: row.amount_fen for row in rows if row.id not in self.model.left}

    def plan(self, kind, owner, fen):
        """Spend oldest first; an amount that is not there is asked for with what there is."""
        lots = money.lots(self.house, owner, kind)
        there = sum(lot.remaining_fen for lot in lots)
        return spend_oldest_first(lots, min(fen, there))

    @rule(kind=stored, owner=owners, fen=amounts, days=st.integers(0, 400))
    def top_up(self, kind, owner, fen, days):
        self.collect(kind, owner, fen, days)

    def collect(self, kind, owner, fen, days):
        paid_at = NOON - timedelta(days=days)
        lot = NewLot(kind, owner, "WECHAT", f"tx{next(self.number)}", None, paid_at, fen)
        self.book((CASH, "WECHAT", fen), (kind, owner, -fen), new_lots=[lot])

    @rule(kind=stored, owner=owners, fen=amounts)
    def spend(self, kind, owner, fen):
        takes = [Take(lot.id, part, "SPEND") for lot, part in self.plan(kind, owner, fen)]
        self.book((kind, owner, fen), (REVENUE, "", -fen), takes=takes)

    @rule(owner=owners, fund=st.integers(0, 500), share=amounts)
    def settle(self, owner, fund, share):
        """The fund owes its part, the deposit pays what it can of the rest, the patient owes it."""
        applied = min(share, money.held(self.house, owner))
        takes = [Take(lot.id, part, "SPEND") for lot, part in self.plan(DEPOSIT, owner, applied)]
        self.book(
            (AccountKind.FUND_RECEIVABLE, "RESIDENT", fund),
            (DEPOSIT, owner, applied),
            (DEBT, owner, share - applied),
            (REVENUE, "", -fund - share),
            takes=takes,
        )

    @rule(owner=owners, fen=amounts)
    def pay_a_debt(self, owner, fen):
        self.book((CASH, "CASH", fen), (DEBT, owner, -fen))

    @rule(kind=stored, owner=owners, fen=amounts)
    def refund(self, kind, owner, fen):
        lots = money.lots(self.house, owner, kind)
        if sum(lot.remaining_fen for lot in lots) < fen:
            return
        planned = refund_plan.plan(lots, fen, NOON, Routes(), Payee())
        takes = [Take(lot.id, part, "REFUND") for lot, part in planned.takes]
        self.book((kind, owner, fen), (TRANSIT, f"r{next(self.number)}", -fen), takes=takes)

    @rule(pick=st.randoms(use_true_random=False))
    def a_refund_arrives(self, pick):
        waiting = [
            owner for (kind, owner), fen in self.model.balances.items() if kind == TRANSIT and fen
        ]
        if waiting:
            owner = pick.choice(waiting)
            fen = -self.model.balances[TRANSIT, owner]
            self.book((TRANSIT, owner, fen), (CASH, "WECHAT", -fen))

    @rule(owner=owners, to=owners, fen=amounts)
    def move(self, owner, to, fen):
        takes = [
            Take(lot.id, part, "MOVE", to=(DEPOSIT, to))
            for lot, part in self.plan(PREPAY, owner, fen)
        ]
        self.book((PREPAY, owner, fen), (DEPOSIT, to, -fen), takes=takes)

    @rule(pick=st.randoms(use_true_random=False))
    def undo(self, pick):
        if not self.model.booked:
            return
        was = pick.choice(self.model.booked)
        lines = [(kind, owner, -fen) for kind, owner, fen in was.lines]
        takes = [(lot, -fen) for lot, fen in was.takes]
        takes += [(lot, self.size_of(lot)) for lot in was.new]
        key = f"k{next(self.number)}"
        if was.undone or not self.model.allows(lines, takes):
            with pytest.raises((Refused, Conflict)):
                money.reverse(self.house, was.id, key)
            return
        money.reverse(self.house, was.id, key)
        self.model.book(lines, takes)
        was.undone = True

    @rule(pick=st.randoms(use_true_random=False))
    def say_it_again(self, pick):
        if self.model.booked:
            was = pick.choice(self.model.booked)
            assert was.again() == was.id

    def size_of(self, lot):
        with Session() as db:
            return db.execute(
                text("SELECT amount_fen FROM lot WHERE id = :l"), {"l": lot}
            ).scalar_one()

    @invariant()
    def the_database_agrees(self):
        type(self).steps += 1
        with Session() as db:
            accounts = db.execute(
                text("SELECT kind, owner, balance_fen FROM account WHERE hospital_id = :h"),
                {"h": self.house},
            ).all()
            lots = db.execute(
                text(
                    "SELECT id, amount_fen - spent_fen - refunded_fen FROM lot"
                    " WHERE hospital_id = :h"
                ),
                {"h": self.house},
            ).all()
        assert {(kind, owner): fen for kind, owner, fen in accounts if fen} == {
            account: fen for account, fen in self.model.balances.items() if fen
        }
        assert sum(self.model.balances.values()) == 0
        assert all(fen <= 0 for kind, _, fen in accounts if kind in LIABILITIES)
        assert dict(lots) == self.model.left
        owed = -sum(fen for kind, _, fen in accounts if kind in STORED)
        assert owed == sum(self.model.left.values())
        assert money.findings(self.house) == []


def test_every_history_agrees_with_the_model(engine, figures):
    Histories.steps = 0
    Histories.TestCase.settings = settings(
        max_examples=int(os.environ.get("LEDGER_HISTORIES", size(20, 560))),
        stateful_step_count=25,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    if LONG or "SEED" in os.environ:
        seed(SEED)(Histories)
    Histories.TestCase().runTest()
    figures.add(
        "random histories of the ledger",
        f"{Histories.steps:,} steps, 25 in each hospital of its own: collect, spend, settle,"
        " refund, move, undo, say again, ask for what must be refused",
        "after every step balances and lots are those of a model of ten lines; all postings sum to"
        " 0",
        f"0 of {Histories.steps:,} steps with a wrong fen under these steps with seed {SEED}",
    )
