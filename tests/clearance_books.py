"""Where every fen of stored money is, counted twice: from the rows of each person and of the
treasury, and from the ledger."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select, text

from models.db import Session
from models.ledger import Account, AccountKind
from tests.stage import Stage

_PERSON = """
SELECT
  (SELECT coalesce(sum(l.amount_fen), 0) FROM refund_leg l JOIN refund r ON r.id = l.refund_id
   WHERE r.patient_id = p.id AND l.state = 'PAID') AS paid_fen,
  (SELECT coalesce(sum(l.amount_fen - l.spent_fen - l.refunded_fen), 0)
   FROM lot l JOIN account a ON a.id = l.account_id JOIN prepay_account c ON a.owner = c.id::text
   WHERE c.patient_id = p.id AND a.kind = 'OUTPATIENT_PREPAY') AS held_fen,
  (SELECT coalesce(sum(l.amount_fen), 0) FROM refund_leg l JOIN refund r ON r.id = l.refund_id
   WHERE r.patient_id = p.id AND r.state <> 'REJECTED' AND l.state NOT IN ('PAID', 'REROUTED')
     AND r.account_kind <> 'TREASURY_TURNED_OVER') AS leaving_fen,
  (SELECT coalesce(sum(i.amount_fen), 0) FROM visit_item i JOIN visit v ON v.id = i.visit_id
   LEFT JOIN refund r ON r.id = i.refund_id
   WHERE v.patient_id = p.id AND v.state = 'PAID' AND (r.id IS NULL OR r.state = 'REJECTED')
  ) AS treated_fen,
  (SELECT coalesce(sum(i.moved_fen + i.returned_fen), 0)
   FROM turnover_item i JOIN prepay_account c ON c.id = i.account_id
   WHERE c.patient_id = p.id) AS turned_over_fen,
  (SELECT coalesce(sum(h.amount_fen - h.undone_fen), 0)
   FROM hospital_advance h JOIN prepay_account c ON c.id = h.account_id
   WHERE c.patient_id = p.id) AS advanced_fen
FROM patient p WHERE p.id = :patient_id
"""

_TREASURY = """
SELECT
  (SELECT coalesce(sum(total_fen), 0) FROM turnover_batch
   WHERE hospital_id = :house AND state = 'RECEIPTED') AS receipted_fen,
  (SELECT coalesce(sum(moved_fen + returned_fen), 0) FROM turnover_item
   WHERE hospital_id = :house) AS turned_over_fen,
  (SELECT coalesce(sum(amount_fen - undone_fen), 0) FROM hospital_advance
   WHERE hospital_id = :house) AS advanced_fen,
  (SELECT coalesce(sum(amount_fen), 0) FROM claim_batch
   WHERE hospital_id = :house AND state <> 'REFUSED') AS claimed_fen,
  (SELECT coalesce(sum(amount_fen), 0) FROM claim_batch
   WHERE hospital_id = :house AND state = 'ALLOCATED') AS paid_back_fen,
  (SELECT coalesce(sum(l.amount_fen), 0) FROM refund_leg l JOIN refund r ON r.id = l.refund_id
   WHERE r.hospital_id = :house AND r.account_kind = 'TREASURY_TURNED_OVER'
     AND r.state <> 'REJECTED' AND l.state NOT IN ('PAID', 'REROUTED')) AS late_fen
"""

_BEYOND = """
SELECT l.id FROM lot l WHERE l.hospital_id = :house
  AND (l.refunded_fen < 0 OR l.spent_fen < 0 OR l.refunded_fen + l.spent_fen > l.amount_fen)
UNION ALL
SELECT h.id FROM hospital_advance h
JOIN claim_item i ON i.advance_id = h.id
JOIN claim_batch b ON b.id = i.claim_id AND b.state <> 'REFUSED'
WHERE h.hospital_id = :house GROUP BY h.id HAVING sum(i.amount_fen) > h.amount_fen - h.undone_fen
"""

NEVER_NEGATIVE = ("PATIENT_RECEIVABLE", "TREASURY_HELD", "HOSPITAL_ADVANCE")


@dataclass(frozen=True, slots=True)
class Person:
    """What became of one person's stored money. Late claims are in ``paid_fen`` and in
    ``advanced_fen``: the person has them, and the treasury still what it got for them.
    """

    paid_fen: int
    held_fen: int
    leaving_fen: int
    treated_fen: int
    turned_over_fen: int
    advanced_fen: int

    @property
    def all_fen(self) -> int:
        kept = self.paid_fen + self.held_fen + self.leaving_fen + self.treated_fen
        return kept + self.turned_over_fen - self.advanced_fen


@dataclass(frozen=True, slots=True)
class Treasury:
    """What went to the treasury and came back. ``late_fen``: claims on their way to a holder."""

    receipted_fen: int
    turned_over_fen: int
    advanced_fen: int
    claimed_fen: int
    paid_back_fen: int
    late_fen: int


def person(stage: Stage, patient_id: UUID) -> Person:
    with Session() as db:
        found = db.execute(text(_PERSON), {"patient_id": patient_id}).mappings().one()
    return Person(**{name: int(fen) for name, fen in found.items()})


def treasury(stage: Stage) -> Treasury:
    with Session() as db:
        found = db.execute(text(_TREASURY), {"house": stage.hospital_id}).mappings().one()
    return Treasury(**{name: int(fen) for name, fen in found.items()})


def the_treasury_is_right(stage: Stage) -> None:
    """The ledger has of the treasury what its rows say, and nothing was claimed twice."""
    rows, there = treasury(stage), ledger_by_kind(stage)
    held, advance = there["TREASURY_HELD"], there["HOSPITAL_ADVANCE"]
    assert held == rows.receipted_fen - rows.advanced_fen
    assert advance == rows.advanced_fen - rows.paid_back_fen
    claims = -there["TREASURY_TURNED_OVER"] + rows.late_fen
    assert claims == rows.turned_over_fen - rows.advanced_fen
    assert rows.paid_back_fen <= rows.claimed_fen <= rows.receipted_fen
    with Session() as db:
        beyond = db.execute(text(_BEYOND), {"house": stage.hospital_id}).all()
        below = db.scalars(
            select(Account.id).where(
                Account.hospital_id == stage.hospital_id,
                Account.kind.in_(NEVER_NEGATIVE),
                Account.balance_fen < 0,
            )
        ).all()
    assert (beyond, below) == ([], [])


def ledger_by_kind(stage: Stage) -> dict[str, int]:
    """Signed fen of every kind of account, debit positive; the hospital's."""
    query = select(Account.kind, func.sum(Account.balance_fen))
    query = query.where(Account.hospital_id == stage.hospital_id).group_by(Account.kind)
    with Session() as db:
        found = {kind: int(fen) for kind, fen in db.execute(query)}
    return {kind: found.get(kind, 0) for kind in AccountKind}
