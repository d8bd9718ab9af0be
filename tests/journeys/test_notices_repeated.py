"""Every notice of WeChat Pay comes fifteen times, in any order, and late: it has one effect."""

import random
from uuid import UUID

from sqlalchemy import func, select

from journeys import deposits, refunds
from models.admission import Admission
from models.db import Session
from models.ledger import AccountKind, LedgerTransaction
from models.message import Message
from models.refund import RefundLeg
from simulator.clients import OverApp
from simulator.wechat_callbacks import RETRIES
from tests import genuine, till
from tests.arrivals import FEN, kept, scanned, traces
from tests.figures import SEED, Figures, size
from tests.served import Served
from tests.sim_process import wait_until

BACK_FEN = 20_000


def test_fifteen_times_in_any_order_and_late_is_once(served: Served, figures: Figures) -> None:
    """As WeChat Pay repeats them over a day; every other one after a query has settled the case."""
    each, dice = size(3, 250), random.Random(SEED)
    served.simulator.fault("wxpay", "callback", "drop", times=10 * each)
    paid = [scanned(served, fault="") for _ in range(each)]
    given = given_back(served, each)
    late = [order_id for _, order_id in paid[::2]]
    for order_id in late:
        deposits.look_at_payment(served.stage.actor("NURSE"), served.stage.outside, order_id)
    of = {order_id.hex: f"/wxpay/notify/{served.house.code}/payment" for _, order_id in paid}
    of |= {leg.number: f"/wxpay/notify/{served.house.code}/refund" for _, _, leg in given}
    notices = [notice for notice in served.simulator.notices() if notice["number"] in of]
    assert len(notices) == len(of) == 2 * each
    early = {leg.number for _, _, leg in given[1::2]} | set(of)
    early -= {leg.number for _, _, leg in given[::2]}
    repeat(served, [n for n in notices if n["number"] in early], of, RETRIES[:1], dice)
    served.stage.clock.forward(minutes=2)
    refunds.sweep_legs(served.stage.outside, served.stage.hospital_id)
    assert {till.legs_of(refund_id)[0].state for _, refund_id, _ in given} == {"PAID"}
    repeat(served, [n for n in notices if n["number"] not in early], of, RETRIES[:1], dice)
    repeat(served, notices, of, RETRIES[1:], dice)
    wrong = sum(effects_of_payment(served, *one) != (["APPLIED"], (1, 1, 1), FEN) for one in paid)
    wrong += sum(effects_of_refund(served, *one) != ONCE_GIVEN_BACK for one in given)
    assert wrong == 0
    till.agree(served.stage)
    figures.add(
        "notices repeated",
        f"{2 * each} notices of payments and refunds, each {len(RETRIES)} times over WeChat Pay's"
        f" own day of retries ({2 * each * len(RETRIES):,} requests), in random order; every other"
        " one late: a query had settled the case",
        "204 each time; booked, receipted and told once, the books of both sides equal",
        f"0 of {2 * each} notices x {len(RETRIES)} with another effect than one, under these"
        f" repetitions with seed {SEED}",
    )


ONCE_GIVEN_BACK = (["APPLIED"], 1, 1, "PAID", 0, FEN - BACK_FEN)


def given_back(served: Served, count: int) -> list[tuple[Admission, UUID, RefundLeg]]:
    """Refunds that WeChat Pay was asked for and whose result we have not heard."""
    stage, found = served.stage, []
    served.simulator.settings(refund_seconds=1)
    for _ in range(count):
        stay, order_id = scanned(served, fault="")
        deposits.look_at_payment(stage.actor("NURSE"), stage.outside, order_id)
        refund_id = till.ask_back(stage, stay, BACK_FEN)
        till.check(stage, refund_id)
        found.append((stay, refund_id))
    served.run_jobs()
    legs = [(stay, refund_id, till.legs_of(refund_id)[0]) for stay, refund_id in found]
    numbers = {leg.number for _, _, leg in legs}
    wait_until(lambda: numbers <= {each["number"] for each in served.simulator.notices()})
    return legs


def repeat(
    served: Served,
    notices: list[dict],
    path_of: dict[str, str],
    waits: tuple[int, ...],
    dice: random.Random,
) -> None:
    """After each wait all of them once more, in another order; jobs are done in between."""
    for place, wait in enumerate(waits):
        served.stage.clock.forward(seconds=wait)
        wire = OverApp(served.house.app, served.house.base_url, f"10.1.0.{place}")
        for notice in dice.sample(notices, len(notices)):
            body = notice["body"].encode()
            headers = genuine.signed(served.simulator, body, served.stage.clock.now())
            assert wire.send("POST", path_of[notice["number"]], headers, body).status == 204
            if dice.random() < 0.02:
                served.run_jobs()
        served.run_jobs()


def effects_of_payment(
    served: Served, stay: Admission, order_id: UUID
) -> tuple[list[str], tuple[int, ...], int]:
    return kept(order_id.hex), traces(order_id), till.held(served.stage, stay)


def effects_of_refund(
    served: Served, stay: Admission, refund_id: UUID, leg: RefundLeg
) -> tuple[list[str], int, int, str, int, int]:
    """What the inbox says of it, how often it was booked and told, its state and what is left."""
    with Session() as db:
        booked, told = (
            db.scalar(select(func.count()).select_from(table).where(key == value)) or 0
            for table, key, value in (
                (LedgerTransaction, LedgerTransaction.key, f"refund-leg:{leg.id}"),
                (Message, Message.key, f"refund_arrived:{refund_id}"),
            )
        )
    state = till.look(served.stage, refund_id)["state"]
    way = till.balance(served.stage, AccountKind.REFUND_IN_TRANSIT, refund_id)
    return kept(leg.number), booked, told, state, way, till.held(served.stage, stay)
