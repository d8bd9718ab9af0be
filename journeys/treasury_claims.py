"""Asking the treasury for what the hospital paid first, never for more than it got (GZ-8.3)."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session as Db

from journeys.counterparts import Counterparts
from models import ledger
from models.audit import audit
from models.db import ReadSession, Session
from models.hospital import Hospital
from models.ledger import AccountKind, Line
from models.turnover import (
    BatchState,
    ClaimBatch,
    ClaimBatchState,
    ClaimItem,
    HospitalAdvance,
    TurnoverBatch,
)
from policies.access import Actor
from policies.refusals import Conflict, Refused
from policies.turnover import claim_within


def claim_book(actor: Actor) -> dict[str, Any]:
    """What the treasury has got, what was claimed of it, the room that is left (D-09, D-10), the
    advances nobody claimed yet by budget year, and the claims.
    """
    with ReadSession() as db:
        room = _room(db, actor.hospital_id)
        waiting: dict[int, int] = {}
        for advance, open_fen in _unclaimed(db, actor.hospital_id):
            waiting[advance.budget_year] = waiting.get(advance.budget_year, 0) + open_fen
        query = select(ClaimBatch).where(ClaimBatch.hospital_id == actor.hospital_id)
        return {
            "turned_over_fen": _turned_over(db, actor.hospital_id),
            "claimed_fen": _claimed(db, actor.hospital_id),
            "room_fen": room,
            "unclaimed": [
                {"budget_year": year, "amount_fen": fen} for year, fen in sorted(waiting.items())
            ],
            "claims": [_shown(claim) for claim in db.scalars(query.order_by(ClaimBatch.id))],
        }


def draft_claim(actor: Actor, outside: Counterparts, budget_year: int) -> dict[str, Any]:
    """Claim the advances of a budget year, oldest first, as far as the cap lets it; what finds no
    room is answered as ``beyond_cap_fen`` with CLAIM_CAP_EXCEEDED and stays the hospital's cost.

    Refused NOTHING_TO_CLAIM; Refused CLAIM_CAP_EXCEEDED when there is no room at all.
    """
    now = outside.now()
    with Session.begin() as db:
        db.get_one(Hospital, actor.hospital_id, with_for_update=True)  # one counts the room at once
        found = _unclaimed(db, actor.hospital_id, budget_year)
        if not found:
            raise Refused("NOTHING_TO_CLAIM")
        parts = claim_within(_room(db, actor.hospital_id), [fen for _, fen in found])
        if not any(parts):
            raise Refused("CLAIM_CAP_EXCEEDED")
        claim = ClaimBatch(
            hospital_id=actor.hospital_id,
            state=ClaimBatchState.DRAFT,
            budget_year=budget_year,
            amount_fen=sum(parts),
            made_by=actor.name,
            made_at=now,
        )
        db.add(claim)
        db.flush()
        claim.start(db, at=now, by=actor.name)
        db.add_all(
            ClaimItem(
                claim_id=claim.id,
                advance_id=advance.id,
                hospital_id=actor.hospital_id,
                amount_fen=part,
            )
            for (advance, _), part in zip(found, parts, strict=True)
            if part
        )
        beyond = sum(fen for _, fen in found) - sum(parts)
        facts = {"amount_fen": claim.amount_fen, "beyond_cap_fen": beyond}
        subject = f"treasury-claim:{claim.id}"
        audit(db, actor.hospital_id, actor.name, "claim drafted", subject, facts, at=now)
        return _shown(claim) | {
            "beyond_cap_fen": beyond,
            "warnings": ["CLAIM_CAP_EXCEEDED"] if beyond else [],
        }


def file_claim(
    actor: Actor, outside: Counterparts, claim_id: UUID, *, filing_no: str
) -> dict[str, Any]:
    """The head sends it on its way through the health department; not the person who drafted it."""
    now = outside.now()
    with Session.begin() as db:
        claim = ClaimBatch.locked(db, actor.hospital_id, claim_id)
        if claim.made_by == actor.name:
            raise Refused("SAME_PERSON_FORBIDDEN")
        if claim.filing_no and claim.filing_no != filing_no:
            raise Conflict("IDEMPOTENCY_CONFLICT")
        if claim.state == ClaimBatchState.DRAFT:
            claim.filed_by, claim.filing_no = actor.name, filing_no
            claim.move(db, ClaimBatchState.FILED, at=now, by=actor.name, why=filing_no)
        return _shown(claim)


def allocated(
    actor: Actor, outside: Counterparts, claim_id: UUID, *, receipt_no: str
) -> dict[str, Any]:
    """The budget has paid the claim back: cash comes in, the treasury owes that much less."""
    now = outside.now()
    with Session.begin() as db:
        claim = ClaimBatch.locked(db, actor.hospital_id, claim_id)
        if claim.state == ClaimBatchState.ALLOCATED and claim.receipt_no != receipt_no:
            raise Conflict("IDEMPOTENCY_CONFLICT")
        if claim.state == ClaimBatchState.DRAFT:
            raise Refused("CLAIM_NOT_FILED")
        if claim.state == ClaimBatchState.FILED:
            claim.receipt_no = receipt_no
            claim.move(db, ClaimBatchState.ALLOCATED, at=now, by=actor.name, why=receipt_no)
            for advance, fen in _parts(db, claim):
                _pay_back(db, actor, claim, advance, fen, outside)
        return _shown(claim)


def refused(actor: Actor, outside: Counterparts, claim_id: UUID, *, why: str) -> dict[str, Any]:
    """The claim comes back: its advances may be claimed again, its room is free again."""
    with Session.begin() as db:
        claim = ClaimBatch.locked(db, actor.hospital_id, claim_id)
        if claim.state == ClaimBatchState.ALLOCATED:
            raise Refused("CLAIM_IS_PAID")
        if claim.state != ClaimBatchState.REFUSED:
            claim.move(db, ClaimBatchState.REFUSED, at=outside.now(), by=actor.name, why=why)
        return _shown(claim)


def _pay_back(
    db: Db,
    actor: Actor,
    claim: ClaimBatch,
    advance: HospitalAdvance,
    fen: int,
    outside: Counterparts,
) -> None:
    ledger.post(
        db,
        hospital_id=actor.hospital_id,
        key=f"treasury-claim:{claim.id}:{advance.id}",
        kind="ADVANCE_PAID_BACK",
        why=claim.receipt_no,
        by=actor.name,
        at=outside.now(),
        lines=[
            Line(AccountKind.CASH, "BANK", fen),
            Line(AccountKind.HOSPITAL_ADVANCE, str(advance.account_id), -fen),
        ],
    )


def _parts(db: Db, claim: ClaimBatch) -> list[tuple[HospitalAdvance, int]]:
    query = (
        select(HospitalAdvance, ClaimItem.amount_fen)
        .join(ClaimItem, ClaimItem.advance_id == HospitalAdvance.id)
        .where(ClaimItem.claim_id == claim.id)
        .order_by(HospitalAdvance.id)
    )
    return [(advance, fen) for advance, fen in db.execute(query)]


def _unclaimed(
    db: Db, hospital_id: UUID, budget_year: int | None = None
) -> list[tuple[HospitalAdvance, int]]:
    """The advances with what of each no living claim asks back, the oldest first."""
    asked = HospitalAdvance.claimed_fen()
    query = select(HospitalAdvance, HospitalAdvance.standing_fen - asked).where(
        HospitalAdvance.hospital_id == hospital_id, HospitalAdvance.standing_fen > asked
    )
    if budget_year is not None:
        query = query.where(HospitalAdvance.budget_year == budget_year)
    found = db.execute(query.order_by(HospitalAdvance.paid_on, HospitalAdvance.id))
    return [(advance, int(fen)) for advance, fen in found]


def _room(db: Db, hospital_id: UUID) -> int:
    return _turned_over(db, hospital_id) - _claimed(db, hospital_id)


def _turned_over(db: Db, hospital_id: UUID) -> int:
    """Only what has the treasury's receipt counts (T4)."""
    query = select(func.coalesce(func.sum(TurnoverBatch.total_fen), 0)).where(
        TurnoverBatch.hospital_id == hospital_id, TurnoverBatch.state == BatchState.RECEIPTED
    )
    return int(db.scalar(query) or 0)


def _claimed(db: Db, hospital_id: UUID) -> int:
    query = select(func.coalesce(func.sum(ClaimBatch.amount_fen), 0)).where(
        ClaimBatch.hospital_id == hospital_id, ClaimBatch.state != ClaimBatchState.REFUSED
    )
    return int(db.scalar(query) or 0)


def _shown(claim: ClaimBatch) -> dict[str, Any]:
    return {
        "id": claim.id,
        "state": claim.state,
        "budget_year": claim.budget_year,
        "amount_fen": claim.amount_fen,
        "made_by": claim.made_by,
        "filed_by": claim.filed_by,
        "filing_no": claim.filing_no,
        "receipt_no": claim.receipt_no,
    }
