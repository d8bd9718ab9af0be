"""What the hospital pays first for money that the treasury holds (GZ-8.3), booked with the payment
that it is for."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session as Db

from config import today
from models import ledger
from models.ledger import AccountKind, Line
from models.refund import Refund, RefundLeg
from models.turnover import HospitalAdvance, TurnoverBatch, TurnoverItem
from policies.turnover import budget_year


def paid_first(db: Db, refund: Refund, leg: RefundLeg, at: datetime, *, by: str) -> None:
    """A leg of turned-over money has reached its holder: the hospital is owed it by the treasury,
    out of the batches that the account went over with, the oldest first.
    """
    if refund.account_kind != AccountKind.TREASURY_TURNED_OVER:
        return
    left, account_id = leg.amount_fen, UUID(refund.account_owner)
    for batch_id, room_fen in _room(db, account_id):
        if fen := min(left, room_fen):
            book(
                db,
                hospital_id=refund.hospital_id,
                account_id=account_id,
                batch_id=batch_id,
                key=f"refund-leg:{leg.id}:{batch_id}",
                fen=fen,
                at=at,
                by=by,
            )
            left -= fen
    if left:
        raise ValueError(f"account {account_id}: more was paid than was turned over")


def book(
    db: Db,
    *,
    hospital_id: UUID,
    account_id: UUID,
    batch_id: UUID,
    key: str,
    fen: int,
    at: datetime,
    by: str,
) -> None:
    """One advance: a claim on the treasury instead of what it holds; once for each key."""
    ledger.post(
        db,
        hospital_id=hospital_id,
        key=f"advance:{key}",
        kind="PAID_FIRST",
        why="the treasury holds it",
        by=by,
        at=at,
        lines=[
            Line(AccountKind.HOSPITAL_ADVANCE, str(account_id), fen),
            Line(AccountKind.TREASURY_HELD, str(batch_id), -fen),
        ],
    )
    paid_on = today(at)
    db.add(
        HospitalAdvance(
            hospital_id=hospital_id,
            account_id=account_id,
            batch_id=batch_id,
            key=key,
            amount_fen=fen,
            paid_on=paid_on,
            budget_year=budget_year(paid_on),
        )
    )
    db.flush()


def _room(db: Db, account_id: UUID) -> list[tuple[UUID, int]]:
    """Each batch with what of this account it holds and nobody was advanced yet, oldest first.

    ``returned_fen`` was advanced when the batch was completed, beside ``moved_fen``.
    """
    mine = TurnoverItem.account_id == account_id
    db.execute(select(TurnoverItem.batch_id).where(mine).with_for_update())  # one payment at a time
    advanced = (
        select(func.coalesce(func.sum(HospitalAdvance.amount_fen), 0))
        .where(
            HospitalAdvance.account_id == TurnoverItem.account_id,
            HospitalAdvance.batch_id == TurnoverItem.batch_id,
        )
        .scalar_subquery()
    )
    room = TurnoverItem.moved_fen + TurnoverItem.returned_fen - advanced
    query = (
        select(TurnoverItem.batch_id, room)
        .join(TurnoverBatch, TurnoverBatch.id == TurnoverItem.batch_id)
        .where(mine)
        .order_by(TurnoverBatch.year)
    )
    return [(batch_id, int(fen)) for batch_id, fen in db.execute(query)]
