"""The short form of ``make prove``: the same house, storm and checker, in a process of its own."""

import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from random import Random

import pytest

from simulator.clients import Answer
from tests.prove import report
from tests.prove.checker import never_done
from tests.prove.proxy import DatabaseLine, Fate, Weather
from tests.prove.report import Figure
from tests.prove.stubborn import Counts, differing
from tests.prove.turns import Pair, compare

ROOT = Path(__file__).parents[2]


def proven(*arguments: str) -> str:
    """What ``python -m tests.prove`` printed; it found nothing wrong."""
    command = [sys.executable, "-m", "tests.prove", *arguments, "--no-report"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, f"{told.stdout[-8000:]}\n{told.stderr[-4000:]}"
    return told.stdout


@pytest.fixture(scope="module")
def short() -> str:
    """All scenarios that need the whole house, one after another in one."""
    return proven("short", "--seed", "20261125", "--operations", "40")


RIGHT = "0 lost, 0 doubled, 0 with fen drift, 0 unfinished, 0 shown wrong"


def test_stays_survive_kills_and_lost_replies(short: str) -> None:
    assert re.search(rf"^held: {RIGHT} of \d+ operations under these faults", short, re.MULTILINE)


def test_money_and_every_feature_are_as_written_while_redis_is_gone(short: str) -> None:
    seen = "0 of [1-9]\\d+ looks at that table's rows found it otherwise"
    assert re.search(rf"^held: {RIGHT} of \d+ operations; {seen}", short, re.MULTILINE)


def test_what_needs_nobody_outside_does_not_wait_for_a_slow_outside(short: str) -> None:
    assert re.search(r"^held: 0 of 3 kinds slower .slow ÷ calm of 20 each", short, re.MULTILINE)


@pytest.mark.parametrize("code", ["DATABASE_AWAY", "POOL_EXHAUSTED"])
def test_all_are_told_when_to_come_back_while_the_database_is_gone(short: str, code: str) -> None:
    seen = rf"0 of [1-9]\d* (answers|failures) meanwhile not 503 \([^)]*503 {code}[^)]*\)"
    assert re.search(rf"^held: {seen}.*; {RIGHT};", short, re.MULTILINE)


def test_a_full_disk_loses_nothing(short: str) -> None:
    if "disk_full is left out" in short:
        pytest.skip("nobody may mount a small disk here")
    assert re.search(rf"^held: 0 of [1-9]\d* failures meanwhile not 503.*; {RIGHT};", short, re.M)


def test_the_checker_finds_out_servers_that_are_wrong(short: str) -> None:
    assert len(re.findall(r"held: 0 of 1 .*: [1-9]\d* doubled and 0 lost of 10 cash", short)) == 1
    assert len(re.findall(r"held: 0 of 1 .*: 0 doubled and [1-9]\d* lost of 4 cash", short)) == 1


def test_the_checker_finds_every_fault_put_into_the_books_by_hand(short: str) -> None:
    assert re.search(r"^held: 0 of 14 not found with seed", short, re.MULTILINE)


def test_two_good_answers_to_one_wish_must_promise_the_same() -> None:
    first = Answer(200, {}, '{"id": "1", "amount_fen": 5, "state": "CREATED"}')
    assert not differing(first, Answer(200, {}, '{"id": "1", "amount_fen": 5, "state": "PAID"}'))
    assert not differing(first, Answer(409, {}, '{"code": "KEY_REUSED"}'))
    second = Answer(200, {}, '{"id": "2", "amount_fen": 5}')
    assert differing(first, second) == {"id": ("1", "2")}
    undoing = Answer(200, {}, '{"id": "1", "state": "UNDOING"}')
    assert not differing(undoing, second)
    assert differing(undoing, Answer(200, {}, '{"id": "2", "state": "UNDONE"}'))


def test_what_never_succeeds_is_found() -> None:
    counts = Counts()
    for _ in range(20):
        counts.granted("undo", "POST", "/v1/admissions/0f-1/settlement/undo", yes=False)
        counts.granted("look", "GET", "/v1/admissions/0f-1/settlement", yes=False)
    counts.granted("look", "GET", "/v1/admissions/0f-2/settlement", yes=True)
    assert [finding.what for finding in never_done(counts)] == [
        "never once of 20 times: POST /v1/admissions/…/settlement/undo",
        "never once of 20 times: undo",
    ]


def test_the_line_to_postgresql_loses_commits_above_all() -> None:
    line, fates = DatabaseLine("database", "/nowhere", 7, Weather(lose=0.2)), Random(7)
    for said in (DatabaseLine.COMMIT, b"Q\x00\x00\x00\x0dSELECT 1\x00"):
        for _ in range(1_000):
            line.draw(fates, said)
    lost = line.met[Fate.REPLY_LOST]
    assert 150 < line.commits_lost < 250
    assert 20 < lost - line.commits_lost < 70


def test_a_run_replaces_its_own_rows_and_no_others(tmp_path: Path) -> None:
    document = tmp_path / "reliability.md"
    head = "| scenario | … |\n|---|---|\n"
    document.write_text(f"# R\n\n{report.BEGIN}\n{head}{report.END}\nafter\n", "utf8")
    one = Figure("stays", "SIGKILL 7 times", "nothing lost", "0 of 9 with seed 3", 3, 61.4, True)
    two = Figure("disk full", "16 MiB", "503 | no half writes", "2 of 9", 4, 5, False)
    report.write([one, two], date(2026, 11, 25), document, "2 cores")
    report.write([Figure("stays", "a", "b", "c", 5, 1, True)], date(2026, 11, 26), document, "M")
    assert document.read_text("utf8") == (
        f"# R\n\n{report.BEGIN}\n{head}"
        "| stays | a | b | c | 1 | 5 | M | 2026-11-26 |\n"
        "| disk full | 16 MiB | 503 / no half writes | **NOT HELD**: 2 of 9"
        " | 5 | 4 | 2 cores | 2026-11-25 |\n"
        f"{report.END}\nafter\n"
    )


def test_what_cannot_be_run_here_leaves_no_older_row_that_held(tmp_path: Path) -> None:
    document = tmp_path / "reliability.md"
    old = "| disk full | a | b | 0 of 72 | 5 | 4 | M | 2026-11-25 |\n"
    document.write_text(f"{report.BEGIN}\n| scenario |\n|---|\n{old}{report.END}\n", "utf8")
    no = Figure("disk full", "a", "b", "nobody may mount here", 4, 0, False, ran=False)
    report.write([no], date(2026, 11, 26), document, "M")
    assert "| a | b | **not run here**: nobody may mount here |" in document.read_text("utf8")
    assert "0 of 72" not in document.read_text("utf8")


def _turns(calm: float, slow: float, noise: Sequence[float]) -> list[Pair]:
    """Twelve pairs; in each, one request in twenty takes so long. ``noise``: on the slow turns."""
    usual = [0.01] * 80
    return [(usual + [calm] * 4, usual + [slow * more] * 4) for more in noise]


@pytest.mark.parametrize(
    ("slow", "noise", "held"),
    [
        (0.05, [1.0] * 12, True),
        (0.25, [1.0] * 12, False),
        (0.06, [1.0] * 12, False),
        (0.05, [9.0] + [1.0] * 11, True),
        (0.05, [0.5, 2.5] * 6, True),
    ],
)
def test_a_p99_that_is_surely_worse_is_told_from_noise(
    slow: float, noise: list[float], held: bool
) -> None:
    quiet = [([0.01] * 84, [0.01] * 84) for _ in noise]
    assert compare(_turns(0.05, slow, noise), quiet, Random(1)).held(1.1) is held


def test_a_machine_that_was_busier_in_the_slow_turns_makes_no_product_slow() -> None:
    busier = [([0.01] * 84, [0.013] * 84) for _ in range(12)]
    assert compare(_turns(0.05, 0.065, [1.0] * 12), busier, Random(1)).held(1.1)
