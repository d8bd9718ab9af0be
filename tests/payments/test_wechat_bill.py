"""The trade bill is read whole and to the fen, or not at all."""

from datetime import datetime

import pytest

from config import SHANGHAI
from payments.channels.wechat_bill import UnreadableBill, fen, read_bill
from policies.reconciliation import BillRow, Sort, There, Totals
from simulator.wechat_bills import COLUMNS, TOTALS, table, yuan

PAID = dict.fromkeys(COLUMNS["ALL"], "") | {
    "交易时间": "2026-11-21 23:59:59",
    "商户号": "1900000001",
    "商户订单号": "a" * 32,
    "交易状态": "SUCCESS",
    "货币种类": "CNY",
    "订单金额": "3124.72",
    "申请退款金额": "0.00",
    "商户退款单号": "0",
    "商品名称": "预交金,住院",
    "商户数据包": "a,b",
}
BACK = PAID | {
    "交易状态": "REFUND",
    "订单金额": "0.00",
    "申请退款金额": "3.4",
    "商户退款单号": "b" * 32,
    "退款状态": "PROCESSING",
}


def bill(*lines, totals=("2", "3124.72", "0.00", "0.00", "0.00", "3124.72", "3.40")):
    columns = COLUMNS["ALL"]
    return table(columns, [[row[name] for name in columns] for row in lines]) + table(
        TOTALS, [list(totals)]
    )


LATE = datetime(2026, 11, 21, 23, 59, 59, tzinfo=SHANGHAI)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_a_bill_is_read_as_their_pages_say(mark, end):
    content = (mark + bill(PAID, BACK)).replace("\r\n", end).encode()
    read = read_bill(content, "1900000001")
    assert read.rows == [
        BillRow(Sort.PAYMENT, "a" * 32, 312_472, There.PAID, LATE),
        BillRow(Sort.REFUND, "b" * 32, 340, There.UNDER_WAY, LATE),
    ]
    assert read.totals == Totals(2, 312_472, 340)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "x",
        bill(PAID).split("总交易单数")[0],
        bill(PAID).replace("订单金额", "另一列"),
        bill(PAID | {"商户号": "1900000002"}),
        bill(PAID | {"货币种类": "USD"}),
        bill(PAID | {"交易状态": "NEW"}),
        bill(PAID | {"订单金额": "1e3"}),
        bill(PAID | {"订单金额": "1.005"}),
        bill(PAID | {"订单金额": "-1.00"}),
        bill(PAID | {"交易时间": "yesterday"}),
        bill(PAID | {"商品名称": "a,`b"}),
        bill(PAID, totals=("1", "x", "0", "0", "0", "x", "0")),
        bill(PAID) + "`1,`2",
        bill(PAID).encode("utf-16"),
    ],
)
def test_half_a_bill_is_none(content):
    content = content if isinstance(content, bytes) else content.encode()
    with pytest.raises(UnreadableBill) as why:
        read_bill(content, "1900000001")
    assert "yesterday" not in str(why.value)


@pytest.mark.parametrize(
    "text", ["", "1.", ".5", "1.005", "1e2", "-1", "+1", "1,000.00", "١", " 1", "1\n", "0x1"]
)
def test_what_is_no_yuan_and_fen_is_refused(text):
    with pytest.raises(ValueError, match="yuan"):
        fen(text)


def test_yuan_are_read_exactly():
    """All the amounts on which a float loses a fen are among these."""
    for amount in [*range(200_000), 10**15 - 1, 1_999_999_999_99]:
        assert fen(yuan(amount)) == amount
    assert (fen("3"), fen("3.4"), fen("0.29"), fen("1.15")) == (300, 340, 29, 115)
