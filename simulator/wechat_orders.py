"""The life of an order inside WeChat Pay: placed, paid, closed; and how the merchant sees it."""

import secrets
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from .store import Doc
from .wechat_callbacks import announce
from .wechat_fields import wrong_field
from .wechat_gate import Problem
from .wechat_signing import Merchant, fingerprint
from .world import World

BEIJING = ZoneInfo("Asia/Shanghai")
ORDER = "wxpay_order"
HANDLE = "wxpay_handle"  # prepay_id, code_url or transaction_id -> key of the order
DAY = timedelta(days=1)
LIFE = 7 * DAY
HANDLE_LIFE = timedelta(hours=2)
DESCRIPTIONS = {
    "NOTPAY": "订单未支付",
    "USERPAYING": "需要用户输入支付密码",
    "SUCCESS": "支付成功",
    "REFUND": "订单发生过退款，退款详情请查询退款单",
    "CLOSED": "订单已关闭",
    "REVOKED": "订单已撤销",
    "PAYERROR": "支付失败",
}


def key_of(mchid: str, out_trade_no: str) -> str:
    """The key of an order in the store."""
    return f"{mchid}/{out_trade_no}"


def local(moment: datetime) -> str:
    """RFC 3339 in Beijing time, to the second, as WeChat Pay writes it."""
    return moment.astimezone(BEIJING).isoformat(timespec="seconds")


def current(world: World, mchid: str, out_trade_no: str) -> Doc:
    """The order as it is at this moment of the world's clock; 404 ORDER_NOT_EXIST."""
    with world.store.transaction():
        order = world.store.get(ORDER, key_of(mchid, out_trade_no))
        if order is None:
            raise Problem(404, "ORDER_NOT_EXIST", "订单不存在", number=268512771)
        return brought_up_to_date(world, order)


def brought_up_to_date(world: World, order: Doc) -> Doc:
    """Let time work on the order: the password is typed, seven days are over."""
    now = world.now()
    typed_at = order.get("password_at")
    if order["state"] == "USERPAYING" and typed_at and datetime.fromisoformat(typed_at) <= now:
        order = paid(world, order, order["openid"], datetime.fromisoformat(typed_at))
    if order["state"] == "NOTPAY" and datetime.fromisoformat(order["closes_at"]) <= now:
        order["state"] = "CLOSED"
        save(world, order)
    return order


def save(world: World, order: Doc) -> None:
    """Write the order."""
    world.store.put(ORDER, key_of(order["mchid"], order["out_trade_no"]), order)


def placed(world: World, merchant: Merchant, trade_type: str, body: dict[str, Any]) -> Doc:
    """The new order, or the same one again (re-entry); call it inside a transaction."""
    if (body["mchid"], body["appid"]) != (merchant.mchid, merchant.appid):
        raise Problem(400, "APPID_MCHID_NOT_MATCH", "appid和mchid不匹配")
    asked = fingerprint({"trade_type": trade_type, **body})
    known = world.store.get(ORDER, key_of(merchant.mchid, body["out_trade_no"]))
    if known is None:
        return new_order(world, merchant, trade_type, body, asked)
    order = brought_up_to_date(world, known)
    if order["asked"] != asked:
        raise Problem(
            400, "INVALID_REQUEST", "请求重入时，参数与首次请求时不一致", number=268498688
        )
    if order["paid"]:
        raise Problem(400, "ORDER_PAID", "该订单已支付", number=268449538)
    if order["state"] in ("CLOSED", "REVOKED", "PAYERROR") or expired(world, order):
        raise Problem(400, "ORDER_CLOSED", "订单已关闭，请使用新的商户订单号")
    return order


def new_order(
    world: World, merchant: Merchant, trade_type: str, body: dict[str, Any], asked: str
) -> Doc:
    """Remember an order that nobody has paid."""
    now = world.now()
    scene = body.get("scene_info", {})
    order: Doc = {
        "hospital": merchant.code,
        "mchid": merchant.mchid,
        "appid": merchant.appid,
        "out_trade_no": body["out_trade_no"],
        "trade_type": trade_type,
        "asked": asked,
        "description": body["description"],
        "attach": body.get("attach", ""),
        "notify_url": body.get("notify_url", ""),
        "device_id": scene.get("device_id", ""),
        "total": body["amount"]["total"],
        "openid": body.get("payer", {}).get("openid", ""),
        "created_at": local(now),
        "expires_at": local(paying_ends(now, body.get("time_expire"))),
        "closes_at": local(now + LIFE),
        "state": "NOTPAY",
        "handle": "",
        "paid": None,
        "refunds": [],
    }
    save(world, order)
    return order


def paying_ends(now: datetime, asked: str | None) -> datetime:
    """time_expire, at least one minute and at most 90 days away; seven days when not given."""
    if asked is None:
        return now + LIFE
    wanted = datetime.fromisoformat(asked)
    if wanted <= now:
        raise wrong_field("time_expire", "早于当前时间")
    return min(max(wanted, now + timedelta(minutes=1)), now + 90 * DAY)


def expired(world: World, order: Doc) -> bool:
    """Whether paying is over, though the order may still be open."""
    return datetime.fromisoformat(order["expires_at"]) <= world.now()


def new_handle(world: World, order: Doc, handle: str, *, kills_old: bool) -> None:
    """Remember what the payer's phone will show us; a new QR code kills the one before."""
    if kills_old and order["handle"]:
        world.store.delete(HANDLE, order["handle"])
    order["handle"] = handle
    save(world, order)
    world.store.put(
        HANDLE,
        handle,
        {
            "order": key_of(order["mchid"], order["out_trade_no"]),
            "ends_at": local(world.now() + HANDLE_LIFE),
        },
    )


def paid(world: World, order: Doc, openid: str, at: datetime) -> Doc:
    """Take the money, give it a transaction number, tell the merchant (not for payment codes)."""
    order = {
        **order,
        "state": "SUCCESS",
        "openid": openid,
        "paid": {
            "transaction_id": "4200" + f"{secrets.randbelow(10**24):024d}",
            "success_time": local(at),
            "bank_type": "OTHERS",
        },
    }
    save(world, order)
    transaction = order["paid"]["transaction_id"]
    world.store.put(HANDLE, transaction, {"order": key_of(order["mchid"], order["out_trade_no"])})
    if order["notify_url"]:
        announce(
            world,
            order["hospital"],
            event=("TRANSACTION.SUCCESS", "transaction", "支付成功"),
            number=order["out_trade_no"],
            url=order["notify_url"],
            content=as_seen(order),
        )
    world.log("wxpay", "paid", f"{order['hospital']} {order['out_trade_no']}", "SUCCESS")
    return order


def as_seen(order: Doc) -> dict[str, Any]:
    """The order as the query, the payment-code answer and the notice show it."""
    seen: dict[str, Any] = {
        "mchid": order["mchid"],
        "appid": order["appid"],
        "out_trade_no": order["out_trade_no"],
        "trade_state": order["state"],
        "trade_state_desc": DESCRIPTIONS[order["state"]],
        "attach": order["attach"],
        "promotion_detail": [],
        "scene_info": {"device_id": order["device_id"]},
        "amount": {"total": order["total"], "currency": "CNY"},
    }
    if order["paid"]:
        seen |= {"trade_type": order["trade_type"], **order["paid"]}
        seen["payer"] = {"openid": order["openid"]}
        seen["amount"] |= {"payer_total": order["total"], "payer_currency": "CNY"}
    return seen
