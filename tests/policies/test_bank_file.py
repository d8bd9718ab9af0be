"""What goes to the bank, and every way in which its answer can be wrong."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.bank_file import (
    IN,
    OUT,
    Payment,
    Result,
    Wrong,
    read_answer,
    read_cells,
    rows_out,
)
from policies.refusals import Refused
from policies.sheets import as_csv, table

ASKED = {"XZ1": 12_345, "XZ2": 1}
GOOD = [["XZ1", "123.45", "成功", ""], ["XZ2", "0.01", "失败", "户名不符"]]
TOTAL = ["合计", "123.46", "2", ""]


def answer(rows, form="csv"):
    return table(form, IN, rows)


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_a_good_answer(form):
    results = read_answer(read_cells(answer([*GOOD, TOTAL], form)), ASKED)
    assert results == ([Result("XZ1", "成功", ""), Result("XZ2", "失败", "户名不符")], [])


def test_old_encodings_other_columns_and_another_order_are_read():
    text = "银行流水,结果,流水号,原因,金额（元）\n9,成功,XZ1,,123.45\n,1,合计,,123.45\n"
    assert read_answer(read_cells(text.encode("gb18030")), ASKED) == (
        [Result("XZ1", "成功", "")],
        [],
    )


@pytest.mark.parametrize(
    ("rows", "wrong"),
    [
        ([["XZ9", "1.00", "成功", ""], TOTAL], Wrong(2, "这个流水号不在本批次里")),
        ([GOOD[0], GOOD[0], TOTAL], Wrong(3, "这个流水号在文件里出现了两次")),
        ([["XZ1", "123.46", "成功", ""], TOTAL], Wrong(2, "金额与发出的不同")),
        ([["XZ1", "好", "成功", ""], TOTAL], Wrong(2, "金额与发出的不同")),
        ([["XZ1", "123.45", "处理中", ""], TOTAL], Wrong(2, "结果只能是成功、失败、退汇")),
        ([*GOOD, ["合计", "123.45", "2", ""]], Wrong(4, "合计应当是2笔、123.46元")),
        ([*GOOD, ["合计", "123.46", "3", ""]], Wrong(4, "合计应当是2笔、123.46元")),
        (GOOD, Wrong(3, "最后一行应当是“合计”")),
        ([], Wrong(1, "最后一行应当是“合计”")),
    ],
)
def test_whatever_is_wrong_keeps_everything_out(rows, wrong):
    results, found = read_answer(read_cells(answer(rows)), ASKED)
    assert found == [wrong]
    assert len(results) < 2 or wrong.row > 2


def test_a_heading_that_is_missing_or_there_twice():
    cells = read_cells(as_csv(["流水号", "结果", "结果", "原因"], []))
    assert read_answer(cells, ASKED)[1] == [
        Wrong(1, "表头里“金额（元）”应当有且只有一列"),
        Wrong(1, "表头里“结果”应当有且只有一列"),
    ]


def bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("xl/workbook.xml", b" " * (65 * 1024 * 1024))
    return packed.getvalue()


@pytest.mark.parametrize(
    "content", [b"PK nonsense", b"\xff\xfe\xff\xff", b"a\0b", pytest.param(bomb(), id="bomb")]
)
def test_what_is_no_table_is_refused(content):
    with pytest.raises(Refused, match="BANK_ANSWER_UNREADABLE"):
        read_cells(content)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content):
    try:
        cells = read_cells(content)
    except Refused:
        return
    assert read_answer(cells, ASKED)[0] == []


def test_the_file_out_has_its_totals_and_no_formula():
    evil = Payment("XZ1", "=cmd|'/C calc'!A0", "6222020000000000001", "+银行", 12_345)
    written = as_csv(OUT, rows_out([evil, Payment("XZ2", "张三", "6222", "农行", 1)])).decode()
    assert written.splitlines()[1:] == [
        "1,XZ1,'=cmd|'/C calc'!A0,6222020000000000001,'+银行,123.45,退门诊预交金",
        "2,XZ2,张三,6222,农行,0.01,退门诊预交金",
        "合计,2,,,,123.46,",
    ]


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
def test_a_damaged_xlsx_is_read_or_refused(place, noise):
    content = bytearray(answer([*GOOD, TOTAL], "xlsx"))
    place %= len(content)
    content[place : place + len(noise)] = noise
    try:
        results, wrong = read_answer(read_cells(bytes(content)), ASKED)
    except Refused:
        return
    assert wrong or len(results) == 2
