"""Stored money is asked back while a visit is paid with it: it is spent or on its way back, never
both, and no account is below nothing (D-06, GZ-7)."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError

from journeys import refund_asking, visits
from models.db import Session, rows
from models.ledger import LIABILITIES, Account, AccountKind
from models.payment_order import Route
from models.refund_request import RefundRequest
from models.visit import Visit, VisitState
from payments.collection import Payment
from payments.refund_asking import Wish
from tests import till
from tests.clearance import PREPAY, card_at, lot_at
from tests.figures import SEED, Figures, size
from tests.journeys.test_refund_request_races import at_once, confirm, review, withdraw
from tests.stage import Stage

FEN = 20_000
AT_ONCE = 5
"""Races at the same time, each about a patient of its own."""

KINDS = ("asked", "asked twice", "confirmed", "withdrawn")
_serial = count(1)


def test_stored_money_is_spent_or_given_back_and_never_both(stage: Stage, figures: Figures) -> None:
    races, dice, met = size(8, 4_000), random.Random(SEED), deadlocks()
    for role in ("CASHIER", "FINANCE_MAKER", "FINANCE_CHECKER"):
        stage.actor(role)  # known before threads ask for them
    plans = [(KINDS[n % len(KINDS)], dice.randint(1, FEN)) for n in range(races)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ends = Counter(pool.map(lambda plan: race(stage, *plan), plans))
    met = deadlocks() - met
    with Session() as db:
        mine = select(func.count()).where(Account.hospital_id == stage.hospital_id)
        below = db.scalar(mine.where(Account.kind.in_(LIABILITIES), Account.balance_fen > 0))
    assert set(ends) <= {"spent", "given back", "kept"}, ends
    assert below == 0
    till.proven(stage)
    assert ends["spent"] and ends["given back"]
    figures.add(
        "payments race refunds",
        f"{races:,} races from a barrier, {AT_ONCE} at the same time: a visit is paid with stored"
        " money while that is asked back, twice, or a request for it is confirmed or withdrawn",
        "spent or on its way back, never both; no liability below nothing; no deadlock reaches"
        " anybody",
        f"0 of {races:,} negative balances, 0 both, 0 deadlocks told to anybody ({met} met);"
        f" {ends['spent']:,} spent, {ends['given back']:,} given back, {ends['kept']:,} neither,"
        f" under these races with seed {SEED}",
    )


def race(stage: Stage, kind: str, cost_fen: int) -> str:
    """What became of the money: spent, given back, kept, or what must not be."""
    number, patient = next(_serial), stage.patient()
    account = card_at(stage, patient)
    lot_at(stage, account, FEN, "CASH", days=30)
    visit = visits.open_visit(
        stage.his,
        stage.outside,
        visit_no=f"RACE-{number}",
        his_patient_no=patient.his_patient_no,
        items=[visits.Item(f"O-{number}", "血常规", cost_fen)],
    )["id"]

    def pay():
        payment = Payment(cost_fen, Route.BALANCE, f"race-{number}")
        return visits.pay_visit(stage.actor("CASHIER"), stage.outside, visit, payment)

    def ask(key: str):
        actor = stage.patient_actor(patient)
        wish = Wish(parts=((UUID(account), PREPAY, FEN),))
        return refund_asking.ask(actor, stage.outside, patient.id, wish, f"{key}-{account}")

    deeds = {
        "asked": lambda: [lambda: ask("one")],
        "asked twice": lambda: [lambda: ask("one"), lambda: ask("two")],
        "confirmed": lambda: [confirm(stage, reviewed(stage, ask("one")))],
        "withdrawn": lambda: [withdraw(stage, ask("one")[0])],
    }[kind]()
    try:
        at_once(*deeds, pay)
    except OperationalError as trouble:  # a deadlock that nobody tried again, or a lock for ever
        return type(trouble.orig).__name__
    return end_of(stage, account, patient.id, visit, cost_fen)


def reviewed(stage: Stage, asked: list[dict]) -> dict:
    review(stage, asked[0])()
    return asked[0]


def end_of(stage: Stage, account: str, patient_id: UUID, visit_id: UUID, cost_fen: int) -> str:
    with Session() as db:
        spent = cost_fen if db.get_one(Visit, visit_id).state == VisitState.PAID else 0
        requests = db.scalars(select(RefundRequest).filter_by(patient_id=patient_id)).all()
        refund_ids = [refund.id for request in requests for refund in request.refunds(db)]
    held = -till.balance(stage, PREPAY, account)
    way = sum(-till.balance(stage, AccountKind.REFUND_IN_TRANSIT, each) for each in refund_ids)
    names = {(FEN - spent, 0): "spent" if spent else "kept", (0, FEN): "given back"}
    found = "both" if spent and way else names.get((held, way))
    return found or f"held {held}, on its way {way}, spent {spent}"


def deadlocks() -> int:
    """How many PostgreSQL has met in this database."""
    sql = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    return rows(sql)[0]["deadlocks"]
