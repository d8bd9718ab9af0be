"""A corrected dump of one old system: nothing changes, all is replaced, or differences are told."""

from dataclasses import replace as changed
from datetime import date

import pytest

from models import ledger
from models.binding import WeChatBinding
from models.db import Session, new_id, rows
from models.ledger import AccountKind, Line, Take
from models.patient import Patient
from policies.lots import spend_oldest_first
from policies.refusals import Refusal
from simulator.old_cards import cards, id_number
from tests.old_dump import MAPPING, NOW, an_office


@pytest.fixture
def office(engine, tmp_path):
    return an_office(tmp_path / "dump")


def a_dump(office):
    made_up = list(cards(30, seed=3))
    office.write_cards(made_up)
    return made_up


def transactions(office):
    return office.count("ledger_transaction")


def spend(office, card_no, fen):
    """Somebody pays with an old card here."""
    (account,) = rows(
        "SELECT id FROM prepay_account WHERE hospital_id = :house AND card_no = :card",
        house=office.hospital_id,
        card=card_no,
    )
    owner, kind = str(account["id"]), AccountKind.OUTPATIENT_PREPAY
    with Session.begin() as db:
        lots = ledger.open_lots(db, office.hospital_id, kind, owner)
        ledger.post(
            db,
            hospital_id=office.hospital_id,
            key="visit-1",
            kind="TEST",
            why="visit",
            by="staff:t",
            at=NOW,
            lines=[Line(kind, owner, fen), Line(AccountKind.REVENUE, "", -fen)],
            takes=[Take(lot.id, part, "SPEND") for lot, part in spend_oldest_first(lots, fen)],
        )


def test_the_same_rows_again_change_nothing(office):
    made_up = a_dump(office)
    first = office.imported()
    booked, held = transactions(office), office.held()
    assert office.release(first["id"])["state"] == "IMPORTED"
    office.write_cards(reversed(made_up))
    again = office.release(office.check()["id"])
    assert (again["state"], again["report"]["standing"]) == ("UNCHANGED", "SAME")
    assert (transactions(office), office.held()) == (booked, held)
    assert office.count("old_top_up") == sum(len(card.top_ups) for card in made_up)


def test_a_corrected_dump_takes_the_place_of_one_that_moved_no_money(office):
    made_up = a_dump(office)
    first = office.imported()
    patients = office.count("patient")
    accounts = rows(
        "SELECT id, card_no FROM prepay_account WHERE hospital_id = :house ORDER BY id",
        house=office.hospital_id,
    )
    card = next(card for card in made_up if card.balance_fen > 1_000)
    card.spends.append((700, card.last_used, "西药费"))
    office.write_cards(made_up)
    second = office.imported()
    assert second["report"]["standing"] == "REPLACE"
    assert office.held() == {each.number: each.balance_fen for each in made_up if each.balance_fen}
    assert office.proof() == []
    states = rows("SELECT state FROM census_import WHERE id = :id", id=first["id"])
    assert states == [{"state": "REPLACED"}]
    assert accounts == rows(
        "SELECT id, card_no FROM prepay_account WHERE hospital_id = :house ORDER BY id",
        house=office.hospital_id,
    )
    assert office.count("patient") == patients
    card.spends.pop()
    office.write_cards(made_up)
    with pytest.raises(Refusal, match="CENSUS_NOT_RELEASABLE"):
        office.release(first["id"])


def test_once_money_moved_differences_are_listed_and_nothing_is_applied(office):
    made_up = a_dump(office)
    office.imported()
    rich = [card for card in made_up if card.balance_fen > 1_000]
    spend(office, rich[0].number, 300)
    office.write_cards(made_up)
    assert office.release(office.check()["id"])["state"] == "UNCHANGED"

    rich[1].spends.append((700, rich[1].last_used, "西药费"))
    office.write_cards(made_up)
    held, booked = office.held(), transactions(office)
    refused = office.check()
    assert (refused["state"], refused["report"]["standing"]) == ("REFUSED", "MOVED")
    (found,) = [f for f in office.findings(refused["id"]) if f[3] == "CHANGED_AFTER_MONEY_MOVED"]
    assert found[:3] == ("accounts", made_up.index(rich[1]) + 2, "card_no")
    with pytest.raises(Refusal, match="CENSUS_NOT_RELEASABLE"):
        office.release(refused["id"])
    assert (office.held(), transactions(office)) == (held, booked)


def test_a_card_of_another_old_system_is_not_taken_over(office):
    a_dump(office)
    office.imported()
    other = MAPPING.replace("source: 门诊一卡通", "source: 体检卡")
    refused = office.check(other)
    assert refused["state"] == "REFUSED"
    assert refused["report"]["findings"]["CARD_ALREADY_HERE"] == 30
    assert refused["report"]["findings"]["CHANNEL_TRANSACTION_KNOWN"] > 0


def test_a_corrected_name_of_a_card_without_identity_stays_the_same_patient(office):
    made_up = a_dump(office)
    nameless = next(card for card in made_up if not card.holder[1])
    office.imported()
    query = "SELECT patient_id FROM prepay_account WHERE hospital_id = :house AND card_no = :card"
    told = {"house": office.hospital_id, "card": nameless.number}
    (before,) = rows(query, **told)
    nameless.holder = ["赵更正", "", "19911112222", *nameless.holder[3:]]
    office.write_cards(
        changed(card, holder=nameless.holder) if card.number == nameless.number else card
        for card in made_up
    )
    assert office.imported()["report"]["standing"] == "REPLACE"
    assert rows(query, **told) == [before]
    with Session() as db:
        patient = db.get_one(Patient, before["patient_id"])
        assert (patient.name, patient.phone) == ("赵更正", "19911112222")


ANNA = id_number(1, date(1950, 3, 9))


def two_cards(office, *names, money="50.00"):
    """Anna's two cards as a dump names her."""
    numbers = ("A", "B")
    office.write(
        accounts=[[number, money, "2023-01-05", "2024-12-20"] for number in numbers],
        holders=[
            [number, name, ANNA, phone, "", ""]
            for number, name, phone in zip(numbers, names, ("", "19900000001"), strict=True)
        ],
        top_ups=[
            [f"T{number}", number, money, "2023-01-05 09:00:00", "现金", ""] for number in numbers
        ],
    )


def holders(office):
    """Card -> its patient's id, name and phone."""
    query = "SELECT card_no, patient_id FROM prepay_account WHERE hospital_id = :h ORDER BY card_no"
    with Session() as db:
        return {
            row["card_no"]: (found.id, found.name, found.phone)
            for row in rows(query, h=office.hospital_id)
            for found in [db.get_one(Patient, row["patient_id"])]
        }


def tasks(office):
    return rows("SELECT kind, subject FROM work_item WHERE hospital_id = :h", h=office.hospital_id)


def test_the_wrong_name_of_a_good_number_is_corrected(office):
    two_cards(office, "张小风", "张小风")
    office.imported()
    anna = holders(office)["A"][0]
    two_cards(office, "张小丰", "张小丰")
    shown = office.imported()
    assert "NAME_DIFFERS" not in shown["report"]["findings"]
    assert holders(office) == dict.fromkeys("AB", (anna, "张小丰", "19900000001"))
    assert (office.count("patient"), office.proof()) == (1, [])
    two_cards(office, "张小丰", "张小丰")
    assert office.release(office.check()["id"])["state"] == "UNCHANGED"


def test_two_names_of_one_number_are_not_a_correction(office):
    two_cards(office, "张小风", "张小风")
    office.imported()
    anna = holders(office)["A"][0]
    two_cards(office, "张小风", "张小丰")
    assert office.imported()["report"]["findings"]["NAME_DIFFERS"] == 1
    found = holders(office)
    assert found["A"][:2] == (anna, "张小风")
    assert found["B"][0] != anna


@pytest.mark.parametrize("known", ["bound", "reported"])
def test_whom_somebody_else_knows_by_the_name_keeps_it(office, known):
    """The phone proved that name, or the HIS says it: a person finds out who is right."""
    two_cards(office, "张小风", "张小风")
    office.imported()
    anna = holders(office)["A"][0]
    with Session.begin() as db:
        if known == "bound":
            account = {"hospital_id": office.hospital_id, "appid": "wx1", "openid": "o-anna"}
            db.add(WeChatBinding(id=new_id(), patient_id=anna, bound_at=NOW, **account))
        else:
            db.get_one(Patient, anna).his_patient_no = "P1"
    two_cards(office, "张小丰", "张小丰")
    assert office.imported()["report"]["findings"]["NAME_DIFFERS"] == 2
    with Session() as db:
        assert db.get_one(Patient, anna).name == "张小风"


def test_once_money_moved_a_name_is_a_persons_work(office):
    two_cards(office, "张小风", "张小风")
    office.imported()
    spend(office, "A", 300)
    before = holders(office)
    two_cards(office, "张小丰", "张小丰")
    refused = office.check()
    assert (refused["state"], refused["report"]["standing"]) == ("REFUSED", "MOVED")
    assert holders(office) == before
    subject = f"census:{refused['id']}"
    assert tasks(office) == [{"kind": "CENSUS_CHANGED_AFTER_MONEY", "subject": subject}]
