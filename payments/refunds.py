"""Money out, by claim → ask → record: two people, legs along the original routes, one number for
each leg for ever.
"""

import hashlib
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from models import ledger
from models.ledger import AccountKind, Line, Take
from models.refund import (
    FAILED_LEGS,
    UNDER_WAY_LEGS,
    LegState,
    Refund,
    RefundLeg,
    RefundState,
)
from models.work_item import close_open
from payments.refund_legs import ask_at
from policies.lots import Lot, plan_original_route, spend_oldest_first
from policies.refusals import Conflict, Refused


def request(
    db: Db,
    *,
    hospital_id: UUID,
    key: str,
    reason: str,
    kind: AccountKind,
    owner: str,
    subject_id: UUID,
    patient_id: UUID,
    amount_fen: int,
    by: str,
    now: datetime,
) -> Refund:
    """Take the amount out of the stored money at once and plan its legs; nothing leaves before
    another person approves.

    The same key with the same content is the same refund. Raises Refused BALANCE_TOO_LOW when the
    account does not hold so much.
    """
    content = hashlib.sha256(f"{kind}|{owner}|{amount_fen}|{reason}".encode()).hexdigest()
    there = db.scalar(select(Refund).where(Refund.hospital_id == hospital_id, Refund.key == key))
    if there:
        if there.request_hash != content:
            raise Conflict("IDEMPOTENCY_CONFLICT")
        return there
    if amount_fen <= 0:
        raise Refused("AMOUNT_NOT_POSITIVE")
    if ledger.held(db, hospital_id, kind, owner) < amount_fen:
        raise Refused("BALANCE_TOO_LOW")
    refund = Refund(
        hospital_id=hospital_id,
        state=RefundState.REQUESTED,
        key=key,
        request_hash=content,
        reason=reason,
        account_kind=kind,
        account_owner=owner,
        subject_id=subject_id,
        patient_id=patient_id,
        amount_fen=amount_fen,
        requested_by=by,
        requested_at=now,
    )
    db.add(refund)
    db.flush()
    refund.start(db, at=now, by=by, why=reason)
    _plan(db, refund, now)
    return refund


def approve(db: Db, refund: Refund, *, by: str, now: datetime) -> None:
    """The second person says yes: the legs are queued. The requester may not
    (SAME_PERSON_FORBIDDEN). Said again it changes nothing.
    """
    if by == refund.requested_by:
        raise Refused("SAME_PERSON_FORBIDDEN")
    if refund.checked_by == by:
        return
    refund.move(db, RefundState.PAYING, at=now, by=by)
    refund.checked_by, refund.checked_at = by, now
    legs = RefundLeg.of(db, refund.id)
    for leg in legs:
        if leg.state == LegState.PLANNED and leg.route == "WECHAT":
            ask_at(db, leg, leg.next_try_at)
    if any(leg.state in FAILED_LEGS for leg in legs):  # it failed while another was rerouted
        refund.move(db, RefundState.STUCK, at=now, by=by, why="a leg failed before the approval")


def reject(db: Db, refund: Refund, *, by: str, now: datetime, note: str) -> None:
    """The second person, or an undone settlement, says no: the money goes back to where it was
    stored.

    Refused REFUND_PARTLY_PAID when a part has left or may have left.
    """
    if under_way(db, refund):
        raise Refused("REFUND_PARTLY_PAID")
    refund.move(db, RefundState.REJECTED, at=now, by=by, why=note)
    refund.note = note
    ledger.reverse(
        db,
        hospital_id=refund.hospital_id,
        transaction_id=ledger.find(db, refund.hospital_id, f"refund:{refund.id}"),
        key=f"refund:{refund.id}:rejected",
        why=note,
        by=by,
        at=now,
    )


def under_way(db: Db, refund: Refund) -> bool:
    """Whether any of its money has left, or may have left: then it cannot be called back."""
    return any(leg.state in UNDER_WAY_LEGS for leg in RefundLeg.of(db, refund.id))


def reroute(db: Db, refund: Refund, *, by: str, now: datetime) -> None:
    """A stuck refund's failed legs go to the window in cash; a second person must approve again.

    The caller holds the locks of the legs too.
    """
    failed = [leg for leg in RefundLeg.of(db, refund.id) if leg.state in FAILED_LEGS]
    if not failed or refund.state != RefundState.STUCK:
        raise Refused("REFUND_NOT_STUCK")
    for leg in failed:
        leg.move(db, LegState.REROUTED, at=now, by=by)
        db.add(_leg(refund, leg.lot_id, "CASH", leg.amount_fen, None, leg.order_total_fen, now))
    refund.move(db, RefundState.REQUESTED, at=now, by=by, why="rerouted to the window")
    refund.requested_by, refund.checked_by, refund.checked_at = by, None, None
    close_open(
        db,
        hospital_id=refund.hospital_id,
        kind="REFUND_STUCK",
        subject=f"refund:{refund.id}",
        by=by,
        at=now,
        outcome="rerouted to the window",
    )


def _plan(db: Db, refund: Refund, now: datetime) -> None:
    kind = AccountKind(refund.account_kind)
    lots = ledger.open_lots(db, refund.hospital_id, kind, refund.account_owner)
    legs, rest = plan_original_route(lots, refund.amount_fen, now)
    planned: list[tuple[Lot, int, str]] = [(lot, fen, lot.channel) for lot, fen in legs]
    if rest:  # too old for its channel or in too many parts: the window pays it in cash
        planned += [(lot, fen, "CASH") for lot, fen in _rest(lots, planned, rest)]
    ledger.post(
        db,
        hospital_id=refund.hospital_id,
        key=f"refund:{refund.id}",
        kind="REFUND_REQUESTED",
        why=refund.reason,
        by=refund.requested_by,
        at=now,
        lines=[
            Line(kind, refund.account_owner, refund.amount_fen),
            Line(AccountKind.REFUND_IN_TRANSIT, str(refund.id), -refund.amount_fen),
        ],
        takes=[Take(lot.id, fen, "REFUND") for lot, fen, _ in planned],
    )
    for lot, fen, route in planned:
        transaction = lot.channel_transaction if route == "WECHAT" else None
        db.add(_leg(refund, lot.id, route, fen, transaction, lot.paid_fen, now))


def _rest(lots: list[Lot], planned: list[tuple[Lot, int, str]], rest: int) -> list[tuple[Lot, int]]:
    used = {lot.id: fen for lot, fen, _ in planned}
    left = [lot for lot in lots if lot.id not in used]
    return spend_oldest_first(left, rest)


def _leg(
    refund: Refund,
    lot_id: UUID,
    route: str,
    fen: int,
    transaction: str | None,
    total_fen: int,
    now: datetime,
) -> RefundLeg:
    return RefundLeg(
        hospital_id=refund.hospital_id,
        refund_id=refund.id,
        state=LegState.PLANNED,
        route=route,
        amount_fen=fen,
        lot_id=lot_id,
        channel_transaction=transaction,
        order_total_fen=total_fen,
        next_try_at=now,
    )
