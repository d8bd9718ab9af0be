"""The files that go to the bank and come back (docs/bank-files.md): what stands in a row, and what
is wrong with an answer. Pure.
"""

import csv
import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Any

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from policies import money
from policies.refusals import Refused
from policies.sheets import Cell

OUT = ("序号", "流水号", "收款人姓名", "收款账号", "开户银行", "金额（元）", "用途")
IN = ("流水号", "金额（元）", "结果", "原因")
PAID, REJECTED, SENT_BACK = "成功", "失败", "退汇"
RESULTS = (PAID, REJECTED, SENT_BACK)
"""Arrived, not accepted, or taken and sent back by the payee's bank."""

TOTAL = "合计"
PURPOSE = "退门诊预交金"

MOST_ROWS = 20_000
UNPACKED = 64 * 1024 * 1024
"""An XLSX that unpacks to more than this is no answer of a bank."""

REASON_LENGTH = 60

NO_TABLE = (
    *(ValueError, LookupError, TypeError, AttributeError, OSError, SyntaxError, EOFError),
    *(csv.Error, zlib.error, zipfile.BadZipFile, InvalidFileException, NotImplementedError),
)
"""What the readers raise over bytes that are no table; broken XML is a SyntaxError to them."""


@dataclass(frozen=True, slots=True)
class Payment:
    """One row for the bank."""

    number: str
    name: str
    card_no: str
    bank_name: str
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Result:
    """What the bank says of one row: one of `RESULTS`. ``reason``: why not, in the bank's words."""

    number: str
    said: str
    reason: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """Something that keeps the whole answer out: row (as Excel counts) and what it is."""

    row: int
    say: str


def rows_out(payments: Sequence[Payment]) -> list[list[Cell]]:
    """The rows of the file in order, and a last one with the totals."""
    rows: list[list[Cell]] = [
        [
            str(place),
            payment.number,
            payment.name,
            payment.card_no,
            payment.bank_name,
            Decimal(payment.amount_fen) / 100,
            PURPOSE,
        ]
        for place, payment in enumerate(payments, 1)
    ]
    total = Decimal(sum(payment.amount_fen for payment in payments)) / 100
    return [*rows, [TOTAL, str(len(payments)), "", "", "", total, ""]]


def read_cells(content: bytes) -> list[list[str]]:
    """The cells of a CSV (UTF-8 or GB 18030) or XLSX as text. Refused BANK_ANSWER_UNREADABLE."""
    try:
        rows = _xlsx(content) if content.startswith(b"PK") else _csv(content)
        found = [[_text(cell) for cell in row] for row in islice(rows, MOST_ROWS + 2)]
    except NO_TABLE:
        raise Refused("BANK_ANSWER_UNREADABLE") from None
    return [row for row in found if any(row)]


def read_answer(
    cells: Sequence[Sequence[str]], asked: Mapping[str, int]
) -> tuple[list[Result], list[Wrong]]:
    """The results, or everything that is wrong. ``asked``: number -> fen of every row sent out.

    A row that is not answered yet may be missing; the last row holds the totals of those that are.
    """
    header = list(cells[0]) if cells else []
    if missing := [name for name in IN if header.count(name) != 1]:
        return [], [Wrong(1, f"表头里“{name}”应当有且只有一列") for name in missing]
    places = [header.index(name) for name in IN]
    rows = [[row[place] if place < len(row) else "" for place in places] for row in cells[1:]]
    if not rows or rows[-1][0] != TOTAL:
        return [], [Wrong(len(rows) + 1, f"最后一行应当是“{TOTAL}”")]
    results: list[Result] = []
    wrong: list[Wrong] = []
    seen: set[str] = set()
    for place, row in enumerate(rows[:-1], 2):
        if say := _wrong(row, asked, seen):
            wrong.append(Wrong(place, say))
        else:
            seen.add(row[0])
            results.append(Result(row[0], row[2], row[3][:REASON_LENGTH]))
    total = sum(asked[number] for number in seen)
    _, amount, count, _ = rows[-1]
    if not wrong and (_fen(amount) != total or count != str(len(results))):
        say = f"合计应当是{len(results)}笔、{money.yuan(total)}元"
        wrong.append(Wrong(len(rows) + 1, say))
    return results, wrong


def _wrong(row: Sequence[str], asked: Mapping[str, int], seen: set[str]) -> str:
    """What is wrong with one row; empty: nothing."""
    number, amount, result, _ = row
    if number not in asked:
        return "这个流水号不在本批次里"
    if number in seen:
        return "这个流水号在文件里出现了两次"
    if _fen(amount) != asked[number]:
        return "金额与发出的不同"
    return "" if result in RESULTS else f"结果只能是{'、'.join(RESULTS)}"


def _fen(amount: str) -> int | None:
    try:
        return money.fen(amount)
    except Refused:
        return None


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip().removeprefix("'")


def _csv(content: bytes) -> Any:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("gb18030")
    if "\0" in text:
        raise ValueError("no text")
    return csv.reader(io.StringIO(text, newline=""))


def _xlsx(content: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        if sum(part.file_size for part in packed.infolist()) > UNPACKED:
            raise ValueError("too large")
    book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
    return book.worksheets[0].iter_rows(values_only=True)
