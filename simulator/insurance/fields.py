"""The field tables: what a transaction must be given, and what its answer must hold."""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from simulator.insurance.refusals import Declined

LISTS = {
    ("in", "diseinfo"),
    ("in", "feedetail"),
    ("out", "insuinfo"),
    ("out", "idetinfo"),
    ("out", "trtinfo"),
    ("out", "setldetail"),
    ("out", "data"),
}
OPTIONAL = {("2403", "diseinfo")}
FIELD = re.compile(r"(\w+)\((.+?)\):(字节数组|[A-Z]+)(\d*)(?:,(\d+))?(\*?)(!?)")


@dataclass(frozen=True, slots=True)
class Field:
    """One row of a field table."""

    name: str
    label: str
    type: str
    decimals: int
    coded: bool
    required: bool


Table = dict[str, Field]


def read_input(infno: str, given: Any) -> dict[str, Any]:
    """The input's nodes, clean (numbers as Decimal, absent as ''); Declined names the field."""
    if not isinstance(given, dict):
        raise Declined("入参input不能为空且应为对象")
    nodes: dict[str, Any] = {}
    for node, table in tables(infno, "in").items():
        value = given.get(node)
        if not value:
            if (infno, node) not in OPTIONAL:
                raise Declined(f"入参节点【{node}】不能为空")
            nodes[node] = []
        elif ("in", node) in LISTS:
            if not isinstance(value, list):
                raise Declined(f"入参节点【{node}】应为数组")
            nodes[node] = [_read_node(table, row, node) for row in value]
        else:
            nodes[node] = _read_node(table, value, node)
    return nodes


def tables(infno: str, side: str) -> dict[str, Table]:
    """Node -> field table of a transaction, text files left out; ``side`` is "in" or "out"."""
    return {node: table for node, table in _all()[infno][side].items() if node != "file"}


def file_columns(side: str) -> list[str]:
    """The columns of the 3202 text files, in the order of the table."""
    return list(_all()["3202"][side]["file"])


def name_of(infno: str) -> str:
    """The transaction's name."""
    return str(_all()[infno]["name"])


def known() -> set[str]:
    """Every transaction that has a table."""
    return set(_all())


def _read_node(table: Table, row: Any, node: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise Declined(f"入参节点【{node}】应为对象")
    return {name: _read_value(field, row.get(name)) for name, field in table.items()}


def _read_value(field: Field, value: Any) -> Any:
    called = f"{field.label}({field.name})"
    if value is None or (isinstance(value, str) and not value.strip()):
        if field.required:
            raise Declined(f"{called}不能为空")
        if value is not None and field.type == "N":
            raise Declined(f"{called}应为数值，空值请传0")
        return None if field.type == "N" else ""
    if field.type == "N":
        return _number(field, called, value)
    if field.type == "字节数组":
        return _bytes(called, value)
    if field.type == "NUM" and isinstance(value, int | Decimal) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise Declined(f"{called}应为字符型")
    _check_text(field, called, value.strip())
    return value.strip()


def _check_text(field: Field, called: str, value: str) -> None:
    if field.type == "NUM" and not re.fullmatch(r"[0-9]+", value):
        raise Declined(f"{called}只能为数字")
    if field.type in ("D", "DT") and not _is_time(field.type, value):
        shape = "yyyy-MM-dd" if field.type == "D" else "yyyy-MM-dd HH:mm:ss"
        raise Declined(f"{called}格式不正确，应为{shape}")
    allowed = codes().get(field.name)
    if allowed and (field.coded or field.name == "cert_type") and value not in allowed:
        raise Declined(f"{called}的值【{value}】不在字典范围内")


def _is_time(kind: str, value: str) -> bool:
    try:
        if kind == "D":
            return date.fromisoformat(value).isoformat() == value
        moment = datetime.strptime(value, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 Shanghai wall time
        return moment.strftime("%Y-%m-%d %H:%M:%S") == value
    except ValueError:
        return False


def _number(field: Field, called: str, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise Declined(f"{called}应为数值")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise Declined(f"{called}应为数值") from None
    if not number.is_finite() or abs(number) >= Decimal(10) ** 14:
        raise Declined(f"{called}超出范围")
    if number != round(number, field.decimals):
        raise Declined(f"{called}最多{field.decimals}位小数")
    return number


def _bytes(called: str, value: Any) -> bytes:
    """A byte array in JSON: base64 text, or numbers (signed as Java writes them, or unsigned)."""
    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
        return bytes(int(number) % 256 for number in value)
    except (binascii.Error, TypeError, ValueError, InvalidOperation):
        raise Declined(f"{called}应为字节数组") from None


@cache
def codes() -> dict[str, list[str]]:
    """Field -> the codes that it may hold."""
    text = Path(__file__).with_name("codes.yaml").read_text("utf8")
    found: dict[str, list[str]] = yaml.safe_load(text)
    return found


@cache
def _all() -> dict[str, dict[str, Any]]:
    raw = yaml.safe_load(Path(__file__).with_name("fields.yaml").read_text("utf8"))
    found: dict[str, dict[str, Any]] = {}
    for infno, entry in raw.items():
        found[infno] = {"name": entry["name"]} | {
            side: {node: _parse(text) for node, text in entry.get(side, {}).items()}
            for side in ("in", "out")
        }
    settle = found["2304"]
    asked = {name: f for name, f in settle["in"]["data"].items() if name != "invono"}
    flag = asked["acct_used_flag"]
    asked["acct_used_flag"] = Field(flag.name, flag.label, flag.type, 0, True, False)
    answer = {name: f for name, f in settle["out"]["setlinfo"].items() if name != "setl_id"}
    found["2303"] = {
        "name": "住院预结算",
        "in": {"data": asked},
        "out": {"setlinfo": answer, "setldetail": settle["out"]["setldetail"]},
    }
    return found


def _parse(text: str) -> Table:
    table: Table = {}
    for part in text.split(", "):
        found = FIELD.fullmatch(part)
        if not found:
            raise ValueError(f"not a field: {part}")
        name, label, kind, _, decimals, coded, required = found.groups()
        table[name] = Field(name, label, kind, int(decimals or 0), bool(coded), bool(required))
    return table
