"""Two people act on one request for stored money at once: one of them was first, and no fen is
counted twice (GZ-7)."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID

import pytest

from journeys import refund_asking, refund_deciding, refund_undoing, refunds
from models.db import Session
from models.ledger import AccountKind
from models.machine import ForbiddenMove
from models.refund_request import RefundRequest, RequestState
from payments.refund_asking import Wish
from policies.refusals import Conflict, Refused
from tests import till
from tests.clearance import PREPAY, SIGNED, card_at, lot_at, wechat_lot

ROUNDS = 4
FEN = 20_000


def at_once(*deeds):
    """Do them all at the same moment; what each answered, or its refusal."""
    start = Barrier(len(deeds))

    def do(deed):
        start.wait()
        try:
            return deed()
        except (Refused, Conflict, ForbiddenMove) as no:
            return no

    with ThreadPoolExecutor(len(deeds)) as pool:
        return list(pool.map(do, deeds))


@pytest.fixture
def asked(stage):
    """Makes requests of one patient, over a card's cash or WeChat money, up to a state."""
    patient = stage.patient()

    def make(channel: str, *steps: str):
        account = card_at(stage, patient)
        if channel == "CASH":
            lot_at(stage, account, FEN, "CASH", days=30)
        else:
            wechat_lot(stage, patient, account, FEN)
        actor = stage.patient_actor(patient)
        wish = Wish(parts=((UUID(account), PREPAY, FEN),))
        (made,) = refund_asking.ask(actor, stage.outside, patient.id, wish, f"ask-{account}")
        for step in steps:
            {"review": review, "confirm": confirm}[step](stage, made)()
        return account, made

    return make


def review(stage, made):
    maker = stage.actor("FINANCE_MAKER")
    return lambda: refund_deciding.review(maker, stage.outside, made["id"], reason="看过了")


def confirm(stage, made, by="FINANCE_CHECKER"):
    checker = stage.actor(by)
    return lambda: refund_deciding.confirm(checker, stage.outside, made["id"], reason="看过了")


def withdraw(stage, made):
    cashier, said = stage.actor("CASHIER"), {"reason": "不退了", "signature_sha256": SIGNED}
    return lambda: refund_undoing.withdraw(cashier, stage.outside, made["id"], **said)


def where(stage, account, made):
    """The state, what lies on the account, and what is on its way."""
    with Session() as db:
        state = db.get_one(RefundRequest, made["id"]).state
        refund_ids = [refund.id for refund in db.get_one(RefundRequest, made["id"]).refunds(db)]
    held = -till.balance(stage, PREPAY, account)
    way = sum(-till.balance(stage, AccountKind.REFUND_IN_TRANSIT, each) for each in refund_ids)
    return state, held, way


def test_two_confirm_and_one_was_first(stage, asked):
    for _ in range(ROUNDS):
        account, made = asked("CASH", "review")
        at_once(confirm(stage, made), confirm(stage, made, "FINANCE_HEAD"), confirm(stage, made))
        assert where(stage, account, made) == (RequestState.CONFIRMED, 0, FEN)
    till.proven(stage)


def test_confirmed_and_taken_back_at_once(stage, asked):
    for _ in range(ROUNDS):
        account, made = asked("CASH", "review")
        at_once(confirm(stage, made), withdraw(stage, made), withdraw(stage, made))
        assert where(stage, account, made) == (RequestState.WITHDRAWN, FEN, 0)
    till.proven(stage)


def test_taken_back_while_the_window_hands_it_over(stage, asked):
    cashier = stage.actor("CASHIER")
    for _ in range(ROUNDS):
        account, made = asked("CASH", "review", "confirm")
        refund_id = made["items"][0]["refund_id"]
        (leg,) = till.legs_of(refund_id)

        def hand_over(refund_id=refund_id, leg_id=leg.id):
            return refunds.hand_over(cashier, stage.outside, refund_id, leg_id, proof="signed-1")

        at_once(hand_over, withdraw(stage, made))
        assert where(stage, account, made) in {
            (RequestState.PAID, 0, 0),
            (RequestState.WITHDRAWN, FEN, 0),
        }
    till.proven(stage)


def test_taken_back_while_wechat_is_asked(stage, asked):
    """Either it was not sent, and never will be; or it was, and cannot be taken back."""
    for _ in range(ROUNDS):
        account, made = asked("WECHAT", "review", "confirm")
        (leg,) = till.legs_of(made["items"][0]["refund_id"])
        at_once(lambda leg_id=leg.id: refunds.pay_leg(stage.outside, leg_id), withdraw(stage, made))
        stage.run_jobs()
        for _ in range(5):  # a call that had to wait for its turn comes again
            till.later(stage, minutes=2)
            if where(stage, account, made)[0] != RequestState.PAYING:
                break
        assert where(stage, account, made) in {
            (RequestState.PAID, 0, 0),
            (RequestState.WITHDRAWN, FEN, 0),
        }
    till.agree(stage)
