"""The fields of WeChat Pay's JSON: read strictly, because what cannot be read was not answered."""

import gzip
import hashlib
import json
import re
import zlib
from datetime import UTC, datetime
from typing import Any

from config import SHANGHAI
from policies.outcome import NoAnswer

NUMBER = re.compile(r"[0-9A-Za-z_-]{6,64}")
"""What our numbers look like: other characters would be signed and sent differently."""


def whole_fen(fields: dict[str, Any], part: str, *, needed: bool) -> int | None:
    """An amount; ValueError for anything but whole fen of the yuan."""
    amount = fields.get("amount") or {}
    if amount.get("currency", "CNY") != "CNY":
        raise ValueError("not in fen of the yuan")
    value = amount[part] if needed else amount.get(part)
    if value is not None and type(value) is not int:
        raise ValueError("not whole fen")
    return value


def number_of_ours(number: str) -> str:
    """The number itself; ValueError for characters that are not signed and sent alike."""
    if not NUMBER.fullmatch(number):
        raise ValueError("a number may have 6 to 64 of 0-9 A-Z a-z _ -")
    return number


def json_object(body: bytes) -> dict[str, Any]:
    """The fields of an answer; NoAnswer for anything but a JSON object."""
    try:
        fields = json.loads(body)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise NoAnswer("not a JSON object")
    return fields


def text(fields: dict[str, Any], name: str) -> str:
    """A field that must be there; NoAnswer otherwise."""
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise NoAnswer(f"no {name}")
    return value


def moment(text: str | None) -> datetime | None:
    """A time of theirs in UTC; ValueError when it does not say its zone."""
    if not text:
        return None
    read = datetime.fromisoformat(text)
    if read.tzinfo is None:
        raise ValueError("a time without a zone")
    return read.astimezone(UTC)


def wire_time(moment: datetime) -> str:
    """RFC 3339 with +08:00, as WeChat Pay writes it."""
    return moment.astimezone(SHANGHAI).isoformat(timespec="seconds")


def bill_file(packed: bytes, sha1: str) -> bytes:
    """The bill, unpacked if need be; NoAnswer unless it is the one that was announced."""
    try:
        plain = gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed
    except (OSError, EOFError, zlib.error):
        raise NoAnswer("the bill file is damaged") from None
    if hashlib.sha1(plain, usedforsecurity=False).hexdigest() != sha1.lower():
        raise NoAnswer("the bill file is not the one announced")
    return plain
