"""Charge lines as the set function takes them, in rows of text; most are read at one look; pure.

A line is plain when every member is a text without space around it, numbers as they should be and
codes that exist: nearly every line of every HIS. One regular expression says so in a tenth of the
time in which ``check`` looks for what is wrong, and every other line is left to ``check``.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cache, partial
from operator import itemgetter
from typing import Any

from config import SHANGHAI
from policies.charges import CONTROL, Charge, NotTaken, check, fits, moment_of

Raw = Mapping[str, Any]


def _text(longest: int, *, needed: bool = False) -> str:
    text = rf"(?!\s)[^{CONTROL}]{{1,{longest}}}+(?<!\s)"
    return text if needed else f"(?:{text})?"


def _number(places: int) -> str:
    return rf"[0-9]{{1,10}}(?:\.[0-9]{{1,{places}}})?"


_CODED = r"(?:03|0[12](?=\t[^\t]*\t[^\t]))"  # 甲 and 乙: the national code behind is not empty
_PLAIN = {
    "occurred_at": _text(40, needed=True),
    "amount": r"[0-9]{1,10}(?:\.[0-9]{1,2}0{0,4})?",
    "source_line_id": _text(64, needed=True),
    "inpatient_no": _text(64, needed=True),
    "item_name": _text(200, needed=True),
    "specification": _text(200),
    "unit": _text(32),
    "quantity": _number(4),
    "unit_price": _number(6),
    "category": r"(?:0[1-9]|1[0-4])",
    "insurance_level": _CODED,
    "self_pay_ratio": r"(?:0(?:\.[0-9]{1,4})?|1(?:\.0{1,4})?)?",
    "national_code": _text(64),
    "hospital_code": _text(64, needed=True),
    "department_code": _text(64, needed=True),
    "department_name": _text(100),
    "doctor_code": _text(64),
    "doctor_name": _text(100),
}
"""Each member of a plain line. The first two are rewritten in a row, the others stand as said."""

_NOTHING = dict.fromkeys(_PLAIN, "")
_values = itemgetter(*_PLAIN)
_plain = re.compile("\t".join(_PLAIN.values())).fullmatch


@dataclass(slots=True)
class Read:
    """A batch that was read.

    ``rows``: the lines that can be taken; ``stays``: whose they are; ``refused``: what is wrong
    with the others and in which member, by place; ``said``: every line, for ``content``.
    """

    rows: list[str] = field(default_factory=list)
    stays: set[str] = field(default_factory=set)
    refused: dict[int, tuple[str, str]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    @property
    def content(self) -> bytes:
        """What was said, the same in whatever order the members of its lines came."""
        return "\n".join(self.said).encode()

    def take(self, place: int, inpatient_no: str, row: str) -> None:
        """The line at this place can be taken."""
        self.rows.append(f"{place}\t{row}")
        self.stays.add(inpatient_no)

    def refuse(self, place: int, why: NotTaken) -> None:
        """The line at this place cannot be taken."""
        self.refused[place] = (why.verdict.value, why.field)


def read(lines: Sequence[Raw], now: datetime) -> Read:
    """Every line of a batch, each judged on its own: policies/charges.py."""
    found, moments = Read(), cache(partial(_moment, now=now))
    for place, raw in enumerate(lines):
        text = _as_text(raw)
        found.said.append(text or json.dumps(raw, sort_keys=True))
        try:
            row = text and _plain_row(text, raw, moments)
            if row:
                found.take(place, raw["inpatient_no"], row)
                continue
            charge = check(raw, now)
            found.take(place, charge.inpatient_no, row_of(charge))
        except NotTaken as refused:
            found.refuse(place, refused)
    return found


def row_of(charge: Charge) -> str:
    """The line after its place: fields apart by tabs, which no text of a line holds.

    The moment by the Shanghai clock, fen, the number of the line that it takes back or nothing;
    then what was said.
    """
    moment = charge.occurred_at.astimezone(SHANGHAI).isoformat()
    said = charge._asdict() | {"occurred_at": "", "amount": ""}
    told = ["" if (value := said[name]) is None else f"{value}" for name in _PLAIN]
    return "\t".join([moment, str(charge.amount_fen), charge.reverses or "", *told])


def _as_text(raw: Raw) -> str:
    """The members of a plain line apart by tabs; empty for any other line."""
    known = {**_NOTHING, **raw}
    if len(known) > len(_PLAIN) or raw.get("self_pay_ratio") == "":  # which is no number
        return ""
    values = _values(known)
    if None in values:
        values = tuple("" if value is None else value for value in values)
    try:
        text = "\t".join(values)
    except TypeError:  # not a text
        return ""
    return text if _plain(text) else ""


def _plain_row(text: str, raw: Raw, moments: Callable[[str], str]) -> str:
    occurred_at, amount, _ = text.split("\t", 2)
    quantity, fen = Decimal(raw["quantity"]), int(Decimal(amount) * 100)
    if not quantity or not fits(quantity, Decimal(raw["unit_price"]), fen):
        return ""
    return f"{moments(occurred_at)}\t{fen}\t\t{text}"


def _moment(said: str, now: datetime) -> str:
    return moment_of(said, now).astimezone(SHANGHAI).isoformat()
