"""Numbers of law are dated data with a source: rule packs, and the record of a decision."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from config import today

VALUES = Path(__file__).parent / "values"
REACHES = ("HOSPITAL", "PROVINCE", "COUNTRY")
"""The nearest first."""


class NoValue(LookupError):
    """Nobody decided this for that day: the caller must not guess."""


@dataclass(frozen=True, slots=True)
class Value:
    """What holds from a day on, until the next value of the same key: and who says so."""

    key: str
    value: Any
    valid_from: date
    document: str
    article: str
    note: str = ""
    hospital_may_set: bool = False


@dataclass(frozen=True, slots=True)
class Pack:
    """One document's values. ``version`` goes into every decision that used it (GZ-26, GZ-27).

    ``reach``: HOSPITAL, PROVINCE or COUNTRY; the nearest pack that has a value wins.
    """

    name: str
    reach: str
    version: str
    title: str
    in_force_from: date
    in_force_to: date | None
    values: Mapping[str, tuple[Value, ...]]

    def in_force(self, moment: datetime) -> bool:
        """Whether the document holds on the Shanghai day of this moment (GZ-27)."""
        day = today(moment)
        return self.in_force_from <= day and (self.in_force_to is None or day <= self.in_force_to)

    def find(self, key: str, day: date) -> Value | None:
        """The value that holds on a day, or None."""
        if self.in_force_to is not None and day > self.in_force_to:
            return None
        begun = [value for value in self.values.get(key, ()) if value.valid_from <= day]
        return max(begun, key=lambda value: value.valid_from, default=None)


@dataclass(frozen=True, slots=True)
class Rules:
    """The packs that bind one hospital, nearest first: its own overlay, province, country."""

    packs: tuple[Pack, ...]

    @property
    def version(self) -> str:
        """All pack versions, nearest first, for the record of a decision."""
        return "+".join(pack.version for pack in self.packs)

    def find(self, key: str, day: date) -> Value | None:
        """The nearest pack's value for a Shanghai day, or None."""
        found = (pack.find(key, day) for pack in self.packs)
        return next((value for value in found if value is not None), None)

    def value(self, key: str, day: date) -> Any:
        """The value for a Shanghai day; raises NoValue where no pack has one."""
        if found := self.find(key, day):
            return found.value
        raise NoValue(f"{key} has no value on {day} in {self.version}")

    def decision(self, clause: str, day: date, answer: str, **inputs: Any) -> dict[str, Any]:
        """The record of one decision: clause, day, answer, pack versions, and all it rested on."""
        return {
            "clause": clause,
            "day": day.isoformat(),
            "answer": answer,
            "packs": [pack.version for pack in self.packs],
            "inputs": inputs,
        }


@cache
def pack(name: str) -> Pack:
    """The pack in values/<name>.yaml; KeyError for a name that has none."""
    file = VALUES / f"{name}.yaml"
    if not file.is_file():
        raise KeyError(name)
    raw = yaml.safe_load(file.read_text("utf8"))
    return Pack(
        name=raw["pack"],
        reach=raw["reach"],
        version=raw["version"],
        title=raw["name"],
        in_force_from=raw["in_force_from"],
        in_force_to=raw.get("in_force_to"),
        values={
            key: tuple(
                Value(key=key, **{"document": raw["document"], **entry}) for entry in entries
            )
            for key, entries in raw["values"].items()
        },
    )


def rules_of(names: Iterable[str], overlay: Iterable[Value] = ()) -> Rules:
    """The rules of a hospital from its pack names, in any order, under its own overlay.

    A hospital may set only what its packs leave to it: ValueError for anything else.
    """
    packs = tuple(sorted(map(pack, names), key=lambda found: REACHES.index(found.reach)))
    own: dict[str, tuple[Value, ...]] = {}
    for value in overlay:
        known = [each for found in packs for each in found.values.get(value.key, ())]
        if not any(each.hospital_may_set for each in known):
            raise ValueError(f"{value.key} is not the hospital's to set")
        own[value.key] = (*own.get(value.key, ()), value)
    if not own:
        return Rules(packs)
    begins = min(value.valid_from for values in own.values() for value in values)
    return Rules((Pack("hospital", "HOSPITAL", f"OWN-{begins}", "", begins, None, own), *packs))
