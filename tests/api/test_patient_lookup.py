"""The window and the service desk find a person by identity number or old card."""

from datetime import date

import pytest
from flask import Flask

from tests.api.old_cards import old_card
from tests.people import House, MovedClock

LOOKUPS = "/v1/patient-lookups"
SINCE = date(2024, 5, 1)


@pytest.fixture
def window(house: House):
    return house.staff("CASHIER", kind="DESK", ward="", window="3号窗口")


def test_by_identity_number(house: House, window) -> None:
    patient = house.patient("张小丰")
    account = old_card(house, 5_000, SINCE, patient=patient)
    (found,) = window.post(LOOKUPS, {"id_no": patient.id_no})
    (card,) = found.pop("accounts")
    assert (card["account_id"], card["last_activity_on"]) == (str(account), "2024-05-01")
    assert card["card"].startswith("尾号")
    assert found == {
        "patient_id": str(patient.id),
        "name": "张*丰",
        "born_on": "1975-03-09",
        "has_phone": True,
    }


def test_by_old_card(house: House, window) -> None:
    account = old_card(house, 5_000, SINCE)
    (row,) = house.staff("FINANCE_MAKER", kind="DESK", ward="").get("/v1/prepay/clearance/accounts")
    (found,) = window.post(LOOKUPS, {"card_no": row["card_no"]})
    assert (found["patient_id"], found["has_phone"]) == (row["patient_id"], False)
    assert [each["account_id"] for each in found["accounts"]] == [str(account)]


def test_nobody_is_no_error_and_another_hospitals_people_are_nobody(
    app: Flask, house: House, window, clock: MovedClock
) -> None:
    elsewhere = House(app, house.base_url, clock, None)
    stranger = elsewhere.patient()
    old_card(elsewhere, 5_000, SINCE, patient=stranger)
    assert window.post(LOOKUPS, {"id_no": stranger.id_no}) == []
    assert window.post(LOOKUPS, {"card_no": "K-nowhere"}) == []


@pytest.mark.parametrize("known", [{}, {"id_no": "x", "card_no": "y"}])
def test_one_of_the_two(window, known: dict[str, str]) -> None:
    assert window.try_("POST", LOOKUPS, known).status == 422


def test_a_wrong_number_is_named(window) -> None:
    assert window.try_("POST", LOOKUPS, {"id_no": "99010119750309001"}).code == "ID_NUMBER_INVALID"


def test_every_look_is_audited_without_the_number(house: House, window) -> None:
    patient = house.patient()
    window.post(LOOKUPS, {"id_no": patient.id_no})
    trail = house.staff("AUDITOR", kind="DESK", ward="").get("/v1/audit")
    (look,) = [each for each in trail if each["what"] == "patient looked up"]
    assert (look["subject"], look["facts"]) == (f"patient:{patient.id}", {"by": "identity"})
    assert patient.id_no not in str(trail)
