"""WeChat Pay's refunds: every rule of the channel, and results that come later than the answer."""

import secrets
import time
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response

from . import wechat_orders as orders
from .store import Doc
from .wechat_callbacks import announce
from .wechat_fields import REFUND, require, wrong_field
from .wechat_gate import Answer, Gate, Problem, body_of_request
from .wechat_limits import check_old, within_limits
from .wechat_signing import Merchant, fingerprint, opened
from .world import World

KIND = "wxpay_refund"
DUE = "wxpay_refund_due"
WITHIN = timedelta(days=365)
MOST_PARTS = 50
RESULTS = {"abnormal": "ABNORMAL", "closed": "CLOSED"}
REFUSALS = {
    "not_enough": (403, "NOT_ENOUGH", "商户余额不足，请充值后用原单号重试"),
    "not_visible_yet": (404, "RESOURCE_NOT_EXISTS", "订单不存在或数据同步中，请稍后用原单号重试"),
    "throttled": (429, "FREQUENCY_LIMITED", "频率限制，1个月之前的订单请降低申请频率再重试"),
}


def blueprint(world: World) -> Blueprint:
    """/v3/refund/domestic/refunds: apply, query, repair an abnormal one."""
    routes = Blueprint("wechat_refunds", __name__, url_prefix="/v3/refund/domestic/refunds")
    gate = Gate(world)
    world.ticks.append(lambda: finish_due(world))
    world.coming.append(DUE)

    @routes.post("")
    def apply() -> Response:
        def work(merchant: Merchant) -> Answer:
            return within_limits(world, merchant.mchid, lambda: applied(world, merchant))

        return gate.run("refund", work)

    @routes.get("/<out_refund_no>")
    def query(out_refund_no: str) -> Response:
        return gate.run("query_refund", lambda merchant: queried(world, merchant, out_refund_no))

    @routes.post("/<refund_id>/apply-abnormal-refund")
    def repair(refund_id: str) -> Response:
        return gate.run("abnormal_refund", lambda merchant: repaired(world, merchant, refund_id))

    return routes


def applied(world: World, merchant: Merchant) -> Answer:
    """Accept a refund (200 means only accepted), or say what we said to the same number before."""
    body = body_of_request()
    require(body, REFUND)
    if ("transaction_id" in body) == ("out_trade_no" in body):
        raise wrong_field("transaction_id", "transaction_id和out_trade_no二选一")
    with world.store.transaction():
        known = world.store.get(KIND, orders.key_of(merchant.mchid, body["out_refund_no"]))
        if known:
            if known["asked"] != fingerprint(body):
                raise Problem(400, "INVALID_REQUEST", "该退款单号已存在，但参数与首次不一致")
            return Answer(as_seen(known), about=about(known), outcome=known["status"])
        order = refundable_order(world, merchant, body)
        fault = world.faults.take("wxpay", "refund", (*REFUSALS, *RESULTS))
        if fault and fault.name in REFUSALS:
            raise Problem(*REFUSALS[fault.name])
        check_rules(world, order, body["amount"])
        result = RESULTS[fault.name] if fault else "SUCCESS"
        refund = accepted(world, order, body, result)
    return Answer(as_seen(refund), about=about(refund), outcome=refund["status"])


def refundable_order(world: World, merchant: Merchant, body: dict[str, Any]) -> Doc:
    """The paid order of this merchant that the request names."""
    number = body.get("out_trade_no")
    if number is None:
        handle = world.store.get(orders.HANDLE, body["transaction_id"])
        number = handle["order"].partition("/")[2] if handle else ""
    order = world.store.get(orders.ORDER, orders.key_of(merchant.mchid, number))
    if order is None:
        raise Problem(404, "RESOURCE_NOT_EXISTS", "订单不存在", number=268512771)
    order = orders.brought_up_to_date(world, order)
    if not order["paid"]:
        raise Problem(404, "RESOURCE_NOT_EXISTS", "订单不存在或未支付")
    if order["state"] == "REVOKED":
        raise Problem(400, "INVALID_REQUEST", "订单已撤销")
    return order


def check_rules(world: World, order: Doc, amount: dict[str, Any]) -> None:
    """365 days, the right total, 50 parts, never more than was paid, a minute between two."""
    age = world.now() - datetime.fromisoformat(order["paid"]["success_time"])
    check_old(world, order["mchid"], age)
    if age > WITHIN:
        raise Problem(400, "INVALID_REQUEST", "订单已超过可退款的最大期限365天")
    if amount["total"] != order["total"]:
        raise Problem(400, "INVALID_REQUEST", "订单金额与原订单不一致")
    before = [refund_of(world, order, number) for number in order["refunds"]]
    standing = [refund for refund in before if refund["status"] != "CLOSED"]
    if sum(refund["refund"] for refund in standing) + amount["refund"] > order["total"]:
        raise Problem(400, "INVALID_REQUEST", "申请退款金额大于订单可退金额")
    if len(standing) >= MOST_PARTS:
        raise Problem(400, "INVALID_REQUEST", "一笔订单最多支持50次部分退款")
    gap = timedelta(seconds=world.setting("refund_gap_seconds"))
    if before and world.now() < datetime.fromisoformat(before[-1]["accepted_at"]) + gap:
        raise Problem(429, "FREQUENCY_LIMITED", "同一订单多次退款请间隔1分钟")


def accepted(world: World, order: Doc, body: dict[str, Any], result: str) -> Doc:
    """Remember the refund; its result is due a little later."""
    refund: Doc = {
        "hospital": order["hospital"],
        "mchid": order["mchid"],
        "out_trade_no": order["out_trade_no"],
        "transaction_id": order["paid"]["transaction_id"],
        "out_refund_no": body["out_refund_no"],
        "refund_id": f"503{secrets.randbelow(10**26):026d}",
        "asked": fingerprint(body),
        "refund": body["amount"]["refund"],
        "total": order["total"],
        "notify_url": body.get("notify_url", ""),
        "created_at": orders.local(world.now()),
        "accepted_at": world.now().isoformat(),
        "success_time": "",
        "received": "支付用户零钱",
        "status": "PROCESSING",
        "result": result,
    }
    key = orders.key_of(order["mchid"], refund["out_refund_no"])
    world.store.put(KIND, key, refund)
    world.store.put(orders.HANDLE, refund["refund_id"], {"order": key})
    world.store.put(DUE, key, {"at": time.time() + world.setting("refund_seconds")})
    order["refunds"].append(refund["out_refund_no"])
    order["state"] = "REFUND"
    orders.save(world, order)
    return refund


def finish_due(world: World) -> None:
    """Give every refund that is due its result, and tell the merchant."""
    for key, _ in world.store.all(DUE):
        brought_up_to_date(world, key)


def brought_up_to_date(world: World, key: str) -> Doc | None:
    """The refund; what was due by now has happened, whether or not a tick came in between."""
    due = world.store.get(DUE, key)
    if due is None or due["at"] > time.time():
        return world.store.get(KIND, key)
    with world.store.transaction():
        refund = world.store.get(KIND, key)
        if refund and world.store.delete(DUE, key):
            finish(world, key, refund)
    return refund


def finish(world: World, key: str, refund: Doc) -> None:
    """PROCESSING becomes SUCCESS, ABNORMAL or CLOSED."""
    refund["status"] = refund["result"]
    if refund["status"] == "SUCCESS":
        refund["success_time"] = orders.local(world.now())
    world.store.put(KIND, key, refund)
    world.log("wxpay", "refunded", f"{refund['hospital']} {about(refund)}", refund["status"])
    if refund["notify_url"]:
        announce(
            world,
            refund["hospital"],
            event=(f"REFUND.{refund['status']}", "refund", "退款结果通知"),
            number=refund["out_refund_no"],
            url=refund["notify_url"],
            content=as_told(refund),
        )


def queried(world: World, merchant: Merchant, out_refund_no: str) -> Answer:
    """The refund by our number, as it stands now."""
    refund = brought_up_to_date(world, orders.key_of(merchant.mchid, out_refund_no))
    if refund is None:
        raise Problem(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
    return Answer(as_seen(refund), about=about(refund), outcome=refund["status"])


def repaired(world: World, merchant: Merchant, refund_id: str) -> Answer:
    """Send an abnormal refund to a bank card of the payer, or back to the merchant."""
    body = body_of_request()
    handle = world.store.get(orders.HANDLE, refund_id)
    with world.store.transaction():
        refund = world.store.get(KIND, handle["order"]) if handle else None
        if not refund or refund["mchid"] != merchant.mchid:
            raise Problem(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
        if refund["out_refund_no"] != body.get("out_refund_no"):
            raise wrong_field("out_refund_no", "与退款单不一致")
        if refund["status"] != "ABNORMAL":
            raise Problem(400, "INVALID_REQUEST", "只有异常的退款单可以发起异常退款")
        refund |= {
            "status": "PROCESSING",
            "result": "SUCCESS",
            "received": where_to(merchant, body),
        }
        key = orders.key_of(merchant.mchid, refund["out_refund_no"])
        world.store.put(KIND, key, refund)
        world.store.put(DUE, key, {"at": time.time() + world.setting("refund_seconds")})
    return Answer(as_seen(refund), about=about(refund), outcome="PROCESSING")


def where_to(merchant: Merchant, body: dict[str, Any]) -> str:
    """The account of an abnormal refund; card and name must be encrypted for us."""
    if body.get("type") == "MERCHANT_BANK_CARD":
        return "商户银行账户"
    if body.get("type") != "USER_BANK_CARD":
        raise wrong_field("type", "只能是USER_BANK_CARD或MERCHANT_BANK_CARD")
    if not str(body.get("bank_type", "")).endswith("_DEBIT"):
        raise wrong_field("bank_type", "只支持借记卡")
    for field in ("bank_account", "real_name"):
        try:
            plain = opened(merchant.keys, str(body[field]))
        except (KeyError, ValueError):
            raise wrong_field(field, "缺失或未用微信支付公钥加密") from None
        if field == "bank_account" and not plain.isdigit():
            raise wrong_field(field, "不是银行卡号")
    return f"{body['bank_type'].removesuffix('_DEBIT')}借记卡"


def reversal(world: World, order: Doc) -> None:
    """Give a reversed payment-code order's whole money back at once, without a notice."""
    body = {
        "out_refund_no": f"REVERSE{order['out_trade_no']}",
        "amount": {"refund": order["total"]},
    }
    refund = accepted(world, order, body, "SUCCESS")
    key = orders.key_of(order["mchid"], refund["out_refund_no"])
    world.store.delete(DUE, key)
    finish(world, key, refund)


def refund_of(world: World, order: Doc, out_refund_no: str) -> Doc:
    """One refund of this order."""
    refund = world.store.get(KIND, orders.key_of(order["mchid"], out_refund_no))
    if refund is None:
        raise KeyError(out_refund_no)
    return refund


def as_seen(refund: Doc) -> dict[str, Any]:
    """The refund as answers show it: ``status``."""
    amount, total = refund["refund"], refund["total"]
    seen = {
        "refund_id": refund["refund_id"],
        "out_refund_no": refund["out_refund_no"],
        "transaction_id": refund["transaction_id"],
        "out_trade_no": refund["out_trade_no"],
        "channel": "OTHER_BANKCARD" if "银行" in refund["received"] else "ORIGINAL",
        "user_received_account": refund["received"],
        "create_time": refund["created_at"],
        "status": refund["status"],
        "funds_account": "AVAILABLE",
        "amount": {
            "total": total,
            "refund": amount,
            "payer_total": total,
            "payer_refund": amount,
            "settlement_total": total,
            "settlement_refund": amount,
            "discount_refund": 0,
            "currency": "CNY",
            "refund_fee": 0,
        },
        "promotion_detail": [],
    }
    return seen | ({"success_time": refund["success_time"]} if refund["success_time"] else {})


def as_told(refund: Doc) -> dict[str, Any]:
    """The refund as a notice shows it: ``refund_status``, fewer amounts."""
    amount = as_seen(refund)["amount"]
    told = {
        "mchid": refund["mchid"],
        "transaction_id": refund["transaction_id"],
        "out_trade_no": refund["out_trade_no"],
        "refund_id": refund["refund_id"],
        "out_refund_no": refund["out_refund_no"],
        "refund_status": refund["status"],
        "user_received_account": refund["received"],
        "amount": {name: amount[name] for name in ("total", "refund", "payer_total")},
    }
    told["amount"]["payer_refund"] = refund["refund"]
    return told | ({"success_time": refund["success_time"]} if refund["success_time"] else {})


def about(refund: Doc) -> str:
    """Number and yuan for the diary."""
    return f"{refund['out_refund_no']} ¥{refund['refund'] / 100:.2f}"
