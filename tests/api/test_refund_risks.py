"""Fraud stories end held with their reason, honest ones pass, and two people let a held request go
on (GZ-7 T7, rank 14)."""

from datetime import UTC, date, datetime, timedelta

import pytest

from models.db import Session, new_id
from models.patient import Patient
from models.payment_order import PaymentOrder
from policies.refund_papers import Asker
from simulator.clients import PhoneClient
from tests.clearance import SIGNED, Office, bank_card, card, held, in_transit, papers
from tests.models.stored_money import findings
from tests.people import PASSWORD, House
from tests.stage import id_number

SMALL, STAFF_NAME = 12_050, "周明月"
NIGHT = datetime(2026, 1, 14, 15, tzinfo=UTC)
HEIR = {"asker": "HEIR", "name": "张大丰", "id_no": id_number(901)}


@pytest.fixture
def office(house: House) -> Office:
    return Office(house)


def reasons(office: Office, request) -> list[str]:
    """Why a request is held, as staff see it."""
    shown = office.look(request)
    assert (shown["state"] == "HELD") == any(hold["open"] for hold in shown["holds"])
    return [hold["reason"] for hold in shown["holds"] if hold["open"]]


def somebody(house: House, fen: int = SMALL, **lot) -> tuple[PhoneClient, Patient]:
    phone, patient = house.patient_phone()
    card(house, patient, fen, **lot)
    return phone, patient


@pytest.mark.clause("GZ-7", "T7")
def test_one_card_for_three_patients_within_seven_days(house, office, clock):
    requests = []
    for _ in range(3):
        phone, patient = somebody(house)
        requests.append(office.ask(phone, patient, payee=bank_card(patient.name)))
    assert [request["state"] for request in requests] == ["ACCEPTED", "ACCEPTED", "HELD"]
    (hold,) = office.look(requests[2])["holds"]
    assert (hold["code"], hold["reason"]) == ("RISK_HOLD", "SAME_CARD")
    assert hold["say"] == "7天内有3位患者的申请都写了这张银行卡。"
    assert office.take(office.maker, requests[0], "review")["state"] == "HELD"
    assert reasons(office, requests[0]) == ["SAME_CARD"]
    clock.forward(days=7, seconds=1)
    phone, patient = somebody(house)
    assert office.ask(phone, patient, payee=bank_card(patient.name))["state"] == "ACCEPTED"


def test_a_clerk_is_the_heir(house, office):
    patient = house.patient()
    card(house, patient, SMALL)
    wish = HEIR | {"name": STAFF_NAME, "papers": papers(Asker.HEIR)}
    request = office.ask(office.cashier, patient, payee=bank_card(STAFF_NAME), **wish)
    assert reasons(office, request) == ["STAFF_IS_PAYEE"]


def test_two_names_at_one_desk(house, office):
    patient = house.patient()
    card(house, patient, SMALL)
    desk = office.cashier
    request = office.ask(desk, patient)
    desk.log_in(office.maker.staff_no, PASSWORD)
    assert office.take(desk, request, "review")["state"] == "HELD"
    assert reasons(office, request) == ["ONE_DESK"]


def test_somebody_else_paid_and_the_patient_wants_it_in_cash(house, office):
    phone, patient = house.patient_phone()
    with Session.begin() as db:
        order = PaymentOrder(
            id=new_id(),
            hospital_id=house.hospital_id,
            state="PAID",
            purpose="TOP_UP",
            subject_id=patient.id,
            patient_id=patient.id,
            route="MINI_PROGRAM",
            amount_fen=20_000,
            client_key="old",
            request_hash="old",
            asked_by="test",
            step_channel="PHONE",
            payer_openid="o-somebody-else",
            created_at=house.now(),
            expires_at=house.now(),
            paid_at=house.now(),
        )
        db.add(order)
    card(house, patient, 20_000, "WECHAT", days=500, order_id=order.id)
    request = office.ask(phone, patient)
    assert reasons(office, request) == ["OTHERS_PAID"]


def test_in_by_alipay_and_out_another_way(house, office):
    phone, patient = somebody(house, 20_000, channel="ALIPAY", days=2)
    request = office.ask(phone, patient)
    assert reasons(office, request) == ["ROUND_TRIP"]


def test_five_at_night_by_one_clerk(house, office, clock):
    clock.shift = NIGHT - datetime.now(UTC)
    requests = []
    for _ in range(5):
        patient = house.patient()
        card(house, patient, SMALL)
        requests.append(office.ask(office.cashier, patient))
    assert [request["state"] for request in requests] == ["ACCEPTED"] * 4 + ["HELD"]
    assert reasons(office, requests[4]) == ["OFF_HOURS_BURST"]
    assert office.take(office.maker, requests[0], "review")["state"] == "HELD"


def test_more_than_the_hospital_s_limit(house, office):
    phone, patient = somebody(house, 500_001)
    request = office.ask(phone, patient)
    assert reasons(office, request) == ["LARGE_AMOUNT"]


def test_one_phone_for_four_patients(house, office):
    phone, requests = house.phone(), []
    for _ in range(4):
        patient = house.patient()
        card(house, patient, SMALL)
        phone.bind(patient.name, patient.id_no)
        requests.append(office.ask(phone, patient))
        phone.delete("/v1/patient/binding")
    assert [request["state"] for request in requests] == ["ACCEPTED"] * 3 + ["HELD"]
    assert reasons(office, requests[3]) == ["ONE_PHONE"]


def test_a_second_phone_names_a_new_account(house, office):
    _, patient = somebody(house)
    thief, _ = house.patient_phone(patient)
    request = office.ask(thief, patient, payee=bank_card(patient.name))
    assert reasons(office, request) == ["FRESH_BINDING"]


def test_a_held_request_tells_the_patient_what_to_do_and_not_why(house, office):
    phone, patient = somebody(house, 500_001)
    request = office.ask(phone, patient)
    assert request["state"] == "HELD"
    (hold,) = request["holds"]
    assert (hold["code"], hold["reason"]) == ("RISK_HOLD", "")
    assert hold["say"] == "需要再核对一下，请带身份证件到窗口，或致电医院。"
    assert {step["by"] for step in request["steps"]} == {""}
    no = office.step(phone, request, "appeal")  # nobody has said no
    assert (no.status, no.code) == (409, "STATE_CHANGED")


def test_two_people_with_reasons_let_it_go_on(house, office):
    everything = house.staff("FINANCE_MAKER", "FINANCE_HEAD", kind="DESK", ward="")
    patient = house.patient()
    account = card(house, patient, 500_001)
    request = office.ask(everything, patient)
    assert request["state"] == "HELD"
    for step in ("review", "confirm"):
        assert office.step(office.checker, request, step).code == "REFUND_REQUEST_HELD"
    assert office.step(everything, request, "release").code == "SAME_PERSON_FORBIDDEN"
    no_reason = office.checker.try_(
        "POST", f"/v1/refund-requests/{request['id']}/release", {"reason": ""}
    )
    assert no_reason.status == 422
    assert office.take(office.checker, request, "release", reason="问过本人")["state"] == "HELD"
    assert office.step(office.checker, request, "release").code == "SAME_PERSON_FORBIDDEN"
    released = office.take(office.head, request, "release", reason="看过凭证")
    assert released["state"] == "ACCEPTED"
    assert office.take(office.head, request, "release") == released
    (hold,) = released["holds"]
    assert [word["why"] for word in hold["released"]] == ["问过本人", "看过凭证"]
    assert office.take(office.maker, request, "review")["state"] == "REVIEWED"
    assert office.take(office.head, request, "confirm")["state"] == "CONFIRMED"
    assert (held(house, account), in_transit(house, request)) == (0, 500_001)


def test_a_held_request_can_be_rejected_or_taken_back(house, office):
    for who, step in ((office.checker, "reject"), (None, "withdraw")):
        phone, patient = somebody(house, 500_001)
        request = office.ask(phone, patient)
        ended = office.take(who or phone, request, step)
        assert ended["state"] in {"REJECTED", "WITHDRAWN"}
        assert in_transit(house, request) == 0
    assert findings(house.hospital_id) == []


def child(house: House) -> Patient:
    patient = house.patient()
    with Session.begin() as db:
        db.get_one(Patient, patient.id).born_on = date(2019, 1, 15)
    return patient


HONEST = {
    "the holder on the own phone": {},
    "the holder, to the own card": {"payee": "张小丰"},
    "an agent, to the patient's card": {"asker": "AGENT", "payee": "张小丰"},
    "an agent, to the own card": {"asker": "AGENT", "payee": "王大力"},
    "a guardian for a child": {"asker": "GUARDIAN", "payee": "王大力"},
    "an heir": {"asker": "HEIR", "payee": "王大力"},
}


@pytest.mark.parametrize("story", HONEST.values(), ids=HONEST.keys())
def test_an_honest_story_goes_through(house, office, story):
    asker = Asker(story.get("asker", "OWN"))
    wish = {"asker": asker, "papers": papers(asker)}
    if "payee" in story:
        wish["payee"] = bank_card(story["payee"])
    if asker == Asker.OWN:
        who, patient = somebody(house)
    else:
        who, patient = office.cashier, child(house)
        card(house, patient, SMALL)
        wish |= {"name": "王大力", "id_no": HEIR["id_no"]}
    request = office.ask(who, patient, **wish)
    assert request["state"] == "ACCEPTED"
    seen = [paper["sha256"] for paper in request["papers"]]
    assert office.take(office.maker, request, "review", papers_seen=seen)["state"] == "REVIEWED"
    assert office.take(office.checker, request, "confirm")["state"] == "CONFIRMED"
    office.hand_over(request)
    assert office.look(request)["state"] == "PAID"


def test_a_child_on_its_own_phone_is_sent_to_a_guardian(house, office):
    phone, patient = house.patient_phone(child(house))
    card(house, patient, SMALL)
    no = office.try_(phone, patient)
    assert (no.status, no.code, no.body["clause"]) == (422, "GUARDIAN_REQUIRED", "GZ-7")


def test_without_its_papers_nothing_is_accepted(house, office):
    patient = house.patient()
    account = card(house, patient, SMALL)
    wish = HEIR | {"papers": papers(Asker.HEIR)[:-1]}
    no = office.try_(office.cashier, patient, **wish)
    assert (no.status, no.code) == (422, "PAPERS_MISSING")
    assert no.body["detail"] == "还缺材料：与患者的亲属关系证明。"
    nameless = office.try_(office.cashier, patient, **(wish | {"name": ""}))
    assert nameless.code == "ASKER_UNNAMED"
    assert office.try_(office.cashier, patient, **(wish | {"id_no": "1"})).code == (
        "ID_NUMBER_INVALID"
    )
    unsigned = office.try_(office.cashier, patient, signature_sha256=None)
    assert unsigned.code == "SIGNATURE_REQUIRED"
    assert held(house, account) == SMALL


def test_above_the_limit_an_heir_needs_a_notary(house, office):
    patient = house.patient()
    card(house, patient, 1_000_001)
    wish = HEIR | {"papers": papers(Asker.HEIR)}
    assert office.try_(office.maker, patient, **wish).body["detail"] == (
        "还缺材料：公证书或法院文书。"
    )
    wish["papers"] = papers(Asker.HEIR, "NOTARISED")
    assert office.ask(office.maker, patient, **wish)["state"] == "HELD"  # LARGE_AMOUNT


def test_the_reviewer_has_seen_every_paper(house, office):
    patient = house.patient()
    card(house, patient, SMALL)
    request = office.ask(office.cashier, patient, **(HEIR | {"papers": papers(Asker.HEIR)}))
    seen = [paper["sha256"] for paper in request["papers"]]
    for some in ([], seen[:-1], [*seen, SIGNED]):
        no = office.step(office.checker, request, "review", papers_seen=some)
        assert (no.status, no.code) == (422, "PAPERS_NOT_CHECKED")
    assert office.take(office.checker, request, "review", papers_seen=seen)["state"] == "REVIEWED"


def test_a_relative_whom_the_patient_trusts_asks_on_the_phone(house, office):
    phone, patient = somebody(house)
    relative, _ = house.patient_phone()
    consent = phone.post(
        "/v1/patient/consents", {"scopes": ["VIEW_BILL"], "relation": "女儿", "days": 30}
    )
    wish = {"asker": "AGENT", "name": "王大力", "id_no": HEIR["id_no"]}
    assert office.try_(relative, patient, **wish).code == "PATIENT_UNKNOWN"
    relative.post("/v1/patient/consents/redeem", {"code": consent["code"]})
    assert office.try_(relative, patient).code == "ASK_AT_THE_WINDOW"
    assert office.try_(relative, patient, **wish).code == "PAPERS_MISSING"
    request = office.ask(relative, patient, **wish, papers=papers(Asker.AGENT))
    assert request["asker"] == "AGENT"
    assert relative.get(f"/v1/refund-requests/{request['id']}")["id"] == request["id"]
    assert phone.get(f"/v1/refund-requests/{request['id']}")["id"] == request["id"]
    stranger, _ = house.patient_phone()
    no = stranger.try_("GET", f"/v1/refund-requests/{request['id']}")
    assert (no.status, no.code) == (404, "REFUND_REQUEST_UNKNOWN")


def test_a_cashier_accepts_up_to_a_limit_and_a_checker_confirms_up_to_another(house, office):
    house_limits = {"refund_window_limit_fen": "20000", "refund_limit_fen": "10000"}
    for key, value in house_limits.items():
        office.decide(key, value)
    patient = house.patient()
    account = card(house, patient, 20_001)
    no = office.try_(office.cashier, patient)
    assert (no.status, no.code) == (422, "ACCEPT_ABOVE_LIMIT")
    part = {"account_id": account, "kind": "OUTPATIENT_PREPAY", "amount_fen": 20_000}
    request = office.ask(office.cashier, patient, parts=[part])
    office.take(office.maker, request, "review")
    assert office.step(office.checker, request, "confirm").code == "REFUND_ABOVE_LIMIT"
    assert office.take(office.head, request, "confirm")["state"] == "CONFIRMED"


def test_the_daily_list_names_who_decided(house, office, clock):
    phone, patient = somebody(house)
    request = office.ask(phone, patient)
    office.take(office.maker, request, "review")
    day = (house.now() + timedelta(hours=8)).date()
    (row,) = office.head.get("/v1/refund-requests/four-eyes", query={"day": day})
    assert row["id"] == request["id"]
    assert [step["by"].partition(":")[0] for step in row["steps"]] == ["patient", "staff"]
    yesterday = day - timedelta(days=1)
    assert office.head.get("/v1/refund-requests/four-eyes", query={"day": yesterday}) == []
    assert [each["id"] for each in office.head.get("/v1/refund-requests")] == [request["id"]]
    assert office.head.get("/v1/refund-requests", query={"state": "PAID"}) == []
