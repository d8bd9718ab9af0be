"""The daily bill in words that anybody understands, read or read aloud (CQ-5.3, GZ-20); pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import yaml

OTHER_CATEGORY = "14"
TEXTS = Path(__file__).parent / "texts" / "daily_bill.yaml"


@dataclass(frozen=True, slots=True)
class Spoken:
    """What is said of one day. ``by_category``: (class, fen). ``before_fen``: the day before.
    ``corrected`` without added lines: only the running total is another."""

    day: date
    line_count: int
    added_count: int
    total_fen: int
    before_fen: int | None
    running_total_fen: int
    deposit_held_fen: int
    estimated_personal_fen: int | None
    by_category: tuple[tuple[str, int], ...]
    corrected: bool = False


def category_name(code: str) -> str:
    """The name of a class of charges, as 化验费; an unknown code is 其他费用."""
    names: Mapping[str, str] = _texts()["categories"]
    return names.get(code, names[OTHER_CATEGORY])


@cache
def line_words() -> str:
    """What stands beside a line, as JSON for the statement that writes the lines: the names of the
    classes (``categories``) and what 甲, 乙 or 丙 means for the patient's purse (``levels``)."""
    texts = _texts()
    return json.dumps({"categories": texts["categories"], "levels": texts["levels"]})


def estimate_note(estimated_personal_fen: int | None) -> str:
    """What stands beside the estimated personal part: that it is only a trial, or 暂无."""
    return str(_texts()["estimate"]["unknown" if estimated_personal_fen is None else "known"])


def spoken_yuan(fen: int) -> str:
    """312472 -> 3124元7角2分, as a voice says it."""
    sign, fen = ("负" if fen < 0 else ""), abs(fen)
    jiao, rest = fen // 10 % 10, fen % 10
    small = f"{jiao}角" * bool(jiao) + "零" * bool(rest and not jiao) + f"{rest}分" * bool(rest)
    return f"{sign}{fen // 100}元{small}"


def read_aloud(bill: Spoken) -> str:
    """The whole list in a few spoken sentences, for those who cannot read it."""
    words: Mapping[str, str] = _texts()["aloud"]
    said = [
        words["total" if bill.line_count else "nothing"].format(
            month=bill.day.month,
            day=bill.day.day,
            count=bill.line_count,
            total=spoken_yuan(bill.total_fen),
        )
    ]
    if bill.added_count:
        said.append(words["added"].format(count=bill.added_count))
    elif bill.corrected:
        said.append(words["retotalled"])
    said += [
        words["class"].format(name=category_name(code), amount=spoken_yuan(fen))
        for code, fen in bill.by_category
    ]
    if bill.before_fen is not None:
        said.append(_compared(words, bill.total_fen - bill.before_fen))
    said.append(
        words["running"].format(
            total=spoken_yuan(bill.running_total_fen), deposit=spoken_yuan(bill.deposit_held_fen)
        )
    )
    if bill.estimated_personal_fen is not None:
        said.append(words["personal"].format(personal=spoken_yuan(bill.estimated_personal_fen)))
    return "".join([*said, words["ask"]])


def _compared(words: Mapping[str, str], more_fen: int) -> str:
    if not more_fen:
        return words["same"]
    return words["more" if more_fen > 0 else "less"].format(amount=spoken_yuan(abs(more_fen)))


@cache
def _texts() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(TEXTS.read_text("utf8"))
    return found
