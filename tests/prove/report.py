"""The table in docs/reliability.md: one row a scenario, replaced only when it was run."""

import fcntl
import os
import platform
from dataclasses import dataclass
from datetime import date
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- rows: make prove -->", "<!-- end of rows -->"


@dataclass(frozen=True, slots=True)
class Figure:
    """What one scenario found. ``name`` is the row's key; ``figure`` is worded "0 of N …"."""

    name: str
    faults: str
    must_hold: str
    figure: str
    seed: int
    seconds: float
    held: bool
    ran: bool = True
    """False where this machine does not allow the scenario: then ``figure`` says why, and the row
    of an earlier run does not stay as if it had been seen here."""

    @property
    def verdict(self) -> str:
        """One word for the screen."""
        if not self.ran:
            return "not run here"
        return "held" if self.held else "NOT HELD"

    def row(self, day: date, machine: str) -> str:
        """The row of the table."""
        found = self.figure if self.held else f"**{self.verdict}**: {self.figure}"
        cells = [self.name, self.faults, self.must_hold, found]
        cells += [f"{self.seconds:.0f}", str(self.seed), machine, day.isoformat()]
        return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def write(
    figures: list[Figure], day: date, document: Path = DOCUMENT, machine: str | None = None
) -> None:
    """Replace the rows of these scenarios between the two marks; the other rows stay as they are,
    a new scenario's row comes last."""
    with document.open("r+", encoding="utf8") as page:
        fcntl.flock(page, fcntl.LOCK_EX)  # two processes of a long run may end at once
        head, begin, rest = page.read().partition(f"{BEGIN}\n")
        body, end, tail = rest.partition(END)
        if not (begin and end):
            raise ValueError(f"{document}: the marks of the table are gone")
        title, line, *old = body.rstrip("\n").splitlines()
        rows = {_name(row): row for row in old}
        for figure in figures:
            rows[figure.name] = figure.row(day, machine or this_machine())
        table = "\n".join([title, line, *rows.values()])
        page.seek(0)
        page.truncate()
        page.write(f"{head}{BEGIN}\n{table}\n{END}{tail}")


def this_machine() -> str:
    """Cores, memory and system, without a name."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} shared cores, {memory:.0f} GiB, {platform.system()}"


def _name(row: str) -> str:
    return row.removeprefix("| ").partition(" | ")[0]
