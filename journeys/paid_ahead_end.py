"""How what is left of a plan paid ahead goes back: a patient's by the refund of two people, an
employer's by the bank (GZ-9)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session as Db

from journeys.counterparts import Counterparts
from models import ledger
from models.db import Session
from models.ledger import AccountKind, Line, Take
from models.paid_ahead import AheadState, PaidAhead
from payments import refunds
from policies.access import Actor
from policies.lots import spend_oldest_first
from policies.refusals import Refused

AHEAD = AccountKind.COURSE_PREPAY


def stop_plan(actor: Actor, outside: Counterparts, plan_id: UUID, *, reason: str) -> dict[str, Any]:
    """The patient or employer stops: all that is left at plan price is asked back, and nothing more
    is used. Said again it is the same refund.

    Refused PLAN_NOT_RUNNING, NOTHING_TO_REFUND.
    """
    now = outside.now()
    with Session.begin() as db:
        plan = PaidAhead.seen_by(db, actor, plan_id, lock=True)
        if plan.state not in {AheadState.STOPPED, AheadState.REPAID}:
            if plan.state != AheadState.RUNNING:
                raise Refused("PLAN_NOT_RUNNING")
            left_fen = plan.held_fen(db)
            if left_fen == 0:
                raise Refused("NOTHING_TO_REFUND")
            plan.stopped_by = actor.name
            plan.move(db, AheadState.STOPPED, at=now, by=actor.name, why=reason)
            if plan.patient_id is not None:
                before = f":{plan.refund_id}" if plan.refund_id else ""
                key = f"paid-ahead:{plan.id}{before}"
                plan.refund_id = _asked_back(db, actor, plan, key, left_fen, now)
        return {"plan_id": plan.id, "state": plan.state, "refund_id": plan.refund_id}


def refund_surplus(actor: Actor, outside: Counterparts, plan_id: UUID) -> UUID:
    """Give back what came in twice for a plan that runs on; another person approves.

    Refused PLAN_NOT_RUNNING, NOTHING_TO_REFUND.
    """
    with Session.begin() as db:
        plan = PaidAhead.seen_by(db, actor, plan_id, lock=True)
        if plan.state != AheadState.RUNNING or plan.patient_id is None:
            raise Refused("PLAN_NOT_RUNNING")
        used_fen = sum(use.amount_fen for use in plan.uses(db))
        surplus_fen = plan.held_fen(db) - (plan.price_fen - used_fen)
        if surplus_fen <= 0:
            raise Refused("NOTHING_TO_REFUND")
        newest = ledger.open_lots(db, plan.hospital_id, AHEAD, str(plan.id))[-1]
        key = f"paid-ahead-surplus:{newest.id}:{newest.parts}"
        return _asked_back(db, actor, plan, key, surplus_fen, outside.now())


def repay_employer(
    actor: Actor, outside: Counterparts, plan_id: UUID, *, slip_no: str
) -> dict[str, Any]:
    """The bank has paid the rest back to the employer: book it by its slip. Never by the one who
    stopped the contract. The same slip again is harmless.

    Refused SAME_PERSON_FORBIDDEN, PLAN_OWNER_WRONG, PLAN_NOT_STOPPED.
    """
    now = outside.now()
    with Session.begin() as db:
        plan = PaidAhead.seen_by(db, actor, plan_id, lock=True)
        if plan.employer is None:
            raise Refused("PLAN_OWNER_WRONG")
        if plan.stopped_by == actor.name:
            raise Refused("SAME_PERSON_FORBIDDEN")
        if (plan.state, plan.repaid_slip) != (AheadState.REPAID, slip_no):
            if plan.state != AheadState.STOPPED:
                raise Refused("PLAN_NOT_STOPPED")
            _book_repayment(db, plan, actor, now)
            plan.repaid_by, plan.repaid_slip = actor.name, slip_no
            plan.move(db, AheadState.REPAID, at=now, by=actor.name, why=slip_no)
        return {"plan_id": plan.id, "state": plan.state, "refund_id": plan.refund_id}


def _asked_back(
    db: Db, actor: Actor, plan: PaidAhead, key: str, amount_fen: int, now: datetime
) -> UUID:
    assert plan.patient_id  # noqa: S101  an employer's goes back by the bank
    return refunds.request(
        db,
        refunds.drawn_up(
            hospital_id=plan.hospital_id,
            key=key,
            reason="PAID_AHEAD",
            kind=AHEAD,
            owner=str(plan.id),
            subject_id=plan.id,
            patient_id=plan.patient_id,
            amount_fen=amount_fen,
            by=actor.name,
            now=now,
        ),
    ).id


def _book_repayment(db: Db, plan: PaidAhead, actor: Actor, now: datetime) -> None:
    owner, left_fen = str(plan.id), plan.held_fen(db)
    lots = ledger.open_lots(db, plan.hospital_id, AHEAD, owner)
    ledger.post(
        db,
        hospital_id=plan.hospital_id,
        key=f"paid-ahead:{plan.id}:repaid",
        kind="PAID_AHEAD_REPAID",
        why=plan.code,
        by=actor.name,
        at=now,
        lines=[Line(AHEAD, owner, left_fen), Line(AccountKind.CASH, "BANK", -left_fen)],
        takes=[Take(lot.id, fen, "REFUND") for lot, fen in spend_oldest_first(lots, left_fen)],
    )
