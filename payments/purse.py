"""All stored money of one verified person, on every card and in every hospital of the consortium,
and which way each part would go back (GZ-7, D-45).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session as Db

from models import ledger
from models.hospital import Hospital, consortium_of
from models.ledger import AccountKind
from models.patient import Patient
from models.prepay_account import PrepayAccount
from payments.refund_facts import payee_of, routes_of
from payments.refund_requests import KINDS
from policies.refund_plan import Leg, plan


@dataclass(frozen=True, slots=True)
class Holder:
    """One person at one hospital. ``patient``: the row that speaks for all their rows there."""

    hospital: Hospital
    patient: Patient
    accounts: list[PrepayAccount]


@dataclass(frozen=True, slots=True)
class Balance:
    """One account's money of one kind that is not nothing."""

    account: PrepayAccount
    kind: AccountKind
    held_fen: int


def holders(db: Db, patient: Patient, *, lock: bool = False) -> list[Holder]:
    """The same person wherever their identity was verified: the asking hospital first."""
    homes = consortium_of(db, patient.hospital_id)
    rows = patient.same_person(db, [home.id for home in homes], lock=lock)
    found = []
    for home in homes:
        there = [row for row in rows if row.hospital_id == home.id]
        if there:
            speaks = patient if patient in there else there[0]
            accounts = [account for row in there for account in PrepayAccount.of(db, row.id)]
            found.append(Holder(home, speaks, accounts))
    return found


def balances(db: Db, holder: Holder) -> Iterator[Balance]:
    """What every account holds, stored and turned over."""
    for kind in KINDS:
        for account in holder.accounts:
            held_fen = ledger.held(db, holder.hospital.id, kind, str(account.id))
            if held_fen > 0:
                yield Balance(account, kind, held_fen)


def would_go(db: Db, holder: Holder, balance: Balance, now: datetime) -> tuple[Leg, ...]:
    """The legs of a refund of all of it, planned now."""
    home: UUID = holder.hospital.id
    lots = ledger.open_lots(db, home, balance.kind, str(balance.account.id))
    payee = payee_of(db, holder.patient.id)
    return plan(lots, balance.held_fen, now, routes_of(db, home), payee.facts).legs
