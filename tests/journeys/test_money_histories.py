"""Random lives of two stays at the simulator, with lines cut at random: no fen is lost or doubled.

After every step the ledger proves itself; when everything is quiet our money at WeChat Pay is
theirs. ``MONEY_HISTORIES=100`` plays more of them, ``SEED=n`` the same ones again.
"""

from contextlib import suppress

from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from journeys import deposits, discharge, notices, refunds
from models.admission import Admission, AdmissionState
from models.db import Session
from models.ledger import AccountKind
from models.payment_order import OPEN_STATES, OrderState, PaymentOrder, Route
from models.refund import UNFINISHED_LEGS, LegState, RefundState
from payments.collection import Payment
from policies.refusals import Busy
from tests import histories, till
from tests.figures import SEED, size
from tests.histories import Life, play
from tests.journeys.test_discharge import settle

BILL_FEN = 40_000
FAULTS = [
    *(("native", cut) for cut in ("before", "after", "error500_after", "bad_signature")),
    *(("query", cut) for cut in ("before", "error500_before", "signature_probe", "refuse")),
    *(("close", cut) for cut in ("before", "after", "refuse")),
    *(("refund", cut) for cut in ("before", "after", "error500_before", "bad_signature")),
    *(("refund", no) for no in ("not_enough", "throttled", "not_visible_yet", "closed")),
    *(("query_refund", cut) for cut in ("before", "error500_after", "refuse")),
]
STEPS = size(20, 100)
NOES = (*histories.NOES, Busy)

stays = st.integers(0, 1)
amounts = st.integers(1, 60_000)
picks = st.integers(0, 9)


class Lives(Life):
    @initialize()
    def open_a_hospital(self):
        self.open()
        self.stays = [self.stage.stay(quota_fen=200_000) for _ in range(2)]
        self.cash_fen, self.handed_over = 0, set()
        self.stage.actor("FINANCE_CHECKER")
        for stay in self.stays:
            self.stage.charge(stay, BILL_FEN)
            till.pay_qr(self.stage, stay, 50_000)
            till.pay_qr(self.stage, stay, 20_000)

    @rule(which=stays, fen=amounts, way=st.sampled_from(["cash", "shown", "pressed twice", "paid"]))
    def collect(self, which, fen, way):
        stay = self.stays[which]
        with suppress(*NOES):
            if way == "cash":
                till.pay_cash(self.stage, stay, fen)
                self.cash_fen += fen
                return
            payment = Payment(fen, Route.QR, f"qr-of-{which}-{fen}")
            for _ in range(2 if way == "pressed twice" else 1):
                order = deposits.collect_deposit(
                    self.stage.actor("NURSE"), self.stage.outside, stay.id, payment
                )
            if way == "paid" and order["pay_with"]:
                self.simulator.pay(**order["pay_with"], openid="o-payer")

    @rule(pick=picks)
    def somebody_scans(self, pick):
        orders = [o for o in self.orders() if o.state == OrderState.WAITING and o.shown]
        if orders:  # perhaps too late
            self.simulator.pay(**orders[pick % len(orders)].shown, openid="o-payer")

    @rule(which=stays, fen=amounts, then=st.sampled_from([None, True, True, False]))
    def give_back(self, which, fen, then):
        """Somebody asks for money; perhaps the second person says yes or no at once."""
        with suppress(*NOES):
            refund_id = till.ask_back(self.stage, self.stays[which], fen)
            if then is not None:
                till.check(self.stage, refund_id, approve=then)

    @rule(pick=picks, approve=st.sampled_from([True, True, False]))
    def finance_looks_at_a_refund(self, pick, approve):
        """Whatever it waits for: a word, cash over the window, another route."""
        if not (known := till.refunds_of(self.stage)):
            return
        refund = known[pick % len(known)]
        with suppress(*NOES):
            if refund.state == RefundState.STUCK:
                refunds.reroute_refund(self.stage.actor("CASHIER"), self.stage.outside, refund.id)
            elif refund.state == RefundState.PAYING:
                till.hand_over(self.stage, refund.id)
            else:
                till.check(self.stage, refund.id, approve=approve, by="FINANCE_HEAD")
        paid = [leg for leg in till.legs_of(refund.id) if leg.route == "CASH" and leg.paid_at]
        if refund.state == RefundState.PAYING:
            self.cash_fen -= sum(leg.amount_fen for leg in paid if leg.id not in self.handed_over)
            self.handed_over |= {leg.id for leg in paid}

    @rule(which=stays, route=st.sampled_from([None, Route.CASH, Route.QR]))
    def go_home(self, which, route):
        """Settle what was charged, and perhaps pay what is due."""
        stay, nurse = self.stays[which], self.stage.actor("NURSE")
        with Session() as db:
            state = db.get_one(Admission, stay.id).state
        if state == AdmissionState.IN_HOUSE:
            self.stage.leaving(stay)
        with suppress(*NOES):
            settle(self.stage, stay, nurse)
        due = till.balance(self.stage, AccountKind.PATIENT_RECEIVABLE, stay.id)
        if route and due:
            payment = Payment(due, route, f"due-of-{which}-{route}-{due}")
            with suppress(*NOES):
                discharge.pay_due(self.stage.actor("CASHIER"), self.stage.outside, stay.id, payment)
                self.cash_fen += due if route == Route.CASH else 0

    @rule(which=stays)
    def undo(self, which):
        with suppress(*NOES):
            discharge.undo_settlement(
                self.stage.actor("INSURANCE_OFFICE"),
                self.stage.outside,
                self.stays[which].id,
                reason="漏记费用",
            )

    @rule(fault=st.sampled_from(FAULTS), times=st.integers(1, 2))
    def a_line_will_be_cut(self, fault, times):
        self.simulator.fault("wxpay", *fault, times=times)

    @rule(seconds=st.sampled_from([6, 20, 70, 700]))
    def time_goes_by(self, seconds):
        till.later(self.stage, seconds=seconds)

    @rule()
    def sweep(self):
        outside, hospital_id = self.stage.outside, self.stage.hospital_id
        notices.sweep_notices(outside, hospital_id)
        deposits.sweep_orders(outside, hospital_id)
        refunds.sweep_legs(outside, hospital_id)
        discharge.sweep_settlements(outside, hospital_id)

    @invariant()
    def the_books_are_right(self):
        till.proven(self.stage)
        assert till.balance(self.stage, AccountKind.CASH, "CASH") == self.cash_fen

    def teardown(self):
        """No more faults, and time for everything that is open to be asked about."""
        self.calm()
        till.later(self.stage, minutes=11)
        for _ in range(40):
            self.sweep()
            if not self.open_at_wechat():
                break
            till.later(self.stage, seconds=70)
        assert self.open_at_wechat() == []
        till.agree(self.stage)
        for refund in till.refunds_of(self.stage):
            owed = sum(
                leg.amount_fen
                for leg in till.legs_of(refund.id)
                if leg.state not in {LegState.PAID, LegState.REROUTED}
            )
            in_transit = -till.balance(self.stage, AccountKind.REFUND_IN_TRANSIT, refund.id)
            assert in_transit == (0 if refund.state == RefundState.REJECTED else owed)

    def open_at_wechat(self):
        """Orders and legs whose fate we still have to learn."""
        legs = [
            leg
            for refund in till.refunds_of(self.stage)
            if refund.state in {RefundState.PAYING, RefundState.STUCK}
            for leg in till.legs_of(refund.id)
            if leg.route == "WECHAT" and leg.state in UNFINISHED_LEGS
        ]
        return legs + [order for order in self.orders() if order.state in OPEN_STATES]

    def orders(self):
        with Session() as db:
            return list(
                db.query(PaymentOrder)
                .filter_by(hospital_id=self.stage.hospital_id, route=Route.QR)
                .order_by(PaymentOrder.id)
            )


def test_no_fen_is_lost_or_doubled(engine, outside_world, figures):
    steps = play(Lives, outside_world, more="MONEY_HISTORIES", stories=size(10, 30), steps=STEPS)
    figures.add(
        "random histories of deposits",
        f"{steps:,} steps, {STEPS} in each hospital of its own: deposits, refunds, settlements,"
        " undoing, cash, sweeps, moved clocks; WeChat Pay cuts, refuses and spoils its answers",
        "after every step the ledger proves itself and the till is right; at last WeChat Pay's"
        " books are ours",
        f"0 of {steps:,} steps with a wrong fen under these faults with seed {SEED}",
    )
