"""What the patient is told of a request for stored money, and that it is paid after the deadline
too (GZ-7 T8, T9). Over the network, with the simulator's outbox."""

from datetime import UTC, datetime, timedelta

import pytest

from tests import till
from tests.clearance import Office, bank_card, card, wechat_lot
from tests.served import Served

AFTER_THE_DEADLINE = datetime(2026, 1, 15, 2, tzinfo=UTC)
SECRETS_OF_A_CARD = "6222000012345678901"


@pytest.fixture
def office(served: Served) -> Office:
    served.stage.setting("service_phone", "0851-8800000")
    return Office(served.house)


def texts(served: Served, phone: str) -> dict[str, str]:
    """The SMS about refunds to a phone, by template."""
    outbox = served.simulator.outbox(f"+86{phone}")
    return {s["template"]: s["text"] for s in outbox if s["template"].startswith("REFUND_")}


def through(office: Office, request) -> None:
    """Reviewed and confirmed."""
    office.take(office.maker, request, "review")
    office.take(office.checker, request, "confirm")


@pytest.mark.clause("GZ-7", "T8")
def test_the_sms_says_what_it_must_and_nothing_private(served, office):
    phone, patient = served.house.patient_phone()
    card(served.house, patient, 12_345)
    request = office.ask(phone, patient, payee=bank_card(patient.name, SECRETS_OF_A_CARD))
    served.run_jobs()
    assert texts(served, patient.phone).keys() == {"REFUND_ACCEPTED"}
    through(office, request)
    office.hand_over(request)
    served.run_jobs()
    said = texts(served, patient.phone)
    assert said.keys() == {"REFUND_ACCEPTED", "REFUND_ARRIVED"}
    for template, text in said.items():
        for part in (patient.masked_name, "123.45元", "窗口现金", "0851-8800000"):
            assert part in text, (template, part)
        secrets = (patient.id_no, patient.id_no[6:14], patient.name, patient.phone)
        for secret in (*secrets, SECRETS_OF_A_CARD, "诊断"):
            assert secret not in text, (template, secret)
    assert "一般7个工作日内办完" in said["REFUND_ACCEPTED"]


@pytest.mark.clause("GZ-7", "T8")
def test_sent_along_the_original_route_with_the_day_of_arrival(served, office):
    """The top-up is a real WeChat payment of the simulator, stored as an old card's lot."""
    phone, patient = served.house.patient_phone()
    account = card(served.house, patient, 100)
    wechat_lot(served.stage, patient, account, 12_345)
    request = office.ask(phone, patient)
    through(office, request)
    served.run_jobs()
    assert office.look(request)["state"] == "PAYING"
    served.stage.clock.forward(minutes=1)
    served.run_jobs()
    office.hand_over(request)
    served.run_jobs()
    assert office.look(request)["state"] == "PAID"
    said = texts(served, patient.phone)
    assert said.keys() == {"REFUND_ACCEPTED", "REFUND_SENT", "REFUND_ARRIVED"}
    for part in (patient.masked_name, "123.45元", "原支付渠道", "1至3个工作日到账", "0851-8800000"):
        assert part in said["REFUND_SENT"], part  # the window's yuan was never on its way
    assert "124.45元已退到原支付渠道和窗口现金" in said["REFUND_ARRIVED"]
    till.agree(served.stage)


def test_a_rejection_is_told_without_its_reason(served, office):
    phone, patient = served.house.patient_phone()
    card(served.house, patient, 12_345)
    request = office.ask(phone, patient)
    office.take(office.checker, request, "reject", reason="银行卡是王大力的")
    served.run_jobs()
    text = texts(served, patient.phone)["REFUND_DECLINED"]
    assert "没有通过审核，款项仍在医院账户里" in text
    assert "王大力" not in text


@pytest.mark.clause("GZ-7", "T9")
def test_after_the_deadline_the_patient_still_gets_the_money(served, office):
    served.stage.clock.set(AFTER_THE_DEADLINE)
    phone, patient = served.house.patient_phone()
    card(served.house, patient, 12_050)
    request = office.ask(phone, patient)
    through(office, request)
    office.hand_over(request)
    paid = office.look(request)
    assert (paid["state"], paid["amount_fen"]) == ("PAID", 12_050)
    assert datetime.fromisoformat(paid["paid_at"]) - AFTER_THE_DEADLINE < timedelta(hours=1)
