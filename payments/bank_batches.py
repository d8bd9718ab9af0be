"""Refund legs to bank accounts: collected into a file, released by a second person, and answered
row by row.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session as Db

from config import today
from models.bank_batch import BankAnswer, BankBatch, BatchState
from models.db import id_of, new_id
from models.payee import Payee
from models.refund import UNFINISHED_LEGS, LegState, Refund, RefundLeg, RefundState
from payments.leg_news import note, sent, sent_back
from policies.bank_file import PAID, REJECTED, SENT_BACK, Payment, Result, Wrong
from policies.refusals import Refused

PREFIX = "XZ"
"""Before a leg's number in the file, so that no program takes it for a figure."""

MOST = 5_000
PAYABLE = (RefundState.PAYING, RefundState.STUCK)


def build(db: Db, hospital_id: UUID, *, by: str, now: datetime) -> BankBatch:
    """Collect every approved leg that waits for the bank. Refused BANK_BATCH_EMPTY."""
    legs = list(
        db.scalars(
            select(RefundLeg)
            .join(Refund, Refund.id == RefundLeg.refund_id)
            .where(
                RefundLeg.hospital_id == hospital_id,
                RefundLeg.route == "BANK",
                RefundLeg.state == LegState.PLANNED,
                RefundLeg.batch_id.is_(None),
                Refund.state.in_(PAYABLE),
            )
            .order_by(RefundLeg.id)
            .limit(MOST)
            .with_for_update(of=RefundLeg, skip_locked=True)
        )
    )
    if not legs:
        raise Refused("BANK_BATCH_EMPTY")
    batch = BankBatch(
        id=new_id(),
        hospital_id=hospital_id,
        state=BatchState.BUILT,
        row_count=len(legs),
        total_fen=sum(leg.amount_fen for leg in legs),
        built_by=by,
        built_at=now,
    )
    batch.number = f"{today(now):%Y%m%d}-{batch.id.hex[-6:]}"
    db.add(batch)
    db.flush()
    batch.start(db, at=now, by=by)
    for leg in legs:
        leg.batch_id = batch.id
    return batch


def withdraw(db: Db, batch: BankBatch, *, by: str, now: datetime) -> None:
    """Give a batch up before it was released: its legs wait for the next one."""
    batch.move(db, BatchState.WITHDRAWN, at=now, by=by)
    for leg in legs_of(db, batch):
        leg.batch_id = None


def release(db: Db, batch: BankBatch, *, by: str, now: datetime) -> None:
    """The second person lets the file go: from now on the bank may have paid. Said again it changes
    nothing.

    Refused SAME_PERSON_FORBIDDEN for the maker, BANK_BATCH_CHANGED when a refund in it was sent
    another way meanwhile: build it anew.
    """
    if by == batch.built_by:
        raise Refused("SAME_PERSON_FORBIDDEN")
    if batch.released_by == by:
        return
    legs = legs_of(db, batch)
    wanted = {leg.refund_id for leg in legs}
    payable = select(Refund.id).where(Refund.id.in_(wanted), Refund.state.in_(PAYABLE))
    if set(db.scalars(payable)) != wanted or any(leg.state != LegState.PLANNED for leg in legs):
        raise Refused("BANK_BATCH_CHANGED")
    batch.move(db, BatchState.RELEASED, at=now, by=by)
    batch.released_by, batch.released_at = by, now
    for leg in legs:
        leg.asked_at, leg.tries = now, 1
        leg.move(db, LegState.ASKED, at=now, by=by, why=batch.number)
        sent(db, leg, now)


def payments_of(db: Db, batch: BankBatch) -> list[Payment]:
    """The rows of the file, in a fixed order. Names and card numbers are opened here only."""
    found = db.execute(
        select(RefundLeg, Payee)
        .join(Payee, Payee.id == RefundLeg.payee_id)
        .where(RefundLeg.batch_id == batch.id)
        .order_by(RefundLeg.id)
    )
    return [
        Payment(PREFIX + leg.number, payee.name, payee.card_no, payee.bank_name, leg.amount_fen)
        for leg, payee in found
    ]


def asked(db: Db, batch: BankBatch) -> dict[str, int]:
    """Number in the file -> fen."""
    return {PREFIX + leg.number: leg.amount_fen for leg in legs_of(db, batch)}


def contradictions(db: Db, batch: BankBatch, results: Sequence[Result]) -> list[Wrong]:
    """Rows in which the bank says the opposite of what it said before: failed after it had arrived,
    arrived after it had been sent back.
    """
    legs = {PREFIX + leg.number: leg for leg in legs_of(db, batch)}
    return [
        Wrong(row, say)
        for row, result in enumerate(results, 2)
        if (say := _contradicted(legs[result.number], result))
    ]


def take(
    db: Db, batch: BankBatch, results: Sequence[Result], file_hash: bytes, *, by: str, now: datetime
) -> None:
    """Book every result of an answer, all in this transaction; the same file again does nothing."""
    said = Counter(result.said for result in results)
    row = insert(BankAnswer).values(
        id=new_id(),
        hospital_id=batch.hospital_id,
        batch_id=batch.id,
        file_hash=file_hash,
        paid_count=said[PAID],
        rejected_count=said[REJECTED],
        returned_count=said[SENT_BACK],
        taken_by=by,
        taken_at=now,
    )
    if not db.scalar(row.on_conflict_do_nothing().returning(BankAnswer.id)):
        return
    legs = {leg.id: leg for leg in legs_of(db, batch)}
    for result in results:
        leg = legs[id_of(result.number.removeprefix(PREFIX)) or batch.id]
        if result.said == SENT_BACK:
            sent_back(db, leg, now, by=by, reason=result.reason)
        else:
            there = LegState.PAID if result.said == PAID else LegState.REFUSED
            note(db, leg, there, now, by=by, code=result.reason)
    db.flush()
    if batch.state == BatchState.RELEASED and not any(
        leg.state in UNFINISHED_LEGS for leg in legs.values()
    ):
        batch.move(db, BatchState.SETTLED, at=now, by=by)
        batch.settled_at = now


def legs_of(db: Db, batch: BankBatch) -> list[RefundLeg]:
    """The rows of a batch under their locks, in a fixed order."""
    query = select(RefundLeg).where(RefundLeg.batch_id == batch.id).order_by(RefundLeg.id)
    return list(db.scalars(query.with_for_update().execution_options(populate_existing=True)))


def taken(db: Db, batch: BankBatch, file_hash: bytes) -> bool:
    """Whether this very file was booked before."""
    query = select(BankAnswer.id).filter_by(batch_id=batch.id, file_hash=file_hash)
    return db.scalar(query) is not None


def _contradicted(leg: RefundLeg, result: Result) -> str:
    if result.said == REJECTED and leg.state == LegState.PAID:
        return f"这一笔已记为到账，银行后来退回的请写“{SENT_BACK}”"
    if result.said == PAID and leg.returned_at is not None:
        return "这一笔已记为银行退汇，不能再记为到账"
    return ""
