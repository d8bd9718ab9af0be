"""The profile of a province's platform, and what one hospital is to it."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Profile:
    """What profiles.yaml says of one platform; see the comments there."""

    name: str
    transport: str
    area: str
    app: str
    infcode: str
    amounts: str
    trial_needs_discharge: bool
    sign_required: bool
    reversible: tuple[str, ...]
    fund_tail: str
    hospital_fund: str
    overlimit_borne: Decimal
    local_fields: bool
    clr_way: str

    def fund_code(self, code: str) -> str:
        """A national fund code as this province writes it."""
        return code[:4] + self.fund_tail if self.fund_tail and code.endswith("00") else code


def profile_named(name: str) -> Profile:
    """The profile; KeyError names an unknown one."""
    raw = dict(_profiles()[name])
    raw["reversible"] = tuple(raw["reversible"])
    raw["overlimit_borne"] = Decimal(raw["overlimit_borne"])
    return Profile(name=name, **raw)


@cache
def _profiles() -> dict[str, dict[str, Any]]:
    text = Path(__file__).with_name("profiles.yaml").read_text("utf8")
    found: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return found
