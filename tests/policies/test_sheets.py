"""What leaves for Excel: texts stay texts, money can be summed, and no cell is a formula."""

import csv
import io
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from policies.sheets import FORMULA_STARTS, harmless, table

HEADER = ["姓名", "证件号码", "余额"]
ROW = ["张*丰", "990101197503090013", Decimal("120.50")]


def read(form: str, content: bytes) -> list[list]:
    if form == "csv":
        return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    sheet = load_workbook(io.BytesIO(content)).active
    return [[cell.value for cell in row] for row in sheet.iter_rows()]


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_a_table_reads_back(form):
    header, row = read(form, table(form, HEADER, iter([ROW])))
    assert header == HEADER
    assert row[:2] == ROW[:2]
    assert Decimal(str(row[2])) == ROW[2]


def test_csv_begins_with_the_mark_that_excel_knows():
    assert table("csv", HEADER, []).startswith("\ufeff".encode())


@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("text", ["=1+1", "+86139", "-2", "@SUM(A1)", "\tx", " =cmd|' /C calc'!A0"])
def test_no_text_is_a_formula(form, text):
    _, (cell,) = read(form, table(form, ["备注"], [[text]]))
    assert cell == f"'{text}"
    if form == "xlsx":
        sheet = load_workbook(io.BytesIO(table(form, ["备注"], [[text]]))).active
        assert sheet["A2"].data_type == "s"


@given(st.text())
def test_a_harmless_text_never_begins_a_formula(text):
    kept = harmless(text)
    assert not kept.lstrip(" ").startswith(FORMULA_STARTS)
    assert kept.removeprefix("'") in (text, text.removeprefix("'"))


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_every_text_that_we_store_can_be_written(text):
    for form in ("csv", "xlsx"):
        assert read(form, table(form, ["备注"], [[text]]))[0] == ["备注"]
