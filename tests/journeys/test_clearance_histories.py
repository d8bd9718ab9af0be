"""Random lives of stored money at the simulator: imported, spent, asked for, decided, paid, failed,
rerouted, taken back. After every step all that was imported is paid, held, on its way or spent.

``CLEARANCE_HISTORIES=100`` plays more of them.
"""

import os
from contextlib import suppress
from itertools import count
from uuid import UUID

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from sqlalchemy import func, select

from journeys import refund_asking, refund_deciding, refund_undoing, refunds
from models import ledger
from models.db import Session
from models.ledger import Account, AccountKind, Line, Take
from models.machine import ForbiddenMove
from models.refund import LegState, RefundLeg, RefundState
from models.refund_request import RefundRequest, RequestState
from payments.refund_asking import Wish
from policies.lots import spend_oldest_first
from policies.refusals import Conflict, Refused
from tests import till
from tests.clearance import PREPAY, SIGNED, card_at, lot_at, wechat_lot
from tests.stage import build

NOES = (Refused, Conflict, ForbiddenMove)
"""What a person may be told; anything else is a fault of ours."""

FAULTS = ["before", "after", "error500_before", "closed", "not_enough", "bad_signature"]
TRANSIT = AccountKind.REFUND_IN_TRANSIT
IN_TRANSIT = {
    RequestState.ACCEPTED,
    RequestState.HELD,
    RequestState.REVIEWED,
    RequestState.CONFIRMED,
}

OLD_AT_WECHAT = 20_000
"""Two payments that WeChat Pay takes no longer back; its simulator does not know them."""

DECIDABLE = {
    RequestState.HELD: refund_deciding.release,
    RequestState.ACCEPTED: refund_deciding.review,
    RequestState.REVIEWED: refund_deciding.confirm,
}
"""What is next, by a person of the staff."""

people = st.integers(0, 1)
picks = st.integers(0, 9)
amounts = st.integers(1, 30_000)


class Lives(RuleBasedStateMachine):
    simulator = None

    @initialize()
    def open_a_hospital(self):
        self.calm()
        self.stage = build(self.simulator)
        self.stage.setting("refund.risk_limit_fen", "25000")
        self.keys, self.spent_fen, self.imported_fen = count(1), 0, 0
        self.patients = [self.stage.patient() for _ in range(2)]
        self.cards = [[], []]
        for which in range(2):
            for channel, days in (("CASH", 30), ("WECHAT", 500)):
                self.a_card_is_imported(which, 10_000, channel, days)
            account = self.a_card_is_imported(which, 1, "CASH", 30)
            wechat_lot(self.stage, self.patients[which], account, 20_000)
            self.imported_fen += 20_000

    def a_card_is_imported(self, which, fen, channel, days):
        account = card_at(self.stage, self.patients[which])
        lot_at(self.stage, account, fen, channel, days=days)
        self.cards[which].append(account)
        self.imported_fen += fen
        return account

    @rule(which=people, fen=amounts, way=st.sampled_from([("CASH", 3), ("CARD", 90)]))
    def more_is_imported(self, which, fen, way):
        lot_at(self.stage, self.cards[which][0], fen, way[0], days=way[1])
        self.imported_fen += fen

    @rule(which=people, pick=picks, fen=amounts)
    def spend(self, which, pick, fen):
        """D-06: old money may still be used."""
        account = self.cards[which][pick % len(self.cards[which])]
        with suppress(*NOES), Session.begin() as db:
            lots = ledger.open_lots(db, self.stage.hospital_id, PREPAY, account)
            taken = spend_oldest_first(lots, fen)
            ledger.post(
                db,
                hospital_id=self.stage.hospital_id,
                key=f"spend-{next(self.keys)}",
                kind="TEST",
                why="test",
                by="test",
                at=self.stage.clock.now(),
                lines=[Line(PREPAY, account, fen), Line(AccountKind.REVENUE, "", -fen)],
                takes=[Take(each.id, part, "SPEND") for each, part in taken],
            )
            self.spent_fen += fen

    @rule(which=people, fen=st.one_of(st.none(), amounts), pick=picks, again=st.booleans())
    def ask(self, which, fen, pick, again):
        """All of it, or a part of one card; perhaps pressed twice."""
        patient, cards = self.patients[which], self.cards[which]
        parts = None if fen is None else ((UUID(cards[pick % len(cards)]), PREPAY, fen),)
        key = f"ask-{next(self.keys):04d}"
        actor = self.stage.patient_actor(patient)
        with suppress(*NOES):
            for _ in range(1 + again):
                made = refund_asking.ask(
                    actor, self.stage.outside, patient.id, Wish(parts=parts), key
                )
            assert len(made) == 1

    @precondition(lambda self: self.one(0, *DECIDABLE))
    @rule(pick=picks, who=st.sampled_from(["FINANCE_MAKER", "FINANCE_CHECKER", "FINANCE_HEAD"]))
    def a_step_forward(self, pick, who):
        """Whatever is next: a release, a review, a confirmation."""
        request, actor = self.one(pick, *DECIDABLE), self.stage.actor(who)
        with suppress(*NOES):
            DECIDABLE[request.state](actor, self.stage.outside, request.id, reason="看过了")

    @precondition(lambda self: self.one(0))
    @rule(pick=picks)
    def a_no(self, pick):
        request, head = self.one(pick), self.stage.actor("FINANCE_HEAD")
        with suppress(*NOES):
            refund_deciding.reject(head, self.stage.outside, request.id, reason="不行")

    @precondition(lambda self: self.one(0))
    @rule(pick=picks, back=st.booleans())
    def the_patient_says(self, pick, back):
        """Takes it back, or appeals."""
        request, cashier = self.one(pick), self.stage.actor("CASHIER")
        say = refund_undoing.withdraw if back else refund_undoing.appeal
        said = {"reason": "我说", "signature_sha256": SIGNED}
        with suppress(*NOES):
            say(cashier, self.stage.outside, request.id, **said)

    @precondition(lambda self: till.refunds_of(self.stage))
    @rule(pick=picks)
    def finance_looks_at_a_refund(self, pick):
        """Hand over what waits for a hand, find another way for what failed, approve that."""
        known = till.refunds_of(self.stage)
        refund = known[pick % len(known)]
        with suppress(*NOES):
            if refund.state == RefundState.STUCK:
                refunds.reroute_refund(self.stage.actor("CASHIER"), self.stage.outside, refund.id)
            elif refund.state == RefundState.PAYING:
                till.hand_over(self.stage, refund.id)
            else:
                till.check(self.stage, refund.id, by="FINANCE_HEAD")

    @rule(fault=st.sampled_from(FAULTS), times=st.integers(1, 2))
    def a_line_will_be_cut(self, fault, times):
        self.simulator.fault("wxpay", "refund", fault, times=times)

    @rule(seconds=st.sampled_from([6, 70, 700]))
    def time_goes_by(self, seconds):
        till.later(self.stage, seconds=seconds)

    @invariant()
    def every_fen_is_somewhere(self):
        till.proven(self.stage)
        with Session() as db:
            paid = select(func.coalesce(func.sum(RefundLeg.amount_fen), 0))
            paid = paid.where(
                RefundLeg.hospital_id == self.stage.hospital_id, RefundLeg.state == LegState.PAID
            )
            total = select(Account.kind, -func.sum(Account.balance_fen))
            total = total.where(Account.hospital_id == self.stage.hospital_id)
            there = {kind: int(fen) for kind, fen in db.execute(total.group_by(Account.kind))}
            paid_fen = int(db.scalar(paid))
        held_fen, in_transit_fen = there.get(PREPAY, 0), there.get(TRANSIT, 0)
        assert paid_fen + held_fen + in_transit_fen + self.spent_fen == self.imported_fen
        for request in self.requests():
            owed = sum(self.in_transit(refund) for refund in self.refunds_of(request))
            if request.state in IN_TRANSIT:
                assert owed == request.amount_fen, request.state
            elif request.state != RequestState.PAYING:
                assert owed == 0, request.state

    def teardown(self):
        """No more faults, and time for everything that is open to be asked about."""
        self.calm()
        for _ in range(8):
            till.later(self.stage, minutes=61)
        at_wechat = till.balance(self.stage, AccountKind.CASH, "WECHAT") - OLD_AT_WECHAT
        assert at_wechat == till.theirs(self.stage)
        for request in self.requests():
            states = {refund.state for refund in self.refunds_of(request)}
            assert (states == {RefundState.PAID}) <= (request.state == RequestState.PAID)

    def one(self, pick, *states):
        found = [each for each in self.requests() if not states or each.state in states]
        return found[pick % len(found)] if found else None

    def requests(self):
        with Session() as db:
            query = select(RefundRequest).where(RefundRequest.hospital_id == self.stage.hospital_id)
            return list(db.scalars(query.order_by(RefundRequest.id)))

    def refunds_of(self, request):
        with Session() as db:
            return request.refunds(db)

    def in_transit(self, refund):
        return -till.balance(self.stage, TRANSIT, refund.id)

    def calm(self):
        """No planned faults; a minute between two refunds of a payment, as in life."""
        self.simulator.reset()
        self.simulator.settings(sms_limits=False)
        if hasattr(self, "stage"):
            self.stage.clock.forward(seconds=0)


def test_every_fen_is_paid_held_on_its_way_or_spent(engine, outside_world):
    Lives.simulator = outside_world
    Lives.TestCase.settings = settings(
        max_examples=int(os.environ.get("CLEARANCE_HISTORIES", "6")),
        stateful_step_count=25,
        deadline=None,
        phases=(Phase.explicit, Phase.reuse, Phase.generate),  # a shorter story takes too long
        suppress_health_check=list(HealthCheck),
    )
    try:
        Lives.TestCase().runTest()
    finally:
        outside_world.reset()
