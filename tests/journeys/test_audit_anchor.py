"""The audit trail's heads outside the database: what the database's owner does is found, and so is
what somebody does to the file."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from types import SimpleNamespace
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from journeys.audit_anchor import Anchor, AnchorsBroken, anchor_trail, append, kept
from models import audit
from models.db import Session, rows
from tests.models.test_audit import new_hospital, write
from tests.prove.tampering import KINDS, Forger

SEED, TAMPERINGS = 20251125, 60
AT = datetime(2025, 7, 4, 2, 0, tzinfo=UTC)
ONLY_ANCHORED = {"the end cut off", "written anew from a row on"}
APPENDER = """
import sys
from pathlib import Path
from journeys.audit_anchor import Anchor, append
from models import sealing
sealing.use_keys({"k": "A" * 43 + "="}, "B" * 43 + "=")
for number in range(20):
    append(Path(sys.argv[1]), Anchor("at", sys.argv[2], number, "h"))
"""


@pytest.fixture
def hospital(engine: Engine) -> UUID:
    return new_hospital()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "anchors.jsonl"


def outside(file: Path | str) -> SimpleNamespace:
    return SimpleNamespace(code="H1", now=lambda: AT, anchor_file=str(file))


@pytest.fixture
def forger(engine: Engine, hospital: UUID, file: Path) -> Iterator[Forger]:
    forger = Forger(engine, hospital, file, Random(SEED))
    forger.write_trail()
    yield forger
    with engine.begin() as db:
        db.execute(text("DROP TABLE trail_copy"))


def test_tamperings_of_six_kinds_are_found_and_the_first_wrong_row_is_named(forger: Forger) -> None:
    found = forger.try_all(TAMPERINGS)
    assert found.missed == []
    assert found.tried == dict.fromkeys(KINDS, TAMPERINGS // 6)
    assert {kind for kind in KINDS if not found.unanchored[kind]} == ONLY_ANCHORED


def test_every_night_the_head_is_added(hospital: UUID, file: Path) -> None:
    assert anchor_trail(outside(file), hospital) == 0
    assert not file.exists()
    write(hospital, 2)
    assert anchor_trail(outside(""), hospital) == 0
    assert anchor_trail(outside(file), hospital) == 2
    write(hospital, 1)
    assert anchor_trail(outside(file), hospital) == 3
    heads = kept(file, "H1")
    assert [no for no, _ in heads] == [2, 3]
    assert heads[-1] == audit.head(hospital)
    assert kept(file, "H2") == []
    assert file.stat().st_mode & 0o777 == 0o640


def test_a_broken_trail_is_a_task_and_gets_no_new_head(hospital: UUID, file: Path) -> None:
    write(hospital, 3)
    anchor_trail(outside(file), hospital)
    with Session.begin() as db:
        db.execute(text("SET LOCAL session_replication_role = replica"))
        db.execute(
            text("DELETE FROM audit_entry WHERE hospital_id = :h AND no = 3"), {"h": hospital}
        )
    assert anchor_trail(outside(file), hospital) == 0
    assert [no for no, _ in kept(file, "H1")] == [3]
    (task,) = rows("SELECT kind, subject FROM work_item WHERE hospital_id = :h", h=hospital)
    assert task == {"kind": "AUDIT_BROKEN", "subject": "audit_entry:3"}


def lines_of(file: Path, *numbers: int) -> list[str]:
    for number in numbers:
        append(file, Anchor("at", "H1", number, "h"))
    return file.read_text("utf8").splitlines(keepends=True)


def changed(line: str, **facts: object) -> str:
    return json.dumps(json.loads(line) | facts) + "\n"


SPOILT = {
    "changed": (lambda a, b, c: [a, changed(b, no=7), c], "line 2 is not"),
    "changed with a chain of its own": (lambda a, b, c: [a, changed(b, chain="0"), c], "line 2 is"),
    "removed": (lambda a, b, c: [a, c], "line 2 is not"),
    "swapped": (lambda a, b, c: [b, a, c], "line 1 is not"),
    "said twice": (lambda a, b, c: [a, b, b, c], "line 3 is not"),
    "cut off": (lambda a, b, c: [a, b, c[:-1]], "line 3 is cut off"),
    "torn": (lambda a, b, c: [a, b, c[:9]], "line 3 cannot be read"),
    "foreign": (lambda a, b, c: [a, "{}\n", c], "line 2 cannot be read"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_file_that_was_touched_is_refused(engine: Engine, file: Path, how: str) -> None:
    spoil, told = SPOILT[how]
    file.write_text("".join(spoil(*lines_of(file, 1, 2, 3))), "utf8")
    with pytest.raises(AnchorsBroken, match=told):
        kept(file, "H1")
    with pytest.raises(AnchorsBroken):
        append(file, Anchor("at", "H1", 4, "h"))


def test_workers_at_once_make_one_chain(engine: Engine, file: Path) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", APPENDER, file, name]) for name in ("H1", "H2")
    ]
    assert [worker.wait() for worker in workers] == [0, 0]
    assert [len(kept(file, name)) for name in ("H1", "H2")] == [20, 20]
