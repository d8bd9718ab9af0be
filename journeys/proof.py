"""The nightly proof that the books agree with themselves; what does not agree becomes a task for
finance.
"""

from uuid import UUID

from journeys.counterparts import Counterparts
from models import ledger
from models.db import Session
from models.work_item import open_item


def prove_ledger(outside: Counterparts, hospital_id: UUID) -> int:
    """Recompute a hospital's ledger from its lines; the number of findings, which ought to be 0."""
    with Session.begin() as db:
        findings = ledger.prove(db, hospital_id)
        for finding in findings:
            open_item(
                db,
                hospital_id=hospital_id,
                kind="LEDGER_DISAGREES",
                subject=f"{finding.code}:{finding.subject}",
                at=outside.now(),
                facts={"expected_fen": finding.expected_fen, "found_fen": finding.found_fen},
            )
    return len(findings)
