"""Short words of the tests for money at a stage: taking it, giving it back, and counting it."""

from itertools import count
from typing import Any
from uuid import UUID

from sqlalchemy import select

from journeys import deposits, documents, notices, refunds
from models import ledger
from models.admission import Admission
from models.db import Session
from models.ledger import LIABILITIES, Account, AccountKind
from models.lots import LotRow
from models.payment_order import PaymentOrder, Route
from models.refund import Refund, RefundLeg
from payments.collection import Payment
from tests import genuine
from tests.stage import Stage

_keys = count(1)


def pay_cash(stage: Stage, stay: Admission, fen: int) -> UUID:
    """Cash at the window; the order."""
    payment = Payment(fen, Route.CASH, f"cash-{next(_keys)}")
    cashier = stage.actor("CASHIER")
    return deposits.collect_deposit(cashier, stage.outside, stay.id, payment)["id"]


def order_qr(stage: Stage, stay: Admission, fen: int) -> dict[str, Any]:
    """A QR on the nurse's handheld that nobody has scanned."""
    payment = Payment(fen, Route.QR, f"qr-{next(_keys)}")
    return deposits.collect_deposit(stage.actor("NURSE"), stage.outside, stay.id, payment)


def scan(stage: Stage, order: dict[str, Any]) -> None:
    """Somebody's phone pays the QR; we do not know of it yet."""
    code_url = order["pay_with"]["code_url"]
    stage.simulator.pay(code_url=code_url, openid="o-payer").raise_for_status()


def pay_qr(stage: Stage, stay: Admission, fen: int) -> UUID:
    """A QR, scanned and asked about; the order."""
    order = order_qr(stage, stay, fen)
    scan(stage, order)
    found = deposits.look_at_payment(stage.actor("NURSE"), stage.outside, order["id"])
    assert found["state"] == "PAID"
    return found["id"]


def ask_back(stage: Stage, stay: Admission, fen: int, by: str = "CASHIER") -> UUID:
    """Somebody asks for part of the deposit; the refund."""
    return deposits.refund_part(
        stage.actor(by),
        stage.outside,
        stay.id,
        amount_fen=fen,
        key=f"back-{next(_keys)}",
        reason="PATIENT_WISH",
    )


def check(
    stage: Stage, refund_id: UUID, *, approve: bool = True, by: str = "FINANCE_CHECKER"
) -> dict[str, Any]:
    """The second person's word."""
    return refunds.check_refund(
        stage.actor(by), stage.outside, refund_id, approve=approve, note="看过了"
    )


def look(stage: Stage, refund_id: UUID) -> dict[str, Any]:
    """The refund as finance sees it."""
    return refunds.view_refund(stage.actor("FINANCE_CHECKER"), refund_id)


def legs_of(refund_id: UUID) -> list[RefundLeg]:
    """The legs as stored."""
    with Session() as db:
        return RefundLeg.of(db, refund_id)


def hand_over(stage: Stage, refund_id: UUID) -> dict[str, Any]:
    """The window gives every cash leg that waits."""
    for leg in legs_of(refund_id):
        if leg.route != "WECHAT" and leg.state == "PLANNED":
            refunds.hand_over(
                stage.actor("CASHIER"), stage.outside, refund_id, leg.id, proof="signed-0001"
            )
    return look(stage, refund_id)


def told(stage: Stage, leg: RefundLeg, state: str) -> None:
    """WeChat Pay tells what became of a leg, and we take note of it."""
    now = stage.clock.now()
    said = genuine.refund(stage.simulator, leg.number, leg.amount_fen, now, state)
    sent = genuine.notice(stage.simulator, f"REFUND.{state}", said, now)
    assert notices.receive_notice(stage.outside, *sent)
    stage.run_jobs()


def later(stage: Stage, **by: float) -> None:
    """Time goes by, and what is due by then is done."""
    stage.clock.forward(**by)
    stage.run_jobs()


def held(stage: Stage, stay: Admission) -> int:
    """The deposit of a stay in fen."""
    with Session() as db:
        return ledger.held(db, stage.hospital_id, AccountKind.INPATIENT_DEPOSIT, str(stay.id))


def balance(stage: Stage, kind: AccountKind, owner: object) -> int:
    """Signed fen of one account."""
    with Session() as db:
        return ledger.balance(db, stage.hospital_id, kind, str(owner))


def lots(stage: Stage) -> list[tuple[Any, ...]]:
    """Every lot of the hospital with what was taken from it."""
    with Session() as db:
        query = select(
            LotRow.id, LotRow.amount_fen, LotRow.spent_fen, LotRow.refunded_fen, LotRow.parts
        )
        mine = query.where(LotRow.hospital_id == stage.hospital_id)
        return [tuple(row) for row in db.execute(mine.order_by(LotRow.id))]


def agree(stage: Stage) -> None:
    """The ledger proves itself, and has WeChat's money to the last fen."""
    proven(stage)
    assert balance(stage, AccountKind.CASH, "WECHAT") == theirs(stage)


def proven(stage: Stage) -> None:
    """The ledger proves itself, and owes nobody less than nothing."""
    with Session() as db:
        assert ledger.prove(db, stage.hospital_id) == []
        owed = db.scalars(
            select(Account.balance_fen).where(
                Account.hospital_id == stage.hospital_id, Account.kind.in_(LIABILITIES)
            )
        )
        assert all(fen <= 0 for fen in owed)


def theirs(stage: Stage) -> int:
    """What WeChat Pay took for this hospital less what it gave back."""
    books = stage.simulator.books()["wxpay"]
    with Session() as db:
        mine = select(PaymentOrder.id).where(PaymentOrder.hospital_id == stage.hospital_id)
        numbers = [order_id.hex for order_id in db.scalars(mine)]
    pages = [books[number] for number in numbers if number in books]
    return sum(page["paid_fen"] - page["refunded_fen"] for page in pages)


def refunds_of(stage: Stage) -> list[Refund]:
    """Every refund of the hospital, oldest first."""
    with Session() as db:
        mine = select(Refund).where(Refund.hospital_id == stage.hospital_id)
        return list(db.scalars(mine.order_by(Refund.id)))


def work(stage: Stage, kind: str) -> list[str]:
    """What is open of this kind: the subjects."""
    return [item["subject"] for item in documents.list_work(stage.actor("CASHIER"), kind)]
