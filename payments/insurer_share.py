"""The insurer's share of one settlement: asked once, and taken only if it is what was agreed to."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Any

from models.db import ReadSession, Session
from models.settlement import Settlement, SettlementState
from models.settlement_sheet import insured
from payments.insurance.desk import InsuranceDesk
from payments.insurance.stay import leaving
from policies.access import Actor
from policies.refusals import Conflict, Refused

CLEAR_NOES = frozenset(
    {
        "FEES_NOT_ALL_UPLOADED",
        "INSURANCE_DECLINED",
        "INSURANCE_FACT_MISSING",
        "INSURANCE_TRIAL_NEEDS_DISCHARGE",
    }
)
"""What the insurance desk refuses before or instead of settling."""


def ask(
    run: Settlement, desk: InsuranceDesk, now: Callable[[], datetime], actor: Actor
) -> Settlement:
    """Settle a confirmed run at the insurer (2402, 2304) and write its share down; the run then.

    A clear no, or a final personal share above the trial's, sends the run back to TRIAL, the second
    after 2305: nobody pays more than they agreed to. Raises what the desk raises, Conflict
    TRIAL_CHANGED in the second case; while the outcome is unknown the run stays CONFIRMED. Whoever
    comes late, when somebody agreed anew, changes nothing: it is not their agreement any more.
    """
    amounts: dict[str, Any] = {"total": run.total_fen, "cash": run.total_fen}
    encounter_id, facts = leaving(run.admission_id)
    if run.insured and encounter_id:
        try:
            settled = desk.settle(
                encounter_id, facts, bill_fen=run.total_fen, by=actor, agreed=run.confirmed_at
            )
        except Refused as no:
            if no.code in CLEAR_NOES:
                _back_to_trial(run, now(), no.code)
            raise
        amounts = asdict(settled)
        if settled.cash > run.trial["cash"]:
            with ReadSession() as db:
                there = db.get_one(Settlement, run.id)
            if not _stands(there, run):
                return there
            desk.undo_settlement(encounter_id, actor, setl_id=settled.setl_id, reopen_stay=True)
            _back_to_trial(run, now(), "more than was agreed to")
            raise Conflict("TRIAL_CHANGED")
    move = run.drawn(SettlementState.INSURED, at=now(), by=actor.name)
    return insured(amounts, move)


def _back_to_trial(run: Settlement, now: datetime, why: str) -> None:
    with Session.begin() as db:
        there = Settlement.locked(db, run.id)
        if _stands(there, run):
            there.move(db, SettlementState.TRIAL, at=now, by="insurance", why=why)


def _stands(there: Settlement, run: Settlement) -> bool:
    """Whether the run, as it is ``there`` now, still waits by the agreement that we know of."""
    agreed = there.confirmed_at == run.confirmed_at
    return agreed and there.state == SettlementState.CONFIRMED
