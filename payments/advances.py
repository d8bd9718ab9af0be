"""What the hospital pays first for money that the treasury holds (GZ-8.3), booked with the payment
that it is for."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session as Db

from config import today
from models import ledger
from models.hospital import Hospital
from models.ledger import AccountKind, Line
from models.refund import LegState, Refund, RefundLeg
from models.turnover import HospitalAdvance, TurnoverBatch, TurnoverItem
from policies.turnover import budget_year


def paid_first(db: Db, refund: Refund, leg: RefundLeg, at: datetime, *, by: str) -> None:
    """A leg of turned-over money has reached its holder: the hospital is owed it by the treasury,
    out of the batches that the account went over with, the oldest first. What stands of a payment
    that came back, because a claim names it, is for this one.
    """
    if refund.account_kind != AccountKind.TREASURY_TURNED_OVER:
        return
    legs, account_id = RefundLeg.of(db, refund.id), UUID(refund.account_owner)
    paid_fen = sum(each.amount_fen for each in legs if each.state == LegState.PAID)
    left = paid_fen - sum(advance.standing_fen for advance in _of(db, refund))
    for batch_id, room_fen in _room(db, account_id):
        if fen := min(left, room_fen):
            book(
                db,
                hospital_id=refund.hospital_id,
                account_id=account_id,
                batch_id=batch_id,
                refund_id=refund.id,
                key=f"refund-leg:{leg.id}:{batch_id}",
                fen=fen,
                at=at,
                by=by,
            )
            left -= fen
    if left > 0:
        raise ValueError(f"account {account_id}: more was paid than was turned over")


def sent_back(db: Db, refund: Refund, leg: RefundLeg, at: datetime, *, by: str) -> None:
    """The payee's bank sent a payment of turned-over money back: the treasury holds it again, as
    far as no claim asks for it yet. The caller holds the refund's lock.
    """
    if refund.account_kind != AccountKind.TREASURY_TURNED_OVER:
        return
    db.get_one(Hospital, refund.hospital_id, with_for_update=True)  # no claim is drafted meanwhile
    back = leg.amount_fen
    for advance, claimed_fen in _of(db, refund).items():
        fen = min(back, advance.standing_fen - claimed_fen)
        back -= fen
        if fen:
            _undo(db, advance, leg, fen, at, by)


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
    refund_id: UUID | None = None,
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
            refund_id=refund_id,
            key=key,
            amount_fen=fen,
            paid_on=paid_on,
            budget_year=budget_year(paid_on),
        )
    )
    db.flush()


def _of(db: Db, refund: Refund) -> dict[HospitalAdvance, int]:
    """The advances of a refund, the oldest first, each with what living claims ask back of it."""
    query = select(HospitalAdvance, HospitalAdvance.claimed_fen())
    query = query.where(HospitalAdvance.refund_id == refund.id).order_by(HospitalAdvance.id)
    return {advance: int(fen) for advance, fen in db.execute(query)}


def _undo(
    db: Db, advance: HospitalAdvance, leg: RefundLeg, fen: int, at: datetime, by: str
) -> None:
    ledger.post(
        db,
        hospital_id=advance.hospital_id,
        key=f"advance-back:{leg.id}:{advance.id}",
        kind="PAID_FIRST_SENT_BACK",
        why="the payee's bank sent it back",
        by=by,
        at=at,
        lines=[
            Line(AccountKind.TREASURY_HELD, str(advance.batch_id), fen),
            Line(AccountKind.HOSPITAL_ADVANCE, str(advance.account_id), -fen),
        ],
    )
    advance.undone_fen += fen
    db.flush()


def _room(db: Db, account_id: UUID) -> list[tuple[UUID, int]]:
    """Each batch with what of this account it holds and nobody was advanced yet, oldest first.

    ``returned_fen`` was advanced when the batch was completed, beside ``moved_fen``.
    """
    mine = TurnoverItem.account_id == account_id
    db.execute(select(TurnoverItem.batch_id).where(mine).with_for_update())  # one payment at a time
    advanced = (
        select(func.coalesce(func.sum(HospitalAdvance.standing_fen), 0))
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
