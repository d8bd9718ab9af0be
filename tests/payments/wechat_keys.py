"""A WeChat Pay of the tests' own: its keys, its signature and its encryption."""

import base64
import json
import secrets
from dataclasses import replace
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from config import WeChatPaySettings

APIV3_KEY = "0123456789abcdef0123456789abcdef"
SERIAL = "PUB_KEY_ID_0000000001"
SETTINGS = WeChatPaySettings(
    base_url="http://127.0.0.1:9",
    mchid="1900000001",
    appid="wx0000000000000001",
    merchant_serial="5157F09EFDC096DE15EBE81A47057A7232F1B8E1",
    merchant_key="",
    apiv3_key=APIV3_KEY,
    public_key_id=SERIAL,
    public_key="",
)


@cache
def key(whose: str) -> rsa.RSAPrivateKey:
    """One key pair each for the merchant, for WeChat and for a forger."""
    return rsa.generate_private_key(65537, 2048)


def settings(base_url: str) -> WeChatPaySettings:
    private = key("merchant").private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = (
        key("wechat")
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return replace(
        SETTINGS, base_url=base_url, merchant_key=private.decode(), public_key=public.decode()
    )


def sign(whose: str, text: bytes) -> str:
    """base64 of RSA-PKCS1v15-SHA256."""
    return base64.b64encode(key(whose).sign(text, padding.PKCS1v15(), hashes.SHA256())).decode()


def check(whose: str, signature: str, text: bytes) -> None:
    """InvalidSignature unless this key signed this text."""
    public = key(whose).public_key()
    public.verify(base64.b64decode(signature), text, padding.PKCS1v15(), hashes.SHA256())


def signed(body: bytes, stamp: float, *, whose: str = "wechat", serial: str = SERIAL) -> dict:
    """The headers that prove a body."""
    nonce, at = secrets.token_hex(8), str(int(stamp))
    return {
        "Wechatpay-Timestamp": at,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Serial": serial,
        "Wechatpay-Signature": sign(whose, f"{at}\n{nonce}\n".encode() + body + b"\n"),
    }


def envelope(event_type: str, told: dict[str, Any], apiv3_key: str = APIV3_KEY) -> bytes:
    """A notice's body with its encrypted resource."""
    kind = event_type.partition(".")[0].lower()
    nonce = secrets.token_hex(6)
    sealed = AESGCM(apiv3_key.encode()).encrypt(
        nonce.encode(), json.dumps(told).encode(), kind.encode()
    )
    return json.dumps(
        {
            "id": "EV-1",
            "create_time": "2026-11-22T10:00:01+08:00",
            "event_type": event_type,
            "resource_type": "encrypt-resource",
            "resource": {
                "original_type": kind,
                "algorithm": "AEAD_AES_256_GCM",
                "ciphertext": base64.b64encode(sealed).decode(),
                "associated_data": kind,
                "nonce": nonce,
            },
        }
    ).encode()


PAID = {
    "mchid": SETTINGS.mchid,
    "appid": SETTINGS.appid,
    "out_trade_no": "order001",
    "transaction_id": "4200000001202611220000000001",
    "trade_type": "JSAPI",
    "trade_state": "SUCCESS",
    "success_time": "2026-11-22T10:00:00+08:00",
    "payer": {"openid": "o-somebody"},
    "amount": {"total": 312472, "payer_total": 312472, "currency": "CNY"},
}
REFUNDED = {
    "mchid": SETTINGS.mchid,
    "out_trade_no": "order001",
    "transaction_id": "4200000001202611220000000001",
    "out_refund_no": "refund001",
    "refund_id": "50000000382026112200000000001",
    "refund_status": "SUCCESS",
    "success_time": "2026-11-22T11:00:00+08:00",
    "user_received_account": "招商银行信用卡0403",
    "amount": {"total": 312472, "refund": 12000, "payer_total": 312472, "payer_refund": 12000},
}
