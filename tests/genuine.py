"""Rightly signed notices of the simulator's WeChat Pay, with a content that the test chooses."""

import base64
import json
import secrets
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from config import SHANGHAI
from tests.payments.wechat_keys import envelope
from tests.sim_process import Simulator

HOSPITAL = "GZ01"


def notice(
    simulator: Simulator, event_type: str, told: dict[str, Any], at: datetime
) -> tuple[dict[str, str], bytes]:
    """Headers and body of a notice that WeChat Pay itself signed at this moment."""
    keys = _keys(simulator.directory)
    body = envelope(event_type, told, keys["apiv3_key"])
    return signed(simulator, body, at), body


def signed(simulator: Simulator, body: bytes, at: datetime) -> dict[str, str]:
    """The headers with which WeChat Pay proves a body."""
    keys, nonce = _keys(simulator.directory), secrets.token_hex(8)
    stamp = str(int(at.timestamp()))
    said = f"{stamp}\n{nonce}\n".encode() + body + b"\n"
    signature = _key(keys["platform_key"]).sign(said, padding.PKCS1v15(), hashes.SHA256())
    return {
        "Wechatpay-Timestamp": stamp,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Serial": keys["public_key_id"],
        "Wechatpay-Signature": base64.b64encode(signature).decode(),
    }


def payment(simulator: Simulator, number: str, amount_fen: int, at: datetime) -> dict[str, Any]:
    """What a notice of a payment tells."""
    keys = _keys(simulator.directory)
    return {
        "mchid": keys["mchid"],
        "appid": keys["appid"],
        "out_trade_no": number,
        "transaction_id": f"4200{secrets.randbelow(10**24):024d}",
        "trade_type": "NATIVE",
        "trade_state": "SUCCESS",
        "success_time": at.astimezone(SHANGHAI).isoformat(timespec="seconds"),
        "payer": {"openid": "o-somebody"},
        "amount": {"total": amount_fen, "payer_total": amount_fen, "currency": "CNY"},
    }


def refund(
    simulator: Simulator, number: str, amount_fen: int, at: datetime, state: str = "SUCCESS"
) -> dict[str, Any]:
    """What a notice of a refund tells."""
    return {
        "mchid": _keys(simulator.directory)["mchid"],
        "out_trade_no": "not-looked-at",
        "transaction_id": "not-looked-at",
        "out_refund_no": number,
        "refund_id": f"503{secrets.randbelow(10**26):026d}",
        "refund_status": state,
        "success_time": at.astimezone(SHANGHAI).isoformat(timespec="seconds"),
        "user_received_account": "支付用户零钱",
        "amount": {"total": amount_fen, "refund": amount_fen, "payer_total": amount_fen},
    }


def transfer(
    simulator: Simulator, number: str, amount_fen: int, at: datetime, state: str = "SUCCESS"
) -> dict[str, Any]:
    """What a notice of a merchant transfer tells."""
    return {
        "mch_id": _keys(simulator.directory)["mchid"],
        "out_bill_no": number,
        "transfer_bill_no": f"1330{secrets.randbelow(10**24):024d}",
        "state": state,
        "transfer_amount": amount_fen,
        "openid": "o-somebody",
        "fail_reason": "",
        "update_time": at.astimezone(SHANGHAI).isoformat(timespec="seconds"),
    }


@cache
def _keys(directory: Path) -> dict[str, str]:
    world = json.loads((directory / "world.json").read_text("utf8"))
    return dict(world["hospitals"][HOSPITAL]["wechat_pay"])


@cache
def _key(pem: str) -> Any:
    return load_pem_private_key(pem.encode(), None)
