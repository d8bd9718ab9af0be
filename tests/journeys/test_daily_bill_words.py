"""What PostgreSQL writes of a night by itself: the hash of each list, and the message about it."""

from datetime import date
from hashlib import sha256

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError

from models.db import Session, rows
from models.machine import StateMove
from models.message import Message
from policies.money import yuan
from tests.his_day import HisDay, line

THE_3RD = date(2025, 7, 3)


@pytest.fixture
def day(engine: Engine) -> HisDay:
    return HisDay()


def test_the_hash_can_be_recomputed_from_the_lines(day: HisDay) -> None:
    """From what a printed list shows: SHA-256 over the SHA-256 of each line's text (DailyBill)."""
    stay = day.admit()
    names = ["肝爽颗粒", r"50\% 葡萄糖 \\x"]
    day.charge(*[line(stay.inpatient_no, f"L{n}", item_name=name) for n, name in enumerate(names)])
    day.morning_after(THE_3RD)
    day.make_bills(THE_3RD)
    shown = [f"L{n}|{name}|3gX9袋/盒|盒|2.0000|42.730000|8546" for n, name in enumerate(names)]
    hashes = b"".join(sha256(text.encode()).digest() for text in shown)
    assert day.bills()[0].items_hash == sha256(hashes).digest()


def test_a_day_without_a_line_has_the_hash_of_nothing(day: HisDay) -> None:
    day.admit()
    day.morning_after(THE_3RD)
    day.make_bills(THE_3RD)
    assert day.bills()[0].items_hash == sha256(b"").digest()


def test_the_database_refuses_to_write_a_hash(day: HisDay) -> None:
    day.charge(line(day.admit().inpatient_no))
    copy = "INSERT INTO charge_line SELECT * FROM charge_line WHERE hospital_id = :h"
    with pytest.raises(DBAPIError, match="line_hash"), Session.begin() as db:
        db.execute(text(copy), {"h": day.hospital_id})


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fen=st.integers(-(10**15), 10**15))
@example(fen=-5)
@example(fen=0)
def test_the_database_writes_yuan_as_we_do(engine: Engine, fen: int) -> None:
    assert rows("SELECT yuan(:fen) AS yuan", fen=fen) == [{"yuan": yuan(fen)}]


def test_twenty_messages_share_a_job_and_each_is_carried_once(day: HisDay) -> None:
    for _ in range(45):
        day.admit()
    day.morning_after(THE_3RD)
    assert day.make_bills(THE_3RD) == 45
    jobs = rows(
        "SELECT task_name, queue_name, priority, args FROM procrastinate_jobs"
        " WHERE args ->> 'hospital_id' = :h ORDER BY id",
        h=str(day.hospital_id),
    )
    packs = [job["args"]["message_ids"] for job in jobs]
    assert [len(pack) for pack in packs] == [20, 20, 5]
    assert {(job["task_name"], job["queue_name"], job["priority"]) for job in jobs} == {
        ("deliver_messages", "default", 0)
    }
    with Session() as db:
        messages = db.scalars(select(Message).filter_by(hospital_id=day.hospital_id)).all()
        trail = db.scalars(select(StateMove).filter_by(hospital_id=day.hospital_id)).all()
    assert sorted(number for pack in packs for number in pack) == sorted(
        str(message.id) for message in messages
    )
    assert {message.key for message in messages} == {
        f"daily-bill:{bill.id}" for bill in day.bills()
    }
    begun = [move for move in trail if move.machine == "Message"]
    assert {move.entity_id for move in begun} == {message.id for message in messages}
    assert {(move.here, move.there, move.at, move.by, move.why) for move in begun} == {
        (None, "QUEUED", day.at, "system", "DAILY_BILL")
    }
    assert {(each.state, each.route, each.attempts, each.next_try_at) for each in messages} == {
        ("QUEUED", "SUBSCRIPTION", 0, day.at)
    }


@pytest.mark.parametrize(
    ("table", "key"), [("daily_bill", "hospital_id_admission"), ("message", "hospital_id_patient")]
)
def test_the_database_refuses_what_names_two_hospitals(day: HisDay, table: str, key: str) -> None:
    other = HisDay()
    day.admit()
    day.morning_after(THE_3RD)
    day.make_bills(THE_3RD)
    turned = (
        f"INSERT INTO {table} SELECT row.* FROM {table} old, jsonb_populate_record(old,"  # noqa: S608
        " jsonb_build_object('id', gen_random_uuid(), 'hospital_id', CAST(:other AS uuid))) row"
        " WHERE old.hospital_id = :h"
    )
    values = {"h": day.hospital_id, "other": other.hospital_id}
    with pytest.raises(DBAPIError, match=f"fk_{table}_{key}_id"), Session.begin() as db:
        db.execute(text(turned), values)
    assert other.count(table) == 0
