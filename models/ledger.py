"""The ledger: double entry in whole fen, append-only; a movement is one call of a SQL function."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Computed,
    ForeignKey,
    Index,
    SmallInteger,
    Text,
    TextClause,
    UniqueConstraint,
    select,
    text,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from models import lots
from models.db import Base, Moment, new_id
from policies.digest import digest
from policies.lots import Lot
from policies.refusals import Conflict, NotFound, Refusal, Refused


class AccountKind(StrEnum):
    """What an account is; its owner says whose. Kinds are never netted (GZ-3).

    Owners: CASH a channel (WECHAT, CASH, CARD); FUND_RECEIVABLE a fund; PATIENT_RECEIVABLE an
    admission or visit; OUTPATIENT_PREPAY and TREASURY_TURNED_OVER a prepay account;
    INPATIENT_DEPOSIT an admission; COURSE_PREPAY a plan paid ahead; VISIT_PAYMENT an outpatient
    visit; TREASURY_HELD a turnover batch; REFUND_IN_TRANSIT a refund; HOSPITAL_ADVANCE, REVENUE and
    SUSPENSE whatever names the item, or nothing.
    """

    CASH = "CASH"
    FUND_RECEIVABLE = "FUND_RECEIVABLE"
    PATIENT_RECEIVABLE = "PATIENT_RECEIVABLE"
    OUTPATIENT_PREPAY = "OUTPATIENT_PREPAY"
    INPATIENT_DEPOSIT = "INPATIENT_DEPOSIT"
    COURSE_PREPAY = "COURSE_PREPAY"
    VISIT_PAYMENT = "VISIT_PAYMENT"
    TREASURY_TURNED_OVER = "TREASURY_TURNED_OVER"
    TREASURY_HELD = "TREASURY_HELD"
    HOSPITAL_ADVANCE = "HOSPITAL_ADVANCE"
    REVENUE = "REVENUE"
    REFUND_IN_TRANSIT = "REFUND_IN_TRANSIT"
    SUSPENSE = "SUSPENSE"


STORED = (
    AccountKind.OUTPATIENT_PREPAY,
    AccountKind.INPATIENT_DEPOSIT,
    AccountKind.COURSE_PREPAY,
    AccountKind.VISIT_PAYMENT,
    AccountKind.TREASURY_TURNED_OVER,
)
"""Money that patients stored: what such an account owes is the sum of its lots."""

LIABILITIES = (*STORED, AccountKind.REFUND_IN_TRANSIT)
"""What is owed to patients: a credit balance, and never less than nothing."""

OWED_TO_US = (
    AccountKind.PATIENT_RECEIVABLE,
    AccountKind.TREASURY_HELD,
    AccountKind.HOSPITAL_ADVANCE,
)
"""What a patient or the treasury owes: a debit balance, and never below zero."""


def _one_of(kinds: Iterable[AccountKind]) -> str:
    return "kind IN (" + ", ".join(f"'{kind}'" for kind in kinds) + ")"


class Account(Base):
    """One account. ``balance_fen`` repeats the sum of its lines and is changed under its lock."""

    __tablename__ = "account"
    __table_args__ = (
        UniqueConstraint("hospital_id", "kind", "owner"),
        CheckConstraint(_one_of(AccountKind), name="kind"),
        CheckConstraint(f"NOT ({_one_of(LIABILITIES)}) OR balance_fen <= 0", name="owes"),
        CheckConstraint(f"NOT ({_one_of(OWED_TO_US)}) OR balance_fen >= 0", name="is_owed"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    kind: Mapped[str] = mapped_column(Text)
    owner: Mapped[str] = mapped_column(Text)
    balance_fen: Mapped[int] = mapped_column(server_default="0")
    keeps_lots: Mapped[bool] = mapped_column(Computed(_one_of(STORED), persisted=True))


class LedgerTransaction(Base):
    """One movement: why, by whom, when. Append-only; a correction names it in ``reverses``."""

    __tablename__ = "ledger_transaction"
    __table_args__ = (
        UniqueConstraint("hospital_id", "key"),
        UniqueConstraint("reverses"),
        Index(None, "hospital_id", "at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID]
    key: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    why: Mapped[str] = mapped_column(Text)
    by: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Moment)
    reverses: Mapped[UUID | None] = mapped_column(ForeignKey("ledger_transaction.id"))
    content_hash: Mapped[str] = mapped_column(Text)


class LedgerLine(Base):
    """One line of a transaction on one account: debit positive, credit negative. Append-only."""

    __tablename__ = "ledger_line"
    __table_args__ = (
        CheckConstraint("amount_fen <> 0", name="amount_not_zero"),
        Index(None, "account_id", "transaction_id"),
    )

    transaction_id: Mapped[UUID] = mapped_column(
        ForeignKey("ledger_transaction.id"), primary_key=True
    )
    no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    hospital_id: Mapped[UUID]
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    amount_fen: Mapped[int]


@dataclass(frozen=True, slots=True)
class Line:
    """Fen on one account, made if it is not there: debit positive, credit negative, never zero."""

    kind: AccountKind
    owner: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class NewLot:
    """Stored money that comes in with a credit line of the same account and amount.

    ``paid_fen``: the whole channel transaction, where only a part of it is stored here.
    """

    kind: AccountKind
    owner: str
    channel: str
    channel_transaction: str | None
    order_id: UUID | None
    paid_at: datetime
    amount_fen: int
    paid_fen: int | None = None


@dataclass(frozen=True, slots=True)
class Take:
    """Use up a part of a lot, with a debit line of its account. MOVE: ``to`` which account.

    A moved part becomes a new lot there with the old channel, transaction and day of payment, so
    that it can still go back the way it came.
    """

    lot_id: UUID
    amount_fen: int
    use: Literal["SPEND", "REFUND", "MOVE"]
    to: tuple[AccountKind, str] | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What the proof found wrong: a code (docs/ledger.md), its subject, what ought to be and is."""

    code: str
    subject: UUID
    expected_fen: int
    found_fen: int


REFUSALS: dict[str, type[Refusal]] = {
    "BALANCE_TOO_LOW": Refused,
    "LOTS_CHANGED": Conflict,
    "LOT_UNKNOWN": NotFound,
    "LEDGER_KEY_REUSED": Conflict,
    "LEDGER_ALREADY_REVERSED": Conflict,
    "REVERSAL_IS_FINAL": Refused,
    "TRANSACTION_UNKNOWN": NotFound,
}
"""What the database's functions answer instead of an id -> how we say it."""

_POST = text("SELECT ledger_post(CAST(:said AS jsonb))")
_REVERSE = text("SELECT ledger_reverse(CAST(:said AS jsonb))")
_FINDINGS = text("SELECT * FROM ledger_findings(:hospital_id)")


def post(
    db: Session,
    *,
    hospital_id: UUID,
    key: str,
    kind: str,
    why: str,
    by: str,
    at: datetime,
    lines: Iterable[Line],
    new_lots: Iterable[NewLot] = (),
    takes: Iterable[Take] = (),
) -> UUID:
    """Book one movement in the caller's transaction; the same key and content again is the same id.

    Content is kind, lines, lots and takes; who repeats it, when (a lot's day too) and with what
    words is not. Lines that do not sum to zero, or stored money that disagrees with its lots, fail
    at the commit.
    Raises Conflict LEDGER_KEY_REUSED (the key has other content) or LOTS_CHANGED (plan the takes
    again), Refused BALANCE_TOO_LOW (a liability or a patient's debt would fall below zero). After
    a refusal nothing of this movement is there and the caller's transaction is usable.
    """
    said = movement(
        hospital_id=hospital_id,
        key=key,
        kind=kind,
        why=why,
        by=by,
        at=at,
        lines=lines,
        new_lots=new_lots,
        takes=takes,
    )
    return _ask(db, _POST, said)


def movement(
    *,
    hospital_id: UUID,
    key: str,
    kind: str,
    why: str,
    by: str,
    at: datetime,
    lines: Iterable[Line],
    new_lots: Iterable[NewLot] = (),
    takes: Iterable[Take] = (),
) -> dict[str, Any]:
    """The movement that `post` books, for a function of the database that books it."""
    said: dict[str, Any] = {
        "kind": kind,
        "lines": [_line(line) for line in lines],
        "lots": [_new_lot(lot) for lot in new_lots],
        "takes": [_take(take) for take in takes],
    }
    return {
        "id": str(new_id()),
        "hospital_id": str(hospital_id),
        "key": key,
        "why": why,
        "by": by,
        "at": at.isoformat(),
        "content_hash": _content(said),
        "kind": kind,
        "lines": [{**line, "account_id": str(new_id())} for line in said["lines"]],
        "lots": [{**lot, "id": str(new_id())} for lot in said["lots"]],
        "takes": [{**take, "new_lot_id": str(new_id())} for take in said["takes"]],
    }


def reverse(
    db: Session,
    *,
    hospital_id: UUID,
    transaction_id: UUID,
    key: str,
    why: str,
    by: str,
    at: datetime,
) -> UUID:
    """Book the exact mirror of a movement: takes return to their lots, new lots are voided.

    At most once for each movement; the same key again returns the same id. Raises Conflict
    LEDGER_ALREADY_REVERSED, Conflict LOTS_CHANGED or Refused BALANCE_TOO_LOW (the money was used
    meanwhile), Refused REVERSAL_IS_FINAL, NotFound TRANSACTION_UNKNOWN.
    """
    return _ask(
        db,
        _REVERSE,
        {
            "id": str(new_id()),
            "hospital_id": str(hospital_id),
            "key": key,
            "why": why,
            "by": by,
            "at": at.isoformat(),
            "reverses": str(transaction_id),
        },
    )


def find(db: Session, hospital_id: UUID, key: str) -> UUID:
    """The id of the movement booked under a key; NotFound TRANSACTION_UNKNOWN."""
    if found := find_or_none(db, hospital_id, key):
        return found
    raise NotFound("TRANSACTION_UNKNOWN")


def find_or_none(db: Session, hospital_id: UUID, key: str) -> UUID | None:
    """The id of the movement booked under a key, if there is one."""
    return db.scalar(
        select(LedgerTransaction.id).where(
            LedgerTransaction.hospital_id == hospital_id, LedgerTransaction.key == key
        )
    )


def is_reversed(db: Session, transaction_id: UUID) -> bool:
    """Whether a movement was taken back."""
    return bool(
        db.scalar(select(LedgerTransaction.id).where(LedgerTransaction.reverses == transaction_id))
    )


def balance(db: Session, hospital_id: UUID, kind: AccountKind, owner: str) -> int:
    """The balance in fen, debit positive; 0 for an account that was never used."""
    return balances(db, hospital_id, owner, kind)[kind]


def balances(db: Session, hospital_id: UUID, owner: str, *kinds: AccountKind) -> dict[str, int]:
    """The same of several accounts of one owner at once."""
    mine = (Account.hospital_id == hospital_id, Account.kind.in_(kinds), Account.owner == owner)
    found = db.execute(select(Account.kind, Account.balance_fen).where(*mine))
    return dict.fromkeys(kinds, 0) | {row.kind: row.balance_fen for row in found}


def held(db: Session, hospital_id: UUID, kind: AccountKind, owner: str) -> int:
    """What a liability owes, in positive fen."""
    return -balance(db, hospital_id, kind, owner)


def open_lots(db: Session, hospital_id: UUID, kind: AccountKind, owner: str) -> list[Lot]:
    """The lots of an account that still hold money, oldest payment first."""
    return lots.open_lots(db, hospital_id, kind, owner)


def prove(db: Session, hospital_id: UUID) -> list[Finding]:
    """Recompute a hospital's ledger from its lines and uses; an empty list: everything agrees.

    One statement, hence one snapshot: it may run while money moves.
    """
    found = db.execute(_FINDINGS, {"hospital_id": hospital_id})
    return [Finding(**row) for row in found.mappings()]


def _ask(db: Session, function: TextClause, said: dict[str, Any]) -> UUID:
    answer = db.execute(function, {"said": json.dumps(said)}).scalar_one()
    if code := answer.get("refused"):
        raise REFUSALS[code](code)
    return UUID(answer["id"])


def _line(line: Line) -> dict[str, Any]:
    return {"kind": line.kind, "owner": line.owner, "amount_fen": line.amount_fen}


def _new_lot(lot: NewLot) -> dict[str, Any]:
    return {
        "kind": lot.kind,
        "owner": lot.owner,
        "channel": lot.channel,
        "channel_transaction": lot.channel_transaction,
        "order_id": str(lot.order_id) if lot.order_id else None,
        "paid_at": lot.paid_at.isoformat(),
        "amount_fen": lot.amount_fen,
        "paid_fen": lot.amount_fen if lot.paid_fen is None else lot.paid_fen,
    }


def _take(take: Take) -> dict[str, Any]:
    to_kind, to_owner = take.to or (None, None)
    return {
        "lot_id": str(take.lot_id),
        "amount_fen": take.amount_fen,
        "use": take.use,
        "to_kind": to_kind,
        "to_owner": to_owner,
    }


def _content(said: dict[str, Any]) -> str:
    """The hash of what is booked; the order in which it was named is not content."""
    undated = [{**lot, "paid_at": None} for lot in said["lots"]]
    parts = (said["lines"], undated, said["takes"])
    return digest(said["kind"], *(sorted(part, key=json.dumps) for part in parts))
