"""Merchant transfer (商家转账): confirmed by the person within a day, else the money returns."""

import secrets
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response, jsonify, request

from . import wechat_orders as orders
from .store import Doc
from .wechat_callbacks import announce
from .wechat_fields import Rule, address, require, text, whole, wrong_field
from .wechat_gate import Answer, Gate, Problem, body_of_request
from .wechat_signing import Merchant, fingerprint, opened
from .world import World, plain_error

KIND = "wxpay_transfer"
NAMES = "wxpay_name"  # openid -> the real name behind it, as WeChat knows it
BASE = "/v3/fund-app/mch-transfer/transfer-bills"
WAITS = timedelta(hours=24)
LEAST, NAME_FROM, NAME_MUST = 10, 30, 200_000  # fen
FINAL = ("SUCCESS", "FAIL", "CANCELLED")
SCENES = {"1011": ({"退款", "商家赔付"}, {"赔付原因"})}  # perceptions, what has to be reported

TRANSFER: tuple[Rule, ...] = (
    ("appid", True, text(32)),
    ("out_bill_no", True, text(32, "[0-9A-Za-z]+")),
    ("transfer_scene_id", True, text(36)),
    ("openid", True, text(64)),
    ("user_name", False, text(1024)),
    ("transfer_amount", True, whole),
    ("transfer_remark", True, text(32)),
    ("notify_url", False, address),
    ("user_recv_perception", False, text(32)),
)


def blueprint(world: World) -> Blueprint:
    """Ask, query, cancel; and the person's own acts under /_sim/wxpay/transfers."""
    routes = Blueprint("wechat_transfers", __name__)
    gate = Gate(world)
    world.ticks.append(lambda: close_overdue(world))
    world.books.append(lambda: {"wxpay_transfers": books(world)})

    @routes.post(BASE)
    def ask() -> Response:
        return gate.run("transfer", lambda merchant: asked(world, merchant))

    @routes.get(f"{BASE}/out-bill-no/<out_bill_no>")
    def query(out_bill_no: str) -> Response:
        return gate.run("query_transfer", lambda merchant: queried(world, merchant, out_bill_no))

    @routes.post(f"{BASE}/out-bill-no/<out_bill_no>/cancel")
    def cancel(out_bill_no: str) -> Response:
        return gate.run("cancel_transfer", lambda merchant: cancelled(world, merchant, out_bill_no))

    @routes.post("/_sim/wxpay/transfers/confirm")
    def confirm() -> Response:
        return confirmed(world, request.get_json())

    @routes.post("/_sim/wxpay/names")
    def know_name() -> Response:
        told = request.get_json()
        world.store.put(NAMES, told["openid"], {"name": told["name"]})
        return jsonify({})

    return routes


def asked(world: World, merchant: Merchant) -> Answer:
    """Take a transfer, or say how the same one stands. Another under the same number is refused."""
    body = body_of_request()
    require(body, TRANSFER)
    check_scene(body)
    name = name_in(merchant, body)
    same = fingerprint({**body, "user_name": name})  # encrypted, it looks different each time
    key = orders.key_of(merchant.mchid, body["out_bill_no"])
    with world.store.transaction():
        known = world.store.get(KIND, key)
        if known is None:
            if body["appid"] != merchant.appid:
                raise Problem(400, "APPID_MCHID_NOT_MATCH", "appid和mchid不匹配")
            check_rules(world, merchant, body)
            known = taken(world, merchant, body, name, same)
        elif known["asked"] != same:
            raise Problem(400, "ALREADY_EXISTS", "商户单号已存在，且参数与首次不一致")
        world.store.put(KIND, key, known)
    return Answer(as_answered(known), about=about(known), outcome=known["state"])


def check_scene(body: dict[str, Any]) -> None:
    """The scene decides what the person is told and what must be reported."""
    known = SCENES.get(body["transfer_scene_id"])
    if known is None:
        raise Problem(403, "NO_AUTH", "商户没有开通此转账场景")
    perceptions, reports = known
    if body.get("user_recv_perception") not in {None, *perceptions}:
        raise wrong_field("user_recv_perception", "不是该场景允许的内容")
    told = body.get("transfer_scene_report_infos")
    if not isinstance(told, list) or {each.get("info_type") for each in told} != reports:
        raise wrong_field("transfer_scene_report_infos", "与转账场景要求不符")
    if any(not 0 < len(str(each.get("info_content", ""))) <= 32 for each in told):
        raise wrong_field("transfer_scene_report_infos", "info_content长度应为1到32")


def name_in(merchant: Merchant, body: dict[str, Any]) -> str:
    """The name to be checked; it must be encrypted for us, and cannot be checked for a trifle."""
    amount, given = body["transfer_amount"], body.get("user_name")
    if amount < LEAST:
        raise wrong_field("transfer_amount", "不能小于10")
    if given is None:
        if amount >= NAME_MUST:
            raise wrong_field("user_name", "转账金额大于等于2000元时必填")
        return ""
    if amount < NAME_FROM:
        raise wrong_field("user_name", "转账金额小于0.3元时不支持校验姓名")
    try:
        return opened(merchant.keys, given)
    except ValueError:
        raise wrong_field("user_name", "未用微信支付公钥加密") from None


def check_rules(world: World, merchant: Merchant, body: dict[str, Any]) -> None:
    """Money enough, and no other transfer to this person that is still open."""
    if world.faults.take("wxpay", "transfer", ("not_enough",)):
        raise Problem(403, "NOT_ENOUGH", "资金不足，请充值后用原商户单号重试")
    for _, bill in world.store.all(KIND):
        mine = (bill["mchid"], bill["openid"]) == (merchant.mchid, body["openid"])
        if mine and brought_up_to_date(world, bill)["state"] not in FINAL:
            raise Problem(400, "INVALID_REQUEST", "该用户有未完成的转账，请先撤销或等待关闭")


def taken(world: World, merchant: Merchant, body: dict[str, Any], name: str, same: str) -> Doc:
    """A new bill: it waits for the person, unless the name is another's."""
    fault = world.faults.take("wxpay", "transfer", ("accepted", "fail"))
    known = world.store.get(NAMES, body["openid"])
    wrong_name = bool(name and known and known["name"] != name)
    state = "ACCEPTED" if fault and fault.name == "accepted" else "WAIT_USER_CONFIRM"
    bill: Doc = {
        "hospital": merchant.code,
        "mchid": merchant.mchid,
        "appid": merchant.appid,
        "out_bill_no": body["out_bill_no"],
        "transfer_bill_no": f"1330{secrets.randbelow(10**36):036d}",
        "openid": body["openid"],
        "amount": body["transfer_amount"],
        "notify_url": body.get("notify_url", ""),
        "asked": same,
        "created_at": world.now().isoformat(),
        "updated_at": world.now().isoformat(),
        "package": secrets.token_urlsafe(48),
        "state": state,
        "reason": "",
    }
    if wrong_name or (fault and fault.name == "fail"):
        ended(world, bill, "FAIL", "NAME_NOT_CORRECT" if wrong_name else "ACCOUNT_FROZEN")
    return bill


def brought_up_to_date(world: World, bill: Doc) -> Doc:
    """What time did to a bill; written down."""
    before = bill["state"]
    if before == "ACCEPTED":
        bill["state"] = "WAIT_USER_CONFIRM"
    if before == "CANCELING":
        ended(world, bill, "CANCELLED", "")
    over = world.now() > datetime.fromisoformat(bill["created_at"]) + WAITS
    if bill["state"] == "WAIT_USER_CONFIRM" and over:
        ended(world, bill, "FAIL", "OVERDUE_CLOSE")
    if bill["state"] != before:
        world.store.put(KIND, orders.key_of(bill["mchid"], bill["out_bill_no"]), bill)
    return bill


def ended(world: World, bill: Doc, state: str, reason: str) -> None:
    """The bill is over; the merchant is told."""
    bill |= {"state": state, "reason": reason, "updated_at": world.now().isoformat()}
    if not bill["notify_url"]:
        return
    announce(
        world,
        bill["hospital"],
        event=("MCHTRANSFER.BILL.FINISHED", "mch_payment", "商家转账单据终态通知"),
        number=bill["out_bill_no"],
        url=bill["notify_url"],
        content={
            "out_bill_no": bill["out_bill_no"],
            "transfer_bill_no": bill["transfer_bill_no"],
            "state": state,
            "mch_id": bill["mchid"],
            "transfer_amount": bill["amount"],
            "openid": bill["openid"],
            "fail_reason": reason,
            "create_time": local(bill["created_at"]),
            "update_time": local(bill["updated_at"]),
        },
    )


def close_overdue(world: World) -> None:
    """Nobody confirmed within a day: the money goes back to the merchant."""
    for key, bill in world.store.all(KIND):
        if bill["state"] in ("WAIT_USER_CONFIRM", "CANCELING"):
            with world.store.transaction():
                if still := world.store.get(KIND, key):
                    brought_up_to_date(world, still)


def queried(world: World, merchant: Merchant, out_bill_no: str) -> Answer:
    """The bill by our number."""
    with world.store.transaction():
        bill = bill_of(world, merchant, out_bill_no)
    seen = as_answered(bill, package=False) | {
        "mch_id": bill["mchid"],
        "appid": bill["appid"],
        "openid": bill["openid"],
        "transfer_amount": bill["amount"],
        "update_time": local(bill["updated_at"]),
    }
    return Answer(seen, about=about(bill), outcome=bill["state"])


def cancelled(world: World, merchant: Merchant, out_bill_no: str) -> Answer:
    """Take a transfer back that nobody confirmed; the result comes later."""
    with world.store.transaction():
        bill = bill_of(world, merchant, out_bill_no)
        if bill["state"] in ("SUCCESS", "FAIL", "TRANSFERING"):
            raise Problem(400, "INVALID_REQUEST", "单据状态不支持撤销")
        if bill["state"] == "WAIT_USER_CONFIRM":
            bill |= {"state": "CANCELING", "updated_at": world.now().isoformat()}
            world.store.put(KIND, orders.key_of(merchant.mchid, out_bill_no), bill)
    body = {name: bill[name] for name in ("out_bill_no", "transfer_bill_no", "state")}
    return Answer({**body, "update_time": local(bill["updated_at"])}, about=about(bill))


def bill_of(world: World, merchant: Merchant, out_bill_no: str) -> Doc:
    """One bill of this merchant, as it stands now."""
    bill = world.store.get(KIND, orders.key_of(merchant.mchid, out_bill_no))
    if bill is None:
        raise Problem(404, "NOT_FOUND", "记录不存在")
    return brought_up_to_date(world, bill)


def confirmed(world: World, told: dict[str, Any]) -> Response:
    """The person taps: wx.requestMerchantTransfer with mchId, appId and package."""
    with world.store.transaction():
        for key, bill in world.store.all(KIND):
            if bill["package"] != told["package"] or bill["openid"] != told["openid"]:
                continue
            if (bill["mchid"], bill["appid"]) != (told["mchId"], told["appId"]):
                return plain_error(409, "WRONG_MERCHANT")
            if brought_up_to_date(world, bill)["state"] != "WAIT_USER_CONFIRM":
                return plain_error(409, bill["state"])
            ended(world, bill, "SUCCESS", "")
            world.store.put(KIND, key, bill)
            world.log("wxpay", "confirmed", f"{bill['hospital']} {about(bill)}", "SUCCESS")
            return jsonify(state="SUCCESS")
    return plain_error(404, "NO_SUCH_TRANSFER")


def as_answered(bill: Doc, *, package: bool = True) -> dict[str, Any]:
    """What every answer says; only that to the request itself opens the confirmation."""
    seen = {
        "out_bill_no": bill["out_bill_no"],
        "transfer_bill_no": bill["transfer_bill_no"],
        "create_time": local(bill["created_at"]),
        "state": bill["state"],
    }
    if bill["state"] == "WAIT_USER_CONFIRM" and package:
        seen["package_info"] = bill["package"]
    return seen | ({"fail_reason": bill["reason"]} if bill["reason"] else {})


def local(moment: str) -> str:
    """A time as WeChat Pay writes it."""
    return orders.local(datetime.fromisoformat(moment))


def about(bill: Doc) -> str:
    """Number and yuan for the diary."""
    return f"{bill['out_bill_no']} ¥{bill['amount'] / 100:.2f}"


def books(world: World) -> dict[str, Any]:
    """What left by each transfer, by our number."""
    return {
        bill["out_bill_no"]: {
            "hospital": bill["hospital"],
            "state": bill["state"],
            "paid_fen": bill["amount"] if bill["state"] == "SUCCESS" else 0,
        }
        for _, bill in world.store.all(KIND)
    }
