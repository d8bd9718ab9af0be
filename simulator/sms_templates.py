"""Tencent's rules for the text of an SMS template and for the values that fill it."""

import hashlib
import re

FORBIDDEN = ("【", "】", "¥", "￥", "医疗", "公众号", "小程序")
LINK = r"(?i)https?://|www\.|[\w-]+\.(com|cn|net|org|top|cc)\b|//"


def number_of(name: str, text: str) -> str:
    """The number of the approved template, always the same for a name; ValueError if refused."""
    if wrong := wrong_text(text):
        raise ValueError(f"SMS template {name} would not be approved: {wrong}")
    return str(2_000_000 + int(hashlib.sha256(name.encode()).hexdigest()[:5], 16))


def wrong_text(text: str) -> str:
    """What the reviewer would object to, or ""."""
    if len(text) > 500:
        return "more than 500 characters"
    if found := [word for word in FORBIDDEN if word in text]:
        return f"contains {found[0]}"
    numbers = [int(number) for number in re.findall(r"\{(\d+)\}", text)]
    if numbers != list(range(1, len(numbers) + 1)):
        return "variables must be {1}, {2}, … in order, each once"
    if re.search(r"\}\s*\{", text):
        return "two variables side by side"
    if not re.sub(r"\{\d+\}|\W", "", text):
        return "nothing but variables"
    return ""


def wrong_values(text: str, values: list[str], longest: int) -> str:
    """The error code for values that do not fit the template, or ""."""
    if len(values) != len(re.findall(r"\{\d+\}", text)):
        return "FailedOperation.TemplateParamSetNotMatchApprovedTemplate"
    for value in values:
        if not isinstance(value, str) or not value:
            return "InvalidParameterValue.TemplateParameterFormatError"
        if len(value) > longest:
            return "InvalidParameterValue.TemplateParameterLengthLimit"
        if re.search(LINK, value):
            return "InvalidParameterValue.ProhibitedUseUrlInTemplateParameter"
        if any(sign in value for sign in FORBIDDEN[:4]):
            return "FailedOperation.ContainSensitiveWord"
    return ""


def filled(text: str, values: list[str]) -> str:
    """The words that arrive on the phone."""
    return re.sub(r"\{(\d+)\}", lambda found: values[int(found[1]) - 1], text)
