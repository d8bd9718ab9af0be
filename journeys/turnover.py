"""The yearly turnover to the treasury: the list under three readings, drafted by one person,
approved by another, receipted, and moved with every holder's claim kept (GZ-8.2)."""

from contextlib import suppress
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session as Db

from config import today
from journeys.counterparts import Counterparts
from models import ledger
from models.audit import audit
from models.db import ReadSession, Session, rows
from models.hospital import Hospital
from models.ledger import AccountKind, Line, Take
from models.queue import defer
from models.refund import Refund, RefundState
from models.turnover import BatchState, TurnoverBatch, TurnoverItem
from payments import advances
from policies.access import Actor
from policies.lots import spend_oldest_first
from policies.packs import rules_of
from policies.refusals import Conflict, Refused
from policies.turnover import Reading, check_may_turn_over, older_than

PREPAY, CLAIM = AccountKind.OUTPATIENT_PREPAY, AccountKind.TREASURY_TURNED_OVER
OPEN_REFUNDS = (RefundState.REQUESTED, RefundState.PAYING, RefundState.STUCK)

FEN_OF = {
    Reading.ACCOUNT_ACTIVITY: "by_activity_fen",
    Reading.TOPUP_LOT: "by_lot_fen",
    Reading.FOUND_UNRETURNABLE: "by_found_fen",
}
"""reading -> its column of turnover_list."""

_PREVIEW = """
SELECT count(*) FILTER (WHERE by_activity_fen > 0) AS by_activity_accounts,
       coalesce(sum(by_activity_fen), 0)::bigint AS by_activity_fen,
       count(*) FILTER (WHERE by_lot_fen > 0) AS by_lot_accounts,
       coalesce(sum(by_lot_fen), 0)::bigint AS by_lot_fen,
       count(*) FILTER (WHERE by_found_fen > 0) AS by_found_accounts,
       coalesce(sum(by_found_fen), 0)::bigint AS by_found_fen
FROM turnover_list(:hospital_id, :older_than)
"""

_DRAFT = """
INSERT INTO turnover_item (batch_id, account_id, hospital_id, amount_fen, last_activity_on, reason)
SELECT :batch_id, account_id, :hospital_id, {fen}, last_activity_on, reason
FROM turnover_list(:hospital_id, :older_than) WHERE {fen} > 0
"""

_SUM = """
SELECT count(*) AS accounts, coalesce(sum(amount_fen), 0)::bigint AS total_fen
FROM turnover_item WHERE batch_id = :batch_id
"""

_CHANGED = """
SELECT count(*) FROM turnover_item item
LEFT JOIN turnover_list(:hospital_id, :older_than) now ON now.account_id = item.account_id
WHERE item.batch_id = :batch_id AND now.{fen} IS DISTINCT FROM item.amount_fen
"""

_ITEMS = """
SELECT item.account_id, account.card_no, item.amount_fen, item.last_activity_on, item.reason,
       item.moved_fen, item.returned_fen
FROM turnover_item item JOIN prepay_account account ON account.id = item.account_id
WHERE item.batch_id = :batch_id AND item.hospital_id = :hospital_id
  AND (CAST(:after AS uuid) IS NULL OR item.account_id > :after)
ORDER BY item.account_id LIMIT 500
"""


def preview(actor: Actor, outside: Counterparts, as_of: date) -> list[dict[str, Any]]:
    """What would be turned over on a 31 December under each reading, side by side (D-08).

    Refused PUBLIC_ONLY, TURNOVER_DAY_WRONG, RULE_PACK_NOT_APPLICABLE.
    """
    with ReadSession() as db:
        years = _years(db, actor, as_of, today(outside.now()))
    (found,) = rows(_PREVIEW, hospital_id=actor.hospital_id, older_than=older_than(as_of, years))
    return [
        {
            "reading": reading,
            "accounts": found[column.replace("_fen", "_accounts")],
            "total_fen": found[column],
        }
        for reading, column in FEN_OF.items()
    ]


def draft(actor: Actor, outside: Counterparts, as_of: date, reading: Reading) -> dict[str, Any]:
    """Make the year's list, or look at the one that there is: run twice it is one batch (T7).

    Refused as `preview`, NOTHING_TO_TURN_OVER; Conflict TURNOVER_READING_DIFFERS when this year's
    batch counts from another day.
    """
    now = outside.now()
    with Session.begin() as db:
        home = db.get_one(Hospital, actor.hospital_id, with_for_update=True)
        years = _years(db, actor, as_of, today(now))
        batch = _of_year(db, actor, as_of.year)
        if batch and batch.reading != reading:
            raise Conflict("TURNOVER_READING_DIFFERS")
        if batch is None:
            batch = TurnoverBatch(
                hospital_id=actor.hospital_id,
                state=BatchState.DRAFT,
                year=as_of.year,
                as_of=as_of,
                reading=reading,
                rule_pack=rules_of(home.rule_packs).version,
                accounts=0,
                total_fen=0,
                made_by=actor.name,
                made_at=now,
            )
            db.add(batch)
            db.flush()
            batch.start(db, at=now, by=actor.name, why=reading)
            _list_into(db, batch, older_than(as_of, years))
            facts = {"total_fen": batch.total_fen, "packs": batch.rule_pack, "reading": reading}
            subject = f"turnover:{batch.id}"
            audit(db, home.id, actor.name, "turnover drafted", subject, facts, at=now)
        return _shown(batch)


def approve(actor: Actor, outside: Counterparts, batch_id: UUID) -> dict[str, Any]:
    """The head of finance says yes; said twice it changes nothing (T7).

    Refused SAME_PERSON_FORBIDDEN; Conflict TURNOVER_LIST_CHANGED when a holder was reached, asked,
    or used the balance since the draft: cancel it and draft again.
    """
    now = outside.now()
    with Session.begin() as db:
        batch = TurnoverBatch.locked(db, actor.hospital_id, batch_id)
        if batch.made_by == actor.name:
            raise Refused("SAME_PERSON_FORBIDDEN")
        if batch.state == BatchState.DRAFT:
            if _changed(db, actor, batch, today(now)):
                raise Conflict("TURNOVER_LIST_CHANGED")
            batch.approved_by, batch.approved_at = actor.name, now
            batch.move(db, BatchState.APPROVED, at=now, by=actor.name)
            _audit(db, actor, batch, "turnover approved", outside)
        return _shown(batch)


def cancel(actor: Actor, outside: Counterparts, batch_id: UUID, *, why: str) -> dict[str, Any]:
    """Give a list up that has no receipt yet; the year can be drafted again."""
    now = outside.now()
    with Session.begin() as db:
        batch = TurnoverBatch.locked(db, actor.hospital_id, batch_id)
        if batch.state == BatchState.RECEIPTED:
            raise Refused("TURNOVER_IS_FINAL")
        if batch.state != BatchState.CANCELLED:
            batch.move(db, BatchState.CANCELLED, at=now, by=actor.name, why=why)
        return _shown(batch)


def receipt(
    actor: Actor,
    outside: Counterparts,
    batch_id: UUID,
    *,
    receipt_no: str,
    paid_on: date,
    amount_fen: int,
) -> dict[str, Any]:
    """The treasury has the money: book it, and let the queue move account after account.

    Refused TURNOVER_NOT_APPROVED, TURNOVER_AMOUNT_DIFFERS; Conflict IDEMPOTENCY_CONFLICT for
    another receipt of the same batch.
    """
    now = outside.now()
    with Session.begin() as db:
        batch = TurnoverBatch.locked(db, actor.hospital_id, batch_id)
        if batch.state == BatchState.RECEIPTED:
            if (batch.treasury_receipt_no, batch.paid_on) != (receipt_no, paid_on):
                raise Conflict("IDEMPOTENCY_CONFLICT")
            return _shown(batch)
        if batch.state != BatchState.APPROVED:
            raise Refused("TURNOVER_NOT_APPROVED")
        if amount_fen != batch.total_fen:
            raise Refused("TURNOVER_AMOUNT_DIFFERS", total_fen=batch.total_fen)
        batch.treasury_receipt_no, batch.paid_on = receipt_no, paid_on
        batch.move(db, BatchState.RECEIPTED, at=now, by=actor.name, why=receipt_no)
        ledger.post(
            db,
            hospital_id=actor.hospital_id,
            key=f"turnover:{batch.id}",
            kind="TURNED_OVER",
            why=receipt_no,
            by=actor.name,
            at=now,
            lines=[
                Line(AccountKind.TREASURY_HELD, str(batch.id), batch.total_fen),
                Line(AccountKind.CASH, "BANK", -batch.total_fen),
            ],
        )
        defer(db, "complete_turnovers", hospital_id=str(actor.hospital_id))
        _audit(db, actor, batch, "turnover receipted", outside)
        return _shown(batch)


def complete_turnovers(outside: Counterparts, hospital_id: UUID) -> int:
    """Move every account of the receipted batches; how many moved now. Each in a transaction of its
    own: it may be stopped and called again at any point.

    An account whose refund is under way waits until that is paid or rejected.
    """
    todo = rows(
        "SELECT item.batch_id, item.account_id FROM turnover_item item"
        " JOIN turnover_batch batch ON batch.id = item.batch_id"
        " WHERE item.hospital_id = :id AND batch.state = 'RECEIPTED'"
        " AND item.moved_fen + item.returned_fen < item.amount_fen",
        id=hospital_id,
    )
    moved = 0
    for row in todo:
        with suppress(Conflict):  # the account is in use at this moment: next time
            moved += _complete(outside, row["batch_id"], row["account_id"])
    return moved


def look(actor: Actor, batch_id: UUID) -> dict[str, Any]:
    """One batch: what the voucher for the treasury says."""
    with ReadSession() as db:
        return _shown(TurnoverBatch.locked(db, actor.hospital_id, batch_id))


def batches(actor: Actor) -> list[dict[str, Any]]:
    """Every year's batches, the newest first."""
    with ReadSession() as db:
        query = select(TurnoverBatch).where(TurnoverBatch.hospital_id == actor.hospital_id)
        found = db.scalars(query.order_by(TurnoverBatch.year.desc(), TurnoverBatch.id.desc()))
        return [_shown(batch) for batch in found]


def items(actor: Actor, batch_id: UUID, after: UUID | None) -> list[dict[str, Any]]:
    """The accounts of a batch, 500 a page; ``after``: the last account of the page before."""
    look(actor, batch_id)
    return rows(_ITEMS, batch_id=batch_id, hospital_id=actor.hospital_id, after=after)


def _years(db: Db, actor: Actor, as_of: date, day: date) -> int:
    home = db.get_one(Hospital, actor.hospital_id)
    return check_may_turn_over(home.institution_type, as_of, day, rules_of(home.rule_packs))


def _of_year(db: Db, actor: Actor, year: int) -> TurnoverBatch | None:
    return db.scalar(
        select(TurnoverBatch).where(
            TurnoverBatch.hospital_id == actor.hospital_id,
            TurnoverBatch.year == year,
            TurnoverBatch.state != BatchState.CANCELLED,
        )
    )


def _list_into(db: Db, batch: TurnoverBatch, before: date) -> None:
    insert = _DRAFT.format(fen=FEN_OF[Reading(batch.reading)])
    facts = {"batch_id": batch.id, "hospital_id": batch.hospital_id, "older_than": before}
    db.execute(text(insert), facts)
    found = db.execute(text(_SUM), {"batch_id": batch.id}).mappings().one()
    if not found["accounts"]:
        raise Refused("NOTHING_TO_TURN_OVER")
    batch.accounts, batch.total_fen = found["accounts"], found["total_fen"]


def _changed(db: Db, actor: Actor, batch: TurnoverBatch, day: date) -> bool:
    before = older_than(batch.as_of, _years(db, actor, batch.as_of, day))
    facts = {"batch_id": batch.id, "hospital_id": batch.hospital_id, "older_than": before}
    query = _CHANGED.format(fen=FEN_OF[Reading(batch.reading)])
    return bool(db.scalar(text(query), facts))


def _complete(outside: Counterparts, batch_id: UUID, account_id: UUID) -> bool:
    now = outside.now()
    with Session.begin() as db:
        item = db.get_one(TurnoverItem, (batch_id, account_id), with_for_update=True)
        missing = item.amount_fen - item.moved_fen - item.returned_fen
        lots = ledger.open_lots(db, item.hospital_id, PREPAY, str(account_id))
        held = sum(lot.remaining_fen for lot in lots)
        moved = min(missing, held)
        if moved:
            takes = [
                Take(lot.id, fen, "MOVE", to=(CLAIM, str(account_id)))
                for lot, fen in spend_oldest_first(lots, moved)
            ]
            _move_claim(db, item, moved, takes, now)
        elif missing and not _refund_open(db, item):
            # Given back or used since the approval: the hospital paid what the treasury has.
            key = f"turnover:{batch_id}:{account_id}"
            whose = {"account_id": account_id, "batch_id": batch_id}
            item.returned_fen += missing
            advances.book(
                db, hospital_id=item.hospital_id, key=key, fen=missing, at=now, by="system", **whose
            )
        return bool(moved)


def _move_claim(db: Db, item: TurnoverItem, fen: int, takes: list[Take], now: datetime) -> None:
    owner = str(item.account_id)
    ledger.post(
        db,
        hospital_id=item.hospital_id,
        key=f"turnover:{item.batch_id}:{owner}:{item.moved_fen}",
        kind="TURNED_OVER",
        why="the treasury has it; the holder may still claim it (GZ-8.3)",
        by="system",
        at=now,
        lines=[Line(PREPAY, owner, fen), Line(CLAIM, owner, -fen)],
        takes=takes,
    )
    item.moved_fen += fen


def _refund_open(db: Db, item: TurnoverItem) -> bool:
    query = select(Refund.id).where(
        Refund.hospital_id == item.hospital_id,
        Refund.account_kind == PREPAY,
        Refund.account_owner == str(item.account_id),
        Refund.state.in_(OPEN_REFUNDS),
    )
    return db.scalar(query.limit(1)) is not None


def _audit(db: Db, actor: Actor, batch: TurnoverBatch, what: str, outside: Counterparts) -> None:
    facts = {"total_fen": batch.total_fen, "accounts": batch.accounts}
    subject = f"turnover:{batch.id}"
    audit(db, actor.hospital_id, actor.name, what, subject, facts, at=outside.now())


def _shown(batch: TurnoverBatch) -> dict[str, Any]:
    return {
        "id": batch.id,
        "state": batch.state,
        "year": batch.year,
        "as_of": batch.as_of,
        "reading": batch.reading,
        "rule_pack": batch.rule_pack,
        "accounts": batch.accounts,
        "total_fen": batch.total_fen,
        "made_by": batch.made_by,
        "approved_by": batch.approved_by,
        "treasury_receipt_no": batch.treasury_receipt_no,
        "paid_on": batch.paid_on,
    }
