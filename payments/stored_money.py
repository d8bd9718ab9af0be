"""Stored outpatient money that is used: taken from all of a person's accounts, oldest first."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session as Db

from config import today
from models import ledger
from models.ledger import AccountKind, Line, Take
from models.patient import Patient
from models.prepay_account import PrepayAccount
from models.unreturnable import holder_appeared
from policies.lots import spend_oldest_first
from policies.refusals import Refused

PREPAY = AccountKind.OUTPATIENT_PREPAY


def held(db: Db, hospital_id: UUID, patient_id: UUID) -> dict[UUID, int]:
    """What each prepay account of a person holds, the longest silent one first."""
    return {
        account.id: ledger.held(db, hospital_id, PREPAY, str(account.id))
        for account in PrepayAccount.of_person(db, db.get_one(Patient, patient_id))
    }


def total(db: Db, hospital_id: UUID, patient_id: UUID) -> int:
    """All of it together."""
    return sum(held(db, hospital_id, patient_id).values())


def move(
    db: Db,
    *,
    hospital_id: UUID,
    patient_id: UUID,
    amount_fen: int,
    to: tuple[AccountKind, str],
    key: str,
    kind: str,
    why: str,
    by: str,
    at: datetime,
) -> UUID:
    """Move stored money to another account of stored money; each part keeps its channel and day, so
    that it can still go back the way it came. Its holder has been here (GZ-8.2).

    Refused BALANCE_TOO_LOW; Conflict LOTS_CHANGED when it is being used elsewhere at this moment.
    """
    parts: list[tuple[UUID, int]] = []
    for account_id, held_fen in held(db, hospital_id, patient_id).items():
        if fen := min(held_fen, amount_fen - sum(part for _, part in parts)):
            parts.append((account_id, fen))
    if sum(part for _, part in parts) < amount_fen:
        raise Refused("BALANCE_TOO_LOW")
    # First, as whoever asks for the money does: else the two would wait for each other.
    holder_appeared(db, [owner for owner, _ in parts], today(at), at=at, by=by)
    return ledger.post(
        db,
        hospital_id=hospital_id,
        key=key,
        kind=kind,
        why=why,
        by=by,
        at=at,
        lines=[*(Line(PREPAY, str(owner), fen) for owner, fen in parts), Line(*to, -amount_fen)],
        takes=[
            Take(lot.id, fen, "MOVE", to=to)
            for owner, part in parts
            for lot, fen in spend_oldest_first(
                ledger.open_lots(db, hospital_id, PREPAY, str(owner)), part
            )
        ],
    )
