"""Payments and refunds whose notices are under way, and what the notices left with us."""

from typing import Any
from uuid import UUID

import requests
from sqlalchemy import func, select

from models.admission import Admission
from models.db import Session
from models.ledger import LedgerTransaction
from models.message import Message
from models.notice import ChannelNotice
from models.payment_order import PaymentOrder
from models.receipt import Receipt
from models.refund import RefundLeg
from tests import till
from tests.served import Served
from tests.sim_process import wait_until

FEN = 120_000


def scanned(
    served: Served, fen: int = FEN, *, fault: str = "drop", **options: Any
) -> tuple[Admission, UUID]:
    """A stay and its QR order, paid by a phone; the notice suffers this fault."""
    stay = served.stage.stay()
    order = till.order_qr(served.stage, stay, fen)
    if fault:
        served.simulator.fault("wxpay", "callback", fault, **options)
    till.scan(served.stage, order)
    return stay, order["id"]


def given_back(
    served: Served, stay: Admission, fen: int = 20_000, *, fault: str = "drop", **options: Any
) -> tuple[UUID, RefundLeg]:
    """A refund leg that WeChat Pay was asked for; the notice of its result suffers this fault."""
    refund_id = till.ask_back(served.stage, stay, fen)
    till.check(served.stage, refund_id)
    if fault:
        served.simulator.fault("wxpay", "callback", fault, **options)
    served.run_jobs()
    (leg,) = till.legs_of(refund_id)
    wait_until(lambda: served.simulator.notices(leg.number))
    return refund_id, leg


def kept(number: str) -> list[str]:
    """The outcomes of the notices in the inbox about a number."""
    with Session() as db:
        return list(db.scalars(select(ChannelNotice.outcome).filter_by(number=number)))


def traces(order_id: UUID) -> tuple[int, ...]:
    """How often an order was booked, receipted and told."""
    with Session() as db:
        return tuple(
            db.scalar(select(func.count()).select_from(kind).where(column == value))
            for kind, column, value in (
                (LedgerTransaction, LedgerTransaction.key, f"order:{order_id}"),
                (Receipt, Receipt.subject_id, order_id),
                (Message, Message.key, f"paid:{order_id}"),
            )
        )


def state(order_id: UUID) -> str:
    """The state of an order."""
    with Session() as db:
        return db.get_one(PaymentOrder, order_id).state


def kept_ids(number: str) -> list[UUID]:
    """The notices in the inbox about a number."""
    with Session() as db:
        return list(db.scalars(select(ChannelNotice.id).filter_by(number=number)))


def post(
    served: Served, headers: dict[str, str], body: bytes, subject: str = "payment"
) -> requests.Response:
    """Send a notice to the hospital's address, as anybody can."""
    url = f"{served.house.base_url}/wxpay/notify/{served.house.code}/{subject}"
    with requests.Session() as session:
        session.trust_env = False
        sent = headers | {"Content-Type": "application/json"}
        return session.post(url, data=body, headers=sent, timeout=30)
