"""WeChat Pay's daily bills: the trade bill, the fund flow bill, and their unsigned download."""

import gzip
import hashlib
import re
import secrets
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any

from flask import Blueprint, Response, request

from . import wechat_orders as orders
from .faults import Fault
from .store import Doc
from .wechat_gate import Answer, Gate, Problem, said, unauthorized
from .wechat_signing import Merchant, NotSigned
from .world import World, guarded

BILL = "wxpay_bill"
LINK_LIFE = timedelta(minutes=5)
READY_AT = time(10)  # Beijing time, the day after
KEPT = timedelta(days=92)

PAYMENT = (
    *("交易时间", "公众账号ID", "商户号", "特约商户号", "设备号", "微信订单号", "商户订单号"),
    *("用户标识", "交易类型", "交易状态", "付款银行", "货币种类", "应结订单金额", "代金券金额"),
)
REFUND = ("微信退款单号", "商户退款单号", "退款金额", "充值券退款金额", "退款类型", "退款状态")
GOODS = ("商品名称", "商户数据包", "手续费", "费率", "订单金额")
COLUMNS = {
    "ALL": (*PAYMENT, *REFUND, *GOODS, "申请退款金额", "费率备注"),
    "SUCCESS": (*PAYMENT, *GOODS, "费率备注"),
    "REFUND": (
        *(*PAYMENT, "退款申请时间", "退款成功时间", *REFUND, *GOODS),
        *("申请退款金额", "费率备注"),
    ),
}
TOTALS = (
    *("总交易单数", "应结订单总金额", "退款总金额", "充值券退款总金额", "手续费总金额"),
    *("订单总金额", "申请退款总金额"),
)
FLOW = (
    *("记账时间", "微信支付业务单号", "资金流水单号", "业务名称", "业务类型", "收支类型"),
    *("收支金额(元)", "账户结余(元)", "资金变更提交申请人", "备注", "业务凭证号"),
)
FLOW_TOTALS = ("资金流水总笔数", "收入笔数", "收入金额", "支出笔数", "支出金额")
FAULTS = ("missing_row", "extra_row", "wrong_amounts", "not_ready")


def blueprint(world: World) -> Blueprint:
    """/v3/bill/tradebill, /v3/bill/fundflowbill, /v3/billdownload/file."""
    routes = Blueprint("wechat_bills", __name__)
    gate = Gate(world)

    @routes.get("/v3/bill/tradebill")
    def trade_bill() -> Response:
        return gate.run("tradebill", lambda who: link(world, who, "tradebill", trade_text))

    @routes.get("/v3/bill/fundflowbill")
    def flow_bill() -> Response:
        return gate.run("fundflowbill", lambda who: link(world, who, "fundflowbill", flow_text))

    @routes.get("/v3/billdownload/file")
    def download() -> Response:
        return guarded(world, "wxpay", "download", lambda: downloaded(world, gate))

    return routes


def link(
    world: World,
    merchant: Merchant,
    operation: str,
    write: Callable[[World, str, date, Fault | None], str],
) -> Answer:
    """Write the bill and say where it can be fetched for five minutes, and its SHA1."""
    day = day_asked(world)
    fault = world.faults.take("wxpay", operation, FAULTS)
    if fault and fault.name == "not_ready":
        raise Problem(400, "STATEMENT_CREATING", "账单生成中，请稍后再试")
    text = write(world, merchant.mchid, day, fault)
    token = secrets.token_urlsafe(24)
    packed = request.args.get("tar_type") == "GZIP"
    world.store.put(
        BILL,
        token,
        {
            "mchid": merchant.mchid,
            "text": text,
            "packed": packed,
            "ends_at": (world.now() + LINK_LIFE).isoformat(),
        },
    )
    body = {
        "hash_type": "SHA1",
        "hash_value": hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(),
        "download_url": f"{world.root_url}/v3/billdownload/file?token={token}"
        + ("&tartype=gzip" if packed else ""),
    }
    return Answer(body, about=day.isoformat())


def day_asked(world: World) -> date:
    """bill_date, a Beijing day whose bill exists: from 10:00 the next day, for three months."""
    asked = request.args.get("bill_date", "")
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", asked):
        raise Problem(400, "PARAM_ERROR", "bill_date格式错误")
    if request.args.get("tar_type") not in (None, "GZIP"):
        raise Problem(400, "PARAM_ERROR", "tar_type只能是GZIP")
    day = date.fromisoformat(asked)
    now = world.now().astimezone(orders.BEIJING)
    if day >= now.date():
        raise Problem(400, "INVALID_REQUEST", "bill_date必须早于今天")
    if now < datetime.combine(day + timedelta(days=1), READY_AT, orders.BEIJING):
        raise Problem(400, "STATEMENT_CREATING", "账单生成中，请在10点后再试")
    if now.date() - day > KEPT:
        raise Problem(400, "INVALID_REQUEST", "只能下载最近三个月的账单")
    return day


def downloaded(world: World, gate: Gate) -> Response:
    """The file itself: the request is signed, the answer is not."""
    try:
        merchant = gate.admitted()
    except NotSigned as error:
        return unauthorized(error)
    bill = world.store.get(BILL, request.args.get("token", ""))
    if not bill or bill["mchid"] != merchant.mchid:
        return said(Problem(400, "PARAM_ERROR", "下载地址无效"))
    if datetime.fromisoformat(bill["ends_at"]) <= world.now():
        return said(Problem(400, "INVALID_REQUEST", "下载地址已过期"))
    content = bill["text"].encode()
    if bill["packed"]:
        return Response(gzip.compress(content), content_type="application/x-gzip")
    return Response(content, content_type="text/plain; charset=utf-8")


def trade_text(world: World, mchid: str, day: date, fault: Fault | None) -> str:
    """Payments by the day of success and refunds by the day of acceptance."""
    kind = request.args.get("bill_type", "ALL")
    if kind not in COLUMNS:
        raise Problem(400, "PARAM_ERROR", "bill_type只能是ALL、SUCCESS、REFUND")
    rows = [] if kind == "REFUND" else [payment_row(order) for order in paid_on(world, mchid, day)]
    if kind != "SUCCESS":
        rows += [refund_row(order, refund) for order, refund in refunds_accepted(world, mchid, day)]
    if not rows:
        raise Problem(400, "NO_STATEMENT_EXIST", "账单文件不存在")
    rows = falsified(sorted(rows, key=lambda row: row["交易时间"]), fault)
    totals = (
        str(len(rows)),
        yuan(sum(row["fen"] for row in rows)),
        yuan(sum(row["refund_fen"] for row in rows)),
        *("0.00", "0.00"),
        yuan(sum(row["fen"] for row in rows)),
        yuan(sum(row["refund_fen"] for row in rows)),
    )
    return table(COLUMNS[kind], [[row[name] for name in COLUMNS[kind]] for row in rows]) + table(
        TOTALS, [list(totals)]
    )


def payment_row(order: Doc) -> dict[str, Any]:
    """A payment; columns of the refund side are zero or empty."""
    return bill_row(order) | {
        "fen": order["total"],
        "交易时间": plain(order["paid"]["success_time"]),
        "交易状态": "SUCCESS",
        "应结订单金额": yuan(order["total"]),
        "订单金额": yuan(order["total"]),
    }


def refund_row(order: Doc, refund: Doc) -> dict[str, Any]:
    """A refund as it stood when the bill was written; its order amount is zero."""
    status = {"CLOSED": "FAIL", "ABNORMAL": "CHANGE"}.get(refund["status"], refund["status"])
    return bill_row(order) | {
        "refund_fen": refund["refund"],
        "交易时间": plain(refund["created_at"]),
        "交易状态": "REVOKED" if order["state"] == "REVOKED" else "REFUND",
        "退款申请时间": plain(refund["created_at"]),
        "退款成功时间": plain(refund["success_time"]),
        "微信退款单号": refund["refund_id"],
        "商户退款单号": refund["out_refund_no"],
        "退款金额": yuan(refund["refund"]),
        "退款类型": "ORIGINAL",
        "退款状态": status,
        "申请退款金额": yuan(refund["refund"]),
    }


def bill_row(order: Doc) -> dict[str, Any]:
    """What payment and refund rows have in common."""
    return dict.fromkeys(COLUMNS["REFUND"], "") | {
        "fen": 0,
        "refund_fen": 0,
        "公众账号ID": order["appid"],
        "商户号": order["mchid"],
        "特约商户号": "0",
        "设备号": order["device_id"],
        "微信订单号": order["paid"]["transaction_id"],
        "商户订单号": order["out_trade_no"],
        "用户标识": order["openid"],
        "交易类型": order["trade_type"],
        "付款银行": order["paid"]["bank_type"],
        "货币种类": "CNY",
        "应结订单金额": "0.00",
        "代金券金额": "0.00",
        "微信退款单号": "0",
        "商户退款单号": "0",
        "退款金额": "0.00",
        "充值券退款金额": "0.00",
        "商品名称": order["description"],
        "商户数据包": order["attach"],
        "手续费": "0.00000",
        "费率": "0.00%",
        "订单金额": "0.00",
        "申请退款金额": "0.00",
    }


def falsified(rows: list[dict[str, Any]], fault: Fault | None) -> list[dict[str, Any]]:
    """The rows with one difference planted for reconciliation to find."""
    name = fault.name if fault else ""
    if name == "missing_row":
        return rows[1:]
    if name == "extra_row":
        return [*rows, {**rows[-1], "商户订单号": f"EXTRA{secrets.token_hex(8)}"}]
    if name == "wrong_amounts":
        more = rows[0]["fen"] + 1
        wrong = {"fen": more, "应结订单金额": yuan(more), "订单金额": yuan(more)}
        return [rows[0] | wrong, *rows[1:]]
    return rows


def flow_text(world: World, mchid: str, day: date, fault: Fault | None) -> str:
    """Money in and out of the merchant's basic account that day, with the running balance."""
    if request.args.get("account_type", "BASIC") != "BASIC":
        raise Problem(400, "NO_STATEMENT_EXIST", "该账户没有资金流水")
    balance, rows, sums = 0, [], {"收入": [0, 0], "支出": [0, 0]}
    for at, order, refund in moves_until(world, mchid, day):
        fen = refund["refund"] if refund else order["total"]
        balance += -fen if refund else fen
        if at.date() == day:
            row = flow_row(at, order, refund, balance)
            rows.append(row)
            sums[row[5]][0] += 1
            sums[row[5]][1] += fen
    if not rows:
        raise Problem(400, "NO_STATEMENT_EXIST", "账单文件不存在")
    (came, income), (left, outgo) = sums["收入"], sums["支出"]
    totals = [str(came + left), str(came), yuan(income), str(left), yuan(outgo)]
    return table(FLOW, rows) + table(FLOW_TOTALS, [totals])


def flow_row(at: datetime, order: Doc, refund: Doc | None, balance: int) -> list[str]:
    """One movement of money with the balance after it, in the order of FLOW."""
    transaction = order["paid"]["transaction_id"]
    if refund:
        fen, number, voucher = refund["refund"], refund["refund_id"], refund["out_refund_no"]
        name, way, note = "退款", "支出", f"退款总金额{yuan(fen)}元"
    else:
        fen, number, voucher = order["total"], transaction, order["out_trade_no"]
        name, way, note = "交易", "收入", ""
    when = at.strftime("%Y-%m-%d %H:%M:%S")
    return [
        *(when, transaction, number, name, name, way),
        *(yuan(fen), yuan(balance), "system", note, voucher),
    ]


def moves_until(world: World, mchid: str, day: date) -> list[tuple[datetime, Doc, Doc | None]]:
    """Every (when, order, refund or None) that moved money up to that day, in order of time."""
    moves: list[tuple[datetime, Doc, Doc | None]] = []
    for order in paid_orders(world, mchid):
        moves.append((datetime.fromisoformat(order["paid"]["success_time"]), order, None))
        for refund in refunds_of(world, order):
            if refund["status"] == "SUCCESS":
                moves.append((datetime.fromisoformat(refund["success_time"]), order, refund))
    return sorted(
        (move for move in moves if move[0].date() <= day),
        key=lambda move: (move[0], bool(move[2])),
    )


def paid_on(world: World, mchid: str, day: date) -> list[Doc]:
    """Orders whose money came that Beijing day."""
    return [
        order
        for order in paid_orders(world, mchid)
        if order["paid"]["success_time"].startswith(day.isoformat())
    ]


def refunds_accepted(world: World, mchid: str, day: date) -> list[tuple[Doc, Doc]]:
    """(order, refund) of every refund that was accepted that Beijing day."""
    return [
        (order, refund)
        for order in paid_orders(world, mchid)
        for refund in refunds_of(world, order)
        if refund["created_at"].startswith(day.isoformat())
    ]


def paid_orders(world: World, mchid: str) -> list[Doc]:
    """Every order of the merchant that was ever paid."""
    with world.store.transaction():
        mine = [order for _, order in world.store.all(orders.ORDER) if order["mchid"] == mchid]
        known = [orders.brought_up_to_date(world, order) for order in mine]
    return [order for order in known if order["paid"]]


def refunds_of(world: World, order: Doc) -> list[Doc]:
    """Every refund of the order."""
    keys = [orders.key_of(order["mchid"], number) for number in order["refunds"]]
    return [refund for key in keys if (refund := world.store.get("wxpay_refund", key))]


def table(columns: tuple[str, ...], rows: list[list[str]]) -> str:
    """A header and its rows; every cell of a row carries a backtick, lines end with CRLF."""
    lines = [",".join(columns)] + [",".join(f"`{cell}" for cell in row) for row in rows]
    return "".join(f"{line}\r\n" for line in lines)


def plain(moment: str) -> str:
    """Beijing time as bills write it; an empty moment stays empty."""
    return datetime.fromisoformat(moment).strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def yuan(fen: int) -> str:
    """Yuan with two decimals, exactly."""
    return f"{fen // 100}.{fen % 100:02d}"
