"""What people do with their own phones: pay an order, show a payment code."""

import secrets
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response, jsonify, request

from . import wechat_orders as orders
from .store import Doc
from .wechat_pay import PAYMENT_CODE
from .wechat_signing import NotSigned, verify_text
from .world import World, plain_error

BEHAVIOURS = ("pays_at_once", "password_then_pays", "password_then_never", "insufficient")
CODE_LIFE = timedelta(minutes=1)


class CannotPay(Exception):
    """The payer's phone shows a refusal."""


def blueprint(world: World) -> Blueprint:
    """POST /_sim/wxpay/pay and /_sim/wxpay/payment-codes."""
    routes = Blueprint("wechat_payers", __name__, url_prefix="/_sim/wxpay")

    @routes.post("/pay")
    def pay() -> Response:
        try:
            with world.store.transaction():
                order = paid_by_phone(world, request.get_json())
        except CannotPay as refusal:
            world.log("wxpay", "paid", "refused on the phone", str(refusal))
            return plain_error(409, str(refusal))
        return jsonify(
            trade_state=order["state"],
            out_trade_no=order["out_trade_no"],
            transaction_id=order["paid"]["transaction_id"],
        )

    @routes.post("/payment-codes")
    def show_code() -> Response:
        asked = request.get_json()
        if asked.get("behaviour", "pays_at_once") not in BEHAVIOURS:
            return plain_error(400, "UNKNOWN_BEHAVIOUR")
        return jsonify(auth_code=new_payment_code(world, asked))

    return routes


def paid_by_phone(world: World, asked: dict[str, Any]) -> Doc:
    """Pay what the phone shows: a prepay_id, a scanned code_url, or simply our number."""
    order = orders.brought_up_to_date(world, order_shown(world, asked))
    if order["trade_type"] == "MICROPAY":
        raise CannotPay("PAYMENT_CODE_ORDER")
    if order["paid"]:
        raise CannotPay("ORDER_PAID")
    if order["state"] != "NOTPAY":
        raise CannotPay("ORDER_CLOSED")
    if orders.expired(world, order):
        raise CannotPay("ORDER_EXPIRED")
    openid = asked.get("openid") or order["openid"]
    if not openid:
        raise CannotPay("OPENID_MISSING")
    if order["trade_type"] == "JSAPI" and openid != order["openid"]:
        raise CannotPay("WRONG_PAYER")
    return orders.paid(world, order, openid, world.now())


def order_shown(world: World, asked: dict[str, Any]) -> Doc:
    """The order behind a prepay_id, a code_url, wx.requestPayment's parameters or a number."""
    prepay = str(asked.get("package", "")).removeprefix("prepay_id=")
    if shown := asked.get("prepay_id") or asked.get("code_url") or prepay:
        handle = world.store.get(orders.HANDLE, shown)
        if handle is None:
            raise CannotPay("UNKNOWN_CODE")
        if datetime.fromisoformat(handle["ends_at"]) <= world.now():
            raise CannotPay("CODE_EXPIRED")
        order = world.store.get(orders.ORDER, handle["order"])
    else:
        keys = [orders.key_of(each, asked["out_trade_no"]) for each in mchids(world)]
        order = next(filter(None, (world.store.get(orders.ORDER, key) for key in keys)), None)
    if order is None:
        raise CannotPay("UNKNOWN_ORDER")
    if "paySign" in asked:
        check_pay_sign(world, order, asked)
    return order


def check_pay_sign(world: World, order: Doc, asked: dict[str, Any]) -> None:
    """The phone pays only what the order's merchant signed for this mini-program."""
    keys = world.hospitals[order["hospital"]]["wechat_pay"]
    parts = (order["appid"], asked["timeStamp"], asked["nonceStr"], asked["package"])
    message = "".join(f"{part}\n" for part in parts).encode()
    try:
        verify_text(keys["merchant_public_key"], message, asked["paySign"])
    except NotSigned:
        raise CannotPay("PAY_SIGN_WRONG") from None
    if asked.get("signType") != "RSA":
        raise CannotPay("SIGN_TYPE_WRONG")


def mchids(world: World) -> list[str]:
    """Every merchant number."""
    return [hospital["wechat_pay"]["mchid"] for hospital in world.hospitals.values()]


def new_payment_code(world: World, asked: dict[str, Any]) -> str:
    """Eighteen digits that can be charged once within a minute."""
    auth_code = f"13{secrets.randbelow(10**16):016d}"
    world.store.put(
        PAYMENT_CODE,
        auth_code,
        {
            "openid": asked["openid"],
            "behaviour": asked.get("behaviour", "pays_at_once"),
            "seconds": float(asked.get("seconds", world.setting("password_seconds"))),
            "used": False,
            "ends_at": (world.now() + CODE_LIFE).isoformat(),
        },
    )
    return auth_code
