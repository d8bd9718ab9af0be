"""A hospital whose HIS speaks to the journeys directly, with a clock that tests set, and the real
day of charges of tests/fixtures."""

import csv
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

from sqlalchemy import select, text

from config import SHANGHAI
from journeys import daily_bill, his_admission, his_charges, his_discharge
from models.admission import Admission, AdmissionState
from models.daily_bill import DailyBill
from models.db import Session, new_id, rows
from models.hospital import Hospital
from policies.access import Actor, Channel
from tests.stage import id_number

REAL_DAY = Path(__file__).parent / "fixtures" / "inpatient_day_charges.csv"
REAL_TOTAL_FEN = 312_472

_serial = count(1)


def shanghai(year: int, month: int, day: int, hour: int = 12, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=SHANGHAI).astimezone(UTC)


def line(inpatient_no: str, source_line_id: str = "", **changed) -> dict:
    """A sound charge line: 2 boxes at 42.73, unless told otherwise."""
    said = {
        "source_line_id": source_line_id or f"L{next(_serial):09d}",
        "inpatient_no": inpatient_no,
        "occurred_at": "2025-07-03T09:30:00+08:00",
        "item_name": "肝爽颗粒",
        "specification": "3gX9袋/盒",
        "unit": "盒",
        "quantity": "2.0000",
        "unit_price": "42.730000",
        "amount": "85.46",
        "category": "11",
        "insurance_level": "02",
        "self_pay_ratio": "0.1000",
        "national_code": "ZA04AAG0117010102001",
        "hospital_code": "YP00117",
        "department_code": "0301",
        "department_name": "普外科",
        "doctor_code": "D0001",
        "doctor_name": "李示范",
    }
    return {name: value for name, value in (said | changed).items() if value is not None}


def real_day(inpatient_no: str, day: date) -> list[dict]:
    """The 69 real lines moved to this day; they carry no codes, so all are given the same."""
    with REAL_DAY.open(encoding="utf8") as file:
        return [
            line(
                inpatient_no,
                occurred_at=f"{day}T{row['occurred_at'][11:]}+08:00",
                item_name=row["item_name"],
                specification=row["specification"],
                quantity=row["quantity"],
                unit_price=row["unit_price_yuan"],
                amount=row["amount_yuan"],
                category="05",
                insurance_level="01",
                self_pay_ratio=None,
            )
            for row in csv.DictReader(file)
        ]


@dataclass
class HisDay:
    """One hospital on 2025-07-03, noon, until the test sets another time."""

    at: datetime = field(default_factory=lambda: shanghai(2025, 7, 3))
    hospital_id: UUID = field(init=False)

    def __post_init__(self) -> None:
        with Session.begin() as db:
            hospital = Hospital(
                id=new_id(),
                code=f"HIS{next(_serial)}-{new_id().hex[-8:]}",
                name="示范医院",
                institution_type="PUBLIC",
                county_code="520102",
                rule_packs=["national"],
            )
            db.add(hospital)
        self.hospital_id = hospital.id
        self.his = Actor(hospital.id, "his:HIS", frozenset({"HIS"}), Channel.HIS)

    def now(self) -> datetime:
        return self.at

    @property
    def outside(self) -> SimpleNamespace:
        """What the timetable's functions need of the counterparts: the clock."""
        return SimpleNamespace(now=self.now)

    def event(self, **facts) -> dict:
        return {"source_event_id": f"E{next(_serial):09d}"} | facts

    def slip(self, **changed) -> dict:
        """An admission event as the edge hands it over."""
        serial = next(_serial)
        said = {
            "inpatient_no": f"ZY{serial:07d}",
            "admitted_at": self.at,
            "ward": "W1",
            "ward_name": "普外一病区",
            "bed": "12",
            "department_code": "0301",
            "department_name": "普外科",
            "doctor_code": "D0001",
            "doctor_name": "李示范",
            "diagnosis_code": "K35.800",
            "diagnosis_name": "急性阑尾炎",
            "patient": {
                "his_patient_no": f"P{serial:07d}",
                "name": "张小丰",
                "id_no": id_number(serial),
                "phone": f"199{serial:08d}",
            },
        }
        return self.event(**(said | changed))

    def admit(self, **changed) -> Admission:
        """Announced by the HIS and registered."""
        told = his_admission.announce(self.his, self.slip(**changed), self.now)
        with Session.begin() as db:
            stay = db.get_one(Admission, UUID(told["admission_id"]), with_for_update=True)
            stay.move(db, AdmissionState.IN_HOUSE, at=self.at, by="test")
        return stay

    def charge(self, *lines: dict, **event) -> list[str]:
        """The verdicts of a batch."""
        told = his_charges.take_charges(self.his, self.event(lines=list(lines), **event), self.now)
        return [judged["verdict"] for judged in told["lines"]]

    def reverse(self, *lines: dict, **event) -> list[str]:
        """The verdicts of a batch of reversals."""
        event = self.event(lines=list(lines), **event)
        told = his_charges.take_reversals(self.his, event, self.now)
        return [judged["verdict"] for judged in told["lines"]]

    def leave(self, stay: Admission, **facts) -> dict:
        event = self.event(inpatient_no=stay.inpatient_no, **facts)
        return his_discharge.order(self.his, event, self.now)

    def settle(self, stay: Admission) -> None:
        """Closed, without the steps between."""
        with Session.begin() as db:
            stay = db.get_one(Admission, stay.id, with_for_update=True)
            stay.move(db, AdmissionState.SETTLED, at=self.at, by="test")

    def morning_after(self, day: date) -> None:
        """06:00 of the next day."""
        self.at = shanghai(day.year, day.month, day.day, 6) + timedelta(days=1)

    def make_bills(self, day: date) -> int:
        return daily_bill.make_bills(self.hospital_id, day, self.now)

    def correct_bills(self) -> int:
        return daily_bill.correct_bills(self.outside, self.hospital_id)

    def bills(self, stay: Admission | None = None) -> list[DailyBill]:
        """All versions, by day and version."""
        query = select(DailyBill).where(DailyBill.hospital_id == self.hospital_id)
        if stay is not None:
            query = query.where(DailyBill.admission_id == stay.id)
        with Session() as db:
            return list(db.scalars(query.order_by(DailyBill.day, DailyBill.version, DailyBill.id)))

    def charged_fen(self) -> int:
        """What the hospital's charge lines sum to."""
        sql = "SELECT sum(amount_fen)::bigint AS fen FROM charge_line WHERE hospital_id = :h"
        return rows(sql, h=self.hospital_id)[0]["fen"] or 0

    def count(self, table: str, where: str = "true") -> int:
        with Session() as db:
            sql = f"SELECT count(*) FROM {table} WHERE hospital_id = :h AND {where}"  # noqa: S608
            return db.scalar(text(sql), {"h": self.hospital_id}) or 0
