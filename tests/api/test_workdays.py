"""The hospital's own working days, and the warning where the published table ends."""

from dataclasses import replace
from datetime import date

from models.db import Session, rows
from models.workday_override import overrides_of
from tests.people import House


def test_the_last_word_on_a_day_counts_and_each_is_audited(house: House) -> None:
    head = house.staff("FINANCE_HEAD", kind="DESK", ward="")
    for works, source in ((True, "院办〔2035〕1号"), (False, "国办发明电〔2035〕7号")):
        head.put("/v1/workdays", {"day": "2035-01-04", "works": works, "source": source})
    assert head.get("/v1/workdays", query={"year": 2035}) == {
        "year": 2035,
        "table_missing": True,
        "days": [{"day": "2035-01-04", "works": False, "source": "国办发明电〔2035〕7号"}],
    }
    audited = rows(
        "SELECT subject FROM audit_entry WHERE hospital_id = :h AND what = 'workday set'",
        h=house.hospital_id,
    )
    assert audited == [{"subject": "day:2035-01-04"}] * 2


def test_a_published_year_has_its_table(house: House) -> None:
    head = house.staff("FINANCE_HEAD", kind="DESK", ward="")
    assert head.get("/v1/workdays", query={"year": 2025}) == {
        "year": 2025,
        "table_missing": False,
        "days": [],
    }


def test_the_clocks_read_only_the_own_hospitals_days(house: House) -> None:
    head = house.staff("FINANCE_HEAD", kind="DESK", ward="")
    head.put("/v1/workdays", {"day": "2035-01-04", "works": True, "source": "x"})
    with Session() as db:
        assert overrides_of(db, house.hospital_id) == {date(2035, 1, 4): True}
        assert overrides_of(db, replace(house, code=f"{house.code}-2").hospital_id) == {}


def test_a_cashier_may_not_set_days(house: House) -> None:
    cashier = house.staff("CASHIER", kind="DESK", ward="")
    no = cashier.try_("PUT", "/v1/workdays", {"day": "2035-01-04", "works": True, "source": "x"})
    assert (no.status, no.code) == (403, "PERMISSION_MISSING")
