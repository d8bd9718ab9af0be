"""What patients are told: texts/*.yaml, checked against Tencent's and WeChat's rules when read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

import yaml

from policies.money import yuan

FILES = Path(__file__).parent / "texts"

FILLED_BY_US = frozenset({"name", "hospital", "hotline"})
"""Filled in when the message leaves; nobody passes them and no message row stores them."""

KNOWN = FILLED_BY_US | {
    "amount",
    "receipt",
    "day",
    "total",
    "insurance",
    "personal",
    "route",
    "arrival",
}
"""Every value that a text may use. There is none for a diagnosis, an identity or a card number."""

FIELD_LIMITS = {
    "thing": 20,
    "character_string": 32,
    "name": 10,
    "amount": 12,
    "date": 20,
    "time": 20,
    "phrase": 5,
    "number": 32,
}
"""Field type of a WeChat subscription template -> the most characters it takes."""

SMS_FORBIDDEN = ("医疗", "公众号", "小程序", "【", "】", "¥", "￥", "http", "www.", ".cn", ".com")
"""What Tencent or the carriers refuse in the text of a notice (reference 4.3)."""

SMS_LONGEST = 500
SMS_VALUE_ROOM = 20
WARNING_AGAINST_FRAUD = "我们不会索要密码或验证码"


@dataclass(frozen=True, slots=True)
class SmsWords:
    """An SMS template: the approved text and the names of its values in order."""

    text: str
    values: tuple[str, ...]

    def fill(self, values: Mapping[str, str]) -> list[str]:
        """The values in the order of the template."""
        return [values[name] for name in self.values]


@dataclass(frozen=True, slots=True)
class SubscriptionWords:
    """A WeChat subscription template: the fields' contents and the page that a tap opens."""

    page: str
    fields: dict[str, str]

    def fill(self, values: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """The page and the fields with their values."""
        return (
            self.page.format_map(values),
            {field: text.format_map(values) for field, text in self.fields.items()},
        )


@dataclass(frozen=True, slots=True)
class Wording:
    """One message in all its forms. ``needs``: the values that whoever tells it must give."""

    sms: SmsWords
    subscription: SubscriptionWords
    defaults: dict[str, str]
    needs: frozenset[str]

    def complete(self, values: Mapping[str, str | int | date]) -> dict[str, str]:
        """The values as text, with defaults; ``x_fen`` may stand for ``x``. ValueError: a gap."""
        given = dict(self.defaults)
        for name, value in values.items():
            if name.endswith("_fen") and isinstance(value, int):
                given[name.removesuffix("_fen")] = yuan(value)
            else:
                given[name] = value.isoformat() if isinstance(value, date) else str(value)
        if missing := self.needs - given.keys():
            raise ValueError(f"not given: {', '.join(sorted(missing))}")
        return {name: given[name] for name in sorted(self.needs)}


def wording_of(template: str) -> Wording:
    """The words of a template; ValueError for a name that has none."""
    if found := catalogue().get(template):
        return found
    raise ValueError(f"no words for {template}")


@cache
def catalogue() -> dict[str, Wording]:
    """Every template by name; ValueError names the template and the rule that it breaks."""
    sms, subscription = _read("sms.yaml"), _read("subscription.yaml")
    if sms.keys() != subscription.keys():
        raise ValueError(f"only in one file: {sorted(sms.keys() ^ subscription.keys())}")
    return {name: wording(name, sms[name], subscription[name]) for name in sms}


def wording(name: str, sms: dict[str, Any], subscription: dict[str, Any]) -> Wording:
    """One template from its two entries, with every rule checked."""
    short = SmsWords(sms["text"], tuple(sms["values"]))
    rich = SubscriptionWords(subscription["page"], subscription["fields"])
    for broken in (*_sms_faults(short), *_subscription_faults(rich)):
        raise ValueError(f"{name}: {broken}")
    used = set(short.values) | _names(rich.page, *rich.fields.values())
    if unknown := used - KNOWN:
        raise ValueError(f"{name}: unknown values {sorted(unknown)}")
    return Wording(short, rich, sms.get("defaults", {}), frozenset(used - FILLED_BY_US))


def _sms_faults(sms: SmsWords) -> list[str]:
    numbers = re.findall(r"\{(\d+)\}", sms.text)
    faults = [f"{word} may not stand in an SMS" for word in SMS_FORBIDDEN if word in sms.text]
    if numbers != [str(n) for n in range(1, len(sms.values) + 1)]:
        faults.append("{1}, {2} … do not match the values")
    if "}{" in sms.text:
        faults.append("two values side by side")
    if len(sms.text) + SMS_VALUE_ROOM * len(sms.values) > SMS_LONGEST:
        faults.append("too long for an SMS")
    if WARNING_AGAINST_FRAUD not in sms.text or "hotline" not in sms.values:
        faults.append("the hotline or the warning against fraud is missing")
    return faults


def _subscription_faults(subscription: SubscriptionWords) -> list[str]:
    faults = []
    for field, text in subscription.fields.items():
        limit = FIELD_LIMITS.get(field.rstrip("0123456789"))
        if limit is None:
            faults.append(f"{field} is no field type")
        elif len(re.sub(r"\{\w+\}", "", text)) > limit:
            faults.append(f"{field} is too long")
    return faults


def _names(*texts: str) -> set[str]:
    return {name for text in texts for _, name, _, _ in Formatter().parse(text) if name}


def _read(file: str) -> dict[str, Any]:
    return dict(yaml.safe_load((FILES / file).read_text("utf8")))
