"""Somebody with all rights on the database tampers with an audit trail in six ways."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from journeys.audit_anchor import anchor_trail, kept
from models import audit
from models.db import Session

ROWS, EVERY = 40, 8
"""Rows of the trail, and how often its head is anchored."""
AT = datetime(2025, 7, 4, 2, 0, tzinfo=UTC)
CODE = "TRAIL"

COLUMNS = {
    "at": "at + interval '1 microsecond'",
    '"by"': "\"by\" || '0'",
    "what": "what || ' '",
    "subject": "'patient:' || subject",
    "facts": """facts || '{"fen": -1}'""",
    "prev_hash": "sha256(prev_hash)",
    "hash": "sha256(hash)",
}
FOLLOW = text(
    "UPDATE audit_entry SET prev_hash = :prev,"
    ' hash = audit_hash(:prev, hospital_id, no, at, "by", what, subject, facts)'
    " WHERE hospital_id = :h AND no = :n RETURNING hash"
)


@dataclass
class Found:
    """``missed``: not found, or another row named than the first wrong one. ``unanchored``: how
    many were found without the file, by kind."""

    tried: Counter[str] = field(default_factory=Counter)
    unanchored: Counter[str] = field(default_factory=Counter)
    missed: list[str] = field(default_factory=list)


@dataclass
class Forger:
    """One trail, its file of anchors, and a copy to put everything back."""

    engine: Engine
    hospital_id: UUID
    file: Path
    chance: Random

    def write_trail(self) -> None:
        """An honest trail, anchored on the way and at its end."""
        outside = SimpleNamespace(code=CODE, now=lambda: AT, anchor_file=str(self.file))
        for number in range(1, ROWS + 1):
            with Session.begin() as db:
                facts, at = {"fen": number}, AT + timedelta(minutes=number)
                audit.audit(db, self.hospital_id, "staff:n1", "read", f"s:{number}", facts, at=at)
            if number % EVERY == 0:
                assert anchor_trail(outside, self.hospital_id) == number
        with self._forging() as db:
            self._run(
                db, "CREATE TABLE trail_copy AS SELECT * FROM audit_entry WHERE hospital_id = :h"
            )

    def try_all(self, count: int) -> Found:
        """So many tamperings, one after another, each undone."""
        found = Found()
        kinds = list(KINDS)
        for number in range(count):
            kind = kinds[number % len(kinds)]
            with self._forging() as db:
                expected = KINDS[kind](self, db)
            found.tried[kind] += 1
            found.unanchored[kind] += audit.verify(self.hospital_id) is not None
            named = audit.verify(self.hospital_id, *kept(self.file, CODE))
            if named != expected:
                found.missed.append(f"{kind}: row {expected}, but {named} was named")
            self._put_back()
        assert audit.verify(self.hospital_id, *kept(self.file, CODE)) is None
        return found

    # the six kinds: what is done, and the row that must be named

    def change(self, db: Connection) -> int:
        """One column of one row."""
        number = self.chance.randint(1, ROWS)
        column = self.chance.choice(list(COLUMNS))
        put = f"UPDATE audit_entry SET {column} = {COLUMNS[column]}"  # noqa: S608
        self._run(db, put + " WHERE hospital_id = :h AND no = :n", n=number)
        return number

    def delete(self, db: Connection) -> int:
        """One row from the middle."""
        number = self.chance.randint(1, ROWS - 1)
        self._run(db, "DELETE FROM audit_entry WHERE hospital_id = :h AND no = :n", n=number)
        return number

    def swap(self, db: Connection) -> int:
        """Two rows exchange their places."""
        one, two = sorted(self.chance.sample(range(1, ROWS + 1), 2))
        for here, there in ((one, 0), (two, one), (0, two)):
            self._renumber(db, here, there)
        return one

    def insert(self, db: Connection) -> int:
        """A row in between, the later ones moved up; every second time with a proper hash."""
        place = self.chance.randint(1, ROWS - 1)
        for number in range(ROWS, place, -1):
            self._renumber(db, number, number + 1)
        self._run(
            db,
            "INSERT INTO audit_entry SELECT hospital_id, no + 1, at, \"by\", what, 'forged', facts,"
            " hash, hash FROM audit_entry WHERE hospital_id = :h AND no = :n",
            n=place,
        )
        if self.chance.random() < 0.5:
            return place + 1
        self._follow(db, place + 1, place + 1)
        return place + 2

    def truncate(self, db: Connection) -> int:
        """The last rows are gone."""
        last = self.chance.randint(0, ROWS - 1)
        self._run(db, "DELETE FROM audit_entry WHERE hospital_id = :h AND no > :n", n=last)
        return last + 1

    def rehash(self, db: Connection) -> int:
        """A row changed and every hash from there on made anew: only an anchor contradicts."""
        number = self.chance.randint(1, ROWS)
        self._run(
            db,
            "UPDATE audit_entry SET \"by\" = 'staff:n2' WHERE hospital_id = :h AND no = :n",
            n=number,
        )
        self._follow(db, number, ROWS)
        return -(-number // EVERY) * EVERY

    def _follow(self, db: Connection, first: int, last: int) -> None:
        prev = db.scalar(
            text("SELECT hash FROM audit_entry WHERE hospital_id = :h AND no = :n"),
            {"h": self.hospital_id, "n": first - 1},
        )
        for number in range(first, last + 1):
            values = {"h": self.hospital_id, "n": number, "prev": prev or b""}
            prev = db.scalar(FOLLOW, values)

    def _renumber(self, db: Connection, here: int, there: int) -> None:
        self._run(
            db, "UPDATE audit_entry SET no = :t WHERE hospital_id = :h AND no = :n", n=here, t=there
        )

    def _put_back(self) -> None:
        with self._forging() as db:
            self._run(db, "DELETE FROM audit_entry WHERE hospital_id = :h")
            self._run(db, "INSERT INTO audit_entry SELECT * FROM trail_copy WHERE hospital_id = :h")

    def _run(self, db: Connection, sql: str, **values: int) -> None:
        db.execute(text(sql), {"h": self.hospital_id, **values})

    @contextmanager
    def _forging(self) -> Iterator[Connection]:
        """A transaction in which no trigger of ours watches."""
        with self.engine.begin() as db:
            db.execute(text("SET LOCAL session_replication_role = replica"))
            yield db


KINDS: dict[str, Callable[[Forger, Connection], int]] = {
    "a column changed": Forger.change,
    "a row deleted": Forger.delete,
    "two rows swapped": Forger.swap,
    "a row inserted": Forger.insert,
    "the end cut off": Forger.truncate,
    "written anew from a row on": Forger.rehash,
}
