"""What the WeChat Pay adapter believes, and which of the other three answers it reads."""

import gzip
import hashlib
import json
import socket
from datetime import date, timedelta

import pytest

from payments.channels.wechat import WeChatPay
from payments.channels.wechat_answers import MEANINGS
from policies.outcome import Declined, NoAnswer, NotNow
from tests.payments import wechat_keys as keys
from tests.payments.wechat_calls import NOW, answers, charge, order, refund
from tests.peer import Says

DOUBTS = {
    "forged": {"whose": "forger"},
    "probe": {},
    "stale": {"at": NOW - timedelta(seconds=300)},
    "from the future": {"at": NOW + timedelta(seconds=300)},
    "of another key": {"serial": "5157F09EFDC096DE15EBE81A47057A7232F1B8E2"},
    "not even hex": {"serial": "PUB_KEY_ID_zzz"},
}


@pytest.mark.parametrize("why", DOUBTS)
def test_an_answer_that_is_not_proven_is_no_answer(peer, pay, why):
    answers(peer, keys.PAID, **DOUBTS[why])
    if why == "probe":
        genuine = peer.answer
        signature = {"Wechatpay-Signature": "WECHATPAY/SIGNTEST/" + "A" * 325}

        def probe(asked):
            says = genuine(asked)
            return Says(says.status, says.body, says.headers | signature)

        peer.answer = probe
    with pytest.raises(NoAnswer):
        pay.query_order("order001")
    assert len(peer.asked) == 1


def test_an_unsigned_answer_is_no_answer(peer, pay):
    peer.answer = lambda _: Says(200, json.dumps(keys.PAID).encode())
    with pytest.raises(NoAnswer):
        pay.query_order("order001")


def test_the_freshest_and_the_oldest_answer_that_counts(peer, pay):
    for seconds in (-299, 299):
        answers(peer, keys.PAID, at=NOW + timedelta(seconds=seconds))
        assert pay.query_order("order001").state == "PAID"


@pytest.mark.parametrize(
    "spoiled",
    [
        {"mchid": "1900000002"},
        {"appid": "wx0000000000000002"},
        {"out_trade_no": "order002"},
        {"trade_state": "SOMETHING_NEW"},
        {"amount": {"total": 312472, "currency": "USD"}},
        {"amount": {"total": 3124.72}},
        {"amount": {}},
        {"amount": None},
        {"success_time": "yesterday"},
        {"success_time": "2026-11-22T10:00:00"},
    ],
)
def test_an_order_that_is_not_ours_or_not_readable_is_no_answer(peer, pay, spoiled):
    answers(peer, keys.PAID | spoiled)
    with pytest.raises(NoAnswer):
        pay.query_order("order001")


@pytest.mark.parametrize(
    "spoiled",
    [
        {"out_refund_no": "refund002"},
        {"refund_status": "SOMETHING_NEW"},
        {"amount": {"refund": "12000"}},
        {"amount": {"total": 312472}},
    ],
)
def test_a_refund_that_is_not_ours_or_not_readable_is_no_answer(peer, pay, spoiled):
    answers(peer, keys.REFUNDED | spoiled)
    with pytest.raises(NoAnswer):
        pay.query_refund("refund001")


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"<html>", b"\xff"])
def test_a_signed_answer_without_fields_is_no_answer(peer, pay, body):
    peer.answer = lambda _: Says(200, body, keys.signed(body, NOW.timestamp()))
    with pytest.raises(NoAnswer):
        order(pay)


# the other three answers


@pytest.mark.parametrize("code", MEANINGS)
def test_a_code_means_what_the_table_says(peer, pay, code):
    answers(peer, {"code": code, "message": "…"}, status=403)
    with pytest.raises(MEANINGS[code]) as no:
        refund(pay)
    assert no.value.code == code


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"code":"A_CODE_OF_TOMORROW"}'),
        (403, b"<html>firewall</html>"),
        (404, b"not found"),
        (500, b'{"code":"SYSTEM_ERROR"}'),
        (500, b'{"code":"INVALID_REQUEST"}'),
        (502, b""),
        (302, b""),
    ],
)
def test_anything_else_is_no_answer(peer, pay, status, body):
    peer.answer = lambda _: Says(status, body, {"Location": "/v3/elsewhere"})
    with pytest.raises(NoAnswer):
        refund(pay)
    with pytest.raises(NoAnswer):
        pay.query_refund("refund001")
    assert len(peer.asked) == 2


def test_too_fast_is_not_now_whatever_it_is_called(peer, pay):
    answers(peer, {"code": "A_CODE_OF_TOMORROW"}, status=429)
    with pytest.raises(NotNow):
        refund(pay)


def test_a_poor_payer_is_refused_and_a_poor_merchant_waits(peer, pay):
    answers(peer, {"code": "NOT_ENOUGH"}, status=403)
    with pytest.raises(Declined):
        charge(pay)
    with pytest.raises(NotNow):
        refund(pay)


def test_they_do_not_know_the_number(peer, pay):
    answers(peer, {"code": "ORDER_NOT_EXIST"}, status=404)
    assert pay.query_order("order001") is None
    answers(peer, {"code": "RESOURCE_NOT_EXISTS"}, status=404)
    assert pay.query_refund("refund001") is None


def test_a_line_cut_after_sending_is_no_answer_and_nothing_is_sent_again(peer, pay):
    peer.answer = lambda _: Says(hang_up=True)
    with pytest.raises(NoAnswer) as lost:
        refund(pay)
    assert len(peer.asked) == 1
    assert lost.value.__cause__ is None
    assert lost.value.__context__ is None


def test_where_nobody_listens_nothing_was_done():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pay = WeChatPay(keys.settings(f"http://127.0.0.1:{port}"), lambda: NOW)
    with pytest.raises(NotNow) as later:
        refund(pay)
    assert later.value.code == "UNREACHABLE"


# bills


BILL = "﻿交易时间,…\r\n`2026-11-21 10:00:00,`…\r\n".encode()


def bill(peer, file=BILL, *, announced=BILL, host="", status=200):
    """Let the peer announce one file and hand out another."""

    def answer(asked):
        if asked.path.startswith("/v3/billdownload"):
            return Says(status, file, {"Content-Type": "application/x-gzip"})
        sha1 = hashlib.sha1(announced).hexdigest()  # noqa: S324  WeChat's choice
        url = f"{host or peer.url}/v3/billdownload/file?token=a-b_c"
        body = json.dumps({"hash_type": "SHA1", "hash_value": sha1, "download_url": url}).encode()
        return Says(200, body, keys.signed(body, NOW.timestamp()))

    peer.answer = answer


@pytest.mark.parametrize("packed", [BILL, gzip.compress(BILL)], ids=["plain", "packed"])
def test_a_bill_is_fetched_and_unpacked(peer, pay, packed):
    bill(peer, packed)
    assert pay.trade_bill(date(2026, 11, 21)) == BILL
    assert [asked.path for asked in peer.asked] == [
        "/v3/bill/tradebill?bill_date=2026-11-21&bill_type=ALL&tar_type=GZIP",
        "/v3/billdownload/file?token=a-b_c",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"file": BILL + b" "},
        {"file": gzip.compress(BILL)[:-9]},
        {"file": b"\x1f\x8bnonsense"},
        {"status": 404},
        {"status": 500},
    ],
)
def test_a_bill_that_is_not_the_announced_one_is_no_answer(peer, pay, wrong):
    bill(peer, **wrong)
    with pytest.raises(NoAnswer):
        pay.trade_bill(date(2026, 11, 21))


@pytest.mark.parametrize("host", ["https://127.0.0.1", "http://evil.example", "http://127.0.0.1:1"])
def test_a_bill_is_fetched_from_nowhere_else(peer, pay, host):
    bill(peer, host=host)
    with pytest.raises(NoAnswer):
        pay.trade_bill(date(2026, 11, 21))
    assert len(peer.asked) == 1
