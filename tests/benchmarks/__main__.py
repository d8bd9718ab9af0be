"""``make bench``: every figure of docs/performance.md, measured on this machine, in one table."""

import argparse
import importlib
import os
import pkgutil
import platform
import sys
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from config import SHANGHAI
from tests.benchmarks.counts import EXPECTED
from tests.benchmarks.ground import CORES, ROOT, ground
from tests.benchmarks.measure import HEADINGS, Bench, Figure

PAGE = ROOT / "docs" / "performance.md"

say = Console(width=150)


def main() -> int:
    """Measure what was asked for, show it, and write it into the page if told to."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", default="", help="letters, as a,c")
    parser.add_argument("--short", action="store_true", help="few rounds, to try things out")
    parser.add_argument("--write", action="store_true", help="put the table into the page")
    told = parser.parse_args()
    if told.write and told.only:
        parser.error("the page is renewed as a whole, from one run")
    wanted = [bench for bench in benches() if not told.only or bench.key in told.only.split(",")]
    figures: list[Figure] = []
    with ground(short=told.short) as place:
        for bench in wanted:
            say.print(f"({bench.key}) {bench.says} …")
            found = bench.run(place)
            for figure in found:
                say.print("   ", *figure.cells()[1:5])
            figures += found
    figures.sort(key=lambda figure: figure.key)
    show(figures)
    if told.write:
        write(figures)
    return 0


def benches() -> list[Bench]:
    """Every file of this room that has a ``BENCH``, by its letter; (g) comes last, because its ten
    million lines weigh on whatever is measured after them."""
    here = [str(Path(__file__).parent)]
    names = [found.name for found in pkgutil.iter_modules(here) if found.name != "__main__"]
    names = [name for name in names if not name.startswith(("test_", "served", "bare"))]
    modules = [importlib.import_module(f"tests.benchmarks.{name}") for name in names]
    found = [module.BENCH for module in modules if hasattr(module, "BENCH")]
    return sorted(found, key=lambda bench: (bench.key == "g", bench.key))


def show(figures: list[Figure]) -> None:
    """The table for the eye."""
    table = Table(*HEADINGS)
    for figure in figures:
        table.add_row(*(cell.replace("**", "") for cell in figure.cells()))
    say.print(table)
    say.print(machine())


def write(figures: list[Figure]) -> None:
    """The tables between the marks of docs/performance.md."""
    text = PAGE.read_text("utf8")
    table = [machine(), "", *_table(HEADINGS, [figure.cells() for figure in figures])]
    text = _between(text, "figures", table)
    costs = [
        [name, str(each.statements), str(each.transactions), str(each.outside)]
        for name, each in EXPECTED.items()
    ]
    headings = ["operation", "statements", "transactions", "outside calls"]
    PAGE.write_text(_between(text, "counts", _table(headings, costs)), "utf8")


def machine() -> str:
    """Where and when."""
    cpu = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).exists():
        models = [line for line in info.read_text("utf8").splitlines() if "model name" in line]
        cpu = models[0].partition(":")[2].strip() if models else cpu
    pinned = "server and the rest pinned apart" if CORES else "nothing pinned"
    day = datetime.now(SHANGHAI).date()
    return (
        f"{day}, {os.cpu_count()} cores of {cpu}, {platform.system()},"
        f" Python {platform.python_version()}, {pinned}."
    )


def _table(headings: list[str], rows: list[list[str]]) -> list[str]:
    lines = [headings, ["---"] * len(headings), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _between(text: str, mark: str, lines: list[str]) -> str:
    begin, end = f"<!-- {mark}: make bench WRITE=1 -->", f"<!-- end of {mark} -->"
    before, _, rest = text.partition(begin)
    return before + "\n".join([begin, "", *lines, "", end]) + rest.partition(end)[2]


if __name__ == "__main__":
    sys.exit(main())
