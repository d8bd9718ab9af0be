"""Storing outpatient money where the law still allows it: classified, under a filed and published
exception, with the patient's consent (GZ-5, GZ-6)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session as Db

from config import today
from journeys.counterparts import Counterparts
from models import ledger
from models.audit import audit
from models.classification import Classification
from models.db import ReadSession, Session
from models.filing import PrepayFiling, Publication
from models.hospital import Hospital
from models.ledger import AccountKind
from models.patient import Patient
from models.payment_order import PaymentOrder, Purpose
from models.prepay_consent import PrepayConsent
from models.receipt import Receipt
from payments import orders
from payments.collection import Payment, may_pay_by, place, wish_of
from policies.access import Actor
from policies.filed_exception import Filing, TopUp, age_on
from policies.money_kind import OUTPATIENT_PREPAY, VERSION, Claim, Exclusion, Money, kind_of
from policies.packs import rules_of
from policies.refusal_texts import words_of
from policies.refusals import Refused
from policies.scope import Institution, InstitutionType
from policies.top_up import Yes, may_top_up

PREPAY = AccountKind.OUTPATIENT_PREPAY


@dataclass(frozen=True, slots=True)
class Ground:
    """Why the patient needs to store money, as the window saw it.

    ``group_proof``: the paper that shows the group. ``order_ids``, ``surgery_no``: what is already
    ordered or appointed; then the money is none of this kind (GZ-5, D-11).
    """

    scene: str | None = None
    group: str | None = None
    group_proof: str = ""
    order_ids: tuple[str, ...] = ()
    surgery_no: str = ""

    def money(self) -> Money:
        """The classifier's question."""
        surgery = Claim(Exclusion.PRE_SURGERY_TESTS, self.surgery_no) if self.surgery_no else None
        return Money(order_ids=self.order_ids, claim=surgery)


def top_up(
    actor: Actor, outside: Counterparts, patient_id: UUID, payment: Payment, ground: Ground
) -> dict[str, Any]:
    """Store money in a patient's own outpatient account, if the rules let it.

    Judged under the patient's lock, with open orders counted as if paid: two at once cannot exceed
    a filing's limit, and a consent that was just withdrawn is none. The same key again is the same
    top-up. Refused NOT_AN_OUTPATIENT_PREPAY, RULE_PACK_NOT_APPLICABLE or as filing_that_allows
    says; yes and no are both kept with what they rested on. An institution that is only advised
    gets the warning with the answer. Busy CHANNEL_SILENT (repeat with the same key).
    """
    may_pay_by(actor, payment.route)
    _may_say(actor, ground)
    with Session.begin() as db:
        patient = Patient.seen_by(db, actor, patient_id, lock=True)
        wish = wish_of(actor, patient_id, patient_id, Purpose.TOP_UP, payment)
        order: PaymentOrder | Refused | None = orders.find(db, wish)
        if order is None:
            asked = _Asked(db, actor, patient, payment, ground, outside.now())
            try:
                yes = asked.judge()
            except Refused as no:
                order, decision = no, asked.decision(no.code)
            else:
                order = orders.claim(db, wish, outside.now())
                decision = asked.keep(yes, order)
                if order.channel != "WECHAT":
                    orders.paid(db, order, outside.now(), by=actor.name)
            asked.trail(decision)
    if isinstance(order, Refused):
        raise order
    place(
        order,
        outside.wechat_pay,
        outside.now,
        notify_url=outside.notify_url("payment"),
        payment=payment,
    )
    return _shown(order.id)


class _Asked:
    """One question to the rules: what they are told, and the record of what they said."""

    def __init__(
        self,
        db: Db,
        actor: Actor,
        patient: Patient,
        payment: Payment,
        ground: Ground,
        now: datetime,
    ) -> None:
        self.db, self.actor, self.patient, self.now = db, actor, patient, now
        self.payment, self.ground, self.day = payment, ground, today(now)
        self.home = db.get_one(Hospital, patient.hospital_id)
        self.rules = rules_of(self.home.rule_packs)
        self.kind = kind_of(ground.money())
        self.consent = PrepayConsent.live(db, patient.id)
        self.filings = self._filings()
        self.held_fen = ledger.held(db, patient.hospital_id, PREPAY, str(patient.id))
        mine = (patient.hospital_id, patient.id)
        self.held_fen += PaymentOrder.pending_fen(db, *mine, Purpose.TOP_UP)

    def judge(self) -> Yes:
        """Yes with its ground, or Refused."""
        if self.kind != OUTPATIENT_PREPAY:
            raise Refused("NOT_AN_OUTPATIENT_PREPAY", kind=self.kind)
        return may_top_up(
            Institution(InstitutionType(self.home.institution_type), self.home.opted_in),
            self.day,
            self.rules,
            TopUp(
                amount_fen=self.payment.amount_fen,
                held_fen=self.held_fen,
                consented=self.consent is not None,
                born_on=self.patient.born_on,
                scene=self.ground.scene,
                group=self.ground.group,
            ),
            self.filings,
        )

    def keep(self, yes: Yes, order: PaymentOrder) -> dict[str, Any]:
        """Write down what the order rests on; the decision."""
        answer = "+".join(("ALLOWED", *(advice.code for advice in yes.advice)))
        since = [advice.since.isoformat() for advice in yes.advice]
        decision = self.decision(answer, filing_id=_text(yes.filing), advised_since=since)
        self.db.add(
            Classification(
                hospital_id=self.home.id,
                patient_id=self.patient.id,
                subject_id=order.id,
                amount_fen=order.amount_fen,
                answer=self.kind,
                order_ids=list(self.ground.order_ids),
                proof=self.ground.group_proof,
                rules=decision,
                filing_id=yes.filing.id if yes.filing else None,
                consent_id=self.consent.id if yes.filing and self.consent else None,
                asked_by=self.actor.name,
                client_key=f"order:{order.id}",
                at=self.now,
            )
        )
        return decision

    def decision(self, answer: str, **more: Any) -> dict[str, Any]:
        """The record of the answer with all that it rested on; no personal data but the age."""
        born_on, ground = self.patient.born_on, self.ground
        return self.rules.decision(
            "GZ-6",
            self.day,
            answer,
            institution_type=self.home.institution_type,
            opted_in=self.home.opted_in,
            amount_fen=self.payment.amount_fen,
            kind=self.kind,
            classifier=VERSION,
            order_ids=list(ground.order_ids),
            surgery_no=ground.surgery_no,
            scene=ground.scene,
            group=ground.group,
            age=age_on(born_on, self.day) if born_on else None,
            held_fen=self.held_fen,
            consent_id=_text(self.consent),
            filings=[
                {"id": str(each.id), "state": each.state, "published": each.published}
                for each in self.filings
            ],
            **more,
        )

    def trail(self, decision: dict[str, Any]) -> None:
        """The last statement of the transaction: trails of one hospital wait for each other."""
        subject = f"patient:{self.patient.id}"
        what = "outpatient top-up asked"
        audit(self.db, self.home.id, self.actor.name, what, subject, decision, at=self.now)

    def _filings(self) -> list[Filing]:
        shown = Publication.of(self.db, self.patient.hospital_id)
        found = PrepayFiling.of(self.db, self.patient.hospital_id)
        return [filing.deciding(shown, self.day) for filing in found]


def _may_say(actor: Actor, ground: Ground) -> None:
    """Scene and group are what staff saw; on the phone only the age counts, which the index knows.

    Refused SCENE_IS_STAFFS_TO_SAY, GROUP_PAPER_REQUIRED.
    """
    if actor.may("own:act") and ground != Ground():
        raise Refused("SCENE_IS_STAFFS_TO_SAY")
    if ground.group and not ground.group_proof.strip():
        raise Refused("GROUP_PAPER_REQUIRED")


def _text(row: Any) -> str | None:
    return str(row.id) if row else None


def _shown(order_id: UUID) -> dict[str, Any]:
    with ReadSession() as db:
        order = db.get_one(PaymentOrder, order_id)
        paper = Receipt.of(db, order.purpose, order.id)
        asked = Classification.of(db, order.id)
        since = asked.rules["inputs"]["advised_since"]
        _, *advice = asked.rules["answer"].split("+")
        return {
            "id": order.id,
            "amount_fen": order.amount_fen,
            "state": order.state,
            "receipt_no": paper.number if paper else None,
            "held_fen": ledger.held(db, order.hospital_id, PREPAY, str(order.patient_id)),
            "filing_id": asked.filing_id,
            "warnings": [
                {"code": code, "say": words_of(code, {"since": day}).say}
                for code, day in zip(advice, since, strict=True)
            ],
        }
