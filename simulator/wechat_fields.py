"""What WeChat Pay accepts in each field of a request; the first wrong one is named."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from .wechat_gate import Problem

Check = Callable[[Any], str]  # says what is wrong, or ""
Rule = tuple[str, bool, Check]  # path with dots, required where its parent is given, check


def text(longest: int, pattern: str = "", shortest: int = 1) -> Check:
    """A string of so many characters, of that pattern."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            return "不是字符串"
        if not shortest <= len(value) <= longest:
            return f"长度应为{shortest}到{longest}"
        return "" if not pattern or re.fullmatch(pattern, value) else "含有不允许的字符"

    return check


def whole(value: Any) -> str:
    """A number of fen, at least 1; a float or a string is refused."""
    if type(value) is not int:
        return "不是整数"
    return "" if value >= 1 else "应大于等于1"


def group(value: Any) -> str:
    """A JSON object."""
    return "" if isinstance(value, dict) else "不是对象"


def moment(value: Any) -> str:
    """RFC 3339 to the second with its offset."""
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+\d\d:\d\d"
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        return "不符合RFC3339格式"
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return "不是真实的时间"
    return ""


def address(value: Any) -> str:
    """A notify_url: https (http only to this machine, which the real one refuses), no query."""
    if not isinstance(value, str) or len(value) > 255:
        return "不是255字以内的URL"
    url = urlsplit(value)
    if url.query or url.fragment or "?" in value:
        return "不能携带参数"
    local = url.scheme == "http" and url.hostname in ("127.0.0.1", "localhost")
    return "" if local or (url.scheme == "https" and url.hostname) else "不是https地址"


def just(wanted: str) -> Check:
    """Only this value."""
    return lambda value: "" if value == wanted else f"只能是{wanted}"


TRADE_NO = text(32, r"[0-9A-Za-z_\-*|]+", 6)
WHAT: tuple[Rule, ...] = (
    ("appid", True, text(32)),
    ("mchid", True, text(32)),
    ("description", True, text(127)),
    ("out_trade_no", True, TRADE_NO),
    ("attach", False, text(128)),
    ("goods_tag", False, text(32)),
    ("amount", True, group),
    ("amount.total", True, whole),
    ("amount.currency", False, just("CNY")),
    ("scene_info.device_id", False, text(32)),
)
NATIVE: tuple[Rule, ...] = (
    *WHAT,
    ("time_expire", False, moment),
    ("notify_url", True, address),
    ("scene_info", False, group),
    ("scene_info.payer_client_ip", True, text(45)),
)
JSAPI: tuple[Rule, ...] = (*NATIVE, ("payer", True, group), ("payer.openid", True, text(128)))
CODEPAY: tuple[Rule, ...] = (
    *WHAT,
    ("payer", True, group),
    ("payer.auth_code", True, text(32, r"\d+")),
    ("scene_info", True, group),
    ("scene_info.device_ip", False, text(45)),
    ("scene_info.store_info", True, group),
)
REFUND: tuple[Rule, ...] = (
    ("transaction_id", False, text(32)),
    ("out_trade_no", False, TRADE_NO),
    ("out_refund_no", True, text(64, r"[0-9A-Za-z_\-|*@]+")),
    ("reason", False, text(80)),
    ("notify_url", False, address),
    ("funds_account", False, just("AVAILABLE")),
    ("amount", True, group),
    ("amount.refund", True, whole),
    ("amount.total", True, whole),
    ("amount.currency", True, just("CNY")),
)


def require(body: dict[str, Any], rules: tuple[Rule, ...]) -> None:
    """Raise PARAM_ERROR naming the first field that is missing or wrong."""
    for path, required, check in rules:
        parent: Any = body
        name = path
        while "." in name:
            step, _, name = name.partition(".")
            parent = parent.get(step) if isinstance(parent, dict) else None
        if not isinstance(parent, dict):
            continue
        wrong = check(parent[name]) if name in parent else ("缺少必填参数" if required else "")
        if wrong:
            raise wrong_field(path, wrong)


def wrong_field(path: str, wrong: str) -> Problem:
    """PARAM_ERROR with the place of the field; its value is not repeated."""
    place = "/body/" + path.replace(".", "/")
    detail = {"field": place, "issue": wrong, "location": "body"}
    return Problem(400, "PARAM_ERROR", f"输入源“{place}”规则校验失败，{wrong}", detail=detail)
