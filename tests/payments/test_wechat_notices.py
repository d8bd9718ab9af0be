"""Notices of WeChat Pay: only the genuine, fresh and ours are believed; nobody is asked."""

import json
import os
import random
import string
from datetime import UTC, datetime, timedelta

import pytest

from payments.channels.wechat import ChannelOrder, ChannelRefund, Notice, NoticeRefused, WeChatPay
from tests.payments import wechat_keys as keys
from tests.peer import Peer

NOW = datetime(2026, 11, 22, 2, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def peer():
    """Where the adapter would ask, if it asked."""
    with Peer().running() as peer:
        yield peer


@pytest.fixture(scope="module")
def pay(peer):
    return WeChatPay(keys.settings(peer.url), lambda: NOW)


@pytest.fixture(autouse=True)
def nobody_is_asked(peer):
    yield
    assert peer.asked == []


def refusal(pay, headers, body):
    with pytest.raises(NoticeRefused) as refused:
        pay.read_notice(headers, body)
    return refused.value.code


def test_a_payment(pay):
    body = keys.envelope("TRANSACTION.SUCCESS", keys.PAID)
    assert pay.read_notice(keys.signed(body, NOW.timestamp()), body) == Notice(
        event_id="EV-1",
        event_type="TRANSACTION.SUCCESS",
        subject="payment",
        number="order001",
        told=ChannelOrder(
            state="PAID",
            out_trade_no="order001",
            channel_transaction_id="4200000001202611220000000001",
            amount_fen=312472,
            paid_at=NOW,
            payer="o-somebody",
        ),
        mchid=keys.SETTINGS.mchid,
        appid=keys.SETTINGS.appid,
    )


@pytest.mark.parametrize(
    ("event", "theirs", "ours"),
    [
        ("REFUND.SUCCESS", "SUCCESS", "PAID"),
        ("REFUND.ABNORMAL", "ABNORMAL", "ABNORMAL"),
        ("REFUND.CLOSED", "CLOSED", "CLOSED"),
    ],
)
def test_a_refund(pay, event, theirs, ours):
    body = keys.envelope(event, keys.REFUNDED | {"refund_status": theirs})
    notice = pay.read_notice(keys.signed(body, NOW.timestamp()), body)
    assert (notice.subject, notice.number) == ("refund", "refund001")
    assert notice.told == ChannelRefund(
        state=ours,
        out_refund_no="refund001",
        channel_refund_id="50000000382026112200000000001",
        amount_fen=12000,
        paid_at=NOW + timedelta(hours=1),
        received_account="招商银行信用卡0403",
    )


def test_header_names_may_come_in_any_case_and_the_type_of_signature_need_not_come(pay):
    body = keys.envelope("TRANSACTION.SUCCESS", keys.PAID)
    headers = keys.signed(body, NOW.timestamp())
    lower = {name.lower(): value for name, value in headers.items()}
    assert pay.read_notice(lower, body).number == "order001"
    named = headers | {"Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048"}
    assert pay.read_notice(named, body).number == "order001"


@pytest.mark.parametrize(
    ("seconds", "code"), [(-300, "NOT_FRESH"), (300, "NOT_FRESH"), (-86400, "NOT_FRESH")]
)
def test_a_notice_that_is_not_fresh_is_refused(pay, seconds, code):
    body = keys.envelope("TRANSACTION.SUCCESS", keys.PAID)
    headers = keys.signed(body, NOW.timestamp() + seconds)
    assert refusal(pay, headers, body) == code


def test_a_notice_of_299_seconds_is_believed(pay):
    body = keys.envelope("TRANSACTION.SUCCESS", keys.PAID)
    assert pay.read_notice(keys.signed(body, NOW.timestamp() - 299), body)


FORGED = {
    "BAD_SIGNATURE": {"whose": "forger"},
    "UNKNOWN_SERIAL": {"serial": "0123456789ABCDEF0123456789ABCDEF01234567"},
}


@pytest.mark.parametrize("code", FORGED)
def test_a_forged_notice_is_refused(pay, code):
    body = keys.envelope("TRANSACTION.SUCCESS", keys.PAID)
    assert refusal(pay, keys.signed(body, NOW.timestamp(), **FORGED[code]), body) == code


@pytest.mark.parametrize(
    ("header", "value", "code"),
    [
        ("Wechatpay-Signature", "WECHATPAY/SIGNTEST/" + "A" * 325, "SIGNATURE_PROBE"),
        ("Wechatpay-Signature", "", "BAD_SIGNATURE"),
        ("Wechatpay-Signature", "签名", "BAD_SIGNATURE"),
        ("Wechatpay-Timestamp", "", "NO_TIMESTAMP"),
        ("Wechatpay-Timestamp", "soon", "NO_TIMESTAMP"),
        ("Wechatpay-Timestamp", "²", "NO_TIMESTAMP"),
        ("Wechatpay-Timestamp", "9" * 5000, "NO_TIMESTAMP"),
        ("Wechatpay-Nonce", "\ud800", "BAD_SIGNATURE"),
        ("Wechatpay-Serial", "zz-not-hex", "UNKNOWN_SERIAL"),
        ("Wechatpay-Serial", "", "UNKNOWN_SERIAL"),
        ("Wechatpay-Signature-Type", "WECHATPAY2-SM2-WITH-SM3", "UNKNOWN_SIGNATURE_TYPE"),
    ],
)
def test_a_spoiled_header_is_refused(pay, header, value, code):
    body = keys.envelope("TRANSACTION.SUCCESS", keys.PAID)
    headers = keys.signed(body, NOW.timestamp()) | {header: value}
    assert refusal(pay, headers, body) == code


def test_no_headers_at_all(pay):
    assert refusal(pay, {}, b"{}") == "UNKNOWN_SERIAL"


@pytest.mark.parametrize(
    ("event", "told", "code"),
    [
        ("TRANSACTION.SUCCESS", keys.PAID | {"mchid": "1900000002"}, "OTHER_MERCHANT"),
        ("REFUND.SUCCESS", keys.REFUNDED | {"mchid": "1900000002"}, "OTHER_MERCHANT"),
        ("TRANSACTION.SUCCESS", keys.PAID | {"appid": "wx2"}, "UNREADABLE"),
        ("TRANSACTION.SUCCESS", keys.PAID | {"amount": {"total": 1.5}}, "UNREADABLE"),
        ("TRANSACTION.SUCCESS", {}, "UNREADABLE"),
        ("COUPON.USE", keys.PAID, "UNKNOWN_EVENT"),
    ],
)
def test_a_genuine_notice_that_is_not_for_us_is_refused(pay, event, told, code):
    body = keys.envelope(event, told)
    assert refusal(pay, keys.signed(body, NOW.timestamp()), body) == code


def test_a_genuine_notice_encrypted_for_somebody_else_is_refused(pay):
    body = keys.envelope("TRANSACTION.SUCCESS", keys.PAID, apiv3_key="f" * 32)
    assert refusal(pay, keys.signed(body, NOW.timestamp()), body) == "UNREADABLE"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"resource":null}',
        b'{"resource":{"algorithm":"ROT13"}}',
        b'{"resource":{"algorithm":"AEAD_AES_256_GCM","nonce":"","ciphertext":"!","associated_data":""}}',
    ],
)
def test_a_signed_body_that_is_no_notice_is_refused(pay, body):
    assert refusal(pay, keys.signed(body, NOW.timestamp()), body) == "UNREADABLE"


MUTATIONS = int(os.environ.get("MUTATIONS", "500"))


def test_mutations_of_a_genuine_notice_are_all_refused(pay):
    """MUTATIONS=10000 for the long run."""
    dice = random.Random(20261122)
    body = keys.envelope("TRANSACTION.SUCCESS", keys.PAID)
    headers = keys.signed(body, NOW.timestamp())
    assert pay.read_notice(headers, body)
    for _ in range(MUTATIONS):
        changed_headers, changed_body = dict(headers), body
        if dice.random() < 0.5:
            name = dice.choice(list(headers))
            changed_headers[name] = _mutated(headers[name], dice)
        else:
            changed_body = _mutated(body.decode(), dice).encode()
        assert refusal(pay, changed_headers, changed_body)


def test_one_signature_has_one_spelling(pay):
    body = keys.envelope("TRANSACTION.SUCCESS", keys.PAID)
    headers = keys.signed(body, NOW.timestamp())
    signature = headers["Wechatpay-Signature"]
    place = string.ascii_letters.find(signature[-3])
    for other in (
        signature + "\n",
        " " + signature,
        signature[:100] + "*" + signature[100:],
        signature.rstrip("="),
        signature[:-3] + string.ascii_letters[(place + 1) % 52] + "==",
    ):
        assert refusal(pay, headers | {"Wechatpay-Signature": other}, body) == "BAD_SIGNATURE"


def test_the_same_json_written_otherwise_is_another_body(pay):
    body = keys.envelope("TRANSACTION.SUCCESS", keys.PAID)
    headers = keys.signed(body, NOW.timestamp())
    rewritten = json.dumps(json.loads(body), separators=(",", ":")).encode()
    assert refusal(pay, headers, rewritten) == "BAD_SIGNATURE"


def _mutated(text: str, dice: random.Random) -> str:
    """One character changed, dropped or put in."""
    place = dice.randrange(len(text))
    while (other := dice.choice(string.printable[:94])) == text[place]:
        pass
    return dice.choice(
        [
            text[:place] + other + text[place + 1 :],
            text[:place] + text[place + 1 :],
            text[:place] + other + text[place:],
        ]
    )
