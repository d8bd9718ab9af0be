"""The census from the command line, by two people with passwords, and its reports over HTTP."""

import csv
from io import BytesIO, StringIO
from pathlib import Path
from uuid import UUID

import pytest
from openpyxl import load_workbook

from journeys import census
from models.db import Session, rows
from models.staff import Staff, StaffRole
from simulator.old_cards import cards
from tests.old_dump import Office
from tests.people import PASSWORD, PASSWORD_HASH

MAPPING = str(Path(__file__).parents[2] / "docs" / "census-mapping.yaml")


@pytest.fixture
def office(house, tmp_path):
    with Session.begin() as db:
        for number, role in (("1001", "FINANCE_MAKER"), ("1002", "FINANCE_CHECKER")):
            staff = Staff(
                hospital_id=house.hospital_id,
                staff_no=number,
                name="王",
                password_hash=PASSWORD_HASH,
            )
            db.add(staff)
            db.flush()
            db.add(StaffRole(hospital_id=house.hospital_id, staff_id=staff.id, role=role))
    return Office(house.hospital_id, tmp_path / "dump")


@pytest.fixture
def run(app, house, office):
    def run(command, staff_no, *more, password=PASSWORD):
        told = ["--hospital", house.code, "--by", staff_no, "--password", password]
        words = ["census", command, *told, "--mapping", MAPPING, *more, str(office.dump)]
        return app.test_cli_runner().invoke(args=words)

    return run


def import_id(result):
    return next(line for line in result.output.splitlines() if line.startswith("import id"))[10:]


def test_two_people_bring_a_dump_in_and_everybody_of_finance_reads_it(house, office, run):
    made_up = list(cards(20, seed=2))
    office.write_cards(made_up)
    checked = run("check", "1001")
    assert checked.exit_code == 0, checked.output
    told = ("--import-id", import_id(checked))
    assert "PERMISSION_MISSING" in run("import", "1001", *told).output
    assert "LOGIN_FAILED" in run("import", "1002", *told, password="wrong").output
    assert office.held() == {}
    released = run("import", "1002", *told)
    assert (released.exit_code, "state IMPORTED" in released.output) == (0, True)
    wanted = {card.number: card.balance_fen for card in made_up if card.balance_fen}
    assert office.held() == wanted

    finance = house.staff("FINANCE_HEAD", kind="DESK", ward="")
    (shown,) = finance.get("/v1/census-imports")
    assert (shown["prepared_by"], shown["released_by"]) == ("staff:1001", "staff:1002")
    assert shown["report"]["totals"]["balance_fen"] == sum(wanted.values())
    assert finance.get(f"/v1/census-imports/{shown['id']}") == shown
    total = finance.get("/v1/prepay/clearance")
    assert (total["accounts"], total["total_fen"]) == (len(wanted), sum(wanted.values()))
    first = finance.get("/v1/prepay/clearance/accounts?limit=2")
    rest = finance.get(f"/v1/prepay/clearance/accounts?after={first[-1]['id']}&limit=500")
    assert {row["card_no"]: row["held_fen"] for row in first + rest} == wanted
    trail = rows(
        "SELECT what, \"by\" FROM audit_entry WHERE hospital_id = :house AND what LIKE 'census%'"
        " ORDER BY no",
        house=house.hospital_id,
    )
    assert [tuple(entry.values()) for entry in trail] == [
        ("census checked", "staff:1001"),
        ("census released", "staff:1002"),
    ]


def test_findings_are_read_by_page_and_leave_as_tables(house, office, run):
    office.write(accounts=[["A", "=1", "", ""], ["B", "5.00", "", ""]])
    checked = run("check", "1001")
    assert checked.exit_code == 1
    assert "stops FORMULA 1" in checked.output
    finance = house.staff("FINANCE_MAKER", kind="DESK", ward="")
    where = f"/v1/census-imports/{import_id(checked)}/findings"
    everything = finance.get(where)
    assert [(each["row"], each["code"]) for each in everything if each["blocks"]] == [
        (2, "FORMULA"),
        (3, "BALANCE_DIFFERS"),
    ]
    assert everything[1]["say"].startswith("这一格是公式，不是数值。")
    paged = finance.get(f"{where}?limit=1") + finance.get(f"{where}?after=1&limit=500")
    assert paged == everything

    answer = finance.try_("GET", f"{where}/export?form=csv")
    lines = list(csv.reader(StringIO(answer.text.removeprefix("\ufeff"))))
    assert lines[0] == ["表", "行", "列", "代码", "处理", "说明", "应为（元）", "文件写的（元）"]
    (differs,) = [line for line in lines if line[3] == "BALANCE_DIFFERS"]
    assert differs[:3] + differs[4:5] + differs[6:] == [
        "accounts",
        "3",
        "balance",
        "必须改正",
        "0",
        "5",
    ]
    book = census.export_findings(office.maker, UUID(import_id(checked)), "xlsx")
    sheet = load_workbook(BytesIO(book)).active
    formulas = [row[:3] for row in sheet.iter_rows(values_only=True) if row[3] == "FORMULA"]
    assert formulas == [("accounts", 2, "balance")]
