"""The outer message: what every request must carry, and how every answer is wrapped."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from flask import Response

from simulator.insurance import fields
from simulator.insurance.profile import Profile
from simulator.insurance.refusals import Declined

SHANGHAI = ZoneInfo("Asia/Shanghai")
INPUT_CHARACTERS = 40000
REQUIRED = {
    "infno": "交易编号",
    "msgid": "发送方报文ID",
    "mdtrtarea_admvs": "就医地医保区划",
    "recer_sys_code": "接收方系统代码",
    "infver": "接口版本号",
    "opter_type": "经办人类别",
    "opter": "经办人",
    "opter_name": "经办人姓名",
    "inf_time": "交易时间",
    "fixmedins_code": "定点医药机构编号",
    "fixmedins_name": "定点医药机构名称",
    "input": "交易输入",
}
_RAW = re.compile('"\ue000([^"\ue000]*)\ue000"')


@dataclass(frozen=True, slots=True)
class Message:
    """A request whose outer fields are in order. ``input`` is still as it was sent."""

    infno: str
    msgid: str
    insuplc_admdvs: str
    opter: str
    sign_no: str
    input: Any


def read_message(body: bytes, infno: str, here: dict[str, Any], profile: Profile) -> Message:
    """The request's envelope, or Declined. ``here``: the hospital as the platform knows it."""
    try:
        given = json.loads(body, parse_float=Decimal)
    except (ValueError, UnicodeDecodeError):
        raise Declined("报文不是合法的JSON") from None
    if not isinstance(given, dict):
        raise Declined("报文不是合法的JSON")
    for name, label in REQUIRED.items():
        value = given.get(name)
        if value is None or value == "" or (name != "input" and not isinstance(value, str)):
            raise Declined(f"{label}({name})不能为空且应为字符型")
    if given["infno"] != infno:
        raise Declined(f"交易编号(infno)【{given['infno']}】与调用的接口不一致")
    _check_sender(given, here, profile)
    if _length(given["input"]) > INPUT_CHARACTERS:
        raise Declined(f"交易输入(input)超过{INPUT_CHARACTERS}个字符")
    return Message(
        infno,
        given["msgid"],
        given.get("insuplc_admdvs") or "",
        given["opter"],
        given.get("sign_no") or "",
        given["input"],
    )


def answer(
    profile: Profile, message_time: datetime, serial: int, output: Any, refusal: str | None = None
) -> Response:
    """The wrapped answer; ``output`` None means that the transaction has none."""
    local = message_time.astimezone(SHANGHAI)
    stamp = local.strftime("%Y%m%d%H%M%S")
    code = 0 if refusal is None else -1
    body: dict[str, Any] = {
        "infcode": str(code) if profile.infcode == "string" else code,
        "inf_refmsgid": f"{profile.area}{stamp}{serial % 10**10:010d}",
        "refmsg_time": stamp + f"{local.microsecond // 1000:03d}",
        "respond_time": stamp + f"{local.microsecond // 1000:03d}",
        "err_msg": refusal if refusal else ("" if profile.infcode == "string" else None),
        "warn_msg": None,
        "cainfo": None,
        "signtype": None,
        "enctype": None,
    }
    if output is not None:
        body["output"] = output
    return Response(_render(body, profile), mimetype="application/json")


def _render(body: dict[str, Any], profile: Profile) -> str:
    """JSON in which a Decimal is a bare number or a text, as the province writes it; no float."""
    if profile.amounts == "string":
        return json.dumps(body, ensure_ascii=False, default=str)
    marked = json.dumps(body, ensure_ascii=False, default=lambda number: f"\ue000{number}\ue000")
    return _RAW.sub(r"\1", marked)


def _length(given: Any) -> int:
    return len(json.dumps(given, ensure_ascii=False, separators=(",", ":"), default=str))


def _check_sender(given: dict[str, Any], here: dict[str, Any], profile: Profile) -> None:
    code = here["fixmedins_code"]
    if given["fixmedins_code"] != code:
        raise Declined("定点医药机构编号(fixmedins_code)与签约机构不一致")
    if given["mdtrtarea_admvs"] != profile.area:
        raise Declined("就医地医保区划(mdtrtarea_admvs)与定点医药机构不一致")
    if not re.fullmatch(re.escape(code) + r"\d{14}\d{4}", given["msgid"]):
        raise Declined("发送方报文ID(msgid)应为定点医药机构编号(12)+时间(14)+顺序号(4)")
    for stamp, shape in ((given["msgid"][12:26], "%Y%m%d%H%M%S"), (given["inf_time"], None)):
        if not _is_moment(stamp, shape or "%Y-%m-%d %H:%M:%S"):
            raise Declined("交易时间(inf_time)或发送方报文ID(msgid)中的时间格式不正确")
    if given["opter_type"] not in fields.codes()["opter_type"]:
        raise Declined("经办人类别(opter_type)不在字典范围内")
    place = given.get("insuplc_admdvs")
    if place and not re.fullmatch(r"\d{6}", str(place)):
        raise Declined("参保地医保区划(insuplc_admdvs)格式不正确")


def _is_moment(text: str, shape: str) -> bool:
    try:
        return datetime.strptime(text, shape).strftime(shape) == text  # noqa: DTZ007 wall time
    except ValueError:
        return False
