"""One list a day for everybody in the house, corrected and never edited (CQ-5.3)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from threading import Event, Thread

import psycopg
import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError

from journeys import daily_bill
from models import charges, ledger
from models import daily_bill as bills_of
from models.admission import Admission
from models.db import Session, rows
from models.ledger import AccountKind, Line, NewLot
from models.message import Message
from models.work_item import WorkItem
from policies.access import Actor, Channel
from policies.charge_rows import read
from policies.refusals import Refused
from tests.his_day import REAL_TOTAL_FEN, HisDay, line, real_day, shanghai

THE_3RD = date(2025, 7, 3)


@pytest.fixture
def day(engine: Engine) -> HisDay:
    return HisDay()


def told(day: HisDay) -> list[tuple[str, dict]]:
    with Session() as db:
        query = select(Message).where(Message.hospital_id == day.hospital_id).order_by(Message.id)
        return [(message.template, message.values) for message in db.scalars(query)]


@pytest.mark.clause("CQ-5.3", "T1")
def test_the_list_of_the_3rd_is_ready_on_the_4th_and_sums_to_the_charges(day: HisDay) -> None:
    stay = day.admit()
    day.charge(*real_day(stay.inpatient_no, THE_3RD))
    day.charge(line(stay.inpatient_no, occurred_at="2025-07-04T00:00:00+08:00"))
    day.morning_after(THE_3RD)
    assert daily_bill.make_yesterdays_bills(day.outside, day.hospital_id) == 1
    (bill,) = day.bills(stay)
    assert (bill.day, bill.version, bill.line_count) == (THE_3RD, 1, 69)
    assert bill.total_fen == bill.running_total_fen == REAL_TOTAL_FEN
    assert bill.made_at == shanghai(2025, 7, 4, 6)
    assert bill.added_seqs == []
    assert bill.estimated_personal_fen is None


def test_the_totals_grow_and_the_deposit_is_shown(day: HisDay) -> None:
    stay = day.admit()
    day.charge(line(stay.inpatient_no), line(stay.inpatient_no, occurred_at="2025-07-04 10:00:00"))
    with Session.begin() as db:
        owner = (AccountKind.INPATIENT_DEPOSIT, str(stay.id))
        ledger.post(
            db,
            hospital_id=day.hospital_id,
            key="deposit",
            kind="DEPOSIT",
            why="test",
            by="test",
            at=day.at,
            lines=[Line(AccountKind.CASH, "CASH", 200_000), Line(*owner, -200_000)],
            new_lots=[NewLot(*owner, "CASH", None, None, day.at, 200_000)],
        )
    day.at = shanghai(2025, 7, 5, 6)
    assert day.make_bills(THE_3RD) + day.make_bills(date(2025, 7, 4)) == 2
    first, second = day.bills(stay)
    assert (first.total_fen, first.running_total_fen) == (8546, 8546)
    assert (second.total_fen, second.running_total_fen) == (8546, 17092)
    assert first.deposit_held_fen == second.deposit_held_fen == 200_000


@pytest.mark.clause("CQ-5.3", "T2")
def test_a_late_fee_makes_a_second_version_marked_added_and_told(day: HisDay) -> None:
    stay = day.admit()
    day.charge(line(stay.inpatient_no, "A"))
    day.morning_after(THE_3RD)
    day.make_bills(THE_3RD)
    (first,) = day.bills(stay)
    day.at = shanghai(2025, 7, 5, 6)
    day.make_bills(date(2025, 7, 4))
    day.at = shanghai(2025, 7, 5, 10)
    surgery = line(
        stay.inpatient_no, "S", item_name="阑尾切除术", unit_price="980", quantity="1",
        amount="980.00", category="06",
    )  # fmt: skip
    assert day.charge(surgery) == ["ACCEPTED"]
    assert day.correct_bills() == 1
    assert day.correct_bills() == 0
    again, second, *_ = day.bills(stay)
    assert again.line_seqs == first.line_seqs
    assert (again.total_fen, again.items_hash) == (8546, first.items_hash)
    assert (second.day, second.version, second.total_fen) == (THE_3RD, 2, 8546 + 98_000)
    assert second.added_seqs == [seq for seq in second.line_seqs if seq not in first.line_seqs]
    assert len(second.added_seqs) == 1
    assert told(day) == [
        ("DAILY_BILL", {"day": "2025-07-03", "total": "85.46"}),
        ("DAILY_BILL", {"day": "2025-07-04", "total": "0.00"}),
        ("DAILY_BILL_CORRECTED", {"day": "2025-07-03", "total": "1065.46"}),
    ]


def test_a_late_reversal_makes_a_second_version_too(day: HisDay) -> None:
    stay = day.admit()
    day.charge(line(stay.inpatient_no, "A"))
    day.morning_after(THE_3RD)
    day.make_bills(THE_3RD)
    back = {
        "source_line_id": "R",
        "inpatient_no": stay.inpatient_no,
        "reverses": "A",
        "occurred_at": "2025-07-03 23:00:00",
        "quantity": "2",
        "amount": "85.46",
    }
    assert day.reverse(back) == ["ACCEPTED"]
    assert day.correct_bills() == 1
    assert [(bill.version, bill.total_fen, bill.line_count) for bill in day.bills(stay)] == [
        (1, 8546, 1),
        (2, 0, 2),
    ]


def test_a_line_that_came_before_the_bill_needs_no_correction(day: HisDay) -> None:
    stay = day.admit()
    day.at = shanghai(2025, 7, 4, 1)
    day.charge(line(stay.inpatient_no))
    day.at = shanghai(2025, 7, 4, 6)
    assert day.make_bills(THE_3RD) == 1
    assert day.correct_bills() == 0
    assert day.count("unbilled_day") == 0
    assert [bill.version for bill in day.bills()] == [1]


def test_the_lines_of_a_night_are_told_once_in_the_morning(day: HisDay) -> None:
    """The hourly correction comes before the list: it must not tell of each hour's lines."""
    stay = day.admit()
    older = line(stay.inpatient_no, occurred_at="2025-07-02 10:00:00")
    for hour in range(6):
        day.at = shanghai(2025, 7, 4, hour, 5)
        day.charge(line(stay.inpatient_no), *([] if hour else [older]))
        day.at = shanghai(2025, 7, 4, hour, 20)
        assert day.correct_bills() == 0
    day.morning_after(THE_3RD)
    assert day.make_bills(THE_3RD) == 1
    day.at = shanghai(2025, 7, 4, 6, 20)
    assert day.correct_bills() == 1
    assert day.count("unbilled_day") == 0
    assert [(bill.day.day, bill.version, bill.line_count) for bill in day.bills()] == [
        (2, 1, 1),
        (3, 1, 6),
    ]
    assert day.count("message") == 2


def test_a_late_line_on_a_day_without_a_bill_makes_its_first_version(day: HisDay) -> None:
    stay = day.admit(admitted_at=shanghai(2025, 7, 6))
    day.at = shanghai(2025, 7, 6)
    day.charge(line(stay.inpatient_no))
    assert day.correct_bills() == 1
    (bill,) = day.bills()
    assert (bill.day, bill.version, bill.added_seqs) == (THE_3RD, 1, [])
    assert [template for template, _ in told(day)] == ["DAILY_BILL"]


@pytest.mark.clause("CQ-5.3", "T4")
def test_the_message_shows_no_diagnosis_and_no_item(day: HisDay) -> None:
    stay = day.admit()
    day.charge(line(stay.inpatient_no))
    day.morning_after(THE_3RD)
    day.make_bills(THE_3RD)
    assert told(day) == [("DAILY_BILL", {"day": "2025-07-03", "total": "85.46"})]
    sql = "SELECT message::text AS m FROM message WHERE hospital_id = :h"
    stored = rows(sql, h=day.hospital_id)
    for secret in (stay.diagnosis_name, stay.diagnosis_code, "肝爽颗粒", "张小丰"):
        assert secret not in stored[0]["m"]


@pytest.mark.clause("CQ-5.3", "T5")
def test_everybody_in_the_house_has_exactly_one_list_a_day(day: HisDay) -> None:
    quiet = day.admit(bed="1")
    came_that_night = day.admit(admitted_at=shanghai(2025, 7, 3, 23, 59))
    came_next_day = day.admit(admitted_at=shanghai(2025, 7, 4, 0, 0))
    left_that_day = day.admit(admitted_at=shanghai(2025, 7, 1))
    left_before = day.admit(admitted_at=shanghai(2025, 7, 1))
    treated_before_registration = day.admit()
    day.leave(left_that_day, left_at=shanghai(2025, 7, 3, 9))
    day.leave(left_before, left_at=shanghai(2025, 7, 2, 23))
    with Session.begin() as db:
        db.execute(
            text("UPDATE admission SET state = 'SLIP' WHERE id = :id"),
            {"id": treated_before_registration.id},
        )
    day.charge(line(treated_before_registration.inpatient_no))
    day.morning_after(THE_3RD)
    with Session() as db:
        without = bills_of.missing(db, day.hospital_id, THE_3RD)
    expected = {quiet.id, came_that_night.id, left_that_day.id}
    assert set(without) == expected
    assert day.make_bills(THE_3RD) == 4
    assert day.make_bills(THE_3RD) == 0
    billed = [bill.admission_id for bill in day.bills()]
    assert sorted(billed) == sorted({*expected, treated_before_registration.id})
    assert came_next_day.id not in billed
    assert [bill.total_fen for bill in day.bills(quiet)] == [0]
    with Session() as db:
        assert bills_of.missing(db, day.hospital_id, THE_3RD) == []


def test_charged_after_leaving_the_running_total_still_holds_the_whole_stay(day: HisDay) -> None:
    inside, gone = day.admit(), day.admit(admitted_at=shanghai(2025, 6, 27))
    day.leave(gone, left_at=shanghai(2025, 7, 2, 9))
    day.charge(
        line(inside.inpatient_no),
        *(line(gone.inpatient_no, occurred_at=f"2025-{on}T08:00:00+08:00")
          for on in ("06-28", "07-01", "07-03")),
    )  # fmt: skip
    day.morning_after(THE_3RD)
    assert day.make_bills(THE_3RD) == 2
    totals = {
        bill.admission_id: (bill.total_fen, bill.running_total_fen)
        for bill in day.bills()
        if bill.day == THE_3RD
    }
    assert totals == {inside.id: (8546, 8546), gone.id: (8546, 3 * 8546)}


def test_a_settled_stay_still_gets_the_list_of_its_last_day(day: HisDay) -> None:
    stay = day.admit()
    day.charge(line(stay.inpatient_no))
    day.leave(stay, ordered_at=day.at, left_at=day.at)
    day.settle(stay)
    day.morning_after(THE_3RD)
    assert day.make_bills(THE_3RD) == 1
    assert day.make_bills(date(2025, 7, 2)) == 0


@pytest.mark.clause("CQ-5.3", "T5")
def test_a_missing_list_becomes_a_work_item_and_closes_when_it_is_made(day: HisDay) -> None:
    stay = day.admit()
    day.morning_after(THE_3RD)
    finance = Actor(day.hospital_id, "staff:f", frozenset({"FINANCE_HEAD"}), Channel.DESK)
    assert [row["admission_id"] for row in daily_bill.missing_bills(finance, THE_3RD)] == [stay.id]
    assert daily_bill.check_yesterday(day.outside, day.hospital_id) == 1
    assert daily_bill.check_yesterday(day.outside, day.hospital_id) == 1
    day.make_bills(THE_3RD)
    assert daily_bill.check_yesterday(day.outside, day.hospital_id) == 0
    assert daily_bill.missing_bills(finance, THE_3RD) == []
    with Session() as db:
        (item,) = db.scalars(select(WorkItem).where(WorkItem.hospital_id == day.hospital_id))
    assert (item.kind, item.subject) == ("DAILY_BILL_MISSING", "day:2025-07-03")
    assert item.facts == {"patients": 1}
    assert (item.closed_at, item.by) == (day.at, "system")


def test_somebody_registered_late_gets_the_list_of_yesterday_within_the_hour(day: HisDay) -> None:
    stay = day.admit(admitted_at=shanghai(2025, 7, 3, 22))
    with Session.begin() as db:
        db.execute(text("UPDATE admission SET state = 'SLIP' WHERE id = :id"), {"id": stay.id})
    day.morning_after(THE_3RD)
    assert day.make_bills(THE_3RD) == 0
    with Session.begin() as db:
        db.execute(text("UPDATE admission SET state = 'IN_HOUSE' WHERE id = :id"), {"id": stay.id})
    day.at = shanghai(2025, 7, 4, 5, 59)
    assert day.correct_bills() == 0
    day.at = shanghai(2025, 7, 4, 6, 20)
    assert (day.correct_bills(), day.correct_bills()) == (1, 0)
    assert [(bill.day, bill.version) for bill in day.bills(stay)] == [(THE_3RD, 1)]


def test_a_day_that_is_not_over_has_no_list(day: HisDay) -> None:
    day.admit()
    with pytest.raises(Refused, match="DAY_NOT_OVER"):
        day.make_bills(THE_3RD)
    assert day.bills() == []


def test_the_database_refuses_to_edit_a_version(day: HisDay) -> None:
    day.admit()
    day.morning_after(THE_3RD)
    day.make_bills(THE_3RD)
    for statement in (
        "UPDATE daily_bill SET total_fen = 1 WHERE hospital_id = :h",
        "DELETE FROM daily_bill WHERE hospital_id = :h",
        "TRUNCATE daily_bill",
    ):
        with pytest.raises(DBAPIError, match="never edited"), Session.begin() as db:
            db.execute(text(statement), {"h": day.hospital_id})
    open_it = "UPDATE daily_bill SET opened_at = :at, opened_by = 'x' WHERE hospital_id = :h"
    with Session.begin() as db:
        db.execute(text(open_it), {"h": day.hospital_id, "at": day.at})
    with pytest.raises(DBAPIError, match="never edited"), Session.begin() as db:
        db.execute(text(open_it), {"h": day.hospital_id, "at": day.at + timedelta(1)})


def test_eight_nodes_at_once_make_each_list_and_each_message_once(day: HisDay) -> None:
    for _ in range(12):
        day.charge(line(day.admit().inpatient_no))
    day.morning_after(THE_3RD)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: day.make_bills(THE_3RD), range(8)))
    assert sorted(made) == [0] * 7 + [12]
    assert (day.count("daily_bill"), day.count("message")) == (12, 12)
    for bill in day.bills():
        with Session() as db:
            number = db.get_one(Admission, bill.admission_id).inpatient_no
        day.charge(line(number))
    with ThreadPoolExecutor(8) as pool:
        corrected = list(pool.map(lambda _: day.correct_bills(), range(8)))
    assert sum(corrected) == 12
    assert sorted(bill.version for bill in day.bills()) == [1] * 12 + [2] * 12
    assert day.count("message") == 24


def test_a_line_that_arrives_while_the_correction_runs_is_not_lost(day: HisDay) -> None:
    """The mark of a stay that is receiving a line is left for the next run, without waiting."""
    stay = day.admit()
    day.morning_after(THE_3RD)
    day.make_bills(THE_3RD)
    day.charge(line(stay.inpatient_no))
    stored, corrected = Event(), Event()

    def charge_slowly() -> None:
        with Session.begin() as db:
            found = read([line(stay.inpatient_no)], day.at)
            late = {"kind": "NONE", "hospital_id": str(day.hospital_id)}
            today = date(2025, 7, 4)
            batch = charges.Batch(
                day.hospital_id, "E-slow", day.at, today, found.stays, found.rows, late
            )
            assert charges.ingest(db, batch) == {}
            stored.set()
            corrected.wait(10)

    slow = Thread(target=charge_slowly)
    slow.start()
    stored.wait(10)
    assert day.correct_bills() == 0
    corrected.set()
    slow.join()
    assert day.correct_bills() == 1
    assert day.bills()[-1].total_fen == day.charged_fen() == 2 * 8546


def test_killed_inside_it_leaves_nothing_half_done(day: HisDay, engine: Engine) -> None:
    """The backend dies in the middle of the statement, again and again (reliability row 10)."""
    stays = [day.admit() for _ in range(40)]
    for stay in stays:
        day.charge(*[line(stay.inpatient_no) for _ in range(5)])
    day.morning_after(THE_3RD)
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    killed = 0
    for _ in range(5):
        with psycopg.connect(url) as holder:
            # The kill strikes while the statement writes: it waits for this row's index entry.
            holder.execute(
                "INSERT INTO daily_bill (id, hospital_id, admission_id, day, version, line_seqs,"
                " added_seqs, line_count, total_fen, running_total_fen, deposit_held_fen,"
                " items_hash, made_at) VALUES (gen_random_uuid(), %s, %s, %s, 1, '{}', '{}', 0, 0,"
                " 0, 0, '', now())",
                (day.hospital_id, max(stay.id for stay in stays), THE_3RD),
            )
            failed: list[DBAPIError] = []
            run = Thread(target=lambda failed=failed: failed.extend(_fails(day)))
            run.start()
            killed += _kill_the_waiting(url)
            run.join()
            assert len(failed) == 1
            holder.rollback()
        assert (day.count("daily_bill"), day.count("message")) == (0, 0)
    assert killed == 5
    assert day.make_bills(THE_3RD) == 40
    assert (day.count("daily_bill"), day.count("message")) == (40, 40)
    assert sum(bill.total_fen for bill in day.bills()) == day.charged_fen() == 200 * 8546


def _fails(day: HisDay) -> list[DBAPIError]:
    try:
        day.make_bills(THE_3RD)
    except DBAPIError as killed:
        return [killed]
    return []


def _kill_the_waiting(url: str) -> int:
    sql = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock' AND query LIKE '%make_daily_bills%'"
    )
    with psycopg.connect(url, autocommit=True) as admin:
        for _ in range(1000):
            if killed := admin.execute(sql).fetchall():
                return len(killed)
    return 0
