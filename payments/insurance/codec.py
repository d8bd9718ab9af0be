"""The national message tables as data (fields/*.yaml): facts become nodes of text, replies become
typed rows.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from config import SHANGHAI
from policies.refusals import Refused

Row = dict[str, Any]
Value = str | int | Decimal | date | datetime | None

_TOKEN = re.compile(r"(?P<name>\w+)\((?P<said>[^)]*)\):(?P<type>[A-Z]+)[\d,]*(?P<must>!?)")
_SCALE = re.compile(r":N\d+,(\d)")

ALIASES = {
    "psn_pay": "psn_part_amt",
    "cash_payamt": "psn_cash_pay",
    "cashPayamt": "psn_cash_pay",
    "ownpay_hosp_part": "hosp_part_amt",
    "overlmt_amt": "overlmt_selfpay",
    "expContent": "exp_content",
}
"""Names that provinces use -> ours. An alias fills its field only where the field itself came
empty.
"""

_ALIASED_EVERYWHERE = frozenset({"expContent"})
_AMOUNT_NODES = "setlinfo"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a node. ``kind``: S text, N number, D day, DT moment, X untouched; ``said`` its
    Chinese name.
    """

    name: str
    said: str
    kind: str
    scale: int
    must: bool


@dataclass(frozen=True, slots=True)
class Node:
    """A node of an input or output: one row or a list of rows; "" is the output itself."""

    name: str
    many: bool
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """What one transaction takes and gives."""

    inputs: dict[str, Node]
    outputs: dict[str, Node]


class Unreadable(Exception):
    """A reply has not the shape that the table says."""


@cache
def table(infno: str) -> Table:
    """The table of a transaction; KeyError for one we do not speak."""
    return _tables()[infno]


def build(infno: str, **nodes: Mapping[str, Value] | list[Mapping[str, Value]]) -> Row:
    """The ``input`` of a request: empty numbers are "0", other empties "". Keys the table lacks
    pass through.

    Raises Refused INSURANCE_FACT_MISSING naming the first field that must be given and is not.
    """
    known = table(infno).inputs
    built: Row = {}
    for name, given in nodes.items():
        node = known[name]
        if isinstance(given, Mapping):
            built[name] = _build_row(node, given)
        else:
            built[name] = [_build_row(node, row) for row in given]
    return built


def parse(infno: str, output: Any) -> dict[str, Any]:
    """The nodes of a reply by name, numbers as Decimal; a missing output is no rows. Unknown keys
    are kept.

    Raises Unreadable.
    """
    found: dict[str, Any] = {}
    for name, node in table(infno).outputs.items():
        if name.startswith("file_"):
            continue
        given = output if name == "" else (output or {}).get(name)
        found[name] = _parse_node(node, given)
    return found


def text_rows(infno: str, node: str, rows: list[Mapping[str, Value]]) -> str:
    """Rows as the TAB-separated text of a 9101 file: table order, empties as ``null``."""
    fields = table(infno).inputs[node].fields
    return "".join(
        "\t".join(_as_text(field, row.get(field.name)) or "null" for field in fields) + "\n"
        for row in rows
    )


def rows_of_text(infno: str, node: str, text: str) -> list[dict[str, str]]:
    """The rows of a 9102 file; ``null`` is empty. Raises Unreadable when a row is too short."""
    names = [field.name for field in table(infno).outputs[node].fields]
    rows = []
    for line in text.splitlines():
        if not line.strip():
            continue
        cells = ["" if cell == "null" else cell for cell in line.split("\t")]
        if len(cells) < len(names):
            raise Unreadable(f"{infno} {node}: {len(cells)} cells, {len(names)} expected")
        rows.append(dict(zip(names, cells, strict=False)))
    return rows


def local_time(text: str) -> datetime:
    """A moment as the platform writes it, in Shanghai time; Unreadable otherwise."""
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=SHANGHAI)
    except ValueError as wrong:
        raise Unreadable("no moment") from wrong


def number(value: Any) -> Decimal:
    """A number however it was sent (text, number, nothing); Unreadable otherwise. Nothing is 0."""
    if value is None or value == "":
        return Decimal(0)
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation as wrong:
        raise Unreadable("no number") from wrong
    if not found.is_finite():
        raise Unreadable("no finite number")
    return found


def _build_row(node: Node, given: Mapping[str, Value]) -> Row:
    row: Row = {}
    for field in node.fields:
        value = given.get(field.name)
        if field.must and (value is None or value == ""):
            raise Refused("INSURANCE_FACT_MISSING", field=f"{field.said} {field.name}")
        row[field.name] = value if field.kind == "X" else _as_text(field, value)
    return row | {key: value for key, value in given.items() if key not in row}


def _as_text(field: Field, value: Value) -> str:
    if value is None or value == "":
        return "0" if field.kind == "N" else ""
    if isinstance(value, datetime):
        pattern = "%Y-%m-%d" if field.kind == "D" else "%Y-%m-%d %H:%M:%S"
        return value.astimezone(SHANGHAI).strftime(pattern)
    if isinstance(value, Decimal):
        return f"{value:.{field.scale}f}" if field.kind == "N" else format(value, "f")
    return str(value)


def _parse_node(node: Node, given: Any) -> Any:
    rows = given if isinstance(given, list) else [given] if given else []
    parsed = [_parse_row(node, row) for row in rows]
    return parsed if node.many else (parsed[0] if parsed else {})


def _parse_row(node: Node, given: Any) -> Row:
    if not isinstance(given, dict):
        raise Unreadable(f"{node.name}: a row was expected")
    row = dict(given)
    for alias, name in ALIASES.items():
        ours = node.name == _AMOUNT_NODES or alias in _ALIASED_EVERYWHERE
        if ours and row.get(alias) is not None and row.get(name) in (None, ""):
            row[name] = row[alias]
    for field in node.fields:
        if field.kind == "N":
            row[field.name] = number(row.get(field.name))
        elif field.kind == "S" and row.get(field.name) is not None:
            row[field.name] = str(row[field.name])
    if node.name == _AMOUNT_NODES:
        row |= {name: number(row.get(name)) for name in ("psn_part_amt", "psn_cash_pay")}
    return row


@cache
def _tables() -> dict[str, Table]:
    found: dict[str, Table] = {}
    for file in sorted((Path(__file__).parent / "fields").glob("*.yaml")):
        for infno, sides in yaml.safe_load(file.read_text("utf8")).items():
            found[infno] = Table(_nodes(sides["in"]), _nodes(sides["out"]))
    return found


def _nodes(raw: dict[str, str]) -> dict[str, Node]:
    nodes = (
        Node(key.removesuffix("[]"), key.endswith("[]"), tuple(map(_field, listed.split())))
        for key, listed in raw.items()
    )
    return {node.name: node for node in nodes}


def _field(token: str) -> Field:
    match = _TOKEN.fullmatch(token)
    if match is None:
        raise ValueError(f"fields table: {token!r}")
    scale = _SCALE.search(token)
    return Field(
        match["name"],
        match["said"],
        match["type"],
        int(scale[1]) if scale else 0,
        bool(match["must"]),
    )
