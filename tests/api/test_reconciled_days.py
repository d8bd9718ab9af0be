"""Finance reads the days that were compared with WeChat Pay, and only its own hospital's."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from config import today
from models.db import Session, new_id
from models.reconciliation import DayState, ReconciledDay, ReconciliationDifference
from tests.api.conftest import BASE_URL
from tests.people import House, MovedClock
from tests.sim_process import Simulator

PATH = "/v1/reconciliation/days"
SUMS = {
    "there_payments": 3,
    "there_payments_fen": 900,
    "here_payments": 2,
    "here_payments_fen": 850,
}


def compared(house: House, ago: int, *, gone: int = 0, open_ones: int = 1) -> ReconciledDay:
    """A day so long ago with differences."""
    now = house.now()
    with Session.begin() as db:
        day = ReconciledDay.locked(db, house.hospital_id, today(now) - timedelta(days=ago))
        day.state, day.compared_at = DayState.DIFFERS, now
        for name, value in SUMS.items():
            setattr(day, name, value)
        for place in range(gone + open_ones):
            db.add(
                ReconciliationDifference(
                    id=new_id(),
                    hospital_id=house.hospital_id,
                    day_id=day.id,
                    state="GONE" if place < gone else "OPEN",
                    kind="PAYMENT_NOT_HERE",
                    number=f"{place:032x}",
                    there_fen=50,
                    here_fen=0,
                    found_at=now,
                    gone_at=now if place < gone else None,
                )
            )
    return day


@pytest.mark.parametrize("role", ["FINANCE_MAKER", "FINANCE_CHECKER", "FINANCE_HEAD", "SUPERVISOR"])
def test_who_may_read_reads_the_days_newest_first(house: House, role: str) -> None:
    older, newer = compared(house, 3), compared(house, 1, gone=1)
    found = house.staff(role, kind="DESK", ward="").get(PATH)
    assert [day["day"] for day in found] == [newer.day.isoformat(), older.day.isoformat()]
    assert SUMS.items() <= found[0].items()
    assert (found[0]["state"], found[0]["differences_total"]) == ("DIFFERS", 1)
    assert [each["state"] for each in found[0]["differences"]] == ["OPEN", "GONE"]  # to do first
    told: dict[str, Any] = found[1]["differences"][0]
    assert (told["kind"], told["number"], told["there_fen"], told["here_fen"], told["gone_at"]) == (
        *("PAYMENT_NOT_HERE", f"{0:032x}", 50, 0),
        None,
    )


def test_the_days_of_a_span(house: House) -> None:
    days = [compared(house, ago).day.isoformat() for ago in (40, 10, 1)]
    finance = house.staff("FINANCE_MAKER", kind="DESK", ward="")
    assert [day["day"] for day in finance.get(PATH)] == [days[2], days[1]]
    span = {"since": days[0], "until": days[1]}
    assert [day["day"] for day in finance.get(PATH, query=span)] == [days[1], days[0]]
    refused = finance.try_("GET", PATH, query={"since": "yesterday"})
    assert (refused.status, refused.code) == (422, "FIELDS_INVALID")


def test_another_hospital_reads_nothing_of_it(
    app: Flask, house: House, clock: MovedClock, simulator: Simulator
) -> None:
    compared(house, 1)
    other = House(app, BASE_URL, clock, simulator)
    assert other.staff("FINANCE_HEAD", kind="DESK", ward="").get(PATH) == []


def test_many_differences_are_counted_and_the_first_are_shown(house: House) -> None:
    compared(house, 1, open_ones=503)
    (day,) = house.staff("FINANCE_MAKER", kind="DESK", ward="").get(PATH)
    assert (day["differences_total"], len(day["differences"])) == (503, 500)
