"""A stay and its settlement under their locks: held by one statement, and what is decided about
them written down by one (sql/0054_settlements.sql).
"""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from sqlalchemy.orm import Session

from models import ledger
from models.admission import Admission
from models.db import at_once, within
from models.machine import Machine
from models.queue import queue_time
from models.refund import Refund, RefundLeg
from models.settlement import AidClaim, Settlement
from policies.refusals import NotFound

Rows = list[dict[str, Any]]


@dataclass(slots=True)
class Sheet:
    """One stay, its run and the run's claim, and what is to be written down about them.

    None of the three belongs to the session. ``rounds``: how many runs the stay had; ``rule_packs``
    and ``aid_agency``: what the hospital decided. Everything is written in the order of the fields.
    """

    stay: Admission
    found: Settlement | None
    claim: AidClaim | None
    rounds: int
    rule_packs: list[str]
    aid_agency: str | None
    was: str | None
    moves: Rows = field(default_factory=list)
    steps: Rows = field(default_factory=list)
    refunds: Rows = field(default_factory=list)
    legs: Rows = field(default_factory=list)
    movements: Rows = field(default_factory=list)
    receipts: Rows = field(default_factory=list)
    letters: Rows = field(default_factory=list)
    tasks: Rows = field(default_factory=list)
    go_on_at: datetime | None = None

    @classmethod
    def held(
        cls,
        db: Session,
        admission_id: UUID,
        run_id: UUID | None = None,
        *,
        hospital: UUID | None = None,
        patients: list[UUID] | None = None,
        wards: list[str] | None = None,
    ) -> Self:
        """The stay and this run of it, or the one that is alive, locked until the transaction ends.

        NotFound ADMISSION_UNKNOWN, also for a stay out of these bounds; None is no bound.
        """
        (row,) = within(
            db,
            "SELECT settlement_hold(%(stay)s, %(run)s, %(hospital)s, %(patients)s::uuid[],"
            " %(wards)s::text[]) AS held",
            stay=admission_id,
            run=run_id,
            hospital=hospital,
            patients=patients,
            wards=wards,
        )
        if (held := row["held"]) is None:
            raise NotFound("ADMISSION_UNKNOWN")
        run, claim = held["run"], held["claim"]
        return cls(
            stay=Admission.from_row(held["stay"]),
            found=Settlement.from_row(run) if run else None,
            claim=AidClaim.from_row(claim) if claim else None,
            rounds=held["rounds"],
            rule_packs=held["rule_packs"],
            aid_agency=held["aid_agency"],
            was=run["state"] if run else None,
        )

    @property
    def run(self) -> Settlement:
        """The run; NotFound SETTLEMENT_UNKNOWN where there is none."""
        if self.found is None:
            raise NotFound("SETTLEMENT_UNKNOWN")
        return self.found

    def move(self, entity: Machine, there: str, *, at: datetime, by: str, why: str = "") -> None:
        """Change the state of the run or the stay."""
        self.moves.append(entity.goes(there, at=at, by=by, why=why))

    def asks_back(self, refund: Refund, legs: list[RefundLeg], movement: dict[str, Any]) -> None:
        """Take this refund out of the stored money, with its legs."""
        self.moves.append(
            refund.begun(at=refund.requested_at, by=refund.requested_by, why=refund.reason)
        )
        self.refunds.append(refund.as_row())
        self.legs += [leg.as_row() for leg in legs]
        self.movements.append(movement)

    def drawn_fen(self, kind: ledger.AccountKind) -> int:
        """What the movements drawn up so far change on an account of the stay, debit positive."""
        lines = [line for movement in self.movements for line in movement["lines"]]
        mine = (kind, str(self.stay.id))
        return sum(line["amount_fen"] for line in lines if (line["kind"], line["owner"]) == mine)

    def write(self, db: Session) -> None:
        """Write everything down; what the ledger refuses is raised (`ledger.post`), and nothing is
        written.
        """
        said = {
            "was": self.was,
            "run": self.run.as_row(),
            "stay": {"state": self.stay.state},
            "moves": self.moves,
            "steps": self.steps,
            "refunds": self.refunds,
            "legs": self.legs,
            "movements": self.movements,
            "receipts": self.receipts,
            "letters": self.letters,
            "tasks": self.tasks,
            "go_on_at": self.go_on_at and queue_time(self.go_on_at),
        }
        text = json.dumps(said, default=str)
        (row,) = within(db, "SELECT settlement_write(%(said)s::jsonb) AS answer", said=text)
        if code := row["answer"].get("refused"):
            raise ledger.REFUSALS[code](code)


def insured(amounts: dict[str, Any], move: dict[str, Any]) -> Settlement:
    """Write the insurer's share on the run and move it, as a transaction of its own; the run then,
    as it stands if somebody got here first.
    """
    said = json.dumps({"moved": move, "amounts": amounts}, default=str)
    ((stored,),) = at_once("SELECT settlement_insured(%s::jsonb)", said)
    return Settlement.from_row(stored)
