"""The clause table: every numbered test of the law, and which test of ours proved it just now."""

from collections import defaultdict
from pathlib import Path

import pytest
import yaml

KNOWN = yaml.safe_load((Path(__file__).parent / "clauses.yaml").read_text("utf8"))

_passed: dict[tuple[str, str], list[str]] = defaultdict(list)
_failed: set[tuple[str, str]] = set()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--clauses", action="store_true", help="print the clause table at the end")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note each test's clauses in its report: a report travels to the process that sums up."""
    for item in items:
        for mark in item.iter_markers("clause"):
            clause, *tests = mark.args
            for test in tests:
                if test not in KNOWN[clause].get("tests", {}):
                    raise pytest.UsageError(f"{item.nodeid}: {clause} has no {test}")
                item.user_properties.append(("clause", [clause, test]))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    for name, value in report.user_properties:
        if name == "clause" and report.failed:
            _failed.add(tuple(value))
        elif name == "clause" and report.when == "call" and report.passed:
            _passed[tuple(value)].append(report.nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if terminalreporter.config.getoption("--clauses"):
        for line in table():
            terminalreporter.write_line(line)


def table() -> list[str]:
    """A line a number, ``GZ-19 T3 proven <test>`` or ``GZ-19 T3 open``; last ``proven N of M``.

    One failing test that claims a number keeps that number open, whatever else passed.
    """
    lines, proven = [], 0
    for clause, entry in KNOWN.items():
        for test in entry.get("tests", {}):
            tests = _passed.get((clause, test)) if (clause, test) not in _failed else None
            proven += bool(tests)
            lines.append(f"{clause} {test} " + (f"proven {tests[0]}" if tests else "open"))
        if reason := entry.get("outside"):
            lines.append(f"{clause} outside software: {reason}")
    return [*lines, f"proven {proven} of {_numbered()}"]


def _numbered() -> int:
    return sum(len(entry.get("tests", {})) for entry in KNOWN.values())
