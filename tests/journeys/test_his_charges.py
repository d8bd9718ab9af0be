"""Charge lines of the HIS: taken once, each with its verdict, and never edited."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from time import sleep

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError

from journeys import his_charges
from models import charges
from models.admission import Admission
from models.charges import ChargeLine
from models.db import Session, rows
from models.work_item import WorkItem
from policies.refusals import Conflict, Forbidden
from tests.his_day import REAL_TOTAL_FEN, HisDay, line, real_day, shanghai


@pytest.fixture
def day(engine: Engine) -> HisDay:
    return HisDay()


def test_a_real_day_of_charges_totals_to_the_fen(day: HisDay) -> None:
    stay = day.admit()
    verdicts = day.charge(*real_day(stay.inpatient_no, date(2025, 7, 3)))
    assert verdicts == ["ACCEPTED"] * 69
    with Session() as db:
        assert charges.total_fen(db, stay.id) == REAL_TOTAL_FEN == 312472


def test_a_line_is_stored_as_it_was_reported(day: HisDay) -> None:
    stay = day.admit()
    assert day.charge(line(stay.inpatient_no, "L-1"), source_event_id="E-1") == ["ACCEPTED"]
    stored = rows(
        "SELECT occurred_on::text AS day, quantity::text, unit_price::text, amount_fen,"
        " self_pay_ratio::text AS ratio, item_name, reverses, source_event_id"
        " FROM charge_line WHERE admission_id = :a",
        a=stay.id,
    )
    assert stored == [
        {
            "day": "2025-07-03",
            "quantity": "2.0000",
            "unit_price": "42.730000",
            "amount_fen": 8546,
            "ratio": "0.1000",
            "item_name": "肝爽颗粒",
            "reverses": None,
            "source_event_id": "E-1",
        }
    ]


def test_good_lines_are_kept_when_others_are_bad(day: HisDay) -> None:
    stay = day.admit()
    no = stay.inpatient_no
    told = his_charges.take_charges(
        day.his,
        day.event(
            lines=[
                line(no, "A"),
                line(no, "B", amount="85.48"),
                line("ZY-nobody", "C"),
                line(no, "D", amount="85.465"),
                line(no, "E", amount=85.46),
            ]
        ),
        day.now,
    )
    assert (told["accepted"], told["duplicate"], told["refused"]) == (1, 0, 4)
    assert [(said["source_line_id"], said["verdict"], said["field"]) for said in told["lines"]] == [
        ("A", "ACCEPTED", ""),
        ("B", "AMOUNT_MISMATCH", "amount"),
        ("C", "UNKNOWN_ADMISSION", ""),
        ("D", "NOT_WHOLE_FEN", "amount"),
        ("E", "MALFORMED", "amount"),
    ]
    assert told["lines"][2]["reason"] == "没有这个住院号，请先上传入院信息。"
    assert day.charged_fen() == 8546


def test_a_line_said_again_is_a_duplicate_and_changed_a_conflict(day: HisDay) -> None:
    no = day.admit().inpatient_no
    assert day.charge(line(no, "A")) == ["ACCEPTED"]
    again = line(no, "A", quantity="2", unit_price="42.73", occurred_at="2025-07-03 09:30:00")
    other = line(no, "A", quantity="1", amount="42.73")
    assert day.charge(again, other) == ["DUPLICATE", "CONFLICT"]
    assert day.charged_fen() == 8546


@pytest.mark.parametrize(
    "changed",
    [
        {"occurred_at": "2025-07-03T09:30:01+08:00"},
        {"item_name": "肝爽片"},
        {"specification": "3gX6袋/盒"},
        {"unit": None},
        {"quantity": "2.0001"},
        {"unit_price": "42.729999"},
        {"amount": "85.47"},
        {"category": "10"},
        {"insurance_level": "01"},
        {"self_pay_ratio": None},
        {"national_code": "ZA04"},
        {"hospital_code": "YP00118"},
        {"department_code": "0302"},
        {"department_name": "骨科"},
        {"doctor_code": "D0002"},
        {"doctor_name": ""},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_line_that_says_anything_else_is_a_conflict(day: HisDay, changed: dict) -> None:
    no = day.admit().inpatient_no
    assert day.charge(line(no, "A")) == ["ACCEPTED"]
    assert day.charge(line(no, "A", **changed), line(no, "A")) == ["CONFLICT", "DUPLICATE"]
    assert (day.charged_fen(), day.count("charge_source")) == (8546, 1)


def test_a_line_twice_in_one_batch_is_taken_once(day: HisDay) -> None:
    no = day.admit().inpatient_no
    other = line(no, "A", quantity="1", amount="42.73")
    assert day.charge(line(no, "A"), line(no, "A"), other) == ["ACCEPTED", "DUPLICATE", "CONFLICT"]
    assert day.charged_fen() == 8546


def test_a_line_of_another_stay_under_the_same_number_is_a_conflict(day: HisDay) -> None:
    first, second = day.admit(), day.admit()
    assert day.charge(line(first.inpatient_no, "A")) == ["ACCEPTED"]
    assert day.charge(line(second.inpatient_no, "A")) == ["CONFLICT"]


def test_the_same_number_in_two_hospitals_is_two_lines(day: HisDay) -> None:
    other = HisDay()
    assert day.charge(line(day.admit().inpatient_no, "A")) == ["ACCEPTED"]
    assert other.charge(line(other.admit().inpatient_no, "A")) == ["ACCEPTED"]


def test_an_event_said_again_gets_its_first_answer(day: HisDay) -> None:
    event = day.event(lines=[line(day.admit().inpatient_no, "A")])
    first = his_charges.take_charges(day.his, event, day.now)
    again = his_charges.take_charges(day.his, event, day.now)
    assert again == first
    assert again["lines"][0]["verdict"] == "ACCEPTED"
    assert day.charged_fen() == 8546


def test_an_event_said_again_in_another_order_and_later_is_the_same_event(day: HisDay) -> None:
    no = day.admit().inpatient_no
    lines = [line(no, "A"), line(no, "B", occurred_at="2025-07-05 00:00:00"), line(no, "A")]
    event = day.event(lines=lines)
    first = his_charges.take_charges(day.his, event, day.now)
    verdicts = [said["verdict"] for said in first["lines"]]
    assert verdicts == ["ACCEPTED", "IN_THE_FUTURE", "DUPLICATE"]
    day.at = shanghai(2025, 7, 5)
    event["lines"] = [dict(reversed(said.items())) for said in lines]
    assert his_charges.take_charges(day.his, event, day.now) == first
    assert day.charged_fen() == 8546
    assert day.charge(*lines) == ["DUPLICATE", "ACCEPTED", "DUPLICATE"]


def test_an_event_without_a_sound_line_is_kept_too(day: HisDay) -> None:
    event = day.event(lines=[{}, {"unit": 1}])
    first = his_charges.take_charges(day.his, event, day.now)
    assert (first["accepted"], first["duplicate"], first["refused"]) == (0, 0, 2)
    assert his_charges.take_charges(day.his, event, day.now) == first
    with pytest.raises(Conflict, match="EVENT_ID_REUSED"):
        his_charges.take_charges(day.his, event | {"lines": [{}]}, day.now)
    assert day.count("his_event") == 1


def test_an_event_number_with_another_body_is_refused(day: HisDay) -> None:
    no = day.admit().inpatient_no
    event = day.event(lines=[line(no, "A")])
    his_charges.take_charges(day.his, event, day.now)
    with pytest.raises(Conflict, match="EVENT_ID_REUSED"):
        his_charges.take_charges(day.his, event | {"lines": [line(no, "B")]}, day.now)
    with pytest.raises(Conflict, match="EVENT_ID_REUSED"):
        his_charges.take_reversals(day.his, event, day.now)
    assert day.charged_fen() == 8546


def test_eight_copies_of_an_event_at_once_have_one_effect(day: HisDay) -> None:
    stay = day.admit()
    event = day.event(lines=real_day(stay.inpatient_no, date(2025, 7, 3)))
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: his_charges.take_charges(day.his, event, day.now), range(8)))
    assert all(answer == told[0] for answer in told)
    assert told[0]["accepted"] == 69
    assert day.charged_fen() == REAL_TOTAL_FEN


def test_the_same_lines_in_different_events_at_once_are_taken_once(day: HisDay) -> None:
    stays = [day.admit() for _ in range(3)]
    lines = [line(stay.inpatient_no) for stay in stays for _ in range(20)]
    batches = [lines, lines[::-1], lines[30:] + lines[:30], lines]
    with ThreadPoolExecutor(4) as pool:
        verdicts = [
            word for words in pool.map(lambda some: day.charge(*some), batches) for word in words
        ]
    assert (verdicts.count("ACCEPTED"), verdicts.count("DUPLICATE")) == (60, 180)
    assert day.charged_fen() == 60 * 8546


def test_the_same_numbers_for_two_stays_at_once_do_not_wait_in_a_circle(
    day: HisDay, engine: Engine
) -> None:
    """Somebody else's numbers, m and n, hold both batches up between x and y."""
    waits = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock'"
    )
    one, other = day.admit().inpatient_no, day.admit().inpatient_no
    with ThreadPoolExecutor(2) as pool, engine.connect() as between:
        for number in "mn":
            between.execute(
                text("INSERT INTO charge_source VALUES (:hospital, :number, '2025-07-03', -1)"),
                {"hospital": day.hospital_id, "number": number},
            )
        told = []
        for waiting, (no, numbers) in enumerate([(one, "xmy"), (other, "ynx")], 1):
            told.append(pool.submit(day.charge, *[line(no, number) for number in numbers]))
            while len(rows(waits)) < waiting:
                sleep(0.01)
        between.rollback()
        verdicts = [verdict for batch in told for verdict in batch.result()]
    assert (verdicts.count("ACCEPTED"), verdicts.count("CONFLICT")) == (4, 2)
    assert day.charged_fen() == 4 * 8546


def test_a_low_deposit_never_stops_a_charge(day: HisDay) -> None:
    stay = day.admit()
    dear = line(stay.inpatient_no, quantity="1000", unit_price="780", amount="780000.00")
    assert day.charge(dear) == ["ACCEPTED"]


def test_a_charge_after_the_settlement_is_refused_and_seen_by_a_person(day: HisDay) -> None:
    stay = day.admit()
    day.charge(line(stay.inpatient_no, "A"))
    day.leave(stay)
    assert day.charge(line(stay.inpatient_no, "B")) == ["ACCEPTED"]
    day.settle(stay)
    late = [line(stay.inpatient_no, "A"), line(stay.inpatient_no, "C")]
    assert day.charge(*late, source_event_id="E-late") == ["DUPLICATE", "AFTER_SETTLEMENT"]
    assert day.charge(line(stay.inpatient_no, "D"), source_event_id="E-later") == [
        "AFTER_SETTLEMENT"
    ]
    assert day.charged_fen() == 2 * 8546
    with Session() as db:
        (item,) = db.scalars(select(WorkItem).where(WorkItem.hospital_id == day.hospital_id))
    assert (item.kind, item.subject) == ("CHARGE_AFTER_SETTLEMENT", f"admission:{stay.id}")
    assert item.facts == {
        "E-late": {"lines": 1, "total_fen": 8546},
        "E-later": {"lines": 1, "total_fen": 8546},
    }
    assert item.closed_at is None


def test_the_late_lines_of_every_stay_are_counted(day: HisDay) -> None:
    closed, other, still_in = day.admit(), day.admit(), day.admit()
    for stay in (closed, other):
        day.leave(stay)
        day.settle(stay)
    numbers = [closed.inpatient_no, other.inpatient_no, closed.inpatient_no, still_in.inpatient_no]
    verdicts = day.charge(*[line(number) for number in numbers], source_event_id="E-late")
    assert verdicts == ["AFTER_SETTLEMENT"] * 3 + ["ACCEPTED"]
    with Session() as db:
        items = db.scalars(select(WorkItem).where(WorkItem.hospital_id == day.hospital_id)).all()
    assert {item.subject: item.facts["E-late"] for item in items} == {
        f"admission:{closed.id}": {"lines": 2, "total_fen": 2 * 8546},
        f"admission:{other.id}": {"lines": 1, "total_fen": 8546},
    }
    assert {item.note for item in items} == {
        "结算后又收到费用，没有记账。请决定：撤销结算后重传，或由科室作废。"
    }


def test_only_the_his_reports_charges(day: HisDay) -> None:
    from policies.access import system

    with pytest.raises(Forbidden, match="PERMISSION_MISSING"):
        his_charges.take_charges(system(day.hospital_id), day.event(lines=[]), day.now)


def test_the_database_refuses_to_edit_or_delete_a_line(day: HisDay) -> None:
    day.charge(line(day.admit().inpatient_no))
    for statement in (
        "UPDATE charge_line SET amount_fen = 1 WHERE hospital_id = :h",
        "DELETE FROM charge_line WHERE hospital_id = :h",
        "TRUNCATE charge_line",
    ):
        with pytest.raises(DBAPIError, match="never changed"), Session.begin() as db:
            db.execute(text(statement), {"h": day.hospital_id})
    assert day.charged_fen() == 8546


def test_the_orm_knows_the_partitioned_table(engine: Engine) -> None:
    assert ChargeLine.__table__.dialect_options["postgresql"]["partition_by"] == (
        "RANGE (occurred_on)"
    )


def test_the_first_day_with_a_charge_is_noted_whatever_order_they_come_in(engine: Engine) -> None:
    day = HisDay()
    stay, other = day.admit(), day.admit()
    for on in ("2025-07-02", "2025-07-03", "2025-06-30", "2025-07-01"):
        assert day.charge(line(stay.inpatient_no, occurred_at=f"{on}T08:00:00+08:00")) == [
            "ACCEPTED"
        ]
    assert day.charge(line(other.inpatient_no, amount="1.00")) == ["AMOUNT_MISMATCH"]
    with Session() as db:
        first = {each.id: each.first_charged_on for each in db.scalars(select(Admission))}
    assert (first[stay.id], first[other.id]) == (date(2025, 6, 30), None)
    day.morning_after(date(2025, 7, 3))
    assert day.make_bills(date(2025, 7, 3)) == 2
    totals = {bill.admission_id: bill.running_total_fen for bill in day.bills()}
    assert totals == {stay.id: 4 * 8546, other.id: 0}
