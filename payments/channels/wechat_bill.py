"""The trade bill of WeChat Pay, read: yuan become fen exactly, their words become ours."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from io import BytesIO, TextIOWrapper
from typing import NamedTuple

from config import SHANGHAI
from policies import money
from policies.reconciliation import BillRow, Sort, There, Totals

REFUND_STATES: dict[str, There] = {
    "SUCCESS": There.PAID,
    "PROCESSING": There.UNDER_WAY,
    "FAIL": There.FAILED,
    "CHANGE": There.STUCK,
}
"""退款状态 -> ours."""

SORTS: dict[str, Sort] = {
    "SUCCESS": Sort.PAYMENT,
    "REFUND": Sort.REFUND,
    "REVOKED": Sort.REVERSAL,
}
"""交易状态 -> ours."""

COLUMNS = (
    *("交易时间", "商户号", "商户订单号", "交易状态", "货币种类"),
    *("商户退款单号", "退款状态", "订单金额", "申请退款金额"),
)
"""What is read. 订单金额 and 申请退款金额 are whole; 应结订单金额 and 退款金额 lack coupons."""

TOTALS = ("总交易单数", "订单总金额", "申请退款总金额")

_YUAN = re.compile(r"[0-9]{1,13}(?:\.[0-9]{1,2})?")
_CELLS = ",`"  # the goods' name may hold a comma, never with a backtick behind it


class UnreadableBill(Exception):
    """Not the bill that their pages describe: nothing is concluded from it."""


class Bill(NamedTuple):
    """The rows of a day; ``totals`` is None only for a day without any."""

    rows: list[BillRow]
    totals: Totals | None


NOTHING = Bill([], None)
"""What NO_STATEMENT_EXIST means: they know of no trade that day."""


def read_bill(content: bytes, mchid: str) -> Bill:
    """Read the whole file, or raise UnreadableBill: half a bill is none."""
    at = 1
    try:
        lines = _lines(content)
        header = next(lines).split(",")
        where = [header.index(name) for name in COLUMNS]
        rows: list[BillRow] = []
        for line in lines:
            at += 1
            if not line.startswith("`"):
                return Bill(rows, _totals(line, lines))
            cells = line[1:].split(_CELLS)
            if len(cells) != len(header):
                raise ValueError
            rows.append(_row([cells[place] for place in where], mchid))
    except (ValueError, KeyError, StopIteration):  # their words may be somebody's: only the place
        raise UnreadableBill(f"line {at} cannot be read") from None
    raise UnreadableBill("it breaks off before the totals")


def fen(text: str) -> int:
    """Fen of an amount in yuan; ValueError for what is no whole number of fen. No float is near."""
    if not _YUAN.fullmatch(text):
        raise ValueError("an amount that is not yuan and fen")
    return money.fen(text)


def _lines(content: bytes) -> Iterator[str]:
    for line in TextIOWrapper(BytesIO(content), "utf-8-sig", newline="\n"):
        if said := line.rstrip("\r\n"):
            yield said


def _row(cells: list[str], mchid: str) -> BillRow:
    at, merchant, order, trade, currency, refund, refund_state, paid, given_back = cells
    if merchant != mchid:
        raise ValueError("a row of another merchant")
    if currency != "CNY":
        raise ValueError("a row in another currency")
    moment = datetime.fromisoformat(at).replace(tzinfo=SHANGHAI)
    sort = SORTS[trade]
    if sort == Sort.PAYMENT:
        return BillRow(sort, order, fen(paid), There.PAID, moment)
    number = refund if sort == Sort.REFUND else order
    return BillRow(sort, number, fen(given_back), REFUND_STATES[refund_state], moment)


def _totals(header: str, lines: Iterable[str]) -> Totals:
    names, (line, *more) = header.split(","), list(lines)
    cells = dict(zip(names, line.removeprefix("`").split(_CELLS), strict=True))
    if more:
        raise ValueError("something stands behind the totals")
    rows, payments, refunds = (cells[name] for name in TOTALS)
    return Totals(int(rows), fen(payments), fen(refunds))
