"""The census in the database: rows go in by COPY, whole-table functions check them and make them
accounts (models/migrations/sql/0007_census_*.sql).
"""

import csv
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from io import StringIO
from itertools import islice
from typing import Any, cast
from uuid import UUID

import psycopg
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from models.census import CensusHolder
from models.db import new_id
from models.patient import OLD_CARD, Patient
from models.sealing import blind_index, bound_to, fingerprint, seal, unseal
from policies.census import FIELDS
from policies.refusals import Conflict, Refused

STAGED: dict[str, tuple[str, tuple[str, ...]]] = {
    "accounts": ("raw_account", tuple(FIELDS["accounts"])),
    "holders": (
        "raw_holder",
        (
            *("card_no", "id", "name_sealed", "id_no_sealed", "id_no_index", "phone_sealed"),
            *("phone_index", "born_on", "sex", "id_type", "contact", "said", "name_mark"),
        ),
    ),
    "top_ups": ("raw_top_up", tuple(FIELDS["top_ups"])),
    "spends": ("raw_spend", tuple(FIELDS["spends"])),
    "refunds": ("raw_refund", tuple(FIELDS["refunds"])),
    "bills": ("raw_bill", tuple(FIELDS["bills"])),
}
"""table of the dump -> its staging table and the columns that COPY fills, after row and problem."""

BLOCK = 5_000
PORTION = 500
"""Rows sent at once: so few fit the line's buffer, and PostgreSQL takes them in while the next ones
are read and sealed.
"""


def begin(db: Session, hospital_id: UUID, channels: dict[str, str]) -> None:
    """Make the staging tables of this transaction. Conflict CENSUS_RUNNING: one dump at a time."""
    lock = "SELECT pg_try_advisory_xact_lock(hashtextextended('census ' || :house, 0))"
    if not db.scalar(text(lock), {"house": str(hospital_id)}):
        raise Conflict("CENSUS_RUNNING")
    db.execute(text("SET LOCAL work_mem = '256MB'"))
    db.execute(text("SET LOCAL jit = off"))
    # ANALYZE looks at 3,000 rows of a staging table, not at 30,000: how many there are is enough.
    db.execute(text("SET LOCAL default_statistics_target = 10"))
    db.execute(text("SELECT census_stage()"))
    if channels:
        db.execute(
            text("INSERT INTO census_channel (theirs, ours) VALUES (:theirs, :ours)"),
            [{"theirs": theirs, "ours": ours} for theirs, ours in channels.items()],
        )
    db.execute(text("ANALYZE census_channel"))


def copy(db: Session, table: str, rows: Iterable[Sequence[Any]]) -> int:
    """Send the rows of one table, portion by portion; returns how many there were."""
    staged, columns = STAGED[table]
    names = [sql.Identifier(name) for name in ("row_no", "problem", *columns)]
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(staged), sql.SQL(", ").join(names)
    )
    sent, flow = 0, iter(rows)
    with _driver(db).cursor() as cursor, cursor.copy(statement) as copying:
        while portion := list(islice(flow, PORTION)):
            lines = StringIO()
            csv.writer(lines, lineterminator="\n").writerows(portion)
            copying.write(lines.getvalue())
            sent += len(portion)
    return sent


def found(db: Session, about: str, row_no: int, field: str, code: str) -> None:
    """Note what was wrong with a file as a whole."""
    db.execute(
        text(
            "INSERT INTO census_found (about, row_no, field, code)"
            " VALUES (:about, :row_no, :field, :code)"
        ),
        {"about": about, "row_no": row_no, "field": field, "code": code},
    )


def check(db: Session, hospital_id: UUID, standing: UUID | None, today: date) -> str:
    """Look at everything; NEW, SAME, REPLACE or MOVED: how the dump stands to what is here."""
    _note_known_patients(db, hospital_id, standing)
    db.execute(text("SELECT census_check(:today)"), {"today": today})
    return str(
        db.scalar(
            text("SELECT census_check_standing(:house, :standing)"),
            {"house": hospital_id, "standing": standing},
        )
    )


def totals(db: Session, today: date) -> dict[str, Any]:
    """What the dump holds, in numbers."""
    answer = db.scalar(text("SELECT census_totals(:today)"), {"today": today})
    return cast(dict[str, Any], answer)


def counts(db: Session) -> dict[str, int]:
    """code -> how many rows it was found in."""
    counted = db.execute(
        text("SELECT code, count(*) FROM census_found GROUP BY code ORDER BY code")
    )
    return {code: int(n) for code, n in counted}


def keep_findings(db: Session, import_id: UUID, hospital_id: UUID) -> None:
    """Store everything found under its import, in the order of the files."""
    db.execute(text("DELETE FROM census_finding WHERE import_id = :id"), {"id": import_id})
    db.execute(
        text(
            """
            INSERT INTO census_finding
                (import_id, no, hospital_id, about, row_no, field, code, facts)
            SELECT :id, row_number() OVER (
                       ORDER BY array_position(:tables, about), row_no, code, field),
                   :house, about, row_no, field, code, facts
            FROM census_found
            """
        ),
        {"id": import_id, "house": hospital_id, "tables": list(FIELDS)},
    )


def load(
    db: Session,
    import_id: UUID,
    hospital_id: UUID,
    source: str,
    replaces: UUID | None,
    *,
    by: str,
    at: datetime,
) -> None:
    """Make what was checked accounts, facts and opening entries; the sums equal the source.

    Refused CENSUS_SUMS_DIFFER: nothing is there, and the caller's transaction is lost.
    """
    said = {"mine": import_id, "house": hospital_id, "by": by, "at": at, "old": replaces}
    said["base"] = str(new_id())
    try:
        if replaces:
            db.execute(
                text("SELECT census_unload(:old, :mine, :house, :base, :by, :at)"),
                said,
            )
        db.execute(
            text("SELECT census_load(:mine, :house, :source, :base, :by, :at)"),
            said | {"source": source},
        )
    except DBAPIError as broken:
        if getattr(broken.orig, "sqlstate", None) == "XZ001":
            raise Refused("CENSUS_SUMS_DIFFER") from None
        raise
    _keep_other_words(db, import_id, hospital_id)


def name_mark(name: str) -> int | None:
    """A keyed mark by which two spellings of one name are compared without reading them."""
    plain = "".join(name.split())
    return int.from_bytes(blind_index(plain)[:8], signed=True) if plain else None


def said_mark(*words: str) -> int:
    """A keyed mark of all that a row says about a holder."""
    return int.from_bytes(fingerprint("\x1f".join(words).encode())[:8], signed=True)


_KNOWN = text(
    """
    SELECT p.id, p.id_no_index, p.name_sealed, said.name_mark AS corrected
    FROM patient p
    LEFT JOIN (SELECT h.id_no_index, min(h.name_mark) AS name_mark FROM raw_holder h
               WHERE h.id_no_index IS NOT NULL GROUP BY h.id_no_index
               HAVING count(h.name_mark) = count(*) AND min(h.name_mark) = max(h.name_mark)) said
        ON said.id_no_index = p.id_no_index
       AND starts_with(p.his_patient_no, :old_card)
       AND NOT EXISTS (SELECT FROM prepay_account a WHERE a.patient_id = p.id AND NOT EXISTS (
           SELECT FROM census_account c WHERE c.account_id = a.id AND c.import_id = :standing))
       AND NOT EXISTS (SELECT FROM refund_request r WHERE r.patient_id = p.id)
       AND NOT EXISTS (SELECT FROM wechat_binding w WHERE w.patient_id = p.id)
       AND NOT EXISTS (SELECT FROM patient o WHERE o.hospital_id = p.hospital_id
           AND o.id_no_index = p.id_no_index AND o.id <> p.id)
    WHERE p.hospital_id = :house
      AND p.id_no_index IN (SELECT h.id_no_index FROM raw_holder h)
    """
)
"""``corrected``: the mark of the name that every card of the number now says, where the dump that
is corrected alone made this patient, and nobody used or asked for anything as this patient yet."""


def _note_known_patients(db: Session, hospital_id: UUID, standing: UUID | None) -> None:
    """Put down which patients of the index carry an identity of the dump, and the marks of their
    names; whose name the dump corrects is known by the new one.
    """
    db.execute(text("CREATE TEMP TABLE census_renamed (id uuid) ON COMMIT DROP"))
    said = {"house": hospital_id, "standing": standing, "old_card": OLD_CARD}
    known = db.execute(_KNOWN, said, execution_options={"yield_per": BLOCK})
    for block in known.partitions(BLOCK):
        marks = [(row, _mark_of(row)) for row in block]
        db.execute(
            text(
                "INSERT INTO known_patient (id, id_no_index, name_mark)"
                " VALUES (:id, :id_no_index, :name_mark)"
            ),
            [
                {"id": row.id, "id_no_index": row.id_no_index, "name_mark": row.corrected or mark}
                for row, mark in marks
            ],
        )
        renamed = [{"id": row.id} for row, mark in marks if row.corrected not in (None, mark)]
        if renamed:
            db.execute(text("INSERT INTO census_renamed (id) VALUES (:id)"), renamed)


def _keep_other_words(db: Session, import_id: UUID, hospital_id: UUID) -> None:
    """What a card said of its holder and the patient's own row does not say: sealed for its place.

    A patient without a phone gets the card's; one whom only this card knows gets its words anew,
    and one whose name the dump corrects gets the name.
    """
    query = text(
        """
        SELECT h.id, o.account_id, o.patient_id, h.name_sealed, h.id_no_sealed, h.phone_sealed,
               h.contact = 'MOBILE' AS mobile, o.verified_id IS NULL AS alone,
               o.patient_id <> h.id AS other, r.id IS NOT NULL AS renamed
        FROM census_owned o JOIN raw_holder h ON h.card_no = o.card_no
        LEFT JOIN census_renamed r ON r.id = o.patient_id
        WHERE o.patient_id <> h.id OR (h.id_no_sealed IS NOT NULL AND o.verified_id IS NULL)
           OR (h.phone_sealed IS NOT NULL AND h.contact <> 'MOBILE')
        """
    )
    for block in db.execute(query, execution_options={"yield_per": BLOCK}).partitions(BLOCK):
        kept, patients = [], []
        for row in block:
            words = {
                name: unseal(blob, bound_to(Patient.__tablename__, name, row.id)) if blob else ""
                for name, blob in (
                    ("name", row.name_sealed),
                    ("id_no", row.id_no_sealed),
                    ("phone", row.phone_sealed),
                )
            }
            kept.append(_holder_row(row, words, import_id, hospital_id))
            if row.other and (row.alone or row.mobile or row.renamed):
                patients.append(_patient_words(row, words))
        _copy_holders(db, kept)
        if patients:
            db.execute(_TELL_PATIENT, patients)


_TELL_PATIENT = text(
    "UPDATE patient SET name_sealed = CASE WHEN :named THEN :name ELSE name_sealed END,"
    " phone_sealed = CASE WHEN :alone OR phone_sealed IS NULL THEN :phone ELSE phone_sealed END,"
    " phone_index = CASE WHEN :alone OR phone_sealed IS NULL THEN :phone_index ELSE phone_index END"
    " WHERE id = :id"
)


def _patient_words(row: Any, words: dict[str, str]) -> dict[str, Any]:
    phone = words["phone"] if row.mobile else ""
    return {
        "id": row.patient_id,
        "alone": row.alone,
        "named": row.alone or row.renamed,
        "name": _sealed(Patient, "name", row.patient_id, words["name"]),
        "phone": _sealed(Patient, "phone", row.patient_id, phone),
        "phone_index": blind_index(phone) if phone else None,
    }


def _holder_row(
    row: Any, words: dict[str, str], import_id: UUID, hospital_id: UUID
) -> tuple[Any, ...]:
    sealed = [_sealed(CensusHolder, name, row.id, word) for name, word in words.items()]
    return (row.id, hospital_id, import_id, row.account_id, row.patient_id, *sealed)


def _copy_holders(db: Session, kept: list[tuple[Any, ...]]) -> None:
    with (
        _driver(db).cursor() as cursor,
        cursor.copy(
            "COPY census_holder (id, hospital_id, import_id, account_id, patient_id, name_sealed,"
            " id_no_sealed, phone_sealed) FROM STDIN"
        ) as copying,
    ):
        for row in kept:
            copying.write_row(row)


def _sealed(table: type, column: str, row_id: UUID, word: str) -> bytes | None:
    return seal(word, bound_to(table.__tablename__, column, row_id)) if word else None  # type: ignore[attr-defined]


def _mark_of(patient: Any) -> int | None:
    if patient.name_sealed is None:
        return None
    return name_mark(unseal(patient.name_sealed, bound_to("patient", "name", patient.id)))


def _driver(db: Session) -> psycopg.Connection[Any]:
    return cast("psycopg.Connection[Any]", db.connection().connection.driver_connection)
