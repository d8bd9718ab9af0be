"""What the codes of WeChat Pay mean: yes, a final no, not now; everything else is no answer."""

from typing import Any

from payments.channels.wechat_fields import json_object
from policies.outcome import Declined, NoAnswer, NotNow

MEANINGS: dict[str, type[Declined] | type[NotNow]] = {
    "ACCOUNT_ERROR": Declined,
    "ALREADY_EXISTS": Declined,
    "APPID_MCHID_NOT_MATCH": Declined,
    "AUTH_CODE_ERROR": Declined,
    "AUTH_CODE_EXPIRED": Declined,
    "AUTH_CODE_INVALID": Declined,
    "AUTHCODEEXPIRE": Declined,
    "INVALID_REQUEST": Declined,
    "INVALID_TRANSACTIONID": Declined,
    "MCH_NOT_EXISTS": Declined,
    "NO_AUTH": Declined,
    "NO_STATEMENT_EXIST": Declined,
    "NOTENOUGH": Declined,  # the payer's wallet; NOT_ENOUGH is the merchant's
    "OPENID_MISMATCH": Declined,
    "ORDER_CLOSED": Declined,
    "ORDER_NOT_EXIST": Declined,
    "ORDER_PAID": Declined,
    "OUT_TRADE_NO_USED": Declined,
    "PARAM_ERROR": Declined,
    "RULE_LIMIT": Declined,
    "TRADE_ERROR": Declined,
    "USER_ACCOUNT_ABNORMAL": Declined,
    "FREQUENCY_LIMITED": NotNow,
    "NOT_ENOUGH": NotNow,  # the hospital's takings of the day do not cover the refund yet
    "RATELIMIT_EXCEED": NotNow,
    "REQUEST_BLOCKED": NotNow,
    "RESOURCE_NOT_EXISTS": NotNow,  # also said of a paid order that is not visible yet
    "SIGN_ERROR": NotNow,  # our clock or key: nothing was done, and it can be put right
    "STATEMENT_CREATING": NotNow,
}
"""Code of a 4xx answer -> what it means. Any other code, any 5xx and any silence is NoAnswer."""

NOT_THERE = frozenset({"NOT_FOUND", "ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS"})
"""Codes of a 404 that answer a query: they do not know the number."""


def said(answer: tuple[int, bytes]) -> dict[str, Any]:
    """The answer's fields; a 4xx answer raises what its code means."""
    status, body = answer
    fields = json_object(body) if body else {}
    if status < 300:
        return fields
    code = str(fields.get("code") or f"HTTP_{status}")
    if status == 429:
        raise NotNow(code)
    if meaning := MEANINGS.get(code):
        raise meaning(code)
    raise NoAnswer(f"HTTP {status} {code}")


def found(answer: tuple[int, bytes]) -> dict[str, Any] | None:
    """The answer to a query; None when they do not know the number."""
    status, body = answer
    if status == 404 and json_object(body).get("code") in NOT_THERE:
        return None
    return said(answer)
