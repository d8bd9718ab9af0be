"""Whatever a file looks like: it is read as meant, or each row that cannot be is named, and why."""

import csv
from datetime import date, datetime
from io import StringIO

import pytest
from openpyxl import Workbook

from journeys.census_formats import encoding_of
from policies.refusals import Refusal
from simulator.old_cards import TABLES, cards, id_number, rows_of
from tests.old_dump import MAPPING, an_office

ANNA = id_number(1, date(1950, 3, 9))
GOOD = {
    "accounts": [["A", "10.00", "2023-01-05", ""]],
    "holders": [["A", "张小丰", ANNA, "19900000001", "", "女"]],
    "top_ups": [["T1", "A", "10.00", "2023-01-05 09:00:00", "现金", ""]],
}


@pytest.fixture
def office(engine, tmp_path):
    return an_office(tmp_path / "dump")


def rewrite(office, table, encoding, *, spoil=lambda text: text):
    path = office.dump / f"{table}.csv"
    path.write_bytes(spoil(path.read_text("utf8")).encode(encoding))


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16", "utf-16-le-bom"]
)
def test_every_usual_encoding_is_found_out(office, encoding):
    office.write_cards(cards(40, seed=5))
    for table in TABLES:
        if encoding == "utf-16-le-bom":
            path = office.dump / f"{table}.csv"
            path.write_bytes(b"\xff\xfe" + path.read_text("utf8").encode("utf-16-le"))
        else:
            rewrite(office, table, encoding)
    office.imported()
    assert office.held() == {c.number: c.balance_fen for c in cards(40, seed=5) if c.balance_fen}


def test_a_few_broken_bytes_cost_their_rows_only(office):
    office.write(**GOOD)
    path = office.dump / "holders.csv"
    path.write_bytes(path.read_bytes() + "B,李\n".encode().replace("李".encode(), b"\xe6\x9d"))
    assert encoding_of(path) == "utf-8"
    refused = office.check()
    assert ("holders", 3, "", "CELLS_DIFFER") in office.findings(refused["id"])
    path.write_bytes(path.read_bytes().replace(b"B,\xe6\x9d\n", b"A,\xe6\x9d,,,,\n"))
    assert ("holders", 3, "name", "TEXT_UNREADABLE") in office.findings(office.check()["id"])


BAD_CELLS = [
    ("accounts", ["", "1.00", "", ""], "card_no", "CELL_EMPTY"),
    ("accounts", ["1.23E+17", "0.00", "", ""], "card_no", "NUMBER_MANGLED"),
    ("accounts", ["=A2", "0.00", "", ""], "card_no", "FORMULA"),
    ("accounts", ["B", "=SUM(B2:B3)", "", ""], "balance", "FORMULA"),
    ("accounts", ["B", "", "", ""], "balance", "CELL_EMPTY"),
    ("accounts", ["B", "1.2.3", "", ""], "balance", "AMOUNT_UNREADABLE"),
    ("accounts", ["B", "1.005", "", ""], "balance", "AMOUNT_NOT_WHOLE_FEN"),
    ("accounts", ["B", "1.2E+03", "", ""], "balance", "NUMBER_MANGLED"),
    ("accounts", ["B", "-3.00", "", ""], "balance", "BALANCE_NEGATIVE"),
    ("accounts", ["B", "3.00", "", ""], "balance", "BALANCE_DIFFERS"),
    ("accounts", ["A", "10.00", "", ""], "card_no", "CARD_TWICE"),
    ("accounts", ["B", "0.00", "2023-02-30", ""], "opened_on", "DATE_UNREADABLE"),
    ("accounts", ["B", "0.00", "", "45678"], "last_activity_on", "DATE_IS_SERIAL"),
    ("accounts", ["B", "0.00", "2025-07-02", ""], "opened_on", "DATE_IN_FUTURE"),
    ("accounts", ["B", "0.00", ""], "", "CELLS_DIFFER"),
    ("accounts", ["B", "0.00", "", "", "more"], "", "CELLS_DIFFER"),
    ("accounts", ["B\x07", "0.00", "", ""], "card_no", "TEXT_UNREADABLE"),
    ("accounts", ["B\x00", "0.00", "", ""], "card_no", "TEXT_UNREADABLE"),
    ("holders", ["A", "张小丰", ANNA, "", "", ""], "card_no", "HOLDER_TWICE"),
    ("holders", ["B", "李", "", "", "", ""], "card_no", "WITHOUT_ACCOUNT"),
    ("holders", ["B", "李", "9.90101E+17", "", "", ""], "id_no", "NUMBER_MANGLED"),
    ("holders", ["B", "李", "990101197503090000", "", "", ""], "id_no", "NUMBER_MANGLED"),
    ("holders", ["B", "李", "990101197502300011", "", "", ""], "id_no", "IDENTITY_INVALID"),
    ("holders", ["B", "李", "990101750309001", "", "", ""], "id_no", "IDENTITY_OLD_FORM"),
    ("holders", ["B", "李", "", "12345", "", ""], "phone", "PHONE_UNREADABLE"),
    ("holders", ["B", "李", "", "", "19751340", ""], "born_on", "BIRTHDAY_UNREADABLE"),
    (
        "top_ups",
        ["T2", "X", "1.00", "2023-01-05 09:00:00", "现金", ""],
        "card_no",
        "WITHOUT_ACCOUNT",
    ),
    (
        "top_ups",
        ["T1", "A", "0.00", "2023-01-05 09:00:00", "现金", ""],
        "top_up_no",
        "TOP_UP_TWICE",
    ),
    (
        "top_ups",
        ["T2", "A", "-1.00", "2023-01-05 09:00:00", "现金", ""],
        "amount",
        "AMOUNT_NEGATIVE",
    ),
    ("top_ups", ["T2", "A", "1.00", "45678.5", "现金", ""], "at", "DATE_IS_SERIAL"),
    ("top_ups", ["T2", "A", "1.00", "昨天", "现金", ""], "at", "DATE_UNREADABLE"),
    ("top_ups", ["T2", "A", "1.00", "2023-01-05 25:00:00", "现金", ""], "at", "DATE_UNREADABLE"),
    (
        "top_ups",
        ["T2", "A", "1.00", "2023-01-05 09:00:00", "贝壳", ""],
        "channel",
        "CHANNEL_UNKNOWN",
    ),
    (
        "top_ups",
        ["T2", "A", "1.00", "2023-01-05 09:00:00", "微信", ""],
        "channel_transaction",
        "CHANNEL_TRANSACTION_MISSING",
    ),
    ("refunds", ["A", "1.00", "2023-01-06 09:00:00", "T9"], "top_up_no", "REFUND_TOP_UP_UNKNOWN"),
    ("refunds", ["A", "1.00", "", "T1"], "at", "CELL_EMPTY"),
    ("spends", ["A", "1.00", "2025-07-02", ""], "at", "DATE_IN_FUTURE"),
]


@pytest.mark.parametrize(("table", "row", "field", "code"), BAD_CELLS)
def test_each_bad_cell_is_named_with_its_reason(office, table, row, field, code):
    office.write(**GOOD | {table: [*GOOD.get(table, []), row]})
    found = office.findings(office.check()["id"])
    line = len(GOOD.get(table, [])) + 2
    assert (table, line, field, code) in found


def test_the_first_of_two_same_payments_is_kept_and_the_second_named(office):
    paid = ["2023-01-05 09:00:00", "微信", "4200001"]
    office.write(**GOOD | {"top_ups": [["T1", "A", "5.00", *paid], ["T2", "A", "5.00", *paid]]})
    found = office.findings(office.check()["id"])
    assert found == [("top_ups", 3, "channel_transaction", "CHANNEL_TRANSACTION_TWICE")]


def test_a_refund_of_more_than_the_top_up_or_of_another_card_is_named(office):
    office.write(
        accounts=[["A", "10.00", "", ""], ["B", "0.00", "", ""]],
        holders=GOOD["holders"],
        top_ups=GOOD["top_ups"],
        refunds=[
            ["A", "11.00", "2023-01-06 09:00:00", "T1"],
            ["B", "1.00", "2023-01-06 09:00:00", "T1"],
        ],
    )
    found = office.findings(office.check()["id"])
    assert ("top_ups", 2, "amount", "REFUNDED_TOO_MUCH") in found
    assert ("refunds", 3, "top_up_no", "REFUND_OF_OTHER_CARD") in found


def test_headings_that_are_missing_or_twice_stop_the_file(office):
    office.write(**GOOD)
    rewrite(office, "accounts", "utf-8", spoil=lambda text: text.replace("开户日期", "余额"))
    rewrite(office, "top_ups", "utf-8", spoil=lambda text: text.replace("金额", "数额"))
    refused = office.check()
    assert refused["state"] == "REFUSED"
    found = office.findings(refused["id"])
    assert {
        ("accounts", 1, "balance", "HEADING_TWICE"),
        ("accounts", 1, "opened_on", "HEADING_MISSING"),
        ("top_ups", 1, "amount", "HEADING_MISSING"),
    } <= set(found)


def test_a_quote_that_is_never_closed_costs_no_crash(office):
    office.write(**GOOD)
    rewrite(office, "accounts", "utf-8", spoil=lambda text: text + 'B,"0.00,,\nC,0.00,,\n')
    refused = office.check()
    assert refused["state"] == "REFUSED"
    assert ("accounts", 4, "", "CELLS_DIFFER") in office.findings(refused["id"])


def test_wrapped_and_full_width_cells_are_understood(office):
    office.write(
        accounts=[['="A"', "￥1,210.00", "2023年1月5日", "2023/1/6"]],
        holders=[["'A", " 张 小丰 ", f" {ANNA}", "199 0000-0001", "", "女"]],
        top_ups=[["T1", "Ａ".translate({0xFF21: "A"}), "１２１０", "20230105090000", "现金", ""]],
    )
    office.imported()
    assert office.held() == {"A": 121_000}


def test_ten_in_a_hundred_broken_rows_are_all_named_and_nothing_comes_in(office):
    made_up = list(cards(200, seed=11))
    office.write_cards(made_up)
    lines = list(csv.reader(StringIO((office.dump / "top_ups.csv").read_text("utf8"))))
    broken = range(1, len(lines), 10)
    for line in broken:
        lines[line][2] = "N/A"
    with (office.dump / "top_ups.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    refused = office.check()
    assert refused["report"]["findings"]["AMOUNT_UNREADABLE"] == len(broken)
    named = [each[1] for each in office.findings(refused["id"]) if each[3] == "AMOUNT_UNREADABLE"]
    assert named == [line + 1 for line in broken]
    with pytest.raises(Refusal, match="CENSUS_NOT_RELEASABLE"):
        office.release(refused["id"])
    assert [office.count(table) for table in ("patient", "prepay_account", "old_top_up")] == [0] * 3


def workbook(path, tables):
    book = Workbook()
    book.remove(book.active)
    for name, headings in TABLES.items():
        sheet = book.create_sheet(name)
        for row in [headings, *tables.get(name, [])]:
            sheet.append(row)
    book.save(path)


def sheets(mapping=MAPPING):
    for name in TABLES:
        mapping = mapping.replace(f"file: {name}.csv", f"sheet: {name}")
    return mapping


def test_a_workbook_with_a_sheet_a_table_says_the_same(office):
    made_up = list(cards(60, seed=9))
    tables = {name: [] for name in TABLES}
    for card in made_up:
        for name, row in rows_of(card):
            tables[name].append(row)
    for row in tables["accounts"]:
        row[1:] = [float(row[1]), date.fromisoformat(row[2]), date.fromisoformat(row[3])]
    for row in tables["top_ups"]:
        row[2:4] = [float(row[2]), datetime.fromisoformat(row[3])]
    office.dump = office.dump.with_suffix(".xlsx")
    workbook(office.dump, tables)
    shown = office.release(office.check(sheets())["id"], sheets())
    assert shown["state"] == "IMPORTED"
    assert office.held() == {card.number: card.balance_fen for card in made_up if card.balance_fen}


def test_what_excel_did_to_numbers_is_named(office):
    office.dump = office.dump.with_suffix(".xlsx")
    workbook(
        office.dump,
        {
            "accounts": [["A", "=1+1", None, None], [6222021234567890123, 0, None, None]],
            "holders": [["A", "张小丰", int(ANNA[:17] + "0"), None, None, None]],
            "top_ups": [["T1", "A", 10.005, 45678, "现金", None]],
        },
    )
    found = set(office.findings(office.check(sheets())["id"]))
    assert found >= {
        ("accounts", 2, "balance", "FORMULA"),
        ("accounts", 3, "card_no", "NUMBER_MANGLED"),
        ("holders", 2, "id_no", "NUMBER_MANGLED"),
        ("top_ups", 2, "amount", "AMOUNT_NOT_WHOLE_FEN"),
        ("top_ups", 2, "at", "DATE_IS_SERIAL"),
    }


def test_what_is_no_workbook_or_has_no_such_sheet_is_refused(office):
    office.dump = office.dump.with_suffix(".xlsx")
    office.dump.write_bytes(b"PK no")
    with pytest.raises(Refusal, match="CENSUS_FILE_UNREADABLE"):
        office.check(sheets())
    workbook(office.dump, {})
    with pytest.raises(Refusal, match="CENSUS_FILE_MISSING"):
        office.check(sheets().replace("sheet: refunds", "sheet: elsewhere"))


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("source: 门诊一卡通", "source:", "source"),
        ("card_no: 卡号, balance", "kard: 卡号, balance", "tables.accounts.columns.kard"),
        ("top_up_no: 流水号, ", "", "tables.top_ups.columns.top_up_no"),
        ("微信: WECHAT", "微信: WEIXIN", "channels.微信"),
        ("file: spends.csv", "file: ../spends.csv", "tables.spends.file"),
        ("source: 门诊一卡通", "{{", "YAML"),
    ],
)
def test_a_wrong_mapping_names_its_place(office, old, new, place):
    office.write(**GOOD)
    with pytest.raises(Refusal, match="CENSUS_MAPPING_INVALID") as no:
        office.check(MAPPING.replace(old, new))
    assert no.value.facts == {"place": place}
