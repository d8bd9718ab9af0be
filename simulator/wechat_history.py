"""What WeChat Pay remembers of the years before: payments that an old card system took, and what it
gave back of them.
"""

from datetime import datetime
from typing import Any

from flask import Blueprint, Response, jsonify, request

from . import wechat_orders as orders
from . import wechat_refunds as refunds
from .store import Doc
from .world import World, plain_error


class Unbelievable(Exception):
    """No payment that WeChat Pay could remember."""


def blueprint(world: World) -> Blueprint:
    """POST /_sim/wxpay/history."""
    routes = Blueprint("wechat_history", __name__, url_prefix="/_sim/wxpay")

    @routes.post("/history")
    def remember() -> Response:
        asked = request.get_json()
        if asked["hospital"] not in world.hospitals:
            return plain_error(404, "UNKNOWN_HOSPITAL")
        try:
            with world.store.transaction():
                for payment in asked["payments"]:
                    remembered(world, asked["hospital"], payment)
        except Unbelievable as doubt:
            return plain_error(409, str(doubt))
        return jsonify(remembered=len(asked["payments"]))

    return routes


def remembered(world: World, hospital: str, payment: dict[str, Any]) -> None:
    """One payment of before: ``transaction_id``, ``paid_at``, ``total`` and ``refunds``, each with
    ``fen`` and ``at``. A transaction number is given only once.
    """
    transaction, total = payment["transaction_id"], payment["total"]
    paid_at = datetime.fromisoformat(payment["paid_at"])
    back = payment.get("refunds", [])
    if paid_at >= world.now() or sum(each["fen"] for each in back) > total:
        raise Unbelievable(f"IMPOSSIBLE {transaction}")
    keys = world.hospitals[hospital]["wechat_pay"]
    order = old_order(hospital, keys, transaction, total, paid_at)
    for each in back:
        refund = old_refund(order, len(order["refunds"]), each)
        world.store.put(refunds.KIND, orders.key_of(keys["mchid"], refund["out_refund_no"]), refund)
        order["refunds"].append(refund["out_refund_no"])
        order["state"] = "REFUND"
    key = orders.key_of(keys["mchid"], order["out_trade_no"])
    if not world.store.insert(orders.HANDLE, transaction, {"order": key}):
        raise Unbelievable(f"TAKEN {transaction}")
    orders.save(world, order)


def old_order(
    hospital: str, keys: dict[str, Any], transaction: str, total: int, paid_at: datetime
) -> Doc:
    """The order behind an old payment, as a cashier's QR code made it."""
    at = orders.local(paid_at)
    return {
        "hospital": hospital,
        "mchid": keys["mchid"],
        "appid": keys["appid"],
        "out_trade_no": f"OLD{transaction}",
        "trade_type": "NATIVE",
        "asked": "",
        "description": "门诊预交金",
        "attach": "",
        "notify_url": "",
        "device_id": "",
        "total": total,
        "openid": f"o-old-{transaction}",
        "created_at": at,
        "expires_at": at,
        "closes_at": at,
        "state": "SUCCESS",
        "handle": "",
        "paid": {"transaction_id": transaction, "success_time": at, "bank_type": "OTHERS"},
        "refunds": [],
    }


def old_refund(order: Doc, place: int, back: dict[str, Any]) -> Doc:
    """A refund that the old system made; it has long arrived."""
    at = orders.local(datetime.fromisoformat(back["at"]))
    number = f"{order['out_trade_no']}R{place}"
    return {
        "hospital": order["hospital"],
        "mchid": order["mchid"],
        "out_trade_no": order["out_trade_no"],
        "transaction_id": order["paid"]["transaction_id"],
        "out_refund_no": number,
        "refund_id": f"503{number}",
        "asked": "",
        "refund": back["fen"],
        "total": order["total"],
        "notify_url": "",
        "created_at": at,
        "accepted_at": at,
        "success_time": at,
        "received": "支付用户零钱",
        "status": "SUCCESS",
        "result": "SUCCESS",
    }
