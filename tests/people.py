"""A hospital behind the API with its people: made through HTTP and the commands' journeys, as in
life."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from uuid import UUID

from argon2 import PasswordHasher
from flask import Flask

from journeys import devices, founding, staff_admin
from models.admission import Admission, AdmissionState
from models.db import Session, new_id
from models.patient import Patient
from models.staff import Staff, StaffRole, StaffWard
from policies.access import Actor
from simulator.clients import HisClient, OverApp, PhoneClient, StaffClient
from tests.sim_process import Simulator
from tests.stage import id_number

_serial = count(1)
PASSWORD = "Tulip-harbour-94-quartz"
PASSWORD_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
"""As cheap as Argon2id may be: a hash says itself what it costs to try a password against it."""


@dataclass
class MovedClock:
    """Real time, moved by the tests."""

    shift: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.shift

    def forward(self, **by: float) -> None:
        self.shift += timedelta(**by)


@dataclass
class House:
    """One hospital. ``staff`` and ``phone`` give clients that are logged in; ``stay`` a stay to
    look at."""

    app: Flask
    base_url: str
    now: Callable[[], datetime]
    simulator: Simulator | None
    code: str = field(default_factory=lambda: f"H{next(_serial)}-{secrets.token_hex(3)}")
    hospital_id: UUID = field(init=False)
    password_hash: str = PASSWORD_HASH
    """Of everybody that ``staff`` makes."""

    def __post_init__(self) -> None:
        self.hospital_id = founding.found_hospital(
            self.code, "示范医院", "PUBLIC", "520102", ["national", "guizhou"], self.now
        )

    @property
    def wire(self) -> OverApp:
        """A caller with an address of its own: limits by address do not mix tests."""
        number = next(_serial)
        return OverApp(self.app, self.base_url, f"10.0.{number // 250 % 250}.{number % 250}")

    @property
    def software(self) -> Actor:
        """The actor of the commands."""
        return founding.ourselves(self.code)

    def hire(self, *roles: str, wards: tuple[str, ...] = ()) -> tuple[str, str]:
        """Staff number and first password of somebody new."""
        staff_no = f"n{next(_serial)}"
        return staff_no, staff_admin.create_staff(
            self.software, staff_no, "周明月", roles, wards, self.now
        )

    def device(self, kind: str = "HANDHELD", ward: str = "W1", window: str = "") -> StaffClient:
        """An enrolled device, nobody logged in."""
        _, code, _ = devices.announce(self.software, "设备", kind, ward, window, self.now)
        client = StaffClient(self.wire, self.code, now=self.now)
        client.enrol(code)
        return client

    def staff(self, *roles: str, wards: tuple[str, ...] = (), **device: str) -> StaffClient:
        """Somebody new whose password is PASSWORD, logged in on an own device."""
        client = self.device(**device)
        client.staff_no = f"n{next(_serial)}"
        own = {"hospital_id": self.hospital_id, "staff_id": new_id()}
        with Session.begin() as db:
            person = Staff(
                id=own["staff_id"],
                hospital_id=self.hospital_id,
                staff_no=client.staff_no,
                name="周明月",
                password_hash=self.password_hash,
                password_due_at=self.now() + timedelta(days=90),
            )
            db.add(person)
            db.flush()
            db.add_all(StaffRole(role=role, **own) for role in roles)
            db.add_all(StaffWard(ward=ward, **own) for ward in wards)
        client.log_in(client.staff_no, PASSWORD)
        return client

    def phone(self, openid: str = "") -> PhoneClient:
        """A WeChat account, logged in, not bound."""
        assert self.simulator
        client = PhoneClient(self.wire, self.code, now=self.now)
        client.log_in(self.simulator.login_code(openid or f"o{secrets.token_hex(13)}x"))
        return client

    def patient_phone(self, patient: Patient | None = None) -> tuple[PhoneClient, Patient]:
        """A bound phone and its patient."""
        patient = patient or self.patient()
        client = self.phone()
        client.bind(patient.name, patient.id_no)
        return client, patient

    def his(self) -> HisClient:
        """The HIS with a key of its own."""
        key_id, secret = founding.make_his_key(self.code, f"S{next(_serial)}", self.now)
        return HisClient(self.wire, self.code, now=self.now, key_id=key_id, secret=secret)

    def patient(self, name: str = "张小丰") -> Patient:
        """Somebody in the patient index."""
        serial = next(_serial)
        with Session.begin() as db:
            patient = Patient(
                id=new_id(), hospital_id=self.hospital_id, his_patient_no=f"P{serial}"
            )
            patient.name, patient.id_no = name, id_number(serial % 1000)
            patient.phone, patient.born_on = f"199{serial:08d}", date(1975, 3, 9)
            db.add(patient)
        return patient

    def stay(self, patient: Patient | None = None, ward: str = "W1") -> Admission:
        """A stay in house."""
        patient = patient or self.patient()
        with Session.begin() as db:
            stay = Admission(
                id=new_id(),
                hospital_id=self.hospital_id,
                patient_id=patient.id,
                inpatient_no=f"ZY{next(_serial)}",
                state=AdmissionState.IN_HOUSE,
                ward=ward,
                department_code="0301",
                department_name="普外科",
                doctor_code="D1",
                doctor_name="李示范",
                diagnosis_code="K35.800",
                diagnosis_name="急性阑尾炎",
                admitted_at=self.now() - timedelta(days=2),
            )
            db.add(stay)
        return stay
