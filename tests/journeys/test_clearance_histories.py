"""Random lives of stored money at the simulator: imported, spent, paid for a visit, asked for,
decided, paid, failed, rerouted, taken back, turned over to the treasury, claimed late, paid back.
After every step all that was imported of a person is somewhere once, by the rows and the ledger.

``CLEARANCE_HISTORIES=100`` plays more of them, ``SEED=n`` the same ones again.
"""

from collections import Counter
from contextlib import suppress
from datetime import date
from itertools import count
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from sqlalchemy import select

from journeys import (
    refund_asking,
    refund_deciding,
    refund_undoing,
    refunds,
    treasury_claims,
    turnover,
    unreturnable,
    visits,
)
from models import ledger
from models.db import Session
from models.ledger import AccountKind, Line, Take
from models.payment_order import Route
from models.refund import RefundState
from models.refund_request import RefundRequest, RequestState
from models.turnover import BatchState, ClaimBatchState
from payments.collection import Payment
from payments.refund_asking import Wish
from policies.lots import spend_oldest_first
from policies.turnover import Reading, Reason, Result
from tests import clearance_books, till
from tests.clearance import PREPAY, SIGNED, TURNED_OVER, card_at, lot_at, wechat_lot
from tests.figures import SEED, size
from tests.histories import NOES, Life, play

FAULTS = ["before", "after", "error500_before", "closed", "not_enough", "bad_signature"]
TRANSIT = AccountKind.REFUND_IN_TRANSIT
OWED = (PREPAY, TRANSIT, TURNED_OVER, AccountKind.VISIT_PAYMENT, AccountKind.REVENUE)
"""Where imported money is until it is paid."""

IN_TRANSIT = {
    RequestState.ACCEPTED,
    RequestState.HELD,
    RequestState.REVIEWED,
    RequestState.CONFIRMED,
}

OLD_AT_WECHAT = 20_000
"""Two payments that WeChat Pay takes no longer back; its simulator does not know them."""

LONG_AGO, YEARS_OF_DAYS = date(2022, 5, 1), 1_600
YEAR_END = date(2025, 12, 31)
UNHEARD = [Result.NO_ANSWER, Result.UNDELIVERED, Result.WRONG_NUMBER]
ENOUGH = {"unreachable.attempts": "1", "unreachable.channels": "1", "unreachable.days": "0"}

DECIDABLE = {
    RequestState.HELD: refund_deciding.release,
    RequestState.ACCEPTED: refund_deciding.review,
    RequestState.REVIEWED: refund_deciding.confirm,
}
"""What is next, by a person of the staff."""

people = st.integers(0, 1)
picks = st.integers(0, 9)
STEPS = size(30, 100)
amounts = st.integers(1, 30_000)


class Lives(Life):
    @initialize(year=st.sampled_from([0, 1, 3, 4, 5, 5]))
    def open_a_hospital(self, year):
        """``year``: how many of its steps are done: two cards of each person given up, drafted,
        approved, turned over, and one late holder paid.
        """
        self.open()
        self.stage.setting("refund.risk_limit_fen", "25000")
        for key, value in ENOUGH.items():
            self.stage.setting(key, value)
        self.keys, self.spent_fen, self.imported_fen = count(1), Counter(), Counter()
        self.patients = [self.stage.patient() for _ in range(2)]
        self.cards, self.visits = [[], []], []
        for which in range(2):
            self.a_card_is_imported(which, 10_000, "CASH", 30)
            self.a_card_is_imported(which, 10_000, "WECHAT", 500, last_used=LONG_AGO)
            self.a_card_is_imported(which, 8_000, "CASH", YEARS_OF_DAYS, last_used=LONG_AGO)
            account = self.a_card_is_imported(which, 1, "CASH", 30)
            wechat_lot(self.stage, self.patients[which], account, 20_000)
            self.imported_fen[which] += 20_000
            if year:
                self.somebody_looks_for_a_holder(which, 1, Result.NO_ANSWER)
                self.somebody_looks_for_a_holder(which, 2, Result.NO_ANSWER)
        for _ in range(min(year, 4) - 1):
            self.a_step_to_the_treasury(Reading.ACCOUNT_ACTIVITY)
        self.stage.run_jobs()
        if year == 5:
            self.ask(0, 8_000, TURNED_OVER, 2, again=False)
            self.all_the_way(0)

    def a_card_is_imported(self, which, fen, channel, days, **said):
        account = card_at(self.stage, self.patients[which], **said)
        lot_at(self.stage, account, fen, channel, days=days)
        self.cards[which].append(account)
        self.imported_fen[which] += fen
        return account

    @rule(which=people, fen=amounts, way=st.sampled_from([("CASH", 3), ("CARD", 90)]))
    def more_is_imported(self, which, fen, way):
        lot_at(self.stage, self.cards[which][0], fen, way[0], days=way[1])
        self.imported_fen[which] += fen

    @rule(which=people, pick=picks, fen=amounts)
    def spend(self, which, pick, fen):
        """D-06: old money may still be used."""
        account = self.card(which, pick)
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
            self.spent_fen[which] += fen

    @rule(which=people, fens=st.lists(amounts, min_size=1, max_size=2), again=st.booleans())
    def treated(self, which, fens, again):
        """A visit that is paid with stored money of any card; perhaps pressed twice (D-06)."""
        number = next(self.keys)
        items = [visits.Item(f"O-{number}-{i}", "血常规", fen) for i, fen in enumerate(fens)]
        visit = visits.open_visit(
            self.stage.his,
            self.stage.outside,
            visit_no=f"V-{number}",
            his_patient_no=self.patients[which].his_patient_no,
            items=items,
        )
        payment = Payment(sum(fens), Route.BALANCE, f"visit-{number}")
        with suppress(*NOES):
            for _ in range(1 + again):
                cashier = self.stage.actor("CASHIER")
                visits.pay_visit(cashier, self.stage.outside, visit["id"], payment)
            self.visits.append(visit)

    @precondition(lambda self: self.visits)
    @rule(pick=picks, yes=st.booleans())
    def a_treatment_is_given_back(self, pick, yes):
        """One item is; the second person agrees, or it is kept and paid for again."""
        visit = self.visits[pick % len(self.visits)]
        item, cashier = visit["items"][0], self.stage.actor("CASHIER")
        with suppress(*NOES):
            told = visits.refund_item(
                cashier, self.stage.outside, visit["id"], item["id"], reason="没做"
            )
            till.check(self.stage, told["items"][0]["refund_id"], approve=yes)

    @rule(
        which=people,
        fen=st.one_of(st.none(), amounts),
        kind=st.sampled_from([PREPAY, TURNED_OVER]),
        pick=picks,
        again=st.booleans(),
    )
    def ask(self, which, fen, kind, pick, again):
        """All of it, or a part of one card, stored or turned over; perhaps pressed twice."""
        patient = self.patients[which]
        parts = None if fen is None else ((UUID(self.card(which, pick)), kind, fen),)
        key = f"ask-{next(self.keys):04d}"
        actor = self.stage.patient_actor(patient)
        with suppress(*NOES):
            for _ in range(1 + again):
                made = refund_asking.ask(
                    actor, self.stage.outside, patient.id, Wish(parts=parts), key
                )
            assert len(made) == 1 or (parts is None and len(made) == 2)

    @precondition(lambda self: self.one(0, *DECIDABLE))
    @rule(pick=picks, who=st.sampled_from(["FINANCE_MAKER", "FINANCE_CHECKER", "FINANCE_HEAD"]))
    def a_step_forward(self, pick, who):
        """Whatever is next: a release, a review, a confirmation."""
        self.decide(self.one(pick, *DECIDABLE), who)

    @precondition(lambda self: self.one(0, *DECIDABLE))
    @rule(pick=picks)
    def all_the_way(self, pick):
        """Everybody does their part, and the window gives out what is in cash."""
        request = self.one(pick, *DECIDABLE)
        for who in ("FINANCE_CHECKER", "FINANCE_HEAD", "FINANCE_MAKER", "FINANCE_HEAD"):
            self.decide(self.again(request), who)
        for refund in self.refunds_of(request):
            with suppress(*NOES):
                till.hand_over(self.stage, refund.id)

    def decide(self, request, who):
        step = DECIDABLE.get(request.state, refund_deciding.confirm)
        with suppress(*NOES):
            step(self.stage.actor(who), self.stage.outside, request.id, reason="看过了")

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

    @rule(which=people, pick=picks, result=st.sampled_from([*UNHEARD, *UNHEARD, Result.ANSWERED]))
    def somebody_looks_for_a_holder(self, which, pick, result):
        """One attempt is enough evidence here; without it nobody is given up (GZ-8.1)."""
        account, maker = UUID(self.card(which, pick)), self.stage.actor("FINANCE_MAKER")
        tried = unreturnable.Tried("PHONE", result, "")
        key = f"attempt-{next(self.keys)}"
        with suppress(*NOES):
            unreturnable.record_attempt(maker, self.stage.outside, account, key, tried)
            reason = Reason.CONTACT_CHANGED
            unreturnable.mark(maker, self.stage.outside, account, reason, "无")

    @rule(reading=st.sampled_from([Reading.ACCOUNT_ACTIVITY, Reading.TOPUP_LOT]))
    def a_step_to_the_treasury(self, reading):
        """Draft the list, approve it, enter the receipt, move the claims: each said twice."""
        maker, head = self.stage.actor("FINANCE_MAKER"), self.stage.actor("FINANCE_HEAD")
        outside, batch = self.stage.outside, self.batch()
        with suppress(*NOES):
            for _ in range(2):
                if batch is None:
                    turnover.draft(maker, outside, YEAR_END, reading)
                elif batch["state"] == BatchState.DRAFT:
                    turnover.approve(head, outside, batch["id"])
                elif batch["state"] == BatchState.APPROVED:
                    paper = {"receipt_no": "财收-1", "paid_on": date(2026, 1, 5)}
                    total_fen = batch["total_fen"]
                    turnover.receipt(maker, outside, batch["id"], amount_fen=total_fen, **paper)
                else:
                    turnover.complete_turnovers(outside, self.stage.hospital_id)

    @precondition(lambda self: self.batch())
    @rule()
    def the_list_is_given_up(self):
        maker = self.stage.actor("FINANCE_MAKER")
        with suppress(*NOES):
            turnover.cancel(maker, self.stage.outside, self.batch()["id"], why="有人来了")

    @precondition(lambda self: self.claims_to_do())
    @rule(paid=st.sampled_from([True, True, False]))
    def a_step_of_the_budget(self, paid):
        """Claim what was paid first, file it, and be paid or refused: each said twice (GZ-8.3)."""
        maker, head = self.stage.actor("FINANCE_MAKER"), self.stage.actor("FINANCE_HEAD")
        outside, (claim, year) = self.stage.outside, self.claims_to_do()
        with suppress(*NOES):
            for _ in range(2):
                if claim is None:
                    treasury_claims.draft_claim(maker, outside, year)
                elif not paid:
                    treasury_claims.refused(maker, outside, claim["id"], why="预算不足")
                elif claim["state"] == ClaimBatchState.DRAFT:
                    treasury_claims.file_claim(head, outside, claim["id"], filing_no="申-1")
                else:
                    treasury_claims.allocated(maker, outside, claim["id"], receipt_no="拨-1")

    @rule(fault=st.sampled_from(FAULTS), times=st.integers(1, 2))
    def a_line_will_be_cut(self, fault, times):
        self.simulator.fault("wxpay", "refund", fault, times=times)

    @rule(seconds=st.sampled_from([6, 70, 700]))
    def time_goes_by(self, seconds):
        till.later(self.stage, seconds=seconds)

    @invariant()
    def every_fen_is_somewhere(self):
        till.proven(self.stage)
        clearance_books.the_treasury_is_right(self.stage)
        paid_fen, used_fen = 0, self.spent_fen.total()
        for which, patient in enumerate(self.patients):
            person = clearance_books.person(self.stage, patient.id)
            assert person.all_fen + self.spent_fen[which] == self.imported_fen[which], person
            paid_fen += person.paid_fen
            used_fen += person.treated_fen
        there = clearance_books.ledger_by_kind(self.stage)
        owed_fen = -sum(there[kind] for kind in OWED)
        assert paid_fen + owed_fen == self.imported_fen.total()
        assert -there[AccountKind.REVENUE] == used_fen
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
        treasury = clearance_books.treasury(self.stage)
        at_the_bank = till.balance(self.stage, AccountKind.CASH, "BANK")
        assert at_the_bank == treasury.paid_back_fen - treasury.receipted_fen
        for request in self.requests():
            states = {refund.state for refund in self.refunds_of(request)}
            assert (states == {RefundState.PAID}) <= (request.state == RequestState.PAID)

    def card(self, which, pick):
        return self.cards[which][pick % len(self.cards[which])]

    def one(self, pick, *states):
        found = [each for each in self.requests() if not states or each.state in states]
        return found[pick % len(found)] if found else None

    def again(self, request):
        """As it stands now."""
        with Session() as db:
            return db.get_one(RefundRequest, request.id)

    def requests(self):
        with Session() as db:
            query = select(RefundRequest).where(RefundRequest.hospital_id == self.stage.hospital_id)
            return list(db.scalars(query.order_by(RefundRequest.id)))

    def refunds_of(self, request):
        with Session() as db:
            return request.refunds(db)

    def in_transit(self, refund):
        return -till.balance(self.stage, TRANSIT, refund.id)

    def batch(self):
        """The year's list, if there is one that was not given up."""
        known = turnover.batches(self.stage.actor("FINANCE_MAKER"))
        return next((each for each in known if each["state"] != BatchState.CANCELLED), None)

    def claims_to_do(self):
        """The claim that is under way, or None and the budget year of what nobody claimed."""
        book = treasury_claims.claim_book(self.stage.actor("FINANCE_MAKER"))
        open_states = {ClaimBatchState.DRAFT, ClaimBatchState.FILED}
        for claim in book["claims"]:
            if claim["state"] in open_states:
                return claim, claim["budget_year"]
        return (None, book["unclaimed"][0]["budget_year"]) if book["unclaimed"] else None


def test_every_fen_is_paid_held_on_its_way_spent_or_turned_over(engine, outside_world, figures):
    steps = play(Lives, outside_world, more="CLEARANCE_HISTORIES", stories=size(8, 30), steps=STEPS)
    figures.add(
        "random histories of stored money",
        f"{steps:,} steps, {STEPS} in each hospital of its own: old cards spent, asked for,"
        " decided, rerouted, taken back, turned over, claimed late; WeChat Pay cuts, refuses and"
        " spoils its answers",
        "after every step each imported fen is somewhere once, by the rows and by the ledger",
        f"0 of {steps:,} steps with a wrong fen under these faults with seed {SEED}",
    )
