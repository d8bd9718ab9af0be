"""A corrected dump of one old system: nothing changes, all is replaced, or differences are told."""

from dataclasses import replace as changed

import pytest

from models import ledger
from models.db import Session, rows
from models.ledger import AccountKind, Line, Take
from models.patient import Patient
from policies.lots import spend_oldest_first
from policies.refusals import Refusal
from simulator.old_cards import cards
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
