"""Balances that cannot be given back: attempts to reach the holder, the mark, and the list that is
filed with the health department (GZ-8.1)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session as Db

from config import today
from journeys.counterparts import Counterparts
from models import ledger
from models.audit import audit
from models.binding import WeChatBinding
from models.db import ReadSession, Session, rows
from models.hospital import setting
from models.ledger import AccountKind
from models.patient import Patient
from models.prepay_account import PrepayAccount
from models.unreturnable import ContactAttempt, UnreturnableFiling, UnreturnableMark
from policies.access import Actor
from policies.refusals import Conflict, NotFound, Refused
from policies.sheets import Cell, table
from policies.turnover import Proof, Reason, Result, check_evidence, list_words

PROOF = ("unreachable.attempts", "unreachable.channels", "unreachable.days")
"""The hospital's settings of what it demands before it gives a holder up (D-41)."""

_FILE = """
INSERT INTO unreturnable_filing_item
    (filing_id, account_id, hospital_id, amount_fen, last_activity_on, reason)
SELECT :filing_id, p.id, :hospital_id, -a.balance_fen, p.last_activity_on, m.reason
FROM unreturnable_mark m
JOIN prepay_account p ON p.id = m.account_id
JOIN account a
    ON a.hospital_id = :hospital_id AND a.kind = 'OUTPATIENT_PREPAY' AND a.owner = p.id::text
WHERE m.hospital_id = :hospital_id AND m.lifted_at IS NULL AND m.filing_id IS NULL
  AND a.balance_fen < 0
"""

_FILED = """
UPDATE unreturnable_mark SET filing_id = :filing_id
WHERE lifted_at IS NULL AND account_id IN
    (SELECT account_id FROM unreturnable_filing_item WHERE filing_id = :filing_id)
"""

_SUM = """
SELECT count(*) AS accounts, coalesce(sum(amount_fen), 0)::bigint AS total_fen
FROM unreturnable_filing_item WHERE filing_id = :filing_id
"""

_ROWS = """
SELECT i.account_id, p.patient_id, p.card_no, i.amount_fen, i.last_activity_on, i.reason,
       coalesce(tried.attempts, 0) AS attempts, coalesce(tried.channels, '{}') AS channels
FROM unreturnable_filing_item i
JOIN prepay_account p ON p.id = i.account_id
LEFT JOIN (
    SELECT account_id, count(*) AS attempts,
           array_agg(DISTINCT channel ORDER BY channel) AS channels
    FROM contact_attempt WHERE hospital_id = :hospital_id GROUP BY account_id
) tried ON tried.account_id = i.account_id
WHERE i.filing_id = :filing_id AND i.hospital_id = :hospital_id
ORDER BY i.account_id
"""


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt to reach a holder, as the person who tried writes it down."""

    channel: str
    result: Result
    note: str
    at: datetime | None = None


def record_attempt(
    actor: Actor, outside: Counterparts, account_id: UUID, key: str, tried: Tried
) -> dict[str, Any]:
    """Write an attempt down, once for each key; a holder who answered is not unreachable any more
    (GZ-8.2 T4).
    """
    now = outside.now()
    at = min(tried.at or now, now)
    with Session.begin() as db:
        account = _account(db, actor, account_id, lock=True)
        there = db.scalar(select(ContactAttempt).filter_by(hospital_id=actor.hospital_id, key=key))
        if there and (there.account_id, there.channel, there.result) != (
            account.id,
            tried.channel,
            tried.result,
        ):
            raise Conflict("IDEMPOTENCY_CONFLICT")
        if there is None:
            db.add(
                ContactAttempt(
                    hospital_id=actor.hospital_id,
                    account_id=account.id,
                    key=key,
                    at=at,
                    channel=tried.channel,
                    result=tried.result,
                    by=actor.name,
                    note=tried.note,
                )
            )
            mark = UnreturnableMark.live(db, account.id)
            if mark and tried.result == Result.ANSWERED:
                mark.lift(by=actor.name, at=now, why="the holder answered")
    return view(actor, account_id)


def mark(
    actor: Actor, outside: Counterparts, account_id: UUID, reason: Reason, risk_note: str
) -> dict[str, Any]:
    """Say that a balance cannot be given back, with the proof that the hospital demands (T1).

    Refused ATTEMPT_EVIDENCE_REQUIRED, HOLDER_WAS_REACHED, NOTHING_STORED. Said again it changes
    nothing; Conflict ALREADY_UNRETURNABLE for another reason.
    """
    now = outside.now()
    with Session.begin() as db:
        account = _account(db, actor, account_id, lock=True)
        there = UnreturnableMark.live(db, account.id)
        if there and there.reason != reason:
            raise Conflict("ALREADY_UNRETURNABLE")
        if there is None:
            owner = str(account.id)
            if not ledger.held(db, actor.hospital_id, AccountKind.OUTPATIENT_PREPAY, owner):
                raise Refused("NOTHING_STORED")
            attempts = ContactAttempt.of(db, account.id)
            check_evidence(reason, attempts, _can_be_reached(db, account), _proof(db, actor))
            db.add(
                UnreturnableMark(
                    hospital_id=actor.hospital_id,
                    account_id=account.id,
                    reason=reason,
                    risk_note=risk_note,
                    found_on=today(now),
                    marked_at=now,
                    marked_by=actor.name,
                )
            )
            facts = {"reason": reason, "attempts": len(attempts)}
            subject = f"prepay-account:{account.id}"
            audit(db, actor.hospital_id, actor.name, "unreturnable", subject, facts, at=now)
    return view(actor, account_id)


def lift(actor: Actor, outside: Counterparts, account_id: UUID, why: str) -> dict[str, Any]:
    """The holder was found, or asks: the balance can be given back again."""
    with Session.begin() as db:
        account = _account(db, actor, account_id, lock=True)
        if there := UnreturnableMark.live(db, account.id):
            there.lift(by=actor.name, at=outside.now(), why=why)
    return view(actor, account_id)


def view(actor: Actor, account_id: UUID) -> dict[str, Any]:
    """One account: what was tried to reach its holder, and whether it is given up."""
    with ReadSession() as db:
        account = _account(db, actor, account_id)
        there = UnreturnableMark.live(db, account.id)
        owner = str(account.id)
        return {
            "account_id": account.id,
            "held_fen": ledger.held(db, actor.hospital_id, AccountKind.OUTPATIENT_PREPAY, owner),
            "last_activity_on": account.last_activity_on,
            "reason": there.reason if there else None,
            "found_on": there.found_on if there else None,
            "attempts": [
                {"at": each.at, "channel": each.channel, "result": each.result}
                for each in ContactAttempt.of(db, account.id)
            ],
        }


def make_filing(actor: Actor, outside: Counterparts, period: str) -> dict[str, Any]:
    """Put every marked balance that was not filed yet on the list of a period; once a period.

    Refused NOTHING_TO_FILE when there is none.
    """
    with Session.begin() as db:
        own = {"hospital_id": actor.hospital_id, "period": period}
        filing = db.scalar(select(UnreturnableFiling).filter_by(**own))
        if filing is None:
            filing = UnreturnableFiling(
                **own, made_at=outside.now(), made_by=actor.name, accounts=0, total_fen=0
            )
            db.add(filing)
            db.flush()
            facts = {"filing_id": filing.id, "hospital_id": actor.hospital_id}
            db.execute(text(_FILE), facts)
            db.execute(text(_FILED), facts)
            found = db.execute(text(_SUM), facts).mappings().one()
            if not found["accounts"]:
                raise Refused("NOTHING_TO_FILE")
            filing.accounts, filing.total_fen = found["accounts"], found["total_fen"]
        return _shown(filing)


def filing_received(
    actor: Actor, outside: Counterparts, filing_id: UUID, *, filing_no: str, authority: str
) -> dict[str, Any]:
    """The health department has the list: its number. Conflict when it had another."""
    with Session.begin() as db:
        filing = _filing(db, actor, filing_id, lock=True)
        if filing.received_at and filing.filing_no != filing_no:
            raise Conflict("IDEMPOTENCY_CONFLICT")
        if filing.received_at is None:
            filing.filing_no, filing.authority = filing_no, authority
            filing.received_at = outside.now()
        return _shown(filing)


def export_filing(actor: Actor, outside: Counterparts, filing_id: UUID, form: str) -> bytes:
    """The list as the health department reads it, with full names (T2); the export is audited."""
    facts = {"filing_id": filing_id, "hospital_id": actor.hospital_id}
    with Session.begin() as db:
        _filing(db, actor, filing_id)
        content = table(form, list_words()["header"], _lines(db, rows(_ROWS, **facts)))
        subject = f"unreturnable-filing:{filing_id}"
        audit(db, actor.hospital_id, actor.name, "filing exported", subject, at=outside.now())
    return content


def _lines(db: Db, found: list[dict[str, Any]]) -> Iterator[list[Cell]]:
    words = list_words()
    for row in found:
        patient = db.get_one(Patient, row["patient_id"])
        id_no = patient.id_no
        yield [
            patient.name,
            f"{id_no[:3]}{'*' * (len(id_no) - 7)}{id_no[-4:]}" if id_no else "",
            row["card_no"],
            Decimal(row["amount_fen"]) / 100,
            row["last_activity_on"].isoformat(),
            words["reasons"][row["reason"]],
            row["attempts"],
            "、".join(words["channels"][channel] for channel in row["channels"]),
        ]


def _account(db: Db, actor: Actor, account_id: UUID, *, lock: bool = False) -> PrepayAccount:
    account = db.get(PrepayAccount, account_id, with_for_update=lock or None)
    if account is None or account.hospital_id != actor.hospital_id:
        raise NotFound("PREPAY_ACCOUNT_UNKNOWN")
    return account


def _filing(db: Db, actor: Actor, filing_id: UUID, *, lock: bool = False) -> UnreturnableFiling:
    filing = db.get(UnreturnableFiling, filing_id, with_for_update=lock or None)
    if filing is None or filing.hospital_id != actor.hospital_id:
        raise NotFound("UNRETURNABLE_FILING_UNKNOWN")
    return filing


def _can_be_reached(db: Db, account: PrepayAccount) -> bool:
    patient = db.get_one(Patient, account.patient_id)
    bound = select(WeChatBinding.id).where(WeChatBinding.patient_id == patient.id).limit(1)
    return patient.phone_index is not None or db.scalar(bound) is not None


def _proof(db: Db, actor: Actor) -> Proof:
    found = (setting(db, actor.hospital_id, key) for key in PROOF)
    return Proof(*map(int, found))


def _shown(filing: UnreturnableFiling) -> dict[str, Any]:
    return {
        "id": filing.id,
        "period": filing.period,
        "accounts": filing.accounts,
        "total_fen": filing.total_fen,
        "made_by": filing.made_by,
        "filing_no": filing.filing_no,
        "authority": filing.authority,
        "received_at": filing.received_at,
    }
