"""What leaves the WeChat Pay adapter, seen by a peer with its own keys."""

import json
import logging
import re
from datetime import timedelta

import pytest

from models.db import Session, TransactionOpen
from payments.channels.wechat import ChannelOrder, ChannelRefund, WeChatPay
from payments.channels.wechat_core import WeChatPayCore
from tests.payments import wechat_keys as keys
from tests.payments.wechat_calls import NOTIFY, NOW, answers, charge, order, refund


def test_an_order_is_signed_as_sent_and_its_parameters_can_be_paid_with(peer, pay):
    answers(peer, {"prepay_id": "wx221"})
    shown = order(pay)
    (asked,) = peer.asked
    assert (asked.method, asked.path) == ("POST", "/v3/pay/transactions/jsapi")
    assert json.loads(asked.body) == {
        "appid": keys.SETTINGS.appid,
        "mchid": keys.SETTINGS.mchid,
        "description": "住院预交金",
        "out_trade_no": "order001",
        "time_expire": "2026-11-22T10:30:00+08:00",
        "notify_url": NOTIFY,
        "amount": {"total": 312472, "currency": "CNY"},
        "payer": {"openid": "o-somebody"},
    }
    assert asked.headers["wechatpay-serial"] == keys.SERIAL
    scheme, _, rest = asked.headers["authorization"].partition(" ")
    said = dict(re.findall(r'(\w+)="([^"]*)"', rest))
    assert scheme == "WECHATPAY2-SHA256-RSA2048"
    assert said["timestamp"] == str(int(NOW.timestamp()))
    assert said["mchid"] == keys.SETTINGS.mchid
    assert said["serial_no"] == keys.SETTINGS.merchant_serial
    lines = ["POST", asked.path, said["timestamp"], said["nonce_str"]]
    keys.check(
        "merchant", said["signature"], "\n".join(lines).encode() + b"\n" + asked.body + b"\n"
    )

    assert shown["timeStamp"] == str(int(NOW.timestamp()))
    assert (shown["package"], shown["signType"]) == ("prepay_id=wx221", "RSA")
    lines = [keys.SETTINGS.appid, shown["timeStamp"], shown["nonceStr"], shown["package"], ""]
    keys.check("merchant", shown["paySign"], "\n".join(lines).encode())


def test_a_query_is_signed_over_the_path_with_its_query(peer, pay):
    answers(peer, keys.PAID)
    assert pay.query_order("order001") == ChannelOrder(
        state="PAID",
        out_trade_no="order001",
        channel_transaction_id="4200000001202611220000000001",
        amount_fen=312472,
        paid_at=NOW,
        payer="o-somebody",
    )
    (asked,) = peer.asked
    assert asked.path == "/v3/pay/transactions/out-trade-no/order001?mchid=1900000001"
    said = dict(re.findall(r'(\w+)="([^"]*)"', asked.headers["authorization"]))
    signed = f"GET\n{asked.path}\n{said['timestamp']}\n{said['nonce_str']}\n\n"
    keys.check("merchant", said["signature"], signed.encode())


def test_a_qr_order(peer, pay):
    answers(peer, {"code_url": "weixin://pay.weixin.qq.com/bizpayurl/up?pr=x"})
    shown = pay.order_qr(
        out_trade_no="order001",
        amount_fen=100,
        description="住院预交金",
        expires_at=NOW + timedelta(minutes=10),
        notify_url=NOTIFY,
    )
    assert shown == "weixin://pay.weixin.qq.com/bizpayurl/up?pr=x"
    assert peer.asked[0].path == "/v3/pay/transactions/native"
    assert "payer" not in json.loads(peer.asked[0].body)


def test_a_payment_code_that_asks_for_the_password_is_waiting(peer, pay):
    waiting = {"mchid": keys.SETTINGS.mchid, "out_trade_no": "order001"}
    answers(peer, waiting | {"trade_state": "USERPAYING"}, status=202)
    assert charge(pay) == ChannelOrder("WAITING", "order001", None, None, None, None)
    sent = json.loads(peer.asked[0].body)
    assert peer.asked[0].path == "/v3/pay/transactions/codepay"
    assert sent["payer"] == {"auth_code": "130061098828009406"}
    assert sent["scene_info"] == {
        "device_id": "ward-3",
        "device_ip": "10.0.0.7",
        "store_info": {"out_id": "ward-3"},
    }
    assert "notify_url" not in sent


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("NOTPAY", "WAITING"),
        ("USERPAYING", "WAITING"),
        ("SUCCESS", "PAID"),
        ("REFUND", "PAID"),
        ("CLOSED", "CLOSED"),
        ("REVOKED", "CLOSED"),
        ("PAYERROR", "REFUSED"),
    ],
)
def test_every_state_of_an_order_has_one_name(peer, pay, theirs, ours):
    answers(peer, keys.PAID | {"trade_state": theirs})
    assert pay.query_order("order001").state == ours


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("PROCESSING", "PROCESSING"),
        ("SUCCESS", "PAID"),
        ("CLOSED", "CLOSED"),
        ("ABNORMAL", "ABNORMAL"),
    ],
)
def test_every_state_of_a_refund_has_one_name(peer, pay, theirs, ours):
    said = {k: v for k, v in keys.REFUNDED.items() if k not in {"mchid", "refund_status"}}
    answers(peer, said | {"status": theirs})
    assert refund(pay) == ChannelRefund(
        state=ours,
        out_refund_no="refund001",
        channel_refund_id="50000000382026112200000000001",
        amount_fen=12000,
        paid_at=NOW + timedelta(hours=1),
        received_account="招商银行信用卡0403",
    )
    sent = json.loads(peer.asked[0].body)
    assert sent["amount"] == {"refund": 12000, "total": 312472, "currency": "CNY"}
    assert (sent["transaction_id"], sent["out_refund_no"]) == ("4200000001", "refund001")


def test_close_and_reverse(peer, pay):
    answers(peer, status=204)
    pay.close_order("order001")
    answers(peer, {"mchid": keys.SETTINGS.mchid, "out_trade_no": "order001"})
    pay.reverse_order("order001")
    assert [asked.path for asked in peer.asked] == [
        "/v3/pay/transactions/out-trade-no/order001/close",
        "/v3/pay/transactions/out-trade-no/order001/reverse",
    ]
    assert json.loads(peer.asked[1].body) == {
        "appid": keys.SETTINGS.appid,
        "mchid": keys.SETTINGS.mchid,
    }


def test_the_connection_is_kept_and_the_environment_has_no_say(peer, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    pay = WeChatPay(keys.settings(peer.url), lambda: NOW)
    answers(peer, keys.PAID)
    pay.query_order("order001")
    pay.query_order("order001")
    assert len({asked.client for asked in peer.asked}) == 1


@pytest.mark.parametrize("number", ["a|b123", "order 1", "order%31", "短号码一二三", "abc", ""])
def test_a_number_that_would_be_signed_otherwise_than_sent_never_leaves(peer, pay, number):
    with pytest.raises(ValueError, match="a number may have"):
        refund(pay, out_refund_no=number)
    assert peer.asked == []


def test_nobody_is_asked_while_a_transaction_is_open(peer, pay, engine):
    with Session.begin(), pytest.raises(TransactionOpen):
        pay.query_order("order001")
    assert peer.asked == []


def test_a_merchant_without_the_public_key_cannot_start():
    with pytest.raises(ValueError, match="public key"):
        WeChatPay(keys.SETTINGS, lambda: NOW)


def test_no_secret_and_no_person_is_logged(peer, pay, caplog):
    caplog.set_level(logging.DEBUG)
    answers(peer, keys.PAID)
    pay.query_order("order001")
    answers(peer, {"prepay_id": "wx221"})
    order(pay)
    for secret in ("o-somebody", "WECHATPAY2", "wx221", keys.APIV3_KEY):
        assert secret not in caplog.text


def test_nobody_fetches_certificates(peer):
    core = WeChatPayCore(keys.settings(peer.url), lambda: NOW)
    with pytest.raises(AssertionError):
        core._update_certificates()
    forged = keys.signed(b"{}", NOW.timestamp(), whose="forger", serial="0123456789ABCDEF")
    assert core.callback(forged, b"{}") is None
    assert peer.asked == []
