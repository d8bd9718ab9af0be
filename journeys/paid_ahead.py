"""Plans paid ahead under article 9: opened on a shown exclusion, paid at once, used part by part
(GZ-9). How the rest goes back is in paid_ahead_end.py."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from config import today
from journeys.counterparts import Counterparts
from models import ledger, receipt
from models.audit import audit
from models.classification import Classification
from models.db import ReadSession, Session, new_id
from models.hospital import Hospital
from models.ledger import AccountKind, Line, NewLot
from models.paid_ahead import AheadState, AheadUse, PaidAhead
from models.patient import Patient
from models.payment_order import PaymentOrder, Purpose
from models.receipt import Receipt
from payments import orders
from payments.collection import Payment, claim_all_due, may_pay_by, place, wish_of
from policies.access import Actor
from policies.digest import digest
from policies.money_kind import NEEDS_APPROVAL, VERSION, Claim, Exclusion, Money, kind_of
from policies.packs import rules_of
from policies.plan_price import next_unit_fen
from policies.refusals import Conflict, Refused

BY_PLAN_PRICE = {Exclusion.COURSE, Exclusion.GROUP_EXAM}
"""What is used in equal parts; of the others each use has its own price."""

AT_MOST = 500


@dataclass(frozen=True, slots=True)
class Plan:
    """What somebody wants to pay ahead, for whom, and why it is no prepayment."""

    claim: Claim
    price_fen: int
    patient_id: UUID | None = None
    employer: str | None = None

    def hash(self) -> str:
        """Equal plans have equal hashes."""
        claim = self.claim
        said = (claim.code, claim.proof, claim.course, claim.units, claim.reason)
        return digest(*said, self.price_fen, str(self.patient_id), self.employer)


def open_plan(actor: Actor, outside: Counterparts, plan: Plan, key: str) -> dict[str, Any]:
    """Open a plan on a claim that the classifier accepts; OTHER waits for a second person.

    The same key again is the same plan. Refused EXCLUSION_NOT_APPLICABLE, PLAN_OWNER_WRONG,
    PLAN_PRICE_TOO_LOW (less than one fen a part).
    """
    answer = kind_of(Money(claim=plan.claim))
    with Session.begin() as db:
        if plan.patient_id is not None:
            Patient.seen_by(db, actor, plan.patient_id)
        Hospital.take_turns(db, actor.hospital_id)
        there = db.scalar(
            select(PaidAhead).filter_by(
                hospital_id=actor.hospital_id, opened_by=actor.name, client_key=key
            )
        )
        if there and there.request_hash != plan.hash():
            raise Conflict("IDEMPOTENCY_CONFLICT")
        if there is None:
            _refuse_unsound(plan, answer)
            there = _opened(db, actor, outside, plan, answer, key)
        plan_id = there.id
    return view_plan(actor, plan_id)


def approve_plan(
    actor: Actor, outside: Counterparts, plan_id: UUID, *, approve: bool, note: str
) -> dict[str, Any]:
    """The second person's word on an OTHER. Said again by the same person it changes nothing.

    Refused SAME_PERSON_FORBIDDEN for whoever opened it.
    """
    now = outside.now()
    with Session.begin() as db:
        plan = PaidAhead.seen_by(db, actor, plan_id, lock=True)
        if plan.opened_by == actor.name:
            raise Refused("SAME_PERSON_FORBIDDEN")
        there = AheadState.OPEN if approve else AheadState.REFUSED
        if (plan.state, plan.approved_by) != (there, actor.name):
            plan.approved_by = actor.name
            plan.move(db, there, at=now, by=actor.name, why=note)
            _trail(db, actor, plan, outside, "approved" if approve else "refused")
    return view_plan(actor, plan_id)


def pay_plan(
    actor: Actor, outside: Counterparts, plan_id: UUID, payment: Payment
) -> dict[str, Any]:
    """Pay a patient's plan at once and in full; one order at a time.

    Refused EXCLUSION_NEEDS_APPROVAL, PLAN_NOT_OPEN, AMOUNT_IS_NOT_WHAT_IS_DUE.
    """
    may_pay_by(actor, payment.route)
    with Session.begin() as db:
        plan = PaidAhead.seen_by(db, actor, plan_id, lock=True)
        order = _claimed(db, actor, outside, plan, payment)
    place(
        order,
        outside.wechat_pay,
        outside.now,
        notify_url=outside.notify_url("payment"),
        payment=payment,
    )
    return view_plan(actor, plan_id)


def receive_from_employer(
    actor: Actor, outside: Counterparts, plan_id: UUID, *, channel: str, reference: str
) -> dict[str, Any]:
    """Book an employer's payment of a group contract in full, by its slip; once.

    The same payment again is harmless, another is a Conflict. Refused PLAN_OWNER_WRONG for a
    patient's plan.
    """
    now = outside.now()
    with Session.begin() as db:
        plan = PaidAhead.seen_by(db, actor, plan_id, lock=True)
        if plan.employer is None:
            raise Refused("PLAN_OWNER_WRONG")
        owner, kind = str(plan.id), AccountKind.COURSE_PREPAY
        ledger.post(
            db,
            hospital_id=plan.hospital_id,
            key=f"paid-ahead:{plan.id}",
            kind="PAID_AHEAD_PAID",
            why=plan.code,
            by=actor.name,
            at=now,
            lines=[
                Line(AccountKind.CASH, channel, plan.price_fen),
                Line(kind, owner, -plan.price_fen),
            ],
            new_lots=[NewLot(kind, owner, channel, reference, None, now, plan.price_fen)],
        )
        if plan.state == AheadState.OPEN:
            plan.move(db, AheadState.RUNNING, at=now, by=actor.name, why=reference)
        receipt.issue(
            db,
            hospital_id=plan.hospital_id,
            kind=Purpose.PAID_AHEAD,
            subject_id=plan.id,
            year=today(now).year,
            at=now,
            by=actor.name,
            facts={"amount_fen": plan.price_fen, "channel": channel, "payer": plan.employer},
        )
    return view_plan(actor, plan_id)


def use_plan(
    actor: Actor, outside: Counterparts, plan_id: UUID, *, use_no: str, amount_fen: int | None
) -> dict[str, Any]:
    """Use one part: a visit, a person, or a charge of its own price. The same number again is the
    same use; with another price it is a Conflict.

    Refused PLAN_NOT_RUNNING, PLAN_USED_UP, AMOUNT_IS_NOT_WHAT_IS_DUE (another price than the
    plan's), AMOUNT_NOT_POSITIVE (a charge without a price), BALANCE_TOO_LOW.
    """
    with Session.begin() as db:
        plan = PaidAhead.seen_by(db, actor, plan_id, lock=True)
        uses = plan.uses(db)
        there = next((use for use in uses if use.use_no == use_no), None)
        if there and amount_fen not in {None, there.amount_fen}:
            raise Conflict("IDEMPOTENCY_CONFLICT")
        if there is None:
            if plan.state != AheadState.RUNNING:
                raise Refused("PLAN_NOT_RUNNING")
            use = AheadUse(
                id=new_id(),
                hospital_id=plan.hospital_id,
                plan_id=plan.id,
                use_no=use_no,
                amount_fen=_price_of_use(plan, len(uses), amount_fen),
                at=outside.now(),
                by=actor.name,
            )
            db.add(use)
            db.flush()
            plan.spend(db, use)
    return view_plan(actor, plan_id)


def undo_last_use(
    actor: Actor, outside: Counterparts, plan_id: UUID, use_no: str
) -> dict[str, Any]:
    """Take back the latest use, recorded by mistake; said again it changes nothing.

    Refused PLAN_NOT_RUNNING, USE_IS_NOT_THE_LATEST.
    """
    now = outside.now()
    with Session.begin() as db:
        plan = PaidAhead.seen_by(db, actor, plan_id, lock=True)
        if plan.state != AheadState.RUNNING:
            raise Refused("PLAN_NOT_RUNNING")
        uses = plan.uses(db)
        if any(use.use_no == use_no for use in uses):
            last = uses[-1]
            if last.use_no != use_no:
                raise Refused("USE_IS_NOT_THE_LATEST")
            ledger.reverse(
                db,
                hospital_id=plan.hospital_id,
                transaction_id=ledger.find(db, plan.hospital_id, last.booking_key),
                key=f"{last.booking_key}:back",
                why="recorded by mistake",
                by=actor.name,
                at=now,
            )
            last.undone_at, last.undone_by = now, actor.name
    return view_plan(actor, plan_id)


def view_plan(actor: Actor, plan_id: UUID) -> dict[str, Any]:
    """One plan: what was paid, used and is left, and what the classifier said."""
    with ReadSession() as db:
        return _shown(db, PaidAhead.seen_by(db, actor, plan_id))


def list_plans(actor: Actor, code: str | None) -> list[dict[str, Any]]:
    """A patient's own plans; for staff the hospital's, newest first (at most 500)."""
    query = select(PaidAhead).where(PaidAhead.hospital_id == actor.hospital_id)
    if not actor.may("hospital:read"):
        query = query.where(PaidAhead.patient_id.in_({actor.patient_id} - {None}))
    if code:
        query = query.where(PaidAhead.code == code)
    with ReadSession() as db:
        found = db.scalars(query.order_by(PaidAhead.id.desc()).limit(AT_MOST))
        return [_shown(db, plan) for plan in found.all()]


def _refuse_unsound(plan: Plan, answer: str) -> None:
    if answer != NEEDS_APPROVAL and not answer.startswith("NOT_PREPAY:"):
        raise Refused("EXCLUSION_NOT_APPLICABLE")
    of_group = plan.claim.code is Exclusion.GROUP_EXAM
    if of_group != bool(plan.employer) or of_group != (plan.patient_id is None):
        raise Refused("PLAN_OWNER_WRONG")
    if plan.claim.code in BY_PLAN_PRICE and not 1 <= plan.claim.units <= plan.price_fen:
        raise Refused("PLAN_PRICE_TOO_LOW")


def _opened(
    db: Db, actor: Actor, outside: Counterparts, plan: Plan, answer: str, key: str
) -> PaidAhead:
    claim, now = plan.claim, outside.now()
    row = PaidAhead(
        hospital_id=actor.hospital_id,
        state=AheadState.TO_APPROVE if answer == NEEDS_APPROVAL else AheadState.OPEN,
        code=claim.code,
        patient_id=plan.patient_id,
        employer=plan.employer,
        course=claim.course or None,
        units=claim.units if claim.code in BY_PLAN_PRICE else 0,
        price_fen=plan.price_fen,
        proof=claim.proof,
        reason=claim.reason,
        opened_by=actor.name,
        opened_at=now,
        client_key=key,
        request_hash=plan.hash(),
    )
    db.add(row)
    db.flush()
    row.start(db, at=now, by=actor.name)
    decision = _trail(db, actor, row, outside, answer)
    db.add(
        Classification(
            hospital_id=row.hospital_id,
            patient_id=row.patient_id,
            subject_id=row.id,
            amount_fen=row.price_fen,
            answer=answer,
            order_ids=[],
            proof=row.proof,
            rules=decision,
            asked_by=actor.name,
            client_key=f"paid-ahead:{row.id}",
            at=now,
        )
    )
    return row


def _trail(
    db: Db, actor: Actor, plan: PaidAhead, outside: Counterparts, answer: str
) -> dict[str, Any]:
    rules = rules_of(db.get_one(Hospital, plan.hospital_id).rule_packs)
    decision = rules.decision(
        "GZ-9",
        today(outside.now()),
        answer,
        classifier=VERSION,
        code=plan.code,
        course=plan.course,
        units=plan.units,
        amount_fen=plan.price_fen,
        proof=plan.proof,
    )
    subject = f"paid-ahead:{plan.id}"
    audit(
        db, plan.hospital_id, actor.name, "paid ahead judged", subject, decision, at=outside.now()
    )
    return decision


def _claimed(
    db: Db, actor: Actor, outside: Counterparts, plan: PaidAhead, payment: Payment
) -> PaymentOrder:
    if plan.patient_id is None:
        raise Refused("PLAN_OWNER_WRONG")
    wish = wish_of(actor, plan.id, plan.patient_id, Purpose.PAID_AHEAD, payment)
    if order := orders.find(db, wish):
        return order
    if plan.state in {AheadState.TO_APPROVE, AheadState.REFUSED}:
        raise Refused("EXCLUSION_NEEDS_APPROVAL")
    if plan.state != AheadState.OPEN:
        raise Refused("PLAN_NOT_OPEN")
    return claim_all_due(db, wish, plan.price_fen, outside.now())


def _price_of_use(plan: PaidAhead, used: int, amount_fen: int | None) -> int:
    if not plan.units:
        if amount_fen is None:
            raise Refused("AMOUNT_NOT_POSITIVE")
        return amount_fen
    if used >= plan.units:
        raise Refused("PLAN_USED_UP")
    due = next_unit_fen(plan.price_fen, plan.units, used)
    if amount_fen not in {None, due}:
        raise Refused("AMOUNT_IS_NOT_WHAT_IS_DUE", due_fen=due)
    return due


def _shown(db: Db, plan: PaidAhead) -> dict[str, Any]:
    uses = plan.uses(db)
    mine = (plan.hospital_id, plan.id)
    order_id = PaymentOrder.latest_id(db, *mine, Purpose.PAID_AHEAD, plan.opened_at)
    paper = Receipt.of(db, Purpose.PAID_AHEAD, order_id or plan.id)
    return {
        "id": plan.id,
        "state": plan.state,
        "answer": Classification.of(db, plan.id).answer,
        "code": plan.code,
        "patient_id": plan.patient_id,
        "employer": plan.employer,
        "course": plan.course,
        "units": plan.units,
        "used": len(uses),
        "price_fen": plan.price_fen,
        "left_fen": plan.held_fen(db),
        "order_id": order_id,
        "receipt_no": paper.number if paper else None,
        "refund_id": plan.refund_id,
        "uses": uses,
    }
