"""A hospital of real processes into which invented people come: PostgreSQL, Valkey, the simulator,
the API, a worker. What they do is meant to leave traces everywhere, also by going wrong."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Protocol

import psycopg

import local
from local_servers import Children, free_port, start_postgres, start_valkey
from models import db as database
from models import sealing
from simulator.clients import Answer, HisClient, OverNetwork, PhoneClient, StaffClient
from tests.his_day import line
from tests.people import House
from tests.sim_process import Simulator, running, wait_until

CODE = "GZ01"
THREADS = 4
TURN = 50
NURSES = 12
INSURED, WHOLE = 5, 25
"""Every so manieth is insured and pays; every so manieth stays to the end."""
PATIENCE_S = 120
QUIET = {"sms_limits": False, "refund_gap_seconds": 0}


class Person(Protocol):
    """Whoever comes in."""

    name: str
    id_no: str
    phone: str
    card: str
    """A bank card."""


@dataclass
class Hospital(House):
    """Its clients speak over the network, each from an address of its own."""

    wires: list[OverNetwork] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def wire(self) -> OverNetwork:
        carrier = OverNetwork(self.base_url)
        carrier.session.trust_env = False
        number = next(self.numbers)
        carrier.session.headers["X-Forwarded-For"] = f"10.1.{number // 250}.{number % 250 + 1}"
        self.wires.append(carrier)
        return carrier


@dataclass
class Living:
    """Everything that runs, and where it writes."""

    directory: Path
    database_url: str
    redis_url: str
    house: Hospital
    simulator: Simulator
    environment: dict[str, str]
    his: HisClient = field(init=False)
    staff: dict[str, StaffClient] = field(init=False)

    def __post_init__(self) -> None:
        self.his = self.house.his()
        roles = ("FINANCE_MAKER", "FINANCE_CHECKER")
        self.staff = {role: self.house.staff(role, wards=("W1",)) for role in roles}
        nurses = {f"NURSE {n}": self.house.staff("NURSE", wards=("W1",)) for n in range(NURSES)}
        self.staff |= nurses
        self.phones: dict[int, PhoneClient] = {}
        self._clients: list[PhoneClient] = []

    def nurse(self, number: int) -> StaffClient:
        """One alone would press more often than anybody may in a minute. Those who come together
        have all odd numbers or all even ones."""
        return self.staff[f"NURSE {number // 2 % NURSES}"]

    @property
    def requests(self) -> int:
        """How many were sent."""
        clients = [self.his, *self.staff.values(), *self.phones.values(), *self._clients]
        return sum(client.calls for client in clients)

    def admit(self, people: Mapping[int, Person]) -> None:
        """Let all of these come in."""
        self.in_turns(lambda number: self._come(number, people[number]), list(people))

    def in_turns(self, act: Callable[[int], object], numbers: list[int]) -> None:
        """Act for each, several at once. On a slow machine it takes longer than a login holds, so
        the staff renews it before every turn."""
        for first in range(0, len(numbers), TURN):
            for client in self.staff.values():
                client.refresh()
            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(act, numbers[first : first + TURN]))

    def wait_until_told(self) -> None:
        """Until everybody was told everything that may be told now."""
        waiting = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
        with psycopg.connect(self.database_url, autocommit=True) as db:
            due = f"{waiting} AND coalesce(scheduled_at, now()) <= now()"
            wait_until(lambda: db.execute(due).fetchone() == (0,), seconds=PATIENCE_S)

    def _come(self, number: int, person: Person) -> None:
        stay = self._announced(number, person)
        self._go_wrong(number, person, stay)
        phone = self.house.phone(f"o{number:027d}")
        self.phones[number] = phone
        phone.bind(person.name, person.id_no)
        phone.put(f"{stay}/registration", {"phone": person.phone})
        if number % INSURED == 0:
            self._insured_and_paid(number, person, stay, phone)
        if number % WHOLE == 0:
            self._to_the_end(number, stay)

    def _announced(self, number: int, person: Person) -> str:
        """By the HIS; its answer names the stay."""
        answer = self.his.post("/v1/his/events/admission", slip(number, person, self.house.now()))
        return f"/v1/admissions/{answer['admission_id']}"

    def _go_wrong(self, number: int, person: Person, stay: str) -> None:
        """Whatever people and systems do wrong with a name in their hand; each is refused."""
        event = slip(number, person, self.house.now())
        nurse, stranger = self.nurse(number), self.house.phone(f"p{number:027d}")
        self._clients.append(stranger)
        told = (
            self.his.try_("POST", "/v1/his/events/admission", event | {"ward": "W2"}),
            self.his.try_("POST", "/v1/his/events/admission", event | {"source_event_id": "x"}),
            self.his.try_("POST", "/v1/his/events/admission", event | {person.name: person.id_no}),
            stranger.try_("PUT", "/v1/patient/binding", {"name": "某人", "id_no": person.id_no}),
            stranger.try_("PUT", "/v1/patient/binding", {"name": person.name, "id_no": "1"}),
            stranger.try_("GET", f"/v1/admissions/{person.phone}"),
            stranger.try_("GET", stay, query={"phone": person.phone, "id": person.id_no}),
            stranger.try_("GET", f"/v1/admissions/{person.card}", query={"card": person.card}),
            nurse.try_("PUT", f"{stay}/registration", {"phone": person.id_no}),
            nurse.try_("PUT", f"{stay}/registration", {"phone": person.card}),
        )
        for answer in told:
            refused(person, answer)

    def _insured_and_paid(self, number: int, person: Person, stay: str, phone: PhoneClient) -> None:
        """Insurance, a quota, a deposit by phone, its SMS; and somebody looks at the name."""
        seed = {"certno": person.id_no, "name": person.name, "insutype": "390"}
        self.simulator.post(f"/_sim/insurance/{CODE}/persons", seed)
        nurse = self.nurse(number)
        nurse.put(f"{stay}/insurance", {})
        quota = {"quota_fen": 350_000, "basis": "同病种个人平均自付"}
        self.staff["FINANCE_MAKER"].put(f"{stay}/quota", quota)
        wish = {"amount_fen": 100_000, "route": "MINI_PROGRAM"}
        order = phone.post(f"{stay}/deposits", wish, key=f"deposit-{number}")
        self.simulator.pay(**order["pay_with"], openid=f"o{number:027d}").raise_for_status()
        wait_until(lambda: phone.get(stay)["deposit_held_fen"] == 100_000, seconds=PATIENCE_S)
        seen = nurse.post(f"{stay}/identity", {"reason": "核对身份"})
        if seen["id_no"] != person.id_no:
            raise AssertionError("another person")

    def _to_the_end(self, number: int, stay: str) -> None:
        """Charges, discharge, settlement with insurance, and the rest goes home."""
        inpatient_no, at = f"ZY{number:06d}", self.house.now()
        lines = [
            line(
                inpatient_no,
                f"L{number}-{place}",
                occurred_at=(at - timedelta(hours=1)).isoformat(),
            )
            for place in range(5)
        ]
        self.his.post(
            "/v1/his/events/charge-batch", {"source_event_id": f"C{number}", "lines": lines}
        )
        left = {"ordered_at": at.isoformat(), "left_at": at.isoformat(), "leaving_way": "1"}
        event = {"source_event_id": f"D{number}", "inpatient_no": inpatient_no}
        self.his.post("/v1/his/events/discharge-order", event | left)
        nurse, checker = self.nurse(number), self.staff["FINANCE_CHECKER"]
        trial = nurse.post(f"{stay}/settlement/trial")
        done = nurse.put(f"{stay}/settlement", {"agree_to": trial["agree_to"]})
        for refund in done["refunds"]:
            checker.post(f"/v1/refunds/{refund['id']}/check", {"approve": True})
            path = f"/v1/refunds/{refund['id']}"
            wait_until(lambda path=path: checker.get(path)["state"] == "PAID", seconds=PATIENCE_S)


def slip(number: int, person: Person, now: datetime) -> dict[str, object]:
    """The admission event of somebody."""
    return {
        "source_event_id": f"A{number}",
        "inpatient_no": f"ZY{number:06d}",
        "admitted_at": (now - timedelta(hours=2)).isoformat(),
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
            "his_patient_no": f"P{number:06d}",
            "name": person.name,
            "id_no": person.id_no,
            "phone": person.phone,
        },
    }


def refused(person: Person, answer: Answer) -> None:
    """It must be, and without quoting the person."""
    if not 400 <= answer.status < 500:
        raise AssertionError((answer.status, answer.text))
    secrets = (person.name, person.id_no, person.phone, person.card)
    if any(secret in answer.text for secret in secrets):
        raise AssertionError(f"a refusal quotes the person: {answer.text}")


@contextmanager
def living(directory: Path) -> Iterator[Living]:
    """Everything started, the hospital founded; everything ended afterwards."""
    api = free_port()
    url = f"http://127.0.0.1:{api}"
    with running(hospitals=(f"{CODE}:贵州示范医院:csb-guizhou",)) as simulator:
        simulator.settings(**QUIET, app_url=url)
        with Children(directory / "log") as children:
            database_url = start_postgres(children, directory)
            redis_url = start_valkey(children, directory)
            log_everything(database_url)
            environment = os.environ | {
                "ENVIRONMENT": "development",
                "DATABASE_URL": database_url,
                "REDIS_URL": redis_url,
                "PUBLIC_BASE_URL": url,
                "CONNECTIONS_FILE": str(simulator.connections_file),
                "AUDIT_ANCHOR_FILE": str(directory / "anchors.jsonl"),
                "TRUSTED_PROXIES": "1",
                "NO_PROXY": "127.0.0.1",
                **local.keys(directory / "keys.json"),
            }
            local.run("-m", "alembic", "upgrade", "head", env=environment)
            engine = database.connect(database_url)
            ring = json.loads(environment["SEALING_KEYS"])
            sealing.use_keys(ring, environment["INDEX_KEY"])
            house = Hospital(None, url, lambda: datetime.now(UTC), simulator, code=CODE)
            local.start_app(children, url, environment)
            children.wait_for("api", lambda: local.answers(f"{url}/readyz"))
            home = Living(directory, database_url, redis_url, house, simulator, environment)
            yield home
            for wire in house.wires:
                wire.session.close()
            engine.dispose()


def log_everything(database_url: str) -> None:
    """The most talkative server that an operator may have: every statement with its values."""
    with psycopg.connect(database_url, autocommit=True) as db:
        db.execute("ALTER SYSTEM SET log_statement = 'all'")
        db.execute("ALTER SYSTEM SET log_parameter_max_length_on_error = -1")
        db.execute("SELECT pg_reload_conf()")
