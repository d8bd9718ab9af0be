"""The files of an old system's dump, row by row as text: CSV files or workbooks."""

import csv
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

from journeys.census_formats import Row, encoding_of, workbook_rows
from models.sealing import fingerprint
from policies.census import CensusMapping, Table
from policies.refusals import Refused

_WIDE = re.compile("[０-９．＋－]")
_UNREADABLE = re.compile("[\x00-\x1f\ufffd]")
_MANGLED = re.compile(r"[0-9](\.[0-9]+)?[eE][+]?[0-9]+")
IDENTIFIERS = ("card_no", "top_up_no", "channel", "channel_transaction")
_PROTECTED = re.compile(r'^="([^"]*)"$')
WIDE = str.maketrans("０１２３４５６７８９．＋－", "0123456789.+-")


class HeadingsWrong(Exception):
    """Which fields have no column (HEADING_MISSING) or two (HEADING_TWICE)."""

    def __init__(self, wrong: list[tuple[str, str]]) -> None:
        super().__init__("headings")
        self.wrong = wrong


def digest(mapping_text: str, files: Iterable[dict[str, Any]]) -> str:
    """One number for a mapping and its files: what is released is what was checked."""
    whole = "|".join([mapping_text, *(f"{file['table']} {file['digest']}" for file in files)])
    return fingerprint(whole.encode()).hex()


def describe(dump: Path, mapping: CensusMapping) -> list[dict[str, Any]]:
    """Each table's file with its size and keyed digest. Refused CENSUS_FILE_MISSING."""
    return [
        {
            "table": table.name,
            "file": path.name,
            "sheet": table.sheet,
            "bytes": path.stat().st_size,
            "digest": _file_digest(path),
        }
        for table in mapping.tables
        for path in [_path(dump, table)]
    ]


@contextmanager
def opened(dump: Path, table: Table) -> Iterator[Iterator[tuple[Any, ...]]]:
    """The rows of a table as ``(line, problem, *cells)`` in the order of its mapped fields.

    Lines without any cell are passed over. Raises HeadingsWrong.
    """
    path = _path(dump, table)
    with _text_rows(path, table.sheet) as rows:
        _, headings = next(rows, (1, []))
        places = _places(headings or [], table)
        yield _picked(rows, len(headings or []), places, table)


def _picked(
    rows: Iterator[Row], width: int, places: Sequence[int], table: Table
) -> Iterator[tuple[Any, ...]]:
    fields = list(table.columns)
    pick = itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)
    blank = ("",) * len(fields)
    for line, row in rows:
        if row is None:
            yield (line, "ROW_UNREADABLE@", *blank)
            continue
        if len(row) != width:
            if any(cell.strip() for cell in row):
                yield (line, "CELLS_DIFFER@", *blank)
            continue
        cells = pick(row)
        if _is_plain("|".join(cells)):
            yield (line, "", *cells)
        elif any(cell.strip() for cell in row):
            problem, cells = _tidy(fields, cells)
            yield (line, problem, *cells)


def _is_plain(row: str) -> bool:
    """Whether no cell of a joined row needs a second look; most need none, so this is short."""
    return (
        row.isprintable()
        and "=" not in row
        and "'" not in row
        and "E+" not in row
        and "e+" not in row
        and "| " not in row
        and " |" not in row
        and row.strip(" |") != ""
        and row[0] != " " != row[-1]
        and (row.isascii() or ("\ufffd" not in row and not _WIDE.search(row)))
    )


def _tidy(fields: list[str], cells: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Cells without the paper they were wrapped in, and the fields that cannot be read."""
    clean, problems = [], []
    for field, cell in zip(fields, cells, strict=True):
        bare = cell.strip(" \t\r\n\u3000\xa0\ufeff")
        if wrapped := _PROTECTED.match(bare):
            bare = wrapped[1]
        bare = bare.removeprefix("'")
        if field not in ("name", "note"):
            bare = bare.translate(WIDE)
        if _UNREADABLE.search(bare):
            problems.append(f"TEXT_UNREADABLE@{field}")
            bare = ""
        elif field in IDENTIFIERS and bare.startswith("="):
            problems.append(f"FORMULA@{field}")
        elif field in IDENTIFIERS and _MANGLED.fullmatch(bare):
            problems.append(f"NUMBER_MANGLED@{field}")
        clean.append(bare)
    return ";".join(problems), tuple(clean)


def _places(headings: list[str], table: Table) -> list[int]:
    plain = [unicodedata.normalize("NFKC", heading).strip("\ufeff \t") for heading in headings]
    wrong, places = [], []
    for field, heading in table.columns.items():
        match [i for i, name in enumerate(plain) if name == unicodedata.normalize("NFKC", heading)]:
            case [place]:
                places.append(place)
            case []:
                wrong.append((field, "HEADING_MISSING"))
            case _:
                wrong.append((field, "HEADING_TWICE"))
    if wrong:
        raise HeadingsWrong(wrong)
    return places


@contextmanager
def _text_rows(path: Path, sheet: str) -> Iterator[Iterator[Row]]:
    if path.suffix.lower() in (".xlsx", ".xlsm"):
        with workbook_rows(path, sheet) as rows:
            yield rows
    else:
        with path.open(encoding=encoding_of(path), errors="replace", newline="") as file:
            yield _csv_rows(file)


def _csv_rows(file: Iterable[str]) -> Iterator[Row]:
    reader = csv.reader(file)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield reader.line_num, None
        else:
            yield reader.line_num, row


def _path(dump: Path, table: Table) -> Path:
    path = dump if dump.is_file() else dump / table.file
    if not path.is_file():
        raise Refused("CENSUS_FILE_MISSING", file=table.file)
    return path


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return fingerprint(hashlib.file_digest(file, "sha256").digest()).hex()
