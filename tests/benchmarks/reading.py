"""(c) A patient opens a daily bill of 30 lines on the phone: login, the bill, its words."""

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from config import SHANGHAI, today
from journeys import daily_bill
from models.admission import Admission
from simulator.clients import PhoneClient
from tests.benchmarks.ground import Ground, address
from tests.benchmarks.load import fire, request
from tests.benchmarks.measure import Bench, Figure, in_turns

PHONES, LINES = 40, 30


def run(ground: Ground) -> list[Figure]:
    """Bills a second beside the bare route."""
    wishes = prepare(ground)
    ground.forget_peak()
    series = in_turns(lambda: read(ground, wishes), ground.bare, ground.rounds(7))
    ceiling = in_turns(ground.row, ground.bare, ground.rounds(7))
    return [
        Figure(
            "c",
            "a 30-line daily bill over HTTP, with login",
            "bare Flask route",
            series,
            "/s",
            aim=0.45,
            peak_mib=ground.peak_mib(),
        ),
        Figure(
            "c",
            "the ceiling: the bare route with one row by plain psycopg, no login",
            "bare Flask route",
            ceiling,
            "/s",
        ),
    ]


def read(ground: Ground, wishes: list[bytes]) -> float:
    """Bills a second; each must have its thirty lines."""
    took, answers = fire(ground.port, wishes)
    assert all(answer.count(b'"seq"') == LINES for answer in answers)
    return len(wishes) / took


def prepare(ground: Ground, each: int = 25) -> list[bytes]:
    """Forty patients who are logged in, each with yesterday's bill, and their requests."""
    if "phones" not in ground.kept:
        ground.kept["phones"] = [_phone(ground) for _ in range(PHONES)]
        daily_bill.make_bills(ground.house.hospital_id, _yesterday(ground), ground.house.now)
    found = [
        request("GET", path(stay.id, _yesterday(ground)), _headers(phone))
        for phone, stay in ground.kept["phones"]
    ]
    for phone, stay in ground.kept["phones"]:
        phone.get(path(stay.id, _yesterday(ground)))  # that it was opened is noted once
    return found * each


def path(stay_id: UUID, day: date) -> str:
    """Where the bill is."""
    return f"/v1/admissions/{stay_id}/daily-bills/{day}"


def _phone(ground: Ground) -> tuple[PhoneClient, Admission]:
    phone, patient = ground.house.patient_phone(ground.stage.patient())
    morning = datetime.combine(_yesterday(ground), time(7), SHANGHAI)
    stay = ground.stage.stay(patient, admitted_at=morning)
    ground.stage.charge(stay, *[4273] * LINES)
    return phone, stay


def _headers(phone: Any) -> dict[str, str]:
    return {"X-Forwarded-For": address(), **phone.credentials("GET", "", b"")}


def _yesterday(ground: Ground) -> date:
    return today(ground.house.now()) - timedelta(days=1)


BENCH = Bench("c", "a daily bill is read", run)
