"""The SMS adapter against the simulator, which checks signatures, and a peer that misbehaves."""

import json
import logging
import socket
from dataclasses import replace
from datetime import timedelta

import pytest

from models.db import Session, TransactionOpen
from notifications.senders.tencent_sms import MEANINGS, Receipt, TencentSms, read_receipts
from policies.outcome import Declined, NoAnswer, NotNow
from tests.peer import Says
from tests.sim_process import wait_until

VALUES = ["张*丰", "2026-11-21", "3124.72", "0851-80000000"]


@pytest.fixture
def sms(known, clock):
    return TencentSms(known.sms, clock.now)


@pytest.fixture
def at_peer(known, clock, peer):
    """An adapter whose carrier is the peer."""
    settings = replace(known.sms, endpoint=peer.url.removeprefix("http://"))
    return TencentSms(settings, clock.now)


def send(sms, phone="13800000001", **changed):
    facts = {"phone": phone, "template": "DAILY_BILL", "values": VALUES, "key": "key-1"}
    return sms.send(**facts | changed)


def response(fields, content_type="application/json"):
    body = json.dumps({"Response": {"RequestId": "r-1", **fields}}).encode()
    return lambda _: Says(200, body, {"Content-Type": content_type})


# at the simulator


def test_a_message_arrives_as_the_approved_text(sms, simulator):
    serial_no = send(sms)
    (arrived,) = (sms for sms in simulator.outbox() if sms["serial_no"] == serial_no)
    assert arrived["phone"] == "+8613800000001"
    assert arrived["text"] == (
        "【贵州示范医院】张*丰您好，您2026-11-21的住院费用共3124.72元，明细请登录本院就诊平台查看。"
        "有疑问请问病区护士，或致电0851-80000000。我们不会索要密码或验证码。"
    )


def test_the_signature_follows_the_moved_clock(sms, simulator, clock):
    clock.forward(days=40)
    assert send(sms, "13800000002")
    slow = TencentSms(sms._settings, lambda: clock.now() - timedelta(seconds=301))
    with pytest.raises(NotNow) as later:
        send(slow, "13800000002")
    assert later.value.code == "AuthFailure.SignatureExpire"


def test_the_same_words_within_thirty_seconds_must_wait(sms):
    send(sms, "13800000003")
    with pytest.raises(NotNow) as later:
        send(sms, "13800000003")
    assert later.value.code == "LimitExceeded.PhoneNumberThirtySecondLimit"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"phone": "12800000000"}, "InvalidParameterValue.IncorrectPhoneNumber"),
        ({"values": VALUES[:2]}, "FailedOperation.TemplateParamSetNotMatchApprovedTemplate"),
        ({"template": "GOOD_MORNING"}, "TEMPLATE_NOT_APPROVED"),
    ],
)
def test_what_can_never_be_sent_is_declined(sms, changed, code):
    with pytest.raises(Declined) as no:
        send(sms, **changed)
    assert no.value.code == code


@pytest.mark.parametrize("fault", ["after", "error500_after", "before", "error500_before"])
def test_a_lost_answer_is_unknown_and_never_repeated(sms, simulator, fault):
    phone = f"1390000{len(fault):04d}"
    simulator.fault("sms", "SendSms", fault)
    with pytest.raises(NoAnswer):
        send(sms, phone)
    assert len(simulator.outbox(f"+86{phone}")) == fault.endswith("after")


@pytest.mark.parametrize("by", ["serial_no", "key"])
def test_the_receipt_can_be_pulled(sms, clock, by):
    phone = f"1380000010{len(by)}"
    since = clock.now()
    serial_no = send(sms, phone, key=f"key-{by}")
    known_by = serial_no if by == "serial_no" else None
    ours = {"phone": phone, "since": since, "serial_no": known_by}
    receipt = wait_until(lambda: sms.pull_receipt(**ours, key=f"key-{by}"))
    assert (receipt.serial_no, receipt.delivered) == (serial_no, True)
    assert sms.pull_receipt(phone=phone, since=since, serial_no=None, key="other") is None


def test_a_receipt_that_failed_says_so(sms, simulator, clock):
    simulator.fault("sms", "receipt", "failed")
    since = clock.now()
    serial_no = send(sms, "13800000200")
    ours = {"phone": "13800000200", "since": since, "serial_no": serial_no, "key": "x"}
    assert wait_until(lambda: sms.pull_receipt(**ours)).delivered is False


# a carrier that misbehaves


REFUSED = {"Error": {"Code": "LimitExceeded.DailyLimit", "Message": "…"}}


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "text/plain", "application/json; charset=utf-8", "text/html"],
)
def test_an_error_is_seen_whatever_its_content_type(at_peer, peer, content_type):
    peer.answer = response(REFUSED, content_type)
    with pytest.raises(NotNow) as later:
        send(at_peer)
    assert later.value.code == "LimitExceeded.DailyLimit"


@pytest.mark.parametrize("code", MEANINGS)
@pytest.mark.parametrize("per_number", [True, False])
def test_a_code_means_what_the_table_says(at_peer, peer, code, per_number):
    full = code if "." in code else f"{code}.Something"
    refused = {"SendStatusSet": [{"Code": full, "SerialNo": ""}]}
    peer.answer = response(refused if per_number else {"Error": {"Code": full, "Message": ""}})
    with pytest.raises(MEANINGS[code]) as no:
        send(at_peer)
    assert no.value.code == full


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"SendStatusSet": None},
        {"SendStatusSet": []},
        {"SendStatusSet": [{}]},
        {"SendStatusSet": [{"Code": "Ok"}]},
        {"SendStatusSet": [{"Code": "Ok", "SerialNo": "1"}] * 2},
        {"SendStatusSet": ["Ok"]},
        {"SendStatusSet": [{"Code": "InternalError.Timeout"}]},
        {"Error": {"Code": "InternalError", "Message": ""}},
        {"Error": {"Code": "SomethingNew", "Message": ""}},
    ],
)
def test_success_is_only_what_says_ok_for_our_number(at_peer, peer, fields):
    peer.answer = response(fields)
    with pytest.raises(NoAnswer):
        send(at_peer)


@pytest.mark.parametrize(
    "says",
    [
        Says(500),
        Says(404, b"{}"),
        Says(302, headers={"Location": "/x"}),
        Says(200, b"<html>", {"Content-Type": "application/json"}),
        Says(200, b"[]", {"Content-Type": "application/json"}),
        Says(200, b"{}", {"Content-Type": "application/json"}),
        Says(200, b'{"Response":1}', {"Content-Type": "text/html"}),
        Says(hang_up=True),
    ],
)
def test_anything_else_is_no_answer(at_peer, peer, says):
    peer.answer = lambda _: says
    with pytest.raises(NoAnswer) as lost:
        send(at_peer)
    assert len(peer.asked) == 1
    assert lost.value.__context__ is None


def test_where_nobody_listens_nothing_was_sent(known, clock):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nowhere = f"127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(NotNow) as later:
        send(TencentSms(replace(known.sms, endpoint=nowhere), clock.now))
    assert later.value.code == "UNREACHABLE"


def test_the_environment_has_no_say_and_nothing_is_logged(known, clock, peer, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    peer.answer = response({"SendStatusSet": [{"Code": "Ok", "SerialNo": "s-1"}]})
    settings = replace(known.sms, endpoint=peer.url.removeprefix("http://"))
    assert send(TencentSms(settings, clock.now)) == "s-1"
    for secret in ("13800000001", "张*丰", "TC3-HMAC", settings.secret_key):
        assert secret not in caplog.text


def test_nobody_is_asked_while_a_transaction_is_open(at_peer, peer, engine):
    with Session.begin(), pytest.raises(TransactionOpen):
        send(at_peer)
    assert peer.asked == []


# receipts that are posted to us


def test_posted_receipts():
    posted = [
        {"sid": "s-1", "mobile": "13800000001", "report_status": "SUCCESS", "errmsg": "DELIVRD"},
        {"sid": "s-2", "mobile": "13800000002", "report_status": "FAIL", "errmsg": "MBBLACK"},
        {"sid": "", "report_status": "SUCCESS"},
    ]
    assert read_receipts(json.dumps(posted).encode()) == [
        Receipt("s-1", True, "DELIVRD"),
        Receipt("s-2", False, "MBBLACK"),
    ]


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"null", b"\xff"])
def test_receipts_that_cannot_be_read(body):
    with pytest.raises(ValueError):
        read_receipts(body)
