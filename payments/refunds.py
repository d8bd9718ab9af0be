"""Money out, by claim → ask → record: two people, legs along the original routes, one number for
each leg for ever.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from models import ledger
from models.db import add_once, new_id
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
from payments.refund_facts import KnownPayee, payee_of, routes_of
from payments.refund_legs import LIMITS, ask_at
from policies.lots import Lot
from policies.refund_plan import Leg, Routes, fallback, plan
from policies.refund_why import Why, stored
from policies.refusals import Conflict, Refused

ONE_A_KEY = "uq_refund_hospital_id_key"
"""What the database calls a second refund of one key."""


def request(db: Db, refund: Refund) -> Refund:
    """Take the amount of a refund that was drawn up out of the stored money at once and plan its
    legs; nothing leaves before another person approves.

    The same key with the same content is the same refund. Raises Refused BALANCE_TOO_LOW when the
    account does not hold so much; Conflict when the same key makes another refund at this moment.
    """
    house, kind = refund.hospital_id, AccountKind(refund.account_kind)
    if there := _known(db, house, refund.key, refund.request_hash):
        return there
    if refund.amount_fen <= 0:
        raise Refused("AMOUNT_NOT_POSITIVE")
    if ledger.held(db, house, kind, refund.account_owner) < refund.amount_fen:
        raise Refused("BALANCE_TOO_LOW")
    add_once(db, refund, ONE_A_KEY)
    refund.start(db, at=refund.requested_at, by=refund.requested_by, why=refund.reason)
    lots = ledger.open_lots(db, house, kind, refund.account_owner)
    payee = payee_of(db, refund.patient_id, refund.payee_id)
    movement, legs = planned(refund, lots, routes_of(db, house), payee)
    ledger.post(db, **movement)
    db.add_all(legs)
    return refund


def drawn_up(
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
    payee_id: UUID | None = None,
) -> Refund:
    """A refund that is wanted, of no session yet; ``payee_id``: the bank account that was named for
    it."""
    content = hashlib.sha256(f"{kind}|{owner}|{amount_fen}|{reason}".encode()).hexdigest()
    return Refund(
        id=new_id(),
        hospital_id=hospital_id,
        state=RefundState.REQUESTED,
        key=key,
        request_hash=content,
        reason=reason,
        account_kind=kind,
        account_owner=owner,
        subject_id=subject_id,
        patient_id=patient_id,
        payee_id=payee_id,
        amount_fen=amount_fen,
        requested_by=by,
        requested_at=now,
    )


def planned(
    refund: Refund, lots: Sequence[Lot], routes: Routes, payee: KnownPayee
) -> tuple[dict[str, Any], list[RefundLeg]]:
    """What `ledger.post` or `ledger.movement` is told of a refund from these lots, and its legs."""
    kind, now = AccountKind(refund.account_kind), refund.requested_at
    way = plan(lots, refund.amount_fen, now, routes, payee.facts)
    movement = {
        "hospital_id": refund.hospital_id,
        "key": f"refund:{refund.id}",
        "kind": "REFUND_REQUESTED",
        "why": refund.reason,
        "by": refund.requested_by,
        "at": now,
        "lines": [
            Line(kind, refund.account_owner, refund.amount_fen),
            Line(AccountKind.REFUND_IN_TRANSIT, str(refund.id), -refund.amount_fen),
        ],
        "takes": [Take(lot.id, fen, "REFUND") for lot, fen in way.takes],
    }
    return movement, [_leg(refund, leg, payee) for leg in way.legs]


def find(db: Db, hospital_id: UUID, key: str) -> Refund | None:
    """The refund that this key already asked for."""
    return db.scalar(select(Refund).where(Refund.hospital_id == hospital_id, Refund.key == key))


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
        if leg.state == LegState.PLANNED and leg.route in LIMITS:
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
    """A stuck refund's failed legs become one leg along another route; a second person must approve
    again.

    The caller holds the locks of the legs too.
    """
    failed = [leg for leg in RefundLeg.of(db, refund.id) if leg.state in FAILED_LEGS]
    if not failed or refund.state != RefundState.STUCK:
        raise Refused("REFUND_NOT_STUCK")
    payee = payee_of(db, refund.patient_id, refund.payee_id)
    other = _replan(db, refund, failed, payee, now)
    for leg in failed:
        leg.move(db, LegState.REROUTED, at=now, by=by, why=f"by {other.route}")
    db.add(_leg(refund, other, payee))
    refund.move(db, RefundState.REQUESTED, at=now, by=by, why=f"rerouted: {other.route}")
    refund.requested_by, refund.checked_by, refund.checked_at = by, None, None
    close_open(
        db,
        hospital_id=refund.hospital_id,
        kind="REFUND_STUCK",
        subject=f"refund:{refund.id}",
        by=by,
        at=now,
        outcome=f"rerouted: {other.route}",
    )


def _known(db: Db, hospital_id: UUID, key: str, content: str) -> Refund | None:
    there = find(db, hospital_id, key)
    if there and there.request_hash != content:
        raise Conflict("IDEMPOTENCY_CONFLICT")
    return there


def _replan(
    db: Db, refund: Refund, failed: list[RefundLeg], payee: KnownPayee, now: datetime
) -> Leg:
    """One leg for all that failed, by a route that has not failed with this payee."""
    tried = {
        leg.route
        for leg in RefundLeg.of(db, refund.id)
        if leg.state in {*FAILED_LEGS, LegState.REROUTED} and leg.payee_id in {None, payee.id}
    }
    reasons = [Why("FAILED", {"route": leg.route, "amount_fen": leg.amount_fen}) for leg in failed]
    amount_fen = sum(leg.amount_fen for leg in failed)
    routes = routes_of(db, refund.hospital_id)
    return fallback(amount_fen, now, routes, payee.facts, reasons, tried=tried)


def _leg(refund: Refund, leg: Leg, payee: KnownPayee) -> RefundLeg:
    payment = leg.takes[0][0] if leg.closes_at else None  # its channel wants to hear its number
    return RefundLeg(
        id=new_id(),
        hospital_id=refund.hospital_id,
        refund_id=refund.id,
        state=LegState.PLANNED,
        route=leg.route,
        amount_fen=leg.amount_fen,
        lot_id=leg.takes[0][0].id if len(leg.takes) == 1 else None,
        channel_transaction=payment.channel_transaction if payment else None,
        order_total_fen=payment.paid_fen if payment else leg.amount_fen,
        why=stored(leg.why),
        payee_id=payee.id if leg.route == "BANK" else None,
        closes_at=leg.closes_at,
        next_try_at=leg.pay_from,
    )
