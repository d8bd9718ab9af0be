"""The months in which charge lines live are made while everybody works."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from journeys import founding, his_charges
from models.db import Session, new_id, rows
from policies.outcome import NotNow
from tests.his_day import HisDay, line, shanghai
from tests.sim_process import wait_until

WAITING = "SELECT count(*) AS many FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


@pytest.fixture
def day(engine: Engine) -> HisDay:
    return HisDay()


def test_a_bill_made_while_a_month_is_made_has_its_lines(day: HisDay) -> None:
    """A statement that waits for a lock has looked for its partitions before: lines that moved
    meanwhile would be in none of them, and the bill would be told as nothing."""
    day.at = shanghai(2032, 5, 20)
    stay = day.admit()
    assert day.charge(line(stay.inpatient_no, occurred_at="2032-05-20 10:00:00")) == ["ACCEPTED"]
    day.at = shanghai(2032, 5, 21, 7)
    with ThreadPoolExecutor(2) as pool:
        with Session() as reader:
            reader.execute(text("SELECT 1 FROM charge_line_default LIMIT 1"))
            months = pool.submit(his_charges.make_charge_months, day.outside)
            wait_until(lambda: months.done() or rows(WAITING)[0]["many"] >= 1)
            bills = pool.submit(day.make_bills, date(2032, 5, 20))
            wait_until(lambda: bills.done() or rows(WAITING)[0]["many"] >= 2)
        months.exception()
        assert bills.result() == 1
    (bill,) = day.bills(stay)
    assert (bill.line_count, bill.total_fen) == (1, 8546)


def test_months_are_made_ahead_and_a_month_with_lines_stays_where_it_is(day: HisDay) -> None:
    day.at = shanghai(2031, 5, 20)
    stay = day.admit()
    early = [line(stay.inpatient_no, occurred_at=f"2031-0{month}-20 10:00:00") for month in (4, 5)]
    assert day.charge(*early) == ["ACCEPTED", "ACCEPTED"]
    assert his_charges.make_charge_months(day.outside) == 3
    assert his_charges.make_charge_months(day.outside) == 0
    day.at = shanghai(2031, 6, 1, 12)
    late = [line(stay.inpatient_no, occurred_at=f"2031-0{on} 11:00:00") for on in ("5-31", "6-01")]
    assert day.charge(*late) == ["ACCEPTED", "ACCEPTED"]
    assert where(day) == ["charge_line_default"] * 3 + ["charge_line_2031_06"]
    with pytest.raises(DBAPIError, match="never changed"), Session.begin() as db:
        db.execute(text("SELECT set_config('xianzhen.moving_months', 'on', true)"))
        db.execute(text("DELETE FROM charge_line WHERE hospital_id = :h"), {"h": day.hospital_id})
    assert day.charged_fen() == 4 * 8546


def test_a_hospital_starts_with_its_months(engine: Engine) -> None:
    at = shanghai(2033, 11, 30, 23)
    founding.found_hospital(
        f"M{new_id().hex[-8:]}", "月份医院", "PUBLIC", "520102", ["national"], lambda: at
    )
    made = rows(
        "SELECT relname FROM pg_class WHERE relname ~ '^charge_line_203[34]_.{2}$' ORDER BY 1"
    )
    assert [each["relname"] for each in made] == [
        "charge_line_2033_11",
        "charge_line_2033_12",
        "charge_line_2034_01",
        "charge_line_2034_02",
    ]


@pytest.mark.parametrize(
    ("year", "held"),
    [
        (2035, "SELECT 1 FROM charge_line"),
        (2036, "LOCK TABLE admission IN ROW EXCLUSIVE MODE"),
    ],
)
def test_whoever_works_is_not_kept_waiting(day: HisDay, year: int, held: str) -> None:
    day.at = shanghai(year, 5, 20)
    with Session() as db:
        db.execute(text(held))
        with pytest.raises(NotNow):
            his_charges.make_charge_months(day.outside)
    assert his_charges.make_charge_months(day.outside) == 4


def where(day: HisDay) -> list[str]:
    """The partitions of the lines, in the order in which they came."""
    sql = (
        "SELECT tableoid::regclass::text AS partition FROM charge_line"
        " WHERE hospital_id = :h ORDER BY seq"
    )
    return [row["partition"] for row in rows(sql, h=day.hospital_id)]
