"""A hospital with a stay and a desk, before a small platform of the tests' own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from uuid import UUID

import pytest
from sqlalchemy import Engine, select

from config import SHANGHAI, InsuranceSettings
from models.admission import Admission, AdmissionState
from models.db import Session, new_id
from models.hospital import Hospital
from models.insurance import Encounter, InsuranceCall
from models.patient import Patient
from payments.insurance.desk import InsuranceDesk
from payments.insurance.facts import Diagnosis, FeeLine, PersonCard, StayFacts
from payments.insurance.profile import Profile, load
from payments.insurance.transport import GATEWAYS
from policies.access import Actor, Channel
from tests.payments.insurance.counter import Counter, standing
from tests.payments.insurance.small_platform import SmallPlatform

_serial = count(1)
ADMITTED = datetime(2025, 7, 1, 9, 0, tzinfo=SHANGHAI)
LEFT = datetime(2025, 7, 5, 9, 30, tzinfo=SHANGHAI)


def identity_number(serial: int) -> str:
    """A checksummed number of region 990101, which is assigned to nobody."""
    body = f"99010119580412{serial:03d}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(digit) * weight for digit, weight in zip(body, weights, strict=True))
    return body + "10X98765432"[total % 11]


@dataclass
class Clock:
    """A clock that tests move."""

    at: datetime = datetime(2025, 7, 5, 2, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def forward(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass
class House:
    """One hospital, its people, one stay after another, and its desk."""

    desk: InsuranceDesk
    clock: Clock
    hospital_id: UUID
    profile: Profile
    admitted: datetime = ADMITTED
    left: datetime = LEFT
    seed: Callable[[PersonCard], object] = lambda card: None
    nurse: Actor = field(init=False)

    def __post_init__(self) -> None:
        self.nurse = Actor(
            self.hospital_id, "staff:N001", frozenset({"NURSE"}), Channel.BEDSIDE, id=new_id()
        )

    def admission(self) -> tuple[Admission, PersonCard]:
        """Somebody new in ward W1."""
        serial = next(_serial)
        number = identity_number(serial % 1000)
        with Session.begin() as db:
            patient = Patient(
                id=new_id(), hospital_id=self.hospital_id, his_patient_no=f"P{serial:05d}"
            )
            patient.name, patient.id_no = "欧阳试", number
            stay = Admission(
                id=new_id(),
                hospital_id=self.hospital_id,
                patient_id=patient.id,
                inpatient_no=f"ZY{serial:06d}",
                state=AdmissionState.IN_HOUSE,
                ward="W1",
                department_code="0300",
                department_name="外科",
                bed="12",
                doctor_code="D001",
                doctor_name="周医",
                diagnosis_code="K35.900",
                diagnosis_name="急性阑尾炎",
                admitted_at=self.admitted,
            )
            db.add(patient)
            db.flush()
            db.add(stay)
        card = PersonCard(name="欧阳试", id_no=number)
        self.seed(card)
        return stay, card

    def chosen(self) -> UUID:
        """An encounter on the resident insurance, not yet registered."""
        stay, card = self.admission()
        person = self.desk.look_up(card, self.nurse)
        cover = self.desk.choose(person, "390")
        with Session.begin() as db:
            return self.desk.open_encounter(
                db,
                admission_id=stay.id,
                patient_id=stay.patient_id,
                person=person,
                cover=cover,
                by=self.nurse,
            ).id

    def registered(self) -> UUID:
        encounter_id = self.chosen()
        self.desk.register(encounter_id, self.facts(encounter_id), self.nurse)
        return encounter_id

    def uploaded(self) -> UUID:
        encounter_id = self.registered()
        self.upload(encounter_id)
        return encounter_id

    def settled(self) -> UUID:
        encounter_id = self.uploaded()
        self.settle(encounter_id)
        return encounter_id

    def upload(self, encounter_id: UUID) -> int:
        """The three lines of the bill."""
        at = self.admitted + timedelta(hours=2)
        return self.desk.upload(
            encounter_id, [replace(line, at=at) for line in lines()], self.nurse
        )

    def settle(self, encounter_id: UUID, bill_fen: int = 0):
        return self.desk.settle(
            encounter_id,
            self.facts(encounter_id),
            bill_fen=bill_fen or BILL_FEN,
            by=self.nurse,
        )

    def facts(self, encounter_id: UUID) -> StayFacts:
        with Session() as db:
            encounter = db.get_one(Encounter, encounter_id)
            number = db.get_one(Admission, encounter.admission_id).inpatient_no
        diagnosis = Diagnosis("K35.900", "急性阑尾炎", "0300", "D001", "周医", self.admitted)
        return StayFacts(
            inpatient_no=number,
            admitted_at=self.admitted,
            department_code="0300",
            department_name="外科",
            bed="12",
            doctor_code="D001",
            doctor_name="周医",
            diagnoses=(diagnosis,),
            left_at=self.left,
        )

    def encounter(self, encounter_id: UUID) -> Encounter:
        with Session() as db:
            return db.get_one(Encounter, encounter_id)

    def calls(self, encounter_id: UUID | None, infno: str = "") -> list[InsuranceCall]:
        """The log of a stay, oldest first."""
        with Session() as db:
            found = db.scalars(
                select(InsuranceCall)
                .where(InsuranceCall.hospital_id == self.hospital_id)
                .order_by(InsuranceCall.id)
            ).all()
        return [
            call
            for call in found
            if encounter_id in (None, call.encounter_id) and infno in ("", call.infno)
        ]

    def states(self, encounter_id: UUID, infno: str) -> list[str]:
        return [call.state for call in self.calls(encounter_id, infno)]


def fee(line: str, amount_fen: int, quantity: str = "1", **more: object) -> FeeLine:
    price = Decimal(abs(amount_fen)).scaleb(-2) / abs(Decimal(quantity))
    return FeeLine(
        line=line,
        at=ADMITTED + timedelta(hours=2),
        med_list_codg="XA01BAD001A001010100001",
        medins_list_codg="H-0001",
        amount_fen=amount_fen,
        quantity=Decimal(quantity),
        unit_price_yuan=price,
        department_code="0300",
        department_name="外科",
        doctor_code="D001",
        doctor_name="周医",
        **more,
    )


def lines() -> list[FeeLine]:
    """1,000.00 and 34.56, and 4.56 taken back."""
    return [
        fee("L1", 100_000),
        fee("L2", 3_456, "4"),
        fee("L2-back", -456, "-1", reverses="L2"),
    ]


BILL_FEN = 103_000


def hospital() -> UUID:
    with Session.begin() as db:
        row = Hospital(
            id=new_id(),
            code=f"H{new_id().hex[-10:]}",
            name="示范医院",
            institution_type="PUBLIC",
            county_code="990101",
            rule_packs=[],
        )
        db.add(row)
    return row.id


@pytest.fixture(scope="session")
def counter() -> Iterator[Counter]:
    with standing() as found:
        yield found


@pytest.fixture
def platform(counter: Counter) -> SmallPlatform:
    """A new small platform behind the counter."""
    found = SmallPlatform()
    counter.seen.clear()
    counter.script = _EveryOne(found.answer)
    return found


@pytest.fixture
def opened(engine: Engine, counter: Counter, platform: SmallPlatform) -> Callable[..., House]:
    """Open a hospital before the small platform, with changes to the profile."""

    def open_house(profile: str = "csb-guizhou", **changed: object) -> House:
        clock, ways = Clock(), replace(load(profile), **changed)
        told = InsuranceSettings(
            counter.url, profile, "AK", "SK", "H99010000001", "示范医院", "990100"
        )
        desk = InsuranceDesk(GATEWAYS[ways.gateway](told, ways, clock.now), ways, clock.now)
        return House(desk, clock, hospital(), ways)

    return open_house


@pytest.fixture
def house(opened: Callable[..., House]) -> House:
    return opened()


class _EveryOne(dict):
    """Every transaction is answered by one function."""

    def __init__(self, answer: Callable) -> None:
        super().__init__()
        self._answer = answer

    def __getitem__(self, _: str) -> Callable:
        return self._answer
