"""What the files of a dump are made of: the encoding of a text, the cells of a workbook."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from charset_normalizer import from_bytes
from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from policies.refusals import Refused

Row = tuple[int, list[str] | None]
"""Line of the file and its cells; None: the reader gave up on it."""

LIKELY = ("gb18030", "utf-8")
SAMPLE = 1 << 18
EXACT = 10**15
"""Excel keeps 15 digits of a number; whatever has more was an identifier, and is lost."""


def encoding_of(path: Path) -> str:
    """How a text is written: by its mark, else UTF-8, else what the bytes look like.

    A file with a few broken bytes gets the encoding that leaves the fewest of them.
    """
    with path.open("rb") as file:
        start = file.read(SAMPLE)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if start.startswith(b"\xef\xbb\xbf"):
        return "utf-8-sig"
    for candidate in ("utf-8", "gb18030"):
        if _decodes(path, candidate):
            return candidate
    if best := from_bytes(start, cp_isolation=["big5", "utf_16_le", "utf_16_be"]).best():
        return best.encoding
    return min(LIKELY, key=lambda name: start.decode(name, errors="replace").count("\ufffd"))


@contextmanager
def workbook_rows(path: Path, sheet: str) -> Iterator[Iterator[Row]]:
    """The rows of one sheet (the first, if none is named) as text, read as they are asked for.

    Refused CENSUS_FILE_UNREADABLE, CENSUS_FILE_MISSING for a sheet that is not there.
    """
    try:
        book = load_workbook(path, read_only=True)
    except (BadZipFile, InvalidFileException, KeyError, ValueError):
        raise Refused("CENSUS_FILE_UNREADABLE", file=path.name) from None
    try:
        if sheet and sheet not in book.sheetnames:
            raise Refused("CENSUS_FILE_MISSING", file=sheet)
        opened = book[sheet or book.sheetnames[0]]
        opened.reset_dimensions()
        yield _padded(opened.iter_rows(values_only=True))
    finally:
        book.close()


def cell_text(cell: Any) -> str:
    """A cell as a person would have typed it. A long number comes back in the form that shows that
    its digits are lost, a formula as itself.
    """
    if cell is None or isinstance(cell, str):
        return cell or ""
    if isinstance(cell, date):  # a datetime too
        return f"{cell:%Y-%m-%d %H:%M:%S}" if isinstance(cell, datetime) else f"{cell:%Y-%m-%d}"
    if isinstance(cell, int | float):
        if abs(cell) >= EXACT:
            return f"{Decimal(cell):.5E}"
        return str(int(cell)) if cell == int(cell) else repr(cell)
    return str(cell)


def _padded(rows: Iterator[tuple[Any, ...]]) -> Iterator[Row]:
    """Cells of no value at the end of a row are no cells; a row is as wide as the first one."""
    width = 0
    for line, row in enumerate(rows, 1):
        cells = [cell_text(cell) for cell in row]
        while cells and not cells[-1]:
            cells.pop()
        width = width or len(cells)
        yield line, cells + [""] * (width - len(cells))


def _decodes(path: Path, encoding: str) -> bool:
    try:
        with path.open(encoding=encoding, newline="") as file:
            while file.read(1 << 20):
                pass
    except UnicodeDecodeError:
        return False
    return True
