"""What comes late for one day is in the running totals of all days after it (CQ-5.3)."""

from datetime import date

from sqlalchemy import Engine, select

from models.db import Session
from models.message import Message
from tests.his_day import HisDay, line, shanghai


def test_a_late_fee_changes_the_running_totals_of_all_later_days(engine: Engine) -> None:
    day = HisDay()
    stay, other = day.admit(), day.admit()
    for each in (3, 4, 5):
        for who in (stay, other):
            day.charge(line(who.inpatient_no, occurred_at=f"2025-07-0{each} 10:00:00"))
        day.at = shanghai(2025, 7, each + 1, 6)
        day.make_bills(date(2025, 7, each))
    day.charge(line(stay.inpatient_no, "L4", occurred_at="2025-07-04 11:00:00"))
    assert day.correct_bills() == 1
    late = [
        (bill.day.day, bill.version, bill.total_fen, bill.running_total_fen)
        for bill in day.bills(stay)
    ]
    assert late == [
        (3, 1, 8546, 8546),
        (4, 1, 8546, 17_092),
        (4, 2, 17_092, 25_638),
        (5, 1, 8546, 25_638),
        (5, 2, 8546, 34_184),
    ]
    day.charge(line(stay.inpatient_no, "L3", occurred_at="2025-07-03 11:00:00"))
    assert day.correct_bills() == 1
    assert day.correct_bills() == 0
    latest = {bill.day.day: bill for bill in day.bills(stay)}
    assert {each: bill.running_total_fen for each, bill in latest.items()} == {
        3: 17_092,
        4: 34_184,
        5: 42_730,
    }
    assert (latest[4].version, len(latest[4].added_seqs)) == (3, 1)  # L4 is marked as before
    assert (latest[5].version, latest[5].added_seqs) == (3, [])
    with Session() as db:
        said = select(Message.values).filter_by(
            hospital_id=day.hospital_id, template="DAILY_BILL_CORRECTED"
        )
        corrected = sorted((each["day"], each["total"]) for each in db.scalars(said))
    assert corrected == [("2025-07-03", "170.92"), ("2025-07-04", "170.92")]
    assert [bill.version for bill in day.bills(other)] == [1, 1, 1]
