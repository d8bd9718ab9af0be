"""A hospital on a stage: the real database, the simulator as its outside, a clock that tests move,
and people.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import count
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

import jobs
from config import Connections
from journeys import admission, his_charges
from journeys.counterparts import Counterparts
from models.admission import Admission, AdmissionState
from models.db import Session, new_id
from models.hospital import Hospital, Setting
from models.patient import Patient
from models.staff import Staff, StaffRole
from notifications.senders.mini_program import MiniProgram
from notifications.senders.tencent_sms import TencentSms
from payments.agencies.medical_aid import MedicalAid
from payments.channels.wechat import WeChatPay
from payments.insurance.desk import InsuranceDesk
from policies.access import Actor, Channel
from policies.money import yuan
from tests.sim_process import Simulator, running

_serial = count(1)


def id_number(serial: int, born: date = date(1975, 3, 9)) -> str:
    """A checksummed identity number of region 990101, which is assigned to nobody."""
    body = f"990101{born:%Y%m%d}{serial % 1000:03d}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True))
    return body + "10X98765432"[total % 11]


@dataclass
class Clock:
    """Real time, moved: both the app's and the simulator's."""

    simulator: Simulator
    shift: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.shift

    def forward(self, **by: float) -> None:
        self.shift += timedelta(**by)
        self.simulator.shift(self.shift.total_seconds())

    def set(self, moment: datetime) -> None:
        self.shift = moment - datetime.now(UTC)
        self.simulator.shift(self.shift.total_seconds())


@dataclass
class Stage:
    """One hospital with its counterparts; every stage is a new hospital row over the same
    connections.
    """

    simulator: Simulator
    clock: Clock
    outside: Counterparts
    hospital_id: UUID
    world_code: str
    base_url: str = "http://127.0.0.1:9"
    people: dict[str, Actor] = field(default_factory=dict)

    def actor(self, role: str, name: str = "", channel: Channel | None = None, **more) -> Actor:
        """A member of staff with one role, known to the staff table."""
        name = name or f"staff:{role.lower()}"
        if name not in self.people:
            with Session.begin() as db:
                person = Staff(
                    id=new_id(),
                    hospital_id=self.hospital_id,
                    staff_no=name,
                    name=name,
                    password_hash="x",
                )
                db.add(person)
                db.flush()
                db.add(StaffRole(hospital_id=self.hospital_id, staff_id=person.id, role=role))
            self.people[name] = Actor(
                self.hospital_id,
                name,
                frozenset({role}),
                channel
                or {"NURSE": Channel.BEDSIDE, "CASHIER": Channel.WINDOW}.get(role, Channel.DESK),
                id=person.id,
                wards=frozenset({"W1"}) if role == "NURSE" else frozenset(),
                **more,
            )
        return self.people[name]

    def patient(self, **more) -> Patient:
        """Somebody in the patient index, with a fictitious identity and phone."""
        serial = next(_serial)
        with Session.begin() as db:
            patient = Patient(
                id=new_id(), hospital_id=self.hospital_id, his_patient_no=f"P{serial:06d}"
            )
            patient.name = more.get("name", "张小丰")
            born = date(1975, 3, 9) + timedelta(days=serial // 1000)  # else 1001 would be 1
            patient.id_no = more.get("id_no", id_number(serial, born))
            patient.phone = more.get("phone", f"199{serial:08d}")
            patient.born_on = date(1975, 3, 9)
            db.add(patient)
        return patient

    def stay(self, patient: Patient | None = None, **more) -> Admission:
        """A registered stay in ward W1 with a quota of 3,000.00 yuan."""
        patient = patient or self.patient()
        facts = {
            "state": AdmissionState.IN_HOUSE,
            "ward": "W1",
            "ward_name": "普外一病区",
            "department_code": "0301",
            "department_name": "普外科",
            "bed": "12",
            "doctor_code": "D0001",
            "doctor_name": "李示范",
            "diagnosis_code": "K35.800",
            "diagnosis_name": "急性阑尾炎",
            "admitted_at": self.clock.now() - timedelta(days=2),
            "quota_fen": 300_000,
        }
        with Session.begin() as db:
            stay = Admission(
                id=new_id(),
                hospital_id=self.hospital_id,
                patient_id=patient.id,
                inpatient_no=f"ZY{next(_serial):06d}",
                **(facts | more),
            )
            db.add(stay)
        return stay

    def charge(self, stay: Admission, *fen: int, level: str = "01") -> None:
        """One charge line for each amount, posted by the HIS on the day after admission."""
        lines = [
            {
                "source_line_id": f"L{next(_serial):08d}",
                "inpatient_no": stay.inpatient_no,
                "occurred_at": (stay.admitted_at + timedelta(hours=3)).isoformat(),
                "item_name": "Ⅱ级护理",
                "quantity": "1",
                "unit_price": yuan(each),
                "amount": yuan(each),
                "category": "07",
                "insurance_level": level,
                "national_code": "001201000010000-120100001",
                "hospital_code": "120100001",
                "department_code": stay.department_code,
                "department_name": stay.department_name,
                "doctor_code": stay.doctor_code,
                "doctor_name": stay.doctor_name,
            }
            for each in fen
        ]
        if not lines:
            return
        facts = {"source_event_id": f"E{next(_serial):08d}", "lines": lines}
        answer = his_charges.take_charges(self.his, facts, self.clock.now)
        assert answer["accepted"] == len(fen), answer

    @property
    def his(self) -> Actor:
        return Actor(self.hospital_id, "his:HIS", frozenset({"HIS"}), Channel.HIS)

    def leaving(self, stay: Admission) -> None:
        """The discharge order is signed and the bed released."""
        with Session.begin() as db:
            row = db.get_one(Admission, stay.id, with_for_update=True)
            row.ordered_at = row.left_at = self.clock.now()
            row.leaving_way = "1"
            row.move(db, AdmissionState.LEAVING, at=self.clock.now(), by="his")

    def insured(self, patient: Patient, insutype: str = "390", **seed) -> None:
        """Make the patient known to the insurance platform."""
        person = {"certno": patient.id_no, "name": patient.name, "insutype": insutype, **seed}
        self.simulator.post(f"/_sim/insurance/{self.world_code}/persons", person)

    def register_insurance(self, stay: Admission) -> None:
        """The nurse registers the stay's insurance at the bed."""
        admission.register_insurance(
            self.actor("NURSE"), self.outside, stay.id, card_kind="02", card_number="", insutype=""
        )

    def patient_actor(self, patient: Patient, openid: str = "") -> Actor:
        """The patient on the own phone."""
        return Actor(
            self.hospital_id,
            f"patient:{patient.id}",
            frozenset({"PATIENT"}),
            Channel.PHONE,
            patient_id=patient.id,
            openid=openid or f"o-{patient.id.hex[:20]}",
        )

    def setting(self, key: str, value: str) -> None:
        with Session.begin() as db:
            db.add(Setting(hospital_id=self.hospital_id, key=key, value=value))

    def run_jobs(self) -> list[str]:
        """Do everything that is due by the stage's clock."""
        return jobs.run_due(lambda code: self.outside, self.clock.now)


def build(simulator: Simulator, code: str = "GZ01", *, base_url: str = "") -> Stage:
    """A new hospital that speaks over the simulator's connections of ``code``."""
    clock = Clock(simulator)
    clock.forward(seconds=0)
    with Session.begin() as db:
        db.execute(text("DELETE FROM procrastinate_jobs"))
        hospital = Hospital(
            code=f"{code}-{next(_serial)}-{new_id().hex[-6:]}",
            name="示范医院",
            institution_type="PUBLIC",
            county_code="520102",
            rule_packs=["guizhou"],
        )
        db.add(hospital)
        db.flush()
        hospital_id, hospital_code = hospital.id, hospital.code
    base_url = base_url or "http://127.0.0.1:9"
    merchant = _merchant(simulator, code)
    outside = counterparts(simulator, code, hospital_code, clock.now, base_url, merchant)
    return Stage(simulator, clock, outside, hospital_id, code)


@cache
def _merchant(simulator: Simulator, code: str) -> WeChatPay:
    """One adapter for all stages, by the simulator's clock, which theirs move: reading a merchant's
    keys takes longer than most tests.
    """
    known = Connections.read(simulator.connections(code))
    return WeChatPay(known.wechat_pay, simulator.now)


def counterparts(
    simulator: Simulator,
    code: str,
    hospital_code: str,
    now: Callable[[], datetime],
    base_url: str,
    wechat_pay: WeChatPay | None = None,
) -> Counterparts:
    """Real adapters onto the simulator; ``base_url`` is where callbacks go."""
    known = Connections.read(simulator.connections(code))
    return Counterparts(
        code=hospital_code,
        now=now,
        wechat_pay=wechat_pay or WeChatPay(known.wechat_pay, now),
        mini_program=MiniProgram(known.mini_program, now),
        sms=TencentSms(known.sms, now),
        insurance=InsuranceDesk.connect(known.insurance, now),
        medical_aid=MedicalAid(known.medical_aid, now),
        notify_base=base_url,
        receipt_token=known.sms.receipt_token,
    )


@pytest.fixture(scope="session")
def outside_world() -> Iterator[Simulator]:
    """One simulator process for a whole test run (each xdist worker has its own)."""
    with running() as simulator:
        simulator.settings(sms_limits=False, refund_gap_seconds=0)
        yield simulator


@pytest.fixture
def stage(engine: Engine, outside_world: Simulator) -> Iterator[Stage]:
    """A new hospital in Guizhou, no faults planned, the real time."""
    outside_world.reset()
    outside_world.settings(sms_limits=False, refund_gap_seconds=0)
    yield build(outside_world)
    outside_world.reset()
