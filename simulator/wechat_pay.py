"""WeChat Pay's orders on the wire: mini-program, QR code, payment code; query, close, reverse."""

import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response, request

from . import wechat_orders as orders
from . import wechat_signing
from .store import Doc
from .wechat_fields import CODEPAY, JSAPI, NATIVE, require, wrong_field
from .wechat_gate import Answer, Gate, Problem, body_of_request
from .wechat_refunds import reversal
from .wechat_signing import Merchant
from .world import World

PAYMENT_CODE = "wxpay_payment_code"


def credentials(code: str, name: str, profile: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """New keys of one hospital: (what the application gets, what the world keeps)."""
    return wechat_signing.new_keys(code, "")


def blueprint(world: World) -> Blueprint:
    """/v3/pay/transactions/... and the payer's own acts under /_sim/wxpay."""
    routes = Blueprint("wechat_pay", __name__)
    gate = Gate(world)
    add_orders(routes, world, gate)
    add_acts_on_orders(routes, world, gate)
    world.books.append(lambda: {"wxpay": books(world)})

    @routes.get("/v3/certificates")
    def certificates() -> Response:
        def none(merchant: Merchant) -> Answer:
            raise Problem(404, "RESOURCE_NOT_EXISTS", "无可用的平台证书，请使用微信支付公钥")

        return gate.run("certificates", none)

    return routes


def add_orders(routes: Blueprint, world: World, gate: Gate) -> None:
    """The three ways to place an order."""

    def posted(path: str, operation: str, work: Callable[[World, Merchant], Answer]) -> None:
        routes.add_url_rule(
            f"/v3/pay/transactions/{path}",
            operation,
            lambda: gate.run(operation, lambda merchant: work(world, merchant)),
            methods=["POST"],
        )

    posted("jsapi", "jsapi", order_jsapi)
    posted("native", "native", order_native)
    posted("codepay", "codepay", charge_code)


def add_acts_on_orders(routes: Blueprint, world: World, gate: Gate) -> None:
    """Query by either number, close and reverse."""
    number = "/v3/pay/transactions/out-trade-no/<out_trade_no>"

    @routes.get(number)
    def query(out_trade_no: str) -> Response:
        return gate.run("query", lambda who: queried(world, who, out_trade_no))

    @routes.get("/v3/pay/transactions/id/<transaction_id>")
    def query_by_id(transaction_id: str) -> Response:
        return gate.run("query", lambda who: queried_by_id(world, who, transaction_id))

    @routes.post(f"{number}/close")
    def close(out_trade_no: str) -> Response:
        return gate.run("close", lambda who: closed(world, who, out_trade_no))

    @routes.post(f"{number}/reverse")
    def reverse(out_trade_no: str) -> Response:
        return gate.run("reverse", lambda who: reversed_order(world, who, out_trade_no))


def order_jsapi(world: World, merchant: Merchant) -> Answer:
    """An order for the mini-program; the same one again gets a fresh prepay_id."""
    body = body_of_request()
    require(body, JSAPI)
    with world.store.transaction():
        order = orders.placed(world, merchant, "JSAPI", body)
        stamp = world.now().astimezone(orders.BEIJING).strftime("%d%H%M%S")
        prepay_id = f"wx{stamp}{secrets.token_hex(14)}"
        orders.new_handle(world, order, prepay_id, kills_old=False)
    return Answer({"prepay_id": prepay_id}, about=about(order))


def order_native(world: World, merchant: Merchant) -> Answer:
    """An order behind a QR code; the same one again gets a new code that kills the old."""
    body = body_of_request()
    require(body, NATIVE)
    with world.store.transaction():
        order = orders.placed(world, merchant, "NATIVE", body)
        token = secrets.token_urlsafe(6)
        code_url = f"weixin://pay.weixin.qq.com/bizpayurl/up?pr={token}&groupid=00"
        orders.new_handle(world, order, code_url, kills_old=True)
    return Answer({"code_url": code_url}, about=about(order))


def charge_code(world: World, merchant: Merchant) -> Answer:
    """Charge a payment code: 200 paid, 202 while the payer types the password, or a refusal."""
    body = body_of_request()
    require(body, CODEPAY)
    store_info = body["scene_info"]["store_info"]
    if not (store_info.get("id") or store_info.get("out_id")):
        raise wrong_field("scene_info.store_info", "id和out_id至少填一个")
    with world.store.transaction():
        order = orders.placed(world, merchant, "MICROPAY", body)
        if order["state"] == "NOTPAY":
            order = charged(world, order, body["payer"]["auth_code"])
    if order["state"] == "PAYERROR":
        raise Problem(403, "NOT_ENOUGH", "用户余额不足，请使用其他支付方式")
    status = 202 if order["state"] == "USERPAYING" else 200
    return Answer(orders.as_seen(order), status, about(order), order["state"])


def charged(world: World, order: Doc, auth_code: str) -> Doc:
    """Use up the payment code and do what its owner does."""
    code = world.store.get(PAYMENT_CODE, auth_code)
    now = world.now()
    if code is None:
        raise Problem(400, "PARAM_ERROR", "付款码无效，请重新扫码")
    if code["used"] or datetime.fromisoformat(code["ends_at"]) <= now:
        raise Problem(400, "INVALID_REQUEST", "付款码已使用或已过期，请刷新后重新扫码")
    world.store.put(PAYMENT_CODE, auth_code, {**code, "used": True})
    order["openid"] = code["openid"]
    if code["behaviour"] == "pays_at_once":
        return orders.paid(world, order, code["openid"], now)
    order["state"] = "PAYERROR" if code["behaviour"] == "insufficient" else "USERPAYING"
    if code["behaviour"] == "password_then_pays":
        typed_at = now + timedelta(seconds=code["seconds"])
        order["password_at"] = typed_at.isoformat()
    orders.save(world, order)
    return order


def queried(world: World, merchant: Merchant, out_trade_no: str) -> Answer:
    """The order by our number, paid or not."""
    own_mchid(merchant, request.args.get("mchid"))
    order = orders.current(world, merchant.mchid, out_trade_no)
    return Answer(orders.as_seen(order), about=about(order), outcome=order["state"])


def queried_by_id(world: World, merchant: Merchant, transaction_id: str) -> Answer:
    """The paid order by WeChat's number."""
    own_mchid(merchant, request.args.get("mchid"))
    handle = world.store.get(orders.HANDLE, transaction_id)
    mchid, _, out_trade_no = handle["order"].partition("/") if handle else ("", "", "")
    if mchid != merchant.mchid or not transaction_id.startswith("4200"):
        raise Problem(404, "ORDER_NOT_EXIST", "订单不存在", number=268512771)
    return queried(world, merchant, out_trade_no)


def closed(world: World, merchant: Merchant, out_trade_no: str) -> Answer:
    """Close an unpaid order; again is fine; a paid one must be refunded instead."""
    own_mchid(merchant, body_of_request().get("mchid"))
    with world.store.transaction():
        order = orders.current(world, merchant.mchid, out_trade_no)
        if order["trade_type"] == "MICROPAY":
            raise Problem(
                400, "INVALID_REQUEST", "付款码订单不支持关单，请使用撤销", number=268449641
            )
        if order["paid"]:
            raise Problem(400, "ORDER_PAID", "该订单已支付", number=268449538)
        order["state"] = "CLOSED"
        orders.save(world, order)
    return Answer(None, about=about(order), outcome="CLOSED")


def reversed_order(world: World, merchant: Merchant, out_trade_no: str) -> Answer:
    """Undo a payment-code order: close it if unpaid, give the money back if paid; again is fine."""
    body = body_of_request()
    own_mchid(merchant, body.get("mchid"))
    if body.get("appid") != merchant.appid:
        raise wrong_field("appid", "appid和mchid不匹配")
    with world.store.transaction():
        order = orders.current(world, merchant.mchid, out_trade_no)
        if order["trade_type"] != "MICROPAY":
            raise Problem(400, "INVALID_REQUEST", "只有付款码订单可以撤销")
        if order["state"] == "REFUND":
            raise Problem(400, "INVALID_REQUEST", "订单已发生退款，不能撤销")
        if order["state"] == "SUCCESS":
            reversal(world, order)
        order["state"] = "REVOKED"
        orders.save(world, order)
    return Answer(
        {key: order[key] for key in ("appid", "mchid", "out_trade_no")},
        about=about(order),
        outcome="REVOKED",
    )


def own_mchid(merchant: Merchant, given: object) -> None:
    """A merchant may only ask for its own."""
    if given != merchant.mchid:
        raise Problem(400, "PARAM_ERROR", "mchid缺失或与签名的商户号不一致")


def about(order: Doc) -> str:
    """Number and yuan for the diary, nothing personal."""
    return f"{order['out_trade_no']} ¥{order['total'] / 100:.2f}"


def books(world: World) -> dict[str, Any]:
    """Paid and refunded fen of every order, by our number."""
    pages: dict[str, Any] = {}
    with world.store.transaction():
        known = [orders.brought_up_to_date(world, doc) for _, doc in world.store.all(orders.ORDER)]
        for order in known:
            pages[order["out_trade_no"]] = {
                "hospital": order["hospital"],
                "state": order["state"],
                "paid_fen": order["total"] if order["paid"] else 0,
                "refunded_fen": 0,
            }
        for _, refund in world.store.all("wxpay_refund"):
            if refund["status"] == "SUCCESS":
                pages[refund["out_trade_no"]]["refunded_fen"] += refund["refund"]
    return pages
