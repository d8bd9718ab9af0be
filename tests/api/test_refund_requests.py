"""Requests for stored money over HTTP, from acceptance to payment (GZ-7 T3 to T6, T8, T9)."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from models.db import rows
from models.ledger import AccountKind
from tests import clearance
from tests.clearance import (
    PREPAY,
    TURNED_OVER,
    Office,
    bank_card,
    card,
    held,
    in_transit,
    turned_over,
)
from tests.models.stored_money import balance, findings
from tests.people import House

A_FEN = 12_050


@pytest.fixture
def office(house: House) -> Office:
    return Office(house)


def states(request) -> list[str]:
    return [step["state"] for step in request["steps"]]


@pytest.mark.clause("GZ-7", "T3")
def test_the_holder_asks_on_the_phone_and_three_steps_later_is_paid(house, office):
    phone, patient = house.patient_phone()
    account = card(house, patient, A_FEN)
    request = office.ask(phone, patient)
    assert (request["state"], request["amount_fen"]) == ("ACCEPTED", A_FEN)
    assert (held(house, account), in_transit(house, request)) == (0, A_FEN)
    assert office.take(office.maker, request, "review")["state"] == "REVIEWED"
    assert office.take(office.checker, request, "confirm")["state"] == "CONFIRMED"
    office.hand_over(request)
    paid = office.look(request)
    assert paid["state"] == "PAID"
    assert states(paid) == ["ACCEPTED", "REVIEWED", "CONFIRMED", "PAYING", "PAID"]
    assert [step["reason"] for step in paid["steps"][1:3]] == ["看过了", "看过了"]
    assert len({step["by"] for step in paid["steps"][:3]}) == 3
    assert (held(house, account), in_transit(house, request)) == (0, 0)
    assert findings(house.hospital_id) == []


@pytest.mark.clause("GZ-7", "T3")
def test_who_accepts_does_not_review_and_who_reviews_does_not_confirm(house, office):
    patient = house.patient()
    card(house, patient, A_FEN)
    everything = house.staff("CASHIER", "FINANCE_CHECKER", kind="DESK", ward="", window="3")
    request = office.ask(everything, patient)
    for step in ("review", "confirm", "reject"):
        no = office.step(everything, request, step)
        assert (no.status, no.code, no.body["clause"]) == (422, "SAME_PERSON_FORBIDDEN", "GZ-7")
    assert office.take(office.checker, request, "review")["state"] == "REVIEWED"
    assert office.take(office.checker, request, "review")["state"] == "REVIEWED"
    assert office.step(office.checker, request, "confirm").code == "SAME_PERSON_FORBIDDEN"
    assert office.step(office.maker, request, "confirm").code == "PERMISSION_MISSING"
    assert office.look(request)["state"] == "REVIEWED"
    confirmed = office.take(office.head, request, "confirm")
    assert office.take(office.head, request, "confirm") == confirmed
    assert confirmed["state"] == "CONFIRMED"


def test_the_refund_of_a_request_is_not_approved_behind_its_back(house, office):
    patient = house.patient()
    card(house, patient, A_FEN)
    request = office.ask(office.cashier, patient)
    (item,) = request["items"]
    for approve in (True, False):
        path = f"/v1/refunds/{item['refund_id']}/check"
        no = office.checker.try_("POST", path, {"approve": approve})
        assert (no.status, no.code) == (422, "REFUND_OF_A_REQUEST")
    assert in_transit(house, request) == A_FEN


@pytest.mark.clause("GZ-7", "T4")
@pytest.mark.parametrize("same_key", [False, True])
def test_of_two_requests_at_once_one_is_accepted(house, office, same_key):
    phone, patient = house.patient_phone()
    account = card(house, patient, A_FEN)
    start = Barrier(4)

    def press(number):
        start.wait()
        part = {"account_id": account, "kind": PREPAY, "amount_fen": A_FEN}
        key = "pressed-again" if same_key else f"pressed-{number:04d}"
        return office.try_(phone, patient, key=key, parts=[part])

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(press, range(4)))
    accepted = [answer for answer in answers if answer.status == 200]
    assert len(accepted) == (4 if same_key else 1)
    assert len({answer.body[0]["id"] for answer in accepted}) == 1
    refused = {answer.code for answer in answers if answer.status != 200}
    assert refused == (set() if same_key else {"AMOUNT_EXCEEDS_BALANCE"})
    assert (held(house, account), in_transit(house, accepted[0].body[0])) == (0, A_FEN)
    assert findings(house.hospital_id) == []


def test_the_same_key_with_another_wish_is_a_conflict(house, office):
    phone, patient = house.patient_phone()
    account = card(house, patient, A_FEN)
    part = {"account_id": account, "kind": PREPAY, "amount_fen": 50}
    once = office.ask(phone, patient, key="wish-0001", parts=[part])
    assert office.ask(phone, patient, key="wish-0001", parts=[part]) == once
    no = office.try_(phone, patient, key="wish-0001", parts=[part | {"amount_fen": 51}])
    assert (no.status, no.code) == (409, "IDEMPOTENCY_CONFLICT")
    assert office.try_(phone, patient, key="wish-0001").code == "IDEMPOTENCY_CONFLICT"
    assert held(house, account) == A_FEN - 50


@pytest.mark.clause("GZ-7", "T5")
def test_no_more_than_the_balance(house, office):
    phone, patient = house.patient_phone()
    account = card(house, patient, A_FEN)
    part = {"account_id": account, "kind": PREPAY, "amount_fen": 12_100}
    no = office.try_(phone, patient, parts=[part])
    assert (no.status, no.code, no.body["clause"]) == (422, "AMOUNT_EXCEEDS_BALANCE", "GZ-7")
    assert "120.50" in no.body["detail"]
    assert held(house, account) == A_FEN
    assert rows("SELECT 1 FROM refund_request WHERE hospital_id = :h", h=house.hospital_id) == []


@pytest.mark.clause("GZ-8.3", "T2")
def test_no_more_than_was_turned_over(house, office):
    phone, patient = house.patient_phone()
    account = turned_over(house, patient, 6_230)
    part = {"account_id": account, "kind": TURNED_OVER, "amount_fen": 7_000}
    no = office.try_(phone, patient, parts=[part])
    assert (no.status, no.code, no.body["clause"]) == (422, "AMOUNT_EXCEEDS_TURNED_OVER", "GZ-8.3")
    assert held(house, account, TURNED_OVER) == 6_230


def test_all_cards_and_turned_over_money_with_one_wish(house, office):
    """D-45: one person, several cards, also under a second row of the patient index."""
    phone, patient = house.patient_phone()
    twin = clearance.twin(house, patient)
    cards = [card(house, patient, 3_000), card(house, twin, 9_050, "CARD")]
    late = turned_over(house, patient, 990)
    money = phone.get(f"/v1/patients/{patient.id}/my-money")
    assert money["total_fen"] == 13_040
    assert {(each["kind"], each["held_fen"]) for each in money["balances"]} == {
        (PREPAY, 3_000),
        (PREPAY, 9_050),
        (TURNED_OVER, 990),
    }
    stored, gone = office.try_(phone, patient).body
    assert (stored["amount_fen"], gone["amount_fen"]) == (12_050, 990)
    assert {item["account_id"] for item in stored["items"]} == set(cards)
    assert [item["account_id"] for item in gone["items"]] == [late]
    assert phone.get(f"/v1/patients/{patient.id}/my-money") == {"total_fen": 0, "balances": []}
    for request in (stored, gone):
        office.take(office.maker, request, "review")
        office.take(office.checker, request, "confirm")
        office.hand_over(request)
        assert office.look(request)["state"] == "PAID"
    assert balance(house.hospital_id, AccountKind.HOSPITAL_ADVANCE, late) == 990
    assert findings(house.hospital_id) == []


def test_my_money_says_which_way_it_would_go_and_why(house, office):
    phone, patient = house.patient_phone()
    card(house, patient, 30_000, "WECHAT", days=10)
    card(house, patient, 500, "WECHAT", days=500)
    balances = phone.get(f"/v1/patients/{patient.id}/my-money")["balances"]
    (young,), (old,) = (each["legs"] for each in balances)
    assert (young["route"], young["amount_fen"], old["route"]) == ("WECHAT", 30_000, "CASH")
    assert young["why"].endswith("原路退回微信。")
    assert "已过原路退款的期限" in old["why"]
    assert all(each["card"].startswith("尾号") for each in balances)


@pytest.mark.clause("GZ-7", "T6")
def test_a_card_of_another_name_is_held_until_it_is_mended(house, office):
    phone, patient = house.patient_phone()
    account = card(house, patient, A_FEN)
    request = office.ask(phone, patient, payee=bank_card("王大力"))
    assert request["state"] == "HELD"
    (hold,) = request["holds"]
    assert (hold["code"], hold["open"]) == ("PAYEE_MISMATCH", True)
    for step in ("review", "confirm"):
        no = office.step(office.checker, request, step)
        assert (no.status, no.code) == (422, "REFUND_REQUEST_HELD")
    assert office.step(office.checker, request, "release").code == "PAYEE_MISMATCH"
    path = f"/v1/refund-requests/{request['id']}/mend"
    mended = phone.post(path, {"payee": bank_card(patient.name)})
    assert (mended["state"], mended["holds"]) == ("ACCEPTED", [])
    assert (held(house, account), in_transit(house, mended)) == (0, A_FEN)
    reviewed = office.take(office.maker, request, "review")
    assert (reviewed["state"], reviewed["payee"]["verified"]) == ("REVIEWED", True)
    assert findings(house.hospital_id) == []


def test_what_cannot_go_back_goes_to_the_named_account(house, office):
    office.decide("refund.fallback_order", "BANK,CASH")
    phone, patient = house.patient_phone()
    card(house, patient, A_FEN, "WECHAT", days=500)
    request = office.ask(phone, patient, payee=bank_card(patient.name))
    assert request["payee"] == {
        "card": "尾号8901",
        "bank_name": "示范银行贵阳分行",
        "verified": False,
    }
    (leg,) = rows(
        "SELECT g.route, g.payee_id, r.payee_id AS named FROM refund_leg g"
        " JOIN refund_request r ON r.hospital_id = g.hospital_id WHERE r.id = :id",
        id=request["id"],
    )
    assert (leg["route"], leg["payee_id"]) == ("BANK", leg["named"])
    (shown,) = request["items"][0]["legs"]
    assert shown["why"].endswith("所以转到本人的银行卡。")


def test_a_rejection_puts_everything_back_and_an_appeal_goes_to_others(house, office):
    phone, patient = house.patient_phone()
    account = card(house, patient, A_FEN)
    request = office.ask(phone, patient)
    office.take(office.maker, request, "review")
    rejected = office.take(office.checker, request, "reject", reason="材料看不清")
    assert rejected["state"] == "REJECTED"
    assert office.take(office.checker, request, "reject") == rejected
    assert (held(house, account), in_transit(house, request)) == (A_FEN, 0)
    again = office.take(phone, request, "appeal", reason="我带了身份证")
    assert again["state"] == "ACCEPTED"
    assert (held(house, account), in_transit(house, again)) == (0, A_FEN)
    for step in ("review", "release", "reject"):
        assert office.step(office.checker, request, step).code == "SAME_PERSON_FORBIDDEN"
    office.take(office.maker, request, "review")
    assert office.step(office.checker, request, "confirm").code == "SAME_PERSON_FORBIDDEN"
    office.take(office.head, request, "confirm")
    office.hand_over(request)
    assert office.look(request)["state"] == "PAID"
    assert findings(house.hospital_id) == []


def test_there_is_one_appeal(house, office):
    phone, patient = house.patient_phone()
    card(house, patient, A_FEN)
    request = office.ask(phone, patient)
    office.take(office.checker, request, "reject")
    office.take(phone, request, "appeal")
    office.take(office.head, request, "reject")
    no = office.step(phone, request, "appeal")
    assert (no.status, no.code) == (422, "APPEAL_USED")


def test_withdrawn_while_no_money_has_left(house, office):
    phone, patient = house.patient_phone()
    account = card(house, patient, A_FEN)
    for confirmed in (False, True):
        request = office.ask(phone, patient)
        if confirmed:
            office.take(office.maker, request, "review")
            office.take(office.checker, request, "confirm")
        assert office.take(phone, request, "withdraw")["state"] == "WITHDRAWN"
        assert office.take(phone, request, "withdraw")["state"] == "WITHDRAWN"
        assert (held(house, account), in_transit(house, request)) == (A_FEN, 0)
    (item,) = office.look(request)["items"]
    refund = f"/v1/refunds/{item['refund_id']}"
    (leg,) = office.cashier.get(refund)["legs"]
    no = office.cashier.try_(
        "POST", f"{refund}/legs/{leg['id']}/hand-over", {"proof": "signed-0001"}
    )
    assert (no.status, no.code) == (422, "REFUND_NOT_APPROVED")
    assert findings(house.hospital_id) == []
