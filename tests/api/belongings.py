"""One patient's things, one of each kind that a path can name: what somebody may reach, or may not
even hear of."""

import re
import secrets
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from models.admission import Admission
from models.bank_batch import BankBatch
from models.consent import Consent
from models.daily_bill import BillQuestion, DailyBill
from models.db import Base, Session, new_id
from models.insurance import Encounter, InsuranceCall
from models.login import digest
from models.message import Message, PrintJob
from models.patient import Patient
from models.payee import Payee
from models.payment_order import PaymentOrder
from models.receipt import Receipt
from models.refund import Refund, RefundLeg
from models.refund_request import RefundRequest
from models.settlement import Settlement
from models.staff import Device, Staff
from models.visit import Visit, VisitItem
from models.work_item import WorkItem
from tests.api.stored_belongings import StoredMoney
from tests.clearance import lot_at
from tests.people import House

DAY = "2026-01-05"


@dataclass(frozen=True)
class Belongings:
    """``names``: what stands in paths and bodies. ``marks``: what would betray that they exist."""

    names: dict[str, str]
    marks: frozenset[str]

    def path(self, rule: str, other: dict[str, str]) -> str:
        """The address of these things under a rule; ``other`` fills what names nothing here."""
        return re.sub(r"<(?:\w+:)?(\w+)>", lambda part: (self.names | other)[part[1]], rule)

    def body(self, template: Any) -> Any:
        """The template with ``$admission_id`` and the like filled in."""
        if isinstance(template, dict):
            return {key: self.body(value) for key, value in template.items()}
        if isinstance(template, list):
            return [self.body(value) for value in template]
        if isinstance(template, str) and template.startswith("$"):
            return self.names[template[1:]]
        return template


def nothing() -> Belongings:
    """Names of nothing at all, in the same form."""
    ids = {name: str(new_id()) for name in IDS}
    words = {name: secrets.token_hex(6) for name in WORDS}
    everything = ids | words
    return Belongings(everything | {"day": DAY, "ward": "W-X"}, frozenset(everything.values()))


IDS = (
    "admission_id",
    "patient_id",
    "consent_id",
    "device_id",
    "order_id",
    "refund_id",
    "request_id",
    "leg_id",
    "bank_batch_id",
    "visit_id",
    "item_id",
    "question_id",
    "job_id",
    "work_item_id",
    "call_id",
    "filing_id",
    "publication_id",
    "account_id",
    "batch_id",
    "claim_id",
    "list_id",
    "import_id",
    "campaign_id",
    "plan_id",
    "classification_id",
)
PERSON = ("id_no", "phone", "name", "bank_card", "old_card")
"""What is shown in full only where access_matrix.yaml says so."""
WORDS = ("staff_no", "number", "inpatient_no", "his_patient_no", *PERSON)


def belongings(house: House, patient: Patient | None = None, ward: str = "W1") -> Belongings:
    """A new stay of this patient with everything that hangs on it."""
    patient = patient or house.patient()
    stay = house.stay(patient, ward)
    made = _rows(house, patient, stay)
    with Session.begin() as db:
        for row in made.values():
            db.add(row)
            db.flush()
    lot_at(house, str(made["account_id"].id), 12_050, "CASH", days=800)
    names = {name: str(row.id) for name, row in made.items() if hasattr(row, "id")} | {
        "admission_id": str(stay.id),
        "patient_id": str(patient.id),
        "inpatient_no": stay.inpatient_no,
        "his_patient_no": patient.his_patient_no,
        "id_no": patient.id_no,
        "name": patient.name,
        "phone": patient.phone,
        "bank_card": made["payee"].card_no,
        "old_card": made["account_id"].card_no,
        "staff_no": made["staff"].staff_no,
        "number": made["receipt"].number,
        "ward": ward,
        "day": DAY,
    }
    telling = {name: value for name, value in names.items() if name not in ("ward", "day")}
    return Belongings(names, frozenset(telling.values()))


def _rows(house: House, patient: Patient, stay: Admission) -> dict[str, Base]:
    """Path parameter -> row, in an order in which they can be stored."""
    about = About(house, patient, stay)
    made = about.money() | about.bill() | about.ward() | about.office()
    stored = StoredMoney(patient.id, house.now(), about.serial, house.hospital_id)
    return made | stored.law() | stored.course() | stored.old_money()


@dataclass
class About:
    """Makes the rows of one stay. ``serial`` is theirs alone."""

    house: House
    patient: Patient
    stay: Admission
    serial: str = field(default_factory=lambda: secrets.token_hex(6))
    payee: Payee = field(init=False)

    @property
    def own(self) -> dict[str, Any]:
        """What every row has."""
        return {"id": new_id(), "hospital_id": self.house.hospital_id}

    def money(self) -> dict[str, Base]:
        """An order, a refund, and a visit with its item."""
        about = {"subject_id": self.stay.id, "patient_id": self.patient.id, "amount_fen": 100}
        refund = Refund(
            key=self.serial,
            request_hash=self.serial,
            reason="PATIENT_WISH",
            account_kind="INPATIENT_DEPOSIT",
            account_owner=str(self.stay.id),
            requested_by="test",
            requested_at=self.house.now(),
            **about,
            **self.own,
        )
        leg = RefundLeg(
            refund_id=refund.id,
            route="CASH",
            amount_fen=100,
            lot_id=new_id(),
            order_total_fen=100,
            next_try_at=self.house.now(),
            **self.own,
        )
        rows = {"order_id": self._order(about), "refund_id": refund, "leg_id": leg}
        return rows | self._to_the_bank(refund) | self._stored() | self._visit()

    def bill(self) -> dict[str, Base]:
        """An empty day, a question to it, a trial settlement and a receipt."""
        bill = DailyBill(
            admission_id=self.stay.id,
            day=date.fromisoformat(DAY),
            version=1,
            line_seqs=[],
            added_seqs=[],
            line_count=0,
            total_fen=0,
            running_total_fen=0,
            deposit_held_fen=0,
            items_hash=b"",
            made_at=self.house.now(),
            **self.own,
        )
        settlement = Settlement(
            admission_id=self.stay.id,
            round=1,
            total_fen=0,
            insured=False,
            trial={"total": 0, "cash": 0},
            trial_digest="a" * 64,
            opened_at=self.house.now(),
            **self.own,
        )
        receipt = Receipt(
            number=f"9{self.serial}",
            kind="DEPOSIT",
            subject_id=self.stay.id,
            issued_at=self.house.now(),
            by="test",
            facts={"admission_id": str(self.stay.id)},
            **self.own,
        )
        return {"bill": bill, "settlement": settlement, "receipt": receipt}

    def ward(self) -> dict[str, Base]:
        """A question to the bill, and a list to print."""
        question = BillQuestion(
            admission_id=self.stay.id,
            day=date.fromisoformat(DAY),
            line_seq=1,
            text="这是什么？",
            asked_at=self.house.now(),
            asked_by=f"patient:{self.serial}",
            **self.own,
        )
        message = Message(
            key=self.serial,
            patient_id=self.patient.id,
            template="DAILY_BILL",
            values={},
            route="PRINT",
            created_at=self.house.now(),
            **self.own,
        )
        job = PrintJob(
            message_id=message.id,
            admission_id=self.stay.id,
            ward=self.stay.ward,
            created_at=self.house.now(),
            **self.own,
        )
        return {"question_id": question, "message": message, "job_id": job}

    def office(self) -> dict[str, Base]:
        """A consent, a task, a lost insurance call, a member of staff and a device."""
        encounter = Encounter(
            admission_id=self.stay.id,
            patient_id=self.patient.id,
            insutype="310",
            psn_type="1101",
            insuplc_admdvs="520100",
            med_type="21",
            **self.own,
        )
        call = InsuranceCall(
            encounter_id=encounter.id,
            infno="2304",
            msgid=self.serial,
            state="HUMAN",
            task="查清这笔结算",
            holds=False,
            digest=self.serial,
            by="test",
            asked_at=self.house.now(),
            **self.own,
        )
        staff = Staff(staff_no=f"s{self.serial}", name="何雨", password_hash="x", **self.own)
        task = {"kind": "LATE_MONEY", "subject": self.serial, "opened_at": self.house.now()}
        return {
            "consent_id": _consent(self.house, self.patient.id, self.serial),
            "work_item_id": WorkItem(**task, **self.own),
            "encounter": encounter,
            "call_id": call,
            "staff": staff,
            "device_id": Device(name=self.serial, kind="DESK", **self.own),
        }

    def _order(self, about: dict[str, Any]) -> PaymentOrder:
        return PaymentOrder(
            state="CLOSED",
            purpose="DEPOSIT",
            route="CASH",
            client_key=self.serial,
            request_hash=self.serial,
            asked_by="test",
            step_channel="WINDOW",
            created_at=self.house.now(),
            expires_at=self.house.now(),
            **about,
            **self.own,
        )

    def _to_the_bank(self, refund: Refund) -> dict[str, Base]:
        """The patient's bank card, and a file for the bank with a payment to it."""
        self.payee = Payee(patient_id=self.patient.id, bank_name="示范银行", **self.own)
        self.payee.name = self.patient.name
        self.payee.card_no = f"622200{secrets.randbelow(10**13):013d}"
        batch = BankBatch(
            state="RELEASED",
            number=self.serial,
            row_count=1,
            total_fen=100,
            built_by="test",
            built_at=self.house.now(),
            released_by="another",
            released_at=self.house.now(),
            **self.own,
        )
        leg = RefundLeg(
            state="ASKED",
            refund_id=refund.id,
            route="BANK",
            amount_fen=100,
            lot_id=new_id(),
            order_total_fen=100,
            next_try_at=self.house.now(),
            payee_id=self.payee.id,
            batch_id=batch.id,
            **self.own,
        )
        return {"payee": self.payee, "bank_batch_id": batch, "bank_leg": leg}

    def _stored(self) -> dict[str, Base]:
        """A request for stored money, to the bank card."""
        request = RefundRequest(
            patient_id=self.patient.id,
            payee_id=self.payee.id,
            amount_fen=100,
            client_key=self.serial,
            request_hash=self.serial,
            asker="OWN",
            channel="WINDOW",
            off_hours=False,
            accepted_by="test",
            accepted_at=self.house.now(),
            **self.own,
        )
        return {"request_id": request}

    def _visit(self) -> dict[str, Base]:
        visit = Visit(
            patient_id=self.patient.id,
            visit_no=self.serial,
            content_hash=self.serial,
            opened_at=self.house.now(),
            **self.own,
        )
        item = {"order_no": "O1", "name": "血常规", "amount_fen": 100}
        return {
            "visit_id": visit,
            "item_id": VisitItem(visit_id=visit.id, position=0, **item, **self.own),
        }


def _consent(house: House, patient_id: UUID, serial: str, **more: Any) -> Consent:
    return Consent(
        id=new_id(),
        hospital_id=house.hospital_id,
        patient_id=patient_id,
        scopes=["PAY", "VIEW_BILL"],
        relation="子女",
        text_version="1",
        given_at=house.now(),
        given_by="test",
        ends_at=house.now() + timedelta(days=30),
        code_hash=digest(serial),
        code_expires_at=house.now() + timedelta(hours=24),
        **more,
    )


def relative(house: House, patient: Patient, binding_id: UUID) -> None:
    """Let this WeChat account see and pay the patient's bills."""
    redeemed = {"binding_id": binding_id, "redeemed_at": house.now()}
    with Session.begin() as db:
        db.add(_consent(house, patient.id, secrets.token_hex(6), **redeemed))
