"""Whoever changes, removes, swaps or inserts a row of the audit trail is found, with the first row
that is wrong."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import UUID

import pytest
import sqlalchemy.exc
from sqlalchemy import Engine, text

from models import audit
from models.db import Session, new_id, rows
from models.hospital import Hospital

AT = datetime(2025, 7, 4, 2, 0, tzinfo=UTC)


@pytest.fixture
def hospital(engine: Engine) -> UUID:
    return new_hospital()


def new_hospital() -> UUID:
    with Session.begin() as db:
        hospital = Hospital(
            id=new_id(),
            code=f"A-{new_id().hex}",
            name="示范医院",
            institution_type="PUBLIC",
            county_code="520102",
            rule_packs=[],
        )
        db.add(hospital)
    return hospital.id


def write(hospital: UUID, count: int = 5) -> None:
    for number in range(1, count + 1):
        with Session.begin() as db:
            audit.audit(db, hospital, "staff:n1", "login", f"s:{number}", {"金额": number}, at=AT)


@pytest.fixture
def forger(engine: Engine) -> Iterator[None]:
    """Somebody with all rights on the database."""
    with engine.begin() as db:
        db.execute(text("ALTER TABLE audit_entry DISABLE TRIGGER USER"))
    yield
    with engine.begin() as db:
        db.execute(text("ALTER TABLE audit_entry ENABLE TRIGGER USER"))


def forge(sql: str, hospital: UUID) -> None:
    with Session.begin() as db:
        db.execute(text(sql), {"h": hospital})


def test_rows_are_numbered_and_chained(hospital: UUID) -> None:
    write(hospital)
    found = rows("SELECT * FROM audit_entry WHERE hospital_id = :h ORDER BY no", h=hospital)
    assert [row["no"] for row in found] == [1, 2, 3, 4, 5]
    assert [bytes(row["prev_hash"]) for row in found] == [
        b"",
        *(bytes(row["hash"]) for row in found[:-1]),
    ]
    assert audit.verify(hospital) is None
    assert audit.head(hospital) == (5, bytes(found[-1]["hash"]).hex())


def test_an_empty_trail_is_whole(hospital: UUID) -> None:
    assert (audit.verify(hospital), audit.head(hospital)) == (None, (0, ""))


@pytest.mark.parametrize(
    "sql", ["UPDATE audit_entry SET what = 'x'", "DELETE FROM audit_entry", "TRUNCATE audit_entry"]
)
def test_the_database_itself_refuses_changes(hospital: UUID, sql: str) -> None:
    write(hospital, 1)
    with pytest.raises(sqlalchemy.exc.DBAPIError, match="only ever appended to"):
        forge(sql, hospital)


INSERT = """INSERT INTO audit_entry
SELECT hospital_id, 9, at, by, what, subject, facts, prev_hash, hash FROM audit_entry"""
FORGERIES = {
    **{
        f"{column} changed": (f"UPDATE audit_entry SET {column} = {value}", 3)  # noqa: S608
        for column, value in {
            "at": "at + interval '1 microsecond'",
            '"by"': "'staff:n2'",
            "what": "'logout'",
            "subject": "'s:9'",
            "facts": """'{"金额": 9}'""",
            "prev_hash": "'\\x00'",
            "hash": "sha256('x')",
        }.items()
    },
    "a row removed": ("DELETE FROM audit_entry", 3),
    "a row moved to the end": ("UPDATE audit_entry SET no = 9", 3),
    "a row inserted": (INSERT, 6),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_is_found(hospital: UUID, forger: None, forgery: str) -> None:
    write(hospital)
    sql, first_wrong = FORGERIES[forgery]
    forge(f"{sql} WHERE hospital_id = :h AND no = 3", hospital)
    assert audit.verify(hospital) == first_wrong


def test_two_rows_swapped_are_found(hospital: UUID, forger: None) -> None:
    write(hospital)
    forge(
        "UPDATE audit_entry SET no = 7 - no + 10 WHERE hospital_id = :h AND no IN (3,4)", hospital
    )
    forge("UPDATE audit_entry SET no = no - 10 WHERE hospital_id = :h AND no > 10", hospital)
    assert audit.verify(hospital) == 3


def test_a_tail_cut_off_is_found_by_an_anchor_kept_elsewhere(hospital: UUID, forger: None) -> None:
    write(hospital)
    anchor = audit.head(hospital)
    forge("DELETE FROM audit_entry WHERE hospital_id = :h AND no > 3", hospital)
    assert audit.verify(hospital) is None
    assert audit.verify(hospital, anchor) == 4
    write(hospital, 2)
    assert audit.verify(hospital, anchor) == 5
    assert audit.verify(hospital, audit.head(hospital)) is None


def test_writers_at_once_make_one_chain(hospital: UUID) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: write(hospital, 5), range(8)))
    assert (audit.head(hospital)[0], audit.verify(hospital)) == (40, None)


def test_hospitals_have_chains_of_their_own(hospital: UUID) -> None:
    other = new_hospital()
    write(hospital, 2)
    write(other, 1)
    assert (audit.head(hospital)[0], audit.head(other)[0]) == (2, 1)


def test_what_is_rolled_back_leaves_no_gap(hospital: UUID) -> None:
    write(hospital, 1)
    with Session() as db:
        audit.audit(db, hospital, "x", "x", "x", at=AT)
        db.rollback()
    write(hospital, 1)
    assert (audit.head(hospital)[0], audit.verify(hospital)) == (2, None)
