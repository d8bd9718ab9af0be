"""The books as finance reads them: what every kind of account stands at, and whether they prove."""

from typing import Any

from sqlalchemy import func, select

from models import ledger
from models.db import ReadSession
from models.ledger import Account
from policies.access import Actor


def balances(actor: Actor) -> list[dict[str, Any]]:
    """Each kind with its accounts in use and their sum in fen, debit positive; all kinds together
    are 0.
    """
    query = (
        select(Account.kind, func.count().label("accounts"), func.sum(Account.balance_fen))
        .where(Account.hospital_id == actor.hospital_id, Account.balance_fen != 0)
        .group_by(Account.kind)
        .order_by(Account.kind)
    )
    with ReadSession() as db:
        return [
            {"kind": kind, "accounts": accounts, "balance_fen": int(total)}
            for kind, accounts, total in db.execute(query)
        ]


def proof(actor: Actor) -> list[dict[str, Any]]:
    """What the ledger's proof finds wrong now; an empty list is the good answer."""
    with ReadSession() as db:
        return [
            {
                "code": finding.code,
                "subject": finding.subject,
                "expected_fen": finding.expected_fen,
                "found_fen": finding.found_fen,
            }
            for finding in ledger.prove(db, actor.hospital_id)
        ]
