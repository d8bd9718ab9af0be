"""Old cards with money on them, as a census finds them, for tests of what becomes of it."""

from datetime import UTC, date, datetime, time
from itertools import count
from uuid import UUID

from models import ledger
from models.db import Session
from models.ledger import AccountKind, Line, NewLot
from models.patient import Patient
from models.prepay_account import AccountSource, PrepayAccount
from tests.people import House

PREPAY, CLAIM = AccountKind.OUTPATIENT_PREPAY, AccountKind.TREASURY_TURNED_OVER
_serial = count(1)


def holder(house: House, *, phone: bool = True) -> Patient:
    """Somebody with a card; without a phone and a WeChat account nobody can reach them."""
    patient = house.patient()
    if not phone:
        with Session.begin() as db:
            there = db.get_one(Patient, patient.id)
            there.phone_sealed = there.phone_index = None
    return patient


def old_card(
    house: House,
    fen: int,
    silent_since: date,
    *,
    patient: Patient | None = None,
    paid: date | None = None,
) -> UUID:
    """A card whose only top-up was paid on ``paid``, by default on the day of its last use."""
    patient = patient or holder(house, phone=False)
    number = f"K{next(_serial):06d}"
    with Session.begin() as db:
        account = PrepayAccount(
            hospital_id=house.hospital_id,
            patient_id=patient.id,
            source=AccountSource.CENSUS,
            card_no=number,
            last_activity_on=silent_since,
        )
        db.add(account)
        db.flush()
        owner, at = str(account.id), datetime.combine(paid or silent_since, time(4), UTC)
        ledger.post(
            db,
            hospital_id=house.hospital_id,
            key=f"opening:{number}",
            kind="OPENING",
            why="census",
            by="census",
            at=house.now(),
            lines=[Line(AccountKind.CASH, "CASH", fen), Line(PREPAY, owner, -fen)],
            new_lots=[NewLot(PREPAY, owner, "CASH", number, None, at, fen)],
        )
        return account.id


def held(house: House, account_id: UUID, kind: AccountKind = PREPAY) -> int:
    """What the hospital owes on an account, or keeps as a claim."""
    with Session() as db:
        return ledger.held(db, house.hospital_id, kind, str(account_id))


def balance(house: House, kind: AccountKind, owner: object) -> int:
    """One account of the ledger, debit positive."""
    with Session() as db:
        return ledger.balance(db, house.hospital_id, kind, str(owner))
