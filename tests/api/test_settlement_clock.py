"""The clocks of discharges over HTTP: who waits, why, how a hundred did, and when their refunds
arrived (GZ-19)."""

from datetime import date, datetime, timedelta

import pytest

from config import SHANGHAI
from models.admission import Admission, AdmissionState
from models.db import Session, new_id
from models.patient import Patient
from models.settlement import Settlement, SettlementState
from policies.money import yuan
from simulator.clients import StaffClient
from tests.his_day import line
from tests.people import House

KPI = "/v1/kpi/settlement"
WAITING = "/v1/discharges/waiting"
FRIDAY = datetime(2025, 7, 4, 10, tzinfo=SHANGHAI)
OVER = datetime(2025, 7, 10, tzinfo=SHANGHAI)
DAY = {"first": "2025-07-04", "last": "2025-07-04"}


class Ward:
    """Discharges of one hospital, written down as they happened."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.patient: Patient = house.patient()

    def left(
        self, at: datetime, settled_at: datetime | None = None, ward: str = "W1", **more
    ) -> Admission:
        """A stay whose discharge was ordered then, and whose bill was perhaps closed."""
        stay = self.house.stay(self.patient, ward)
        with Session.begin() as db:
            row = db.get_one(Admission, stay.id)
            row.ordered_at = row.left_at = at
            row.state = AdmissionState.SETTLED if settled_at else AdmissionState.LEAVING
            for name, value in more.items():
                setattr(row, name, value)
            if settled_at:
                db.add(self._closed(stay, settled_at))
        return stay

    def _closed(self, stay: Admission, at: datetime) -> Settlement:
        return Settlement(
            id=new_id(),
            hospital_id=stay.hospital_id,
            admission_id=stay.id,
            round=1,
            state=SettlementState.CLOSED,
            total_fen=0,
            insured=False,
            trial={},
            trial_digest="a" * 64,
            opened_at=at,
            closed_at=at,
        )


@pytest.fixture
def ward(house: House) -> Ward:
    return Ward(house)


def delay(by: StaffClient, stay: Admission, reason: str, note: str = "") -> None:
    path = f"/v1/admissions/{stay.id}/settlement/delay"
    by.put(path, {"reason": reason, "note": note})


@pytest.mark.clause("GZ-19", "T6")
def test_the_figures_of_a_hundred_discharges(ward: Ward):
    house, second = ward.house, timedelta(seconds=1)
    for _ in range(60):
        ward.left(FRIDAY, FRIDAY + timedelta(hours=20))
    ward.left(FRIDAY, FRIDAY + timedelta(hours=24))
    ward.left(FRIDAY, FRIDAY + timedelta(hours=24) + second)
    for _ in range(30):
        ward.left(FRIDAY, FRIDAY + timedelta(days=3))
    ward.left(FRIDAY, OVER - second)
    late = [ward.left(FRIDAY, OVER)]
    late += [ward.left(FRIDAY, OVER + timedelta(days=n)) for n in (1, 2, 3)]
    late += [ward.left(FRIDAY) for _ in range(3)]
    outside = [
        ward.left(datetime(2025, 7, 3, 23, 59, 59, tzinfo=SHANGHAI)),
        ward.left(datetime(2025, 7, 5, tzinfo=SHANGHAI)),
        Ward(House(house.app, house.base_url, house.now, None)).left(FRIDAY),
    ]
    office = house.staff("INSURANCE_OFFICE", kind="DESK", ward="")
    reasons = ["INSURANCE_REPLY"] * 3 + ["MISSING_RECORD", "PATIENT_ABSENT", "UNREVIEWED_FEE"]
    for stay, reason in zip(late, reasons, strict=False):
        delay(office, stay, reason)

    seen = house.staff("SUPERVISOR", kind="DESK", ward="").get(KPI, query=DAY)
    assert (seen["discharges"], seen["on_time"], seen["on_target"]) == (100, 93, 61)
    assert seen["waiting"] == 0
    assert {case["admission_id"]: case["reason"] for case in seen["late"]} == {
        str(stay.id): reason for stay, reason in zip(late, [*reasons, ""], strict=True)
    }
    first = next(case for case in seen["late"] if case["admission_id"] == str(late[0].id))
    assert (first["due_on"], first["reason_text"]) == ("2025-07-09", "等医保结果")
    assert datetime.fromisoformat(first["settled_at"]) == OVER
    assert not {str(stay.id) for stay in outside} & {case["admission_id"] for case in seen["late"]}


@pytest.mark.clause("GZ-19", "T1")
@pytest.mark.clause("GZ-19", "T2")
@pytest.mark.clause("GZ-19", "T3")
def test_the_list_shows_the_most_urgent_first_with_both_clocks(ward: Ward):
    for day in (date(2025, 9, 30), date(2025, 7, 4), date(2025, 9, 26)):
        ward.left(datetime(day.year, day.month, day.day, 10, tzinfo=SHANGHAI))
    cashier = ward.house.staff("CASHIER", kind="DESK", ward="", window="3")
    seen = cashier.get(WAITING)
    assert [case["due_on"] for case in seen] == ["2025-07-09", "2025-09-30", "2025-10-11"]
    targets = [datetime.fromisoformat(case["target_at"]) for case in seen]
    assert targets[0] == FRIDAY + timedelta(days=1)
    assert [case["warnings"] for case in seen] == [[], [], []]
    assert [case["settled_at"] for case in seen] == [None, None, None]


def test_the_clock_starts_when_the_later_of_order_and_bed_is_done(ward: Ward):
    ward.left(FRIDAY, left_at=FRIDAY + timedelta(hours=5))
    ward.left(FRIDAY, left_at=None)
    cashier = ward.house.staff("CASHIER", kind="DESK", ward="", window="3")
    begun = {datetime.fromisoformat(case["started_at"]) for case in cashier.get(WAITING)}
    assert begun == {FRIDAY, FRIDAY + timedelta(hours=5)}


@pytest.mark.clause("GZ-19", "T4")
def test_a_year_without_a_table_says_so_until_the_hospital_knows_its_days(ward: Ward):
    ward.left(datetime(2035, 1, 5, 10, tzinfo=SHANGHAI))  # a Friday
    head = ward.house.staff("FINANCE_HEAD", kind="DESK", ward="")
    (case,) = head.get(WAITING)
    assert (case["due_on"], case["warnings"]) == ("2035-01-10", ["HOLIDAY_TABLE_MISSING"])
    told = {"source": "国办发明电〔2034〕7号"}
    for day in range(6, 11):
        off = day in (6, 8)  # the Saturday, and a Monday that is made a holiday
        head.put("/v1/workdays", {"day": f"2035-01-{day:02}", "works": not off} | told)
    (case,) = head.get(WAITING)
    assert (case["due_on"], case["warnings"]) == ("2035-01-10", [])  # the Sunday works instead
    days = {"first": "2035-01-05", "last": "2035-01-05"}
    found = head.get(KPI, query=days)
    assert (found["discharges"], found["waiting"], found["late"]) == (1, 1, [])


def test_a_nurse_sees_the_own_ward_and_the_last_reason_counts(ward: Ward):
    mine, other = ward.left(FRIDAY), ward.left(FRIDAY, ward="W2")
    nurse = ward.house.staff("NURSE", wards=("W1",))
    delay(nurse, mine, "MISSING_RECORD")
    delay(nurse, mine, "PATIENT_ABSENT", "明天上午来")
    (case,) = nurse.get(WAITING)
    assert (case["admission_id"], case["ward"]) == (str(mine.id), "W1")
    assert (case["reason"], case["reason_text"]) == ("PATIENT_ABSENT", "患者或家属没有来办")
    path = f"/v1/admissions/{other.id}/settlement/delay"
    answer = nurse.try_("PUT", path, {"reason": "OTHER"})
    assert (answer.status, answer.code) == (404, "ADMISSION_UNKNOWN")
    wrong = nurse.try_("PUT", path.replace(str(other.id), str(mine.id)), {"reason": "LAZY"})
    assert [error["field"] for error in wrong.body["errors"]] == ["reason"]


def test_nobody_is_late_before_the_discharge_is_ordered(ward: Ward):
    stay = ward.house.stay(ward.patient)
    nurse = ward.house.staff("NURSE", wards=("W1",))
    path = f"/v1/admissions/{stay.id}/settlement/delay"
    answer = nurse.try_("PUT", path, {"reason": "OTHER"})
    assert (answer.status, answer.code) == (422, "DISCHARGE_NOT_ORDERED")
    assert nurse.get(WAITING) == []


@pytest.mark.parametrize(
    ("first", "last", "field"),
    [
        ("2025-07-04", "9999-12-31", "last"),
        ("0001-01-01", "2025-07-04", "first"),
        ("2025-07-04", "2025-07-03", "last"),
        ("2024-01-01", "2025-07-04", "last"),
        ("2025-02-30", "2025-07-04", "first"),
    ],
)
def test_days_that_cannot_be_asked_for(house: House, first: str, last: str, field: str):
    supervisor = house.staff("SUPERVISOR", kind="DESK", ward="")
    answer = supervisor.try_("GET", KPI, query={"first": first, "last": last})
    assert (answer.status, answer.code) == (422, "FIELDS_INVALID")
    assert [error["field"] for error in answer.body["errors"]] == [field]


def test_who_may_read_what(house: House):
    phone, _ = house.patient_phone()
    for path, who in (
        (KPI, house.staff("NURSE", wards=("W1",))),
        (WAITING, house.staff("SUPERVISOR", kind="DESK", ward="")),
        (WAITING, phone),
        (KPI, phone),
    ):
        assert who.try_("GET", path, query=DAY).code == "PERMISSION_MISSING", path


def test_the_refund_has_a_clock_of_its_own(house: House, clock):
    """D-27: the bill is settled when it is closed; when the money came back stands beside it."""
    stay, his = house.stay(), house.his()
    long_ago = house.now() - timedelta(days=20)
    with Session.begin() as db:
        db.get_one(Admission, stay.id).admitted_at = long_ago - timedelta(days=2)
    cashier = house.staff("CASHIER", kind="DESK", ward="", window="3")
    finance = house.staff("FINANCE_MAKER", kind="DESK", ward="")
    checker = house.staff("FINANCE_CHECKER", kind="DESK", ward="")
    path = f"/v1/admissions/{stay.id}"
    finance.put(f"{path}/quota", {"quota_fen": 300_000, "basis": "同病种"})
    cashier.post(f"{path}/deposits", {"amount_fen": 50_000, "route": "CASH"}, key="cash-0001")
    charge = line(
        stay.inpatient_no,
        occurred_at=(long_ago - timedelta(hours=2)).isoformat(),
        quantity="1",
        unit_price=yuan(30_000),
        amount=yuan(30_000),
    )
    his.post("/v1/his/events/charge-batch", {"source_event_id": "c-1", "lines": [charge]})
    left = {"source_event_id": "d-1", "inpatient_no": stay.inpatient_no}
    said = {"ordered_at": long_ago.isoformat(), "left_at": long_ago.isoformat()}
    his.post("/v1/his/events/discharge-order", left | said)
    day = long_ago.astimezone(SHANGHAI).date().isoformat()
    assert [case["admission_id"] for case in cashier.get(WAITING)] == [str(stay.id)]

    trial = cashier.post(f"{path}/settlement/trial")
    done = cashier.put(f"{path}/settlement", {"agree_to": trial["agree_to"]})
    assert (done["state"], done["rest_fen"]) == ("CLOSED", 20_000)
    assert cashier.get(WAITING) == []
    (case,) = finance.get(KPI, query={"first": day, "last": day})["late"]
    assert (case["settled_at"] is not None, case["refund_paid_at"]) == (True, None)

    clock.forward(minutes=5)
    refund = f"/v1/refunds/{done['refunds'][0]['id']}"
    leg = checker.post(f"{refund}/check", {"approve": True})["legs"][0]["id"]
    paid = cashier.post(f"{refund}/legs/{leg}/hand-over", {"proof": "signed-in-ink"})
    (after,) = finance.get(KPI, query={"first": day, "last": day})["late"]
    assert after["settled_at"] == case["settled_at"]
    assert datetime.fromisoformat(after["refund_paid_at"]) == datetime.fromisoformat(
        paid["paid_at"]
    )
    assert after["refund_paid_at"] > after["settled_at"]
