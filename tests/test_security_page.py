"""SECURITY.md promises nothing that is not here: every file and every test that it names exists,
and each control is proven, the hospital's, or open."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "SECURITY.md").read_text("utf8")
QUOTED = re.compile(r"`([\w./-]+\.(?:py|md|toml|txt|yaml))(?:::(\w+))?`")
ASVS, MLPS = re.compile(r"\d{1,2}\.\d{1,2}\.\d{1,2}"), re.compile(r"L3-CES1-\d\d")


def table(heading: str) -> list[list[str]]:
    """The rows below a heading, without the head."""
    below = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in below.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@cache
def names_in(file: str) -> frozenset[str]:
    """The names of a file's tests."""
    found = ast.walk(ast.parse((ROOT / file).read_text("utf8")))
    names = {node.name for node in found if isinstance(node, ast.FunctionDef)}
    return frozenset(name for name in names if name.startswith("test_"))


def test_every_file_and_test_that_is_named_exists() -> None:
    named = QUOTED.findall(PAGE)
    assert [file for file, _ in named if not (ROOT / file).is_file()] == []
    assert [(f, name) for f, name in named if name and name not in names_in(f)] == []


def test_every_threat_names_its_tests_and_what_remains() -> None:
    threats = table("Threats")
    assert len(threats) > 10
    for attacker, attack, control, tests, remains in threats:
        assert attacker and attack and control and remains
        assert [name for _, name in QUOTED.findall(tests) if name], attack


CONTROLS = table("Controls")


@pytest.mark.parametrize("row", CONTROLS, ids=[row[0] for row in CONTROLS])
def test_every_control_is_proven_the_hospitals_or_open(row: list[str]) -> None:
    _, asvs, mlps, where, proof, state = row
    numbers = [one.strip() for one in asvs.split(",") if one.strip()]
    items = [one.strip() for one in mlps.split(",") if one.strip()]
    assert numbers or items
    assert all(map(ASVS.fullmatch, numbers)) and all(map(MLPS.fullmatch, items))
    assert state in ("proven", "hospital", "open")
    tests = [name for _, name in QUOTED.findall(proof) if name]
    assert bool(tests) is (state == "proven")
    assert QUOTED.findall(where) or state != "proven"


def test_every_requirement_that_applies_is_in_the_table() -> None:
    """The numbers that the project set itself, by chapter of the standard."""
    asvs = {number for row in CONTROLS for number in ASVS.findall(row[1])}
    mlps = {item for row in CONTROLS for item in MLPS.findall(row[2])}
    assert asvs == set(APPLY.split())
    assert mlps == {
        f"L3-CES1-{n:02}" for n in (*range(1, 11), *range(12, 16), *range(19, 22), *range(25, 32))
    } | {"L3-CES1-34", "L3-CES1-35"}


APPLY = """
2.2.1 2.2.2 2.2.3 2.3.3 2.3.4 2.3.5 2.4.1 3.4.1 3.4.3 3.4.4 3.4.5 3.4.6 4.1.5 6.1.1 6.2.5 6.2.10
6.3.1 6.3.2 6.3.3 6.3.8 6.5.6 6.6.2 7.4.1 7.4.2 7.4.3 7.4.5 7.5.3 8.2.1 8.2.2 8.2.3 8.2.4 8.3.1
8.3.2 8.3.3 9.1.1 9.1.2 9.1.3 9.2.1 9.2.2 9.2.3 9.2.4 11.2.2 11.3.2 11.3.3 11.3.4 12.3.1 12.3.2
12.3.3 12.3.4 12.3.5 13.1.2 13.1.3 13.2.2 13.3.1 13.3.4 14.1.1 14.1.2 14.2.4 14.2.6 14.2.7 15.1.1
15.1.2 15.2.1 15.2.4 15.3.1 15.3.3 15.4.2 16.2.1 16.2.5 16.3.1 16.3.2 16.3.3 16.4.1 16.4.2 16.4.3
16.5.2 16.5.3
"""
