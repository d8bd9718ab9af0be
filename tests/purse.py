"""Short words of the tests for stored outpatient money: old top-ups, and asking all of it back."""

from datetime import timedelta
from itertools import count
from uuid import UUID

from models import ledger
from models.db import Session, new_id
from models.ledger import AccountKind, Line, NewLot
from models.patient import Patient
from models.payee import Payee
from payments import refunds
from tests.stage import Stage

PREPAY = AccountKind.OUTPATIENT_PREPAY
_serial = count(1)


def store(
    stage: Stage, patient: Patient, fen: int, channel: str = "CASH", *, days: int = 10
) -> str:
    """A top-up of so many days ago, as a census brings it in; its number at the channel."""
    number, owner = f"old-{next(_serial):08d}", str(patient.id)
    paid_at = stage.clock.now() - timedelta(days=days)
    with Session.begin() as db:
        ledger.post(
            db,
            hospital_id=stage.hospital_id,
            key=f"opening:{number}",
            kind="OPENING",
            why="census",
            by="census",
            at=stage.clock.now(),
            lines=[Line(AccountKind.CASH, channel, fen), Line(PREPAY, owner, -fen)],
            new_lots=[NewLot(PREPAY, owner, channel, number, None, paid_at, fen)],
        )
    return number


def ask_back(stage: Stage, patient: Patient, fen: int, by: str = "staff:maker") -> UUID:
    """Somebody asks for stored money; the refund."""
    with Session.begin() as db:
        return refunds.request(
            db,
            refunds.drawn_up(
                hospital_id=stage.hospital_id,
                key=f"purse-{next(_serial)}",
                reason="CLEARANCE",
                kind=PREPAY,
                owner=str(patient.id),
                subject_id=patient.id,
                patient_id=patient.id,
                amount_fen=fen,
                by=by,
                now=stage.clock.now(),
            ),
        ).id


def card(stage: Stage, patient: Patient, *, verified: bool = True, papers: bool = False) -> UUID:
    """A bank account named for the patient."""
    with Session.begin() as db:
        payee = Payee(
            id=new_id(),
            hospital_id=stage.hospital_id,
            patient_id=patient.id,
            bank_name="示范银行贵阳分行",
            papers=papers,
            verified_by="staff:checker" if verified else None,
            verified_at=stage.clock.now() if verified else None,
        )
        payee.name = patient.name
        payee.card_no = f"62220000{next(_serial):011d}"
        db.add(payee)
    return payee.id
