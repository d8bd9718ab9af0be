"""The census of old cards (GZ-7): which tables and fields a dump has, and how a hospital's own
names map to them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from policies.refusals import Refused

FIELDS: dict[str, dict[str, bool]] = {
    "accounts": {"card_no": True, "balance": True, "opened_on": False, "last_activity_on": False},
    "holders": {
        "card_no": True,
        "name": False,
        "id_no": False,
        "phone": False,
        "born_on": False,
        "sex": False,
    },
    "top_ups": {
        "top_up_no": True,
        "card_no": True,
        "amount": True,
        "at": True,
        "channel": True,
        "channel_transaction": False,
    },
    "spends": {"card_no": True, "amount": True, "at": True, "note": False},
    "refunds": {"card_no": True, "amount": True, "at": True, "top_up_no": False},
    "bills": {"channel": True, "channel_transaction": True, "amount": True},
}
"""table -> field -> whether its column must be mapped. ``bills`` are the channels' own lists."""

NEEDED_TABLES = ("accounts", "holders", "top_ups", "spends")

CHANNELS = ("WECHAT", "ALIPAY", "CARD", "BANK", "CASH", "OTHER")

WORDS = Path(__file__).parent / "texts" / "census.yaml"


@dataclass(frozen=True, slots=True)
class Table:
    """Where one table of the dump lies: a file of the directory or a sheet of the workbook."""

    name: str
    file: str
    sheet: str
    columns: dict[str, str]
    """Our field -> the heading of its column."""


@dataclass(frozen=True, slots=True)
class CensusMapping:
    """How the names of one old system map to ours (docs/census.md); also those of its channels."""

    source: str
    tables: tuple[Table, ...]
    channels: dict[str, str]


@dataclass(frozen=True, slots=True)
class Word:
    """What a finding says to a clerk, and whether it stands in the way of the import."""

    blocks: bool
    say: str


def read_mapping(text: str) -> CensusMapping:
    """A mapping file; Refused CENSUS_MAPPING_INVALID names the place that is wrong."""
    try:
        told = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError):
        raise _wrong("YAML") from None
    told = _mapping(told, "YAML")
    source = told.get("source")
    if not isinstance(source, str) or not source.strip():
        raise _wrong("source")
    tables = _mapping(told.get("tables"), "tables")
    for name in {*tables} - {*FIELDS}:
        raise _wrong(f"tables.{name}")
    for name in NEEDED_TABLES:
        if name not in tables:
            raise _wrong(f"tables.{name}")
    channels = {str(k): v for k, v in _mapping(told.get("channels"), "channels").items()}
    for theirs, ours in channels.items():
        if ours not in CHANNELS:
            raise _wrong(f"channels.{theirs}")
    return CensusMapping(
        source.strip(),
        tuple(_table(name, tables[name]) for name in FIELDS if name in tables),
        channels,
    )


@cache
def words() -> dict[str, Word]:
    """code of a finding -> what it says."""
    told = yaml.safe_load(WORDS.read_text("utf8"))
    return {code: Word(entry["blocks"], entry["say"]) for code, entry in told.items()}


def _table(name: str, told: Any) -> Table:
    told = _mapping(told, f"tables.{name}")
    columns = _mapping(told.get("columns"), f"tables.{name}.columns")
    for field in {*columns} - {*FIELDS[name]}:
        raise _wrong(f"tables.{name}.columns.{field}")
    for field, needed in FIELDS[name].items():
        if needed and not columns.get(field):
            raise _wrong(f"tables.{name}.columns.{field}")
    file, sheet = str(told.get("file") or ""), str(told.get("sheet") or "")
    if not (file or sheet) or "/" in file or "\\" in file or file.startswith("."):
        raise _wrong(f"tables.{name}.file")
    return Table(name, file, sheet, {field: str(heading) for field, heading in columns.items()})


def _mapping(told: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(told, dict):
        raise _wrong(place)
    return told


def _wrong(place: str) -> Refused:
    return Refused("CENSUS_MAPPING_INVALID", place=place)
