"""What each kind of value in a subscription message may hold; its name begins with its kind."""

import re
from typing import Any

DAY = r"(\d{4}年\d{1,2}月\d{1,2}日|\d{4}-\d\d-\d\d|\d{4}/\d\d/\d\d)"
CLOCK = r"\d{1,2}:\d\d(:\d\d)?"
RANGE = "(~|至)"
KINDS = {
    "thing": r"(?s).{1,20}",
    "number": r"-?\d{1,32}(\.\d+)?",
    "letter": r"[A-Za-z]{1,32}",
    "symbol": r"[^\w\s]{1,5}",
    "character_string": r"[!-~]{1,32}",
    "time": rf"({DAY} ?)?{CLOCK}({RANGE}({DAY} ?)?{CLOCK})?|{DAY}",
    "date": rf"{DAY}( ?{CLOCK})?({RANGE}{DAY}( ?{CLOCK})?)?",
    "amount": r"[¥$€￥]?\d{1,10}(\.\d{1,2})?元?",
    "phone_number": r"[+\d-]{1,17}",
    "car_number": r"[\u4e00-\u9fffA-Za-z0-9]{1,8}",
    "name": r"[\u4e00-\u9fff·*＊]{1,10}|[A-Za-z *.]{1,20}",
    "phrase": r"[\u4e00-\u9fff]{1,5}",
}


def wrong_value(data: Any) -> str:
    """WeChat's words for the first value that it would refuse, naming the field, or ""."""
    if not isinstance(data, dict) or not data:
        return "data is empty"
    for name, entry in data.items():
        kind = re.sub(r"\d+$", "", name)
        value = entry.get("value") if isinstance(entry, dict) else None
        if kind not in KINDS:
            return f"data.{name} is not a field of the template"
        if not isinstance(value, str) or not re.fullmatch(KINDS[kind], value):
            return f"data.{name}.value invalid"
    return ""
