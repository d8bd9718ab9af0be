"""A hospital whose patients are told things, by the simulator or by a peer that obeys the test."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select

from config import Connections
from models.admission import Admission, AdmissionState
from models.binding import WeChatBinding
from models.db import Session, new_id
from models.hospital import Hospital, Setting
from models.machine import StateMove
from models.message import Message, PrintJob, SubscriptionAccount
from models.patient import Patient
from notifications.messages import Senders, tell
from notifications.senders.mini_program import MiniProgram
from notifications.senders.tencent_sms import TencentSms
from tests.peer import Peer
from tests.sim_process import Simulator, running

SMS_TEXTS = Path(__file__).parents[2] / "notifications" / "texts" / "sms.yaml"
HOTLINE = "0851-80000000"

_serial = count(1)


@dataclass
class Clock:
    """Real time, moved: ours and the simulator's."""

    simulator: Simulator

    def now(self) -> datetime:
        return self.simulator.now()

    def forward(self, **by: float) -> None:
        self.simulator.shift(self.simulator.shifted + timedelta(**by).total_seconds())


@dataclass
class House:
    """One hospital, its carriers, and its patients."""

    hospital_id: UUID
    senders: Senders
    clock: Clock
    values: dict[str, str] = field(default_factory=lambda: {"day": "2026-11-21", "total": "88.00"})

    def patient(self, *, phone: bool = True, openid: str = "", accepts: int = 0) -> Patient:
        """Somebody; with ``accepts``, so many daily bills are accepted on the phone."""
        serial = next(_serial)
        with Session.begin() as db:
            patient = Patient(
                id=new_id(), hospital_id=self.hospital_id, his_patient_no=f"P{serial}"
            )
            patient.name = "张小丰"
            patient.phone = f"138{serial:08d}" if phone else ""
            db.add(patient)
            db.flush()
            if openid:
                self._bind(db, patient, openid, accepts)
        return patient

    def _bind(self, db, patient: Patient, openid: str, accepts: int) -> None:
        db.add(
            WeChatBinding(
                hospital_id=self.hospital_id,
                appid=self.senders.mini_program.appid,
                openid=openid,
                patient_id=patient.id,
                bound_at=self.clock.now(),
            )
        )
        if accepts:
            SubscriptionAccount.add(db, self.hospital_id, openid, "DAILY_BILL", count=accepts)

    def stay(self, patient: Patient) -> Admission:
        """The patient lies in ward W1."""
        with Session.begin() as db:
            stay = Admission(
                hospital_id=self.hospital_id,
                patient_id=patient.id,
                inpatient_no=f"ZY{next(_serial)}",
                state=AdmissionState.IN_HOUSE,
                ward="W1",
                department_code="0301",
                department_name="普外科",
                doctor_code="D1",
                doctor_name="李示范",
                diagnosis_code="K35.800",
                diagnosis_name="急性阑尾炎",
                admitted_at=self.clock.now(),
            )
            db.add(stay)
        return stay

    def tell(self, patient: Patient, template: str = "DAILY_BILL", **values) -> UUID:
        """Store a message; its id."""
        with Session.begin() as db:
            told = tell(
                db,
                hospital_id=self.hospital_id,
                key=f"test:{next(_serial)}",
                patient_id=patient.id,
                template=template,
                values=values or self.values,
                at=self.clock.now(),
            )
        assert told
        return told

    def message(self, message_id: UUID) -> Message:
        with Session() as db:
            return db.get_one(Message, message_id)

    def trail(self, message_id: UUID) -> list[str]:
        """The states that the message went through."""
        with Session() as db:
            moves = select(StateMove.there).where(StateMove.entity_id == message_id)
            return list(db.scalars(moves.order_by(StateMove.id)))

    def accepts(self, openid: str, template: str = "DAILY_BILL") -> int | None:
        with Session() as db:
            return db.scalar(
                select(SubscriptionAccount.accepts).filter_by(
                    hospital_id=self.hospital_id, openid=openid, template=template
                )
            )

    def print_jobs(self) -> list[PrintJob]:
        with Session() as db:
            return list(db.scalars(select(PrintJob).filter_by(hospital_id=self.hospital_id)))


@pytest.fixture(scope="session")
def shared_simulator() -> Iterator[Simulator]:
    with running(sms_templates=SMS_TEXTS) as simulator:
        yield simulator


@pytest.fixture
def simulator(shared_simulator: Simulator) -> Simulator:
    """No planned faults, default settings, the real time."""
    shared_simulator.reset()
    return shared_simulator


@pytest.fixture
def clock(simulator: Simulator) -> Clock:
    return Clock(simulator)


@pytest.fixture
def known(shared_simulator: Simulator) -> Connections:
    return Connections.read(shared_simulator.connections("GZ01"))


@pytest.fixture
def house(engine, clock: Clock, known: Connections) -> House:
    """A new hospital whose messages the simulator carries."""
    mini = MiniProgram(known.mini_program, clock.now)
    return founded(clock, Senders(mini, TencentSms(known.sms, clock.now)))


@pytest.fixture
def peer() -> Iterator[Peer]:
    with Peer().running() as peer:
        yield peer


@pytest.fixture
def scripted(engine, clock: Clock, known: Connections, peer: Peer) -> House:
    """A new hospital whose messages the peer carries, as the test tells it to."""
    mini = replace(known.mini_program, base_url=peer.url, appid=f"wx{new_id().hex[:16]}")
    sms = replace(known.sms, endpoint=peer.url.removeprefix("http://"))
    return founded(clock, Senders(MiniProgram(mini, clock.now), TencentSms(sms, clock.now)))


def founded(clock: Clock, senders: Senders) -> House:
    with Session.begin() as db:
        hospital = Hospital(
            code=f"H-{new_id().hex}",
            name="贵州示范医院",
            institution_type="PUBLIC",
            county_code="520102",
            rule_packs=["guizhou"],
        )
        db.add(hospital)
        db.flush()
        db.add(Setting(hospital_id=hospital.id, key="service_phone", value=HOTLINE))
    return House(hospital.id, senders, clock)
