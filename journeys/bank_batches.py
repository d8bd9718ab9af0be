"""Refunds to bank accounts by file: one makes it, another releases it, the bank's answer comes in
(GZ-7).
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from models.audit import audit
from models.bank_batch import BankBatch, BatchState
from models.db import ReadSession, Session
from models.payee import Payee
from models.refund import RefundLeg
from models.sealing import fingerprint
from payments import bank_batches
from policies.access import Actor
from policies.bank_file import OUT, Wrong, read_answer, read_cells, rows_out
from policies.refusals import NotFound, Refused
from policies.sheets import table

MOST_SAID = 100
"""Wrong rows that are named at once."""

Clock = Callable[[], datetime]


def build_batch(actor: Actor, now: Clock) -> dict[str, Any]:
    """Collect what waits for the bank into a file that nobody has yet. Refused BANK_BATCH_EMPTY."""
    with Session.begin() as db:
        batch = bank_batches.build(db, actor.hospital_id, by=actor.name, now=now())
    return _shown(batch)


def withdraw_batch(actor: Actor, batch_id: UUID, now: Clock) -> dict[str, Any]:
    """Give a file up that was not released."""
    with Session.begin() as db:
        batch = BankBatch.locked(db, actor.hospital_id, batch_id)
        bank_batches.withdraw(db, batch, by=actor.name, now=now())
    return _shown(batch)


def release_batch(actor: Actor, batch_id: UUID, now: Clock) -> dict[str, Any]:
    """Let the file go, as its second person. Refused SAME_PERSON_FORBIDDEN, BANK_BATCH_CHANGED."""
    with Session.begin() as db:
        batch = BankBatch.locked(db, actor.hospital_id, batch_id)
        bank_batches.release(db, batch, by=actor.name, now=now())
    return _shown(batch)


def batch_file(actor: Actor, batch_id: UUID, form: str, now: Clock) -> tuple[str, bytes]:
    """The name and content of a released file, ``csv`` or ``xlsx``. It holds names and card
    numbers: who took it out stands in the audit trail. Refused BANK_BATCH_NOT_RELEASED.
    """
    with Session.begin() as db:
        batch = _batch(db, actor, batch_id)
        if batch.state not in {BatchState.RELEASED, BatchState.SETTLED}:
            raise Refused("BANK_BATCH_NOT_RELEASED")
        content = table(form, OUT, rows_out(bank_batches.payments_of(db, batch)))
        facts = {"number": batch.number, "rows": batch.row_count, "format": form}
        audit(
            db, actor.hospital_id, actor.name, "bank file taken out", str(batch_id), facts, at=now()
        )
    return f"bank-{batch.number}.{form}", content


def take_answer(actor: Actor, batch_id: UUID, content: bytes, now: Clock) -> dict[str, Any]:
    """Book the bank's answer: all of it, or nothing and every wrong row named. The same file again
    changes nothing. Refused BANK_ANSWER_WRONG, BANK_ANSWER_UNREADABLE, BANK_BATCH_NOT_RELEASED.
    """
    cells = read_cells(content)
    with Session.begin() as db:
        batch = BankBatch.locked(db, actor.hospital_id, batch_id)
        if batch.state not in {BatchState.RELEASED, BatchState.SETTLED}:
            raise Refused("BANK_BATCH_NOT_RELEASED")
        file_hash = fingerprint(content)
        if not bank_batches.taken(db, batch, file_hash):
            results, wrong = read_answer(cells, bank_batches.asked(db, batch))
            wrong = wrong or bank_batches.contradictions(db, batch, results)
            if wrong:
                raise Refused("BANK_ANSWER_WRONG", count=len(wrong), errors=_said(wrong))
            bank_batches.take(db, batch, results, file_hash, by=actor.name, now=now())
    return view_batch(actor, batch_id)


def list_batches(actor: Actor, state: str | None) -> list[dict[str, Any]]:
    """The files of the hospital, newest first (at most 200)."""
    query = select(BankBatch).where(BankBatch.hospital_id == actor.hospital_id)
    if state:
        query = query.where(BankBatch.state == state)
    with ReadSession() as db:
        newest = query.order_by(BankBatch.built_at.desc(), BankBatch.id.desc()).limit(200)
        return [_shown(batch) for batch in db.scalars(newest)]


def view_batch(actor: Actor, batch_id: UUID) -> dict[str, Any]:
    """One file with its rows, card numbers masked."""
    with ReadSession() as db:
        batch = _batch(db, actor, batch_id)
        found = db.execute(
            select(RefundLeg, Payee)
            .join(Payee, Payee.id == RefundLeg.payee_id)
            .where(RefundLeg.batch_id == batch.id)
            .order_by(RefundLeg.id)
        )
        rows = [
            {
                "leg_id": leg.id,
                "refund_id": leg.refund_id,
                "amount_fen": leg.amount_fen,
                "card": payee.masked_card,
                "bank_name": payee.bank_name,
                "state": leg.state,
                "answer": leg.answer,
            }
            for leg, payee in found
        ]
    return {**_shown(batch), "rows": rows}


def _batch(db: Db, actor: Actor, batch_id: UUID) -> BankBatch:
    batch = db.get(BankBatch, batch_id)
    if batch is None or batch.hospital_id != actor.hospital_id:
        raise NotFound("BANK_BATCH_UNKNOWN")
    return batch


def _said(wrong: list[Wrong]) -> list[dict[str, str]]:
    return [{"field": f"第{each.row}行", "message": each.say} for each in wrong[:MOST_SAID]]


def _shown(batch: BankBatch) -> dict[str, Any]:
    return {
        "id": batch.id,
        "number": batch.number,
        "state": batch.state,
        "row_count": batch.row_count,
        "total_fen": batch.total_fen,
        "built_by": batch.built_by,
        "built_at": batch.built_at,
        "released_by": batch.released_by,
        "released_at": batch.released_at,
        "settled_at": batch.settled_at,
    }
