"""Finance clears accounts without being asked, and one confirmation reaches every hospital of a
consortium (GZ-7, rank 2)."""

import pytest

from models.db import rows
from tests.clearance import PREPAY, TURNED_OVER, Office, card, held, in_transit, turned_over, twin
from tests.models.stored_money import findings
from tests.people import House

KEY = "batch-2026-01"


@pytest.fixture
def office(house: House) -> Office:
    return Office(house)


def batch(office: Office, *accounts: str, key: str = KEY, reason: str = "年底清退"):
    wish = {"account_ids": list(accounts), "reason": reason}
    return office.maker.try_("POST", "/v1/refund-batches", wish, key=key)


def test_what_goes_back_by_itself_needs_no_application(house, office):
    young, old, empty = (
        card(house, house.patient(), 12_050, "WECHAT", days=20),
        card(house, house.patient(), 5_000, "WECHAT", days=500),
        card(house, house.patient(), 3_000, "WECHAT", days=20),
    )
    (gone,) = batch(office, empty, key="batch-0001").body
    office.take(office.checker, {"id": gone["request_id"]}, "review")
    lines = batch(office, young, old, empty).body
    assert [line["account_id"] for line in lines] == [young, old, empty]
    assert [line["refused"] for line in lines] == ["", "NEEDS_APPLICATION", "NO_BALANCE_TO_REFUND"]
    assert [held(house, each) for each in (young, old)] == [0, 5_000]
    request = office.look({"id": lines[0]["request_id"]})
    assert (request["asker"], request["state"], request["amount_fen"]) == (
        "HOSPITAL",
        "ACCEPTED",
        12_050,
    )
    assert batch(office, young, old, empty).body == lines
    other = batch(office, young, reason="另一个原因").body
    assert [line["refused"] for line in other] == ["IDEMPOTENCY_CONFLICT"]
    assert office.step(office.maker, request, "review").code == "SAME_PERSON_FORBIDDEN"
    assert findings(house.hospital_id) == []


def test_cash_is_not_sent_to_nobody(house, office):
    """The window cannot hand over what nobody comes for."""
    account = card(house, house.patient(), 12_050)
    assert [line["refused"] for line in batch(office, account).body] == ["NEEDS_APPLICATION"]
    assert held(house, account) == 12_050


def test_another_hospital_s_account_does_not_exist(app, house, office):
    elsewhere = House(app, house.base_url, house.now, house.simulator)
    account = card(elsewhere, elsewhere.patient(), 12_050, "WECHAT", days=20)
    assert [line["refused"] for line in batch(office, account).body] == ["PREPAY_ACCOUNT_UNKNOWN"]
    assert held(elsewhere, account) == 12_050


@pytest.fixture
def consortium(app, house: House) -> list[House]:
    """Three hospitals of one consortium, and one that only shares the database."""
    houses = [house, *(House(app, house.base_url, house.now, house.simulator) for _ in range(3))]
    for each in houses[:3]:
        Office(each).decide("consortium", f"示范医联体-{house.code}")
    return houses


def test_three_hospitals_and_the_treasury_with_one_confirmation(consortium, office):
    """Rank 2: 12.00, 85.50 and 1,002.30 yuan, and 9.90 turned over: four requests."""
    first, second, third, stranger = consortium
    phone, patient = first.patient_phone()
    there = [twin(house, patient) for house in (second, third, stranger)]
    card(first, patient, 1_200)
    card(second, there[0], 8_550)
    far = card(third, there[1], 100_230)
    turned_over(third, there[1], 990)
    other = card(stranger, there[2], 7_777)
    money = phone.get(f"/v1/patients/{patient.id}/my-money")
    assert money["total_fen"] == 110_970
    asked = office.try_(phone, patient, key="all-of-it")
    assert asked.status == 200, asked.text
    assert sorted(request["amount_fen"] for request in asked.body) == [990, 1_200, 8_550, 100_230]
    assert office.try_(phone, patient, key="all-of-it").body == asked.body
    assert [held(third, far), held(stranger, other)] == [0, 7_777]
    homes = rows(
        "SELECT hospital_id FROM refund_request WHERE client_key LIKE 'all-of-it:%'"
        " ORDER BY hospital_id"
    )
    assert [row["hospital_id"] for row in homes] == sorted(
        [first.hospital_id, second.hospital_id, third.hospital_id, third.hospital_id]
    )
    for request in asked.body:
        assert phone.get(f"/v1/refund-requests/{request['id']}")["id"] == request["id"]
    far_away = next(request for request in asked.body if request["amount_fen"] == 100_230)
    assert office.step(office.checker, far_away, "review").code == "REFUND_REQUEST_UNKNOWN"
    theirs = Office(third)
    assert theirs.take(theirs.maker, far_away, "review")["state"] == "REVIEWED"
    assert theirs.take(phone, far_away, "withdraw")["state"] == "WITHDRAWN"
    assert (held(third, far), in_transit(third, far_away)) == (100_230, 0)
    assert [findings(house.hospital_id) for house in consortium] == [[], [], [], []]


def test_the_window_asks_for_another_hospital_of_the_consortium_too(consortium, office):
    first, second, *_ = consortium
    patient = first.patient()
    account = card(second, twin(second, patient), 8_550)
    (request,) = office.try_(office.cashier, patient).body
    assert held(second, account) == 0
    theirs = Office(second)
    for step, who in (("review", theirs.maker), ("confirm", theirs.checker)):
        theirs.take(who, request, step)
    assert office.cashier.get(f"/v1/refund-requests/{request['id']}")["state"] == "CONFIRMED"
    theirs.hand_over(request)
    assert theirs.look(request)["state"] == "PAID"


def test_another_name_under_the_same_number_is_not_the_same_person(house, office):
    phone, patient = house.patient_phone()
    mine = card(house, patient, 1_000)
    wrong = card(house, twin(house, patient, name="王大力"), 2_000)
    assert phone.get(f"/v1/patients/{patient.id}/my-money")["total_fen"] == 1_000
    for account, kind in ((wrong, PREPAY), (mine, TURNED_OVER)):
        part = {"account_id": account, "kind": kind, "amount_fen": 1}
        no = office.try_(phone, patient, parts=[part])
        assert no.code == (
            "PREPAY_ACCOUNT_UNKNOWN" if account == wrong else "AMOUNT_EXCEEDS_TURNED_OVER"
        )
    assert office.ask(phone, patient)["amount_fen"] == 1_000
    assert office.try_(phone, patient).code == "NO_BALANCE_TO_REFUND"
    assert held(house, wrong) == 2_000
