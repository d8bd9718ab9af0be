"""A dump of old cards: looked at by one person, released by another, whole or not at all (GZ-7)."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from journeys import census, clearance
from models.db import rows
from policies.refusals import Refusal
from simulator.old_cards import cards, id_number
from tests.old_dump import MAPPING, NOW, an_office

ANNA, BOB = id_number(1, date(1950, 3, 9)), id_number(2, date(1980, 5, 1))


@pytest.fixture
def office(engine, tmp_path):
    return an_office(tmp_path / "dump")


def three_accounts(office):
    office.write(
        accounts=[
            ["A", "120.50", "2023-01-05", "2024-12-20"],
            ["B", "0.80", "2022-02-03", ""],
            ["C", "0.00", "2021-01-01", ""],
        ],
        holders=[
            ["A", "张小丰", ANNA, "19900000001", "", "女"],
            ["B", "李示范", BOB, "", "", ""],
            ["C", "王一", "", "19900000003", "1990-01-01", "男"],
        ],
        top_ups=[
            ["T1", "A", "100.00", "2023-01-05 09:00:00", "微信", "4200001"],
            ["T2", "A", "200.00", "2024-11-30 10:30:00", "微信", "4200002"],
            ["T3", "B", "50.00", "2022-02-03 08:00:00", "现金", ""],
            ["T4", "C", "10.00", "2021-01-01 08:00:00", "现金", ""],
        ],
        spends=[
            ["A", "130.00", "2024-12-01 11:00:00", "西药费"],
            ["B", "49.20", "2022-02-03 09:00:00", "挂号费"],
            ["C", "10.00", "2021-01-02 09:00:00", "挂号费"],
        ],
        refunds=[["A", "49.50", "2024-12-20 09:30:00", "T2"]],
    )


@pytest.mark.clause("GZ-7", "T1")
def test_the_ledger_has_each_account_with_money_by_channel_and_contact(office):
    three_accounts(office)
    checked = office.check()
    assert (checked["state"], checked["report"]["findings"]) == ("CHECKED", {})
    assert (office.count("prepay_account"), office.count("patient")) == (0, 0)

    released = office.release(checked["id"])
    assert released["state"] == "IMPORTED"
    assert clearance.clearance_total(office.checker) == {
        "accounts": 2,
        "total_fen": 12_130,
        "no_contact": 1,
        "by_channel": [
            {"channel": "CASH", "accounts": 1, "fen": 80},
            {"channel": "WECHAT", "accounts": 1, "fen": 12_050},
        ],
    }
    listed = clearance.clearance_rows(office.checker, None, 10)
    assert [(row["card_no"], row["held_fen"], row["has_phone"]) for row in listed] == [
        ("A", 12_050, True),
        ("B", 80, False),
    ]
    assert listed[0]["by_channel"] == [{"channel": "WECHAT", "fen": 12_050}]
    assert office.proof() == []
    totals = released["report"]["totals"]
    assert totals["by_age"] == [
        {"name": "18-59", "accounts": 1, "fen": 80},
        {"name": "70-79", "accounts": 1, "fen": 12_050},
    ]
    assert totals["by_contact"] == [
        {"name": "MOBILE", "accounts": 1, "fen": 12_050},
        {"name": "NONE", "accounts": 1, "fen": 80},
    ]


def test_spends_take_the_oldest_top_up_and_refunds_their_own(office):
    three_accounts(office)
    office.imported()
    assert office.lots("A") == [
        {
            "channel": "WECHAT",
            "channel_transaction": "4200002",
            "paid_at": datetime(2024, 11, 30, 2, 30, tzinfo=UTC),
            "amount_fen": 12_050,
            "paid_fen": 20_000,
            "parts": 1,
            "last_refund_at": datetime(2024, 12, 20, 1, 30, tzinfo=UTC),
            "left_fen": 12_050,
        }
    ]
    assert [(lot["channel"], lot["amount_fen"], lot["paid_fen"]) for lot in office.lots("B")] == [
        ("CASH", 80, 5_000)
    ]
    assert office.lots("C") == []


def test_what_the_old_system_said_stays(office):
    three_accounts(office)
    office.imported()
    assert (office.count("old_top_up"), office.count("old_spend"), office.count("old_refund")) == (
        4,
        3,
        1,
    )
    used = rows(
        "SELECT card_no, last_activity_on::text FROM prepay_account WHERE hospital_id = :house"
        " ORDER BY card_no",
        house=office.hospital_id,
    )
    assert [tuple(row.values()) for row in used] == [
        ("A", "2024-12-20"),
        ("B", "2022-02-03"),
        ("C", "2021-01-02"),
    ]


def test_who_checked_does_not_release(office):
    three_accounts(office)
    made = office.check()["id"]
    both = replace(office.checker, name=office.maker.name)
    for actor, no in ((both, "SAME_PERSON_FORBIDDEN"), (office.maker, "PERMISSION_MISSING")):
        with pytest.raises(Refusal, match=no):
            census.release_dump(actor, made, office.dump, MAPPING, lambda: NOW, lambda *_: None)
    assert office.count("prepay_account") == 0


def test_released_files_are_the_checked_files(office):
    three_accounts(office)
    made = office.check()["id"]
    with (office.dump / "accounts.csv").open("a") as file:
        file.write("D,0.00,2021-01-01,\n")
    with pytest.raises(Refusal, match="CENSUS_FILES_CHANGED"):
        office.release(made)
    assert office.count("prepay_account") == 0


def test_a_made_up_dump_goes_in_to_the_fen(office):
    made_up = list(cards(300, seed=7))
    office.write_cards(made_up)
    shown = office.imported()
    wanted = {card.number: card.balance_fen for card in made_up if card.balance_fen}
    assert office.held() == wanted
    assert shown["report"]["totals"]["balance_fen"] == sum(wanted.values())
    assert office.proof() == []
