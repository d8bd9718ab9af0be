"""Calls of the WeChat Pay adapter with everyday facts, and a peer that answers them."""

import json
from datetime import UTC, datetime, timedelta

from tests.payments import wechat_keys as keys
from tests.peer import Says

NOW = datetime(2026, 11, 22, 2, 0, 0, tzinfo=UTC)
NOTIFY = "https://hospital.example/wxpay/notify/GZ01/payment"


def answers(peer, fields=None, *, status=200, at=NOW, **signature):
    """Let the peer give this signed answer."""
    body = b"" if fields is None else json.dumps(fields).encode()

    def answer(_):
        headers = keys.signed(body, at.timestamp(), **signature)
        return Says(status, body, headers | {"Content-Type": "application/json; charset=utf-8"})

    peer.answer = answer


def order(pay, **changed):
    facts = {
        "out_trade_no": "order001",
        "amount_fen": 312472,
        "description": "住院预交金",
        "openid": "o-somebody",
        "expires_at": NOW + timedelta(minutes=30),
        "notify_url": NOTIFY,
    }
    return pay.order_mini_program(**facts | changed)


def refund(pay, **changed):
    facts = {
        "out_refund_no": "refund001",
        "channel_transaction_id": "4200000001",
        "amount_fen": 12000,
        "total_fen": 312472,
        "reason": "预交金退款",
        "notify_url": NOTIFY,
    }
    return pay.refund(**facts | changed)


def charge(pay):
    return pay.charge_payment_code(
        out_trade_no="order001",
        amount_fen=100,
        description="住院预交金",
        auth_code="130061098828009406",
        device_id="ward-3",
        device_ip="10.0.0.7",
    )
