"""The doors to PostgreSQL: a dead line is noticed without asking, and reading writes nothing."""

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from models.db import (
    ReadSession,
    Session,
    assert_nothing_open,
    at_once,
    named_at_once,
    new_id,
    within,
)
from models.hospital import Hospital
from tests.sim_process import wait_until

PID = text("SELECT pg_backend_pid()")


def test_a_line_on_which_the_server_hung_up_is_never_handed_out(engine: Engine) -> None:
    with Session() as first, Session() as second:
        pids = [db.execute(PID).scalar_one() for db in (first, second)]
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as outside:
        outside.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) pid", (pids,))
        gone = "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = ANY(%s)"
        wait_until(lambda: outside.execute(gone, (pids,)).fetchone()[0])
    for _ in range(4):
        with Session() as db:
            assert db.execute(PID).scalar_one() not in pids


def test_reading_opens_no_transaction_and_sees_what_was_just_committed(engine: Engine) -> None:
    code = f"D-{new_id().hex[-8:]}"
    named = text("SELECT name FROM hospital WHERE code = :code")
    with ReadSession() as db:
        assert db.execute(named, {"code": code}).first() is None
        assert db.execute(text("SELECT txid_current_if_assigned()")).scalar_one() is None
        with Session.begin() as other:
            other.add(_hospital(code))
        assert db.execute(named, {"code": code}).scalar_one() == "示范医院"


def test_nothing_can_be_written_through_a_reading_session(engine: Engine) -> None:
    with ReadSession() as db:
        db.add(_hospital("never"))
        with pytest.raises(AssertionError, match="writes nothing"):
            db.flush()


def test_a_reading_session_is_open_too_while_somebody_waits(engine: Engine) -> None:
    with ReadSession() as db:
        db.execute(text("SELECT 1"))
        with pytest.raises(AssertionError):
            assert_nothing_open()
    assert_nothing_open()


def test_one_statement_is_a_transaction_of_its_own(engine: Engine) -> None:
    code = f"D-{new_id().hex[-8:]}"
    added = (
        "INSERT INTO hospital (id, code, name, institution_type, opted_in, level, county_code,"
        " rule_packs) VALUES (%s, %s, '示范医院', 'PUBLIC', false, '', '520102', '{national}')"
        " RETURNING code"
    )
    assert at_once(added, new_id(), code) == [(code,)]
    with pytest.raises(IntegrityError):
        at_once(added, new_id(), code)
    with Session() as db:  # the same line again, and now it does not commit by itself
        db.add(_hospital(f"{code}-b"))
        db.flush()
        db.rollback()
    assert at_once("SELECT code FROM hospital WHERE starts_with(code, %s)", code) == [(code,)]


def test_a_line_that_dies_in_its_statement_is_thrown_away(engine: Engine) -> None:
    with pytest.raises(OperationalError):
        at_once("SELECT pg_terminate_backend(pg_backend_pid())")
    assert at_once("SELECT %s::text", "alive") == [("alive",)]


def test_one_statement_with_names_on_both_sides(engine: Engine) -> None:
    twice = "SELECT %(word)s::text AS said, %(word)s::text AS again"
    assert named_at_once(twice, word="alive") == [{"said": "alive", "again": "alive"}]


def test_a_statement_of_a_session_sees_what_the_session_has_to_write(engine: Engine) -> None:
    code = f"D-{new_id().hex[-8:]}"
    named = "SELECT name FROM hospital WHERE code = %(code)s"
    with Session() as db:
        db.add(_hospital(code))
        assert within(db, named, code=code) == [{"name": "示范医院"}]
        with pytest.raises(ProgrammingError):
            within(db, "SELECT nothing")
        db.rollback()
    assert named_at_once(named, code=code) == []


def _hospital(code: str) -> Hospital:
    return Hospital(
        code=code,
        name="示范医院",
        institution_type="PUBLIC",
        county_code="520102",
        rule_packs=["national"],
    )
