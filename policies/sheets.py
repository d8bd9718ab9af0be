"""Tables that leave for Excel, as CSV or XLSX: long numbers stay text, and no cell is a formula."""

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

Cell = str | int | Decimal | None

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A text that begins so is run as a formula by spreadsheet programs (OWASP, CSV injection)."""

TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
"""format -> media type."""


def harmless(cell: Cell) -> Cell:
    """The cell, with an apostrophe before a text that a program would run."""
    if isinstance(cell, str) and cell.lstrip(" ").startswith(FORMULA_STARTS):
        return f"'{cell}"
    return cell


def table(form: str, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """The whole table in one of TYPES; money is given as Decimal yuan, so that it can be summed."""
    return as_csv(header, rows) if form == "csv" else as_xlsx(header, rows)


def as_csv(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """UTF-8 with the mark by which Excel knows it."""
    text = io.StringIO(newline="")
    lines = csv.writer(text)
    lines.writerow(header)
    lines.writerows([harmless(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def as_xlsx(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """One sheet, written row by row; texts are stored as texts whatever they look like."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet()

    def written(cell: Cell) -> Any:
        made = WriteOnlyCell(sheet)
        if isinstance(cell, str):  # XML has no place for control characters
            made.value = ILLEGAL_CHARACTERS_RE.sub("", str(harmless(cell)))
            made.data_type, made.number_format = "s", "@"
        else:
            made.value = cell
        if isinstance(cell, Decimal):
            made.number_format = "0.00"
        return made

    for row in chain([header], rows):
        sheet.append([written(cell) for cell in row])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
