"""What differs between provinces, as data: choosing a province is choosing a file of profiles/, not
code.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILES = Path(__file__).parent / "profiles"


@dataclass(frozen=True, slots=True)
class FundCodes:
    """How fund_pay_type of setldetail is read: which rows are no fund money, and which payer a fund
    is.

    An exact code wins over its first four digits (provinces add a tail of two).
    """

    not_funds: frozenset[str]
    funds_after_all: frozenset[str]
    payers: dict[str, str]

    def is_fund(self, code: str) -> bool:
        """Whether this row counts towards fund_pay_sumamt (I7)."""
        if code in self.funds_after_all:
            return True
        return not ({code, code[:4]} & self.not_funds)

    def payer(self, code: str) -> str:
        """Our payer of a fund row: BASIC, CRITICAL, AID …; OTHER for a code nobody told us."""
        return self.payers.get(code) or self.payers.get(code[:4], "OTHER")


@dataclass(frozen=True, slots=True)
class Profile:
    """One province's ways. Times are seconds; the file explains each entry."""

    name: str
    gateway: str
    paths: dict[str, str]
    path_prefix: str
    time_unit: str
    hex_case: str
    input_as: str
    file_as: str
    infver: str
    recer_sys_code: str
    med_type: str
    clr_type: str
    settle_way: str
    insutypes: tuple[str, ...]
    opter_type: dict[str, str]
    office_operator: str
    sign_in: bool
    station: dict[str, str]
    reversible: frozenset[str]
    trial_needs_discharge: bool
    batch_lines: int
    input_chars: int
    connect_seconds: float
    answer_seconds: float
    rest_seconds: int
    not_found_words: tuple[str, ...]
    unsure_words: tuple[str, ...]
    settled_words: tuple[str, ...]
    funds: FundCodes


def load(name: str) -> Profile:
    """The profile of this name; FileNotFoundError, TypeError or KeyError for one that is missing or
    unfinished.
    """
    raw: dict[str, Any] = yaml.safe_load((FILES / f"{name}.yaml").read_text("utf8"))
    funds = raw.pop("funds")
    for key in ("insutypes", "not_found_words", "unsure_words", "settled_words"):
        raw[key] = tuple(raw[key])
    return Profile(
        name=name,
        reversible=frozenset(raw.pop("reversible")),
        funds=FundCodes(
            frozenset(funds["not_funds"]),
            frozenset(funds["funds_after_all"]),
            funds["payers"],
        ),
        **raw,
    )
