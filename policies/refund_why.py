"""Why a part of a refund goes the way it goes, in a sentence that a patient can check (GZ-7)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from config import SHANGHAI
from policies.money import yuan


@dataclass(frozen=True, slots=True)
class Why:
    """One reason: a code of texts/refund_why.yaml and its facts, all of them JSON."""

    code: str
    facts: Mapping[str, Any] = field(default_factory=dict)


def sentence(reasons: Sequence[Why]) -> str:
    """The reasons as one Chinese sentence; ``x_fen`` is said as ``{x_yuan}``, a moment ``x_at`` as
    Shanghai's clock shows it, a ``x_route`` by its name.
    """
    said = [_texts()["reasons"][why.code].format(**_spoken(why.facts)) for why in reasons]
    return "，".join(said) + "。" if said else ""


def stored(reasons: Sequence[Why]) -> list[dict[str, Any]]:
    """The reasons as JSON; `read` brings them back."""
    return [{"code": why.code, "facts": dict(why.facts)} for why in reasons]


def read(reasons: Sequence[Mapping[str, Any]]) -> list[Why]:
    """What `stored` wrote."""
    return [Why(**reason) for reason in reasons]


def _spoken(facts: Mapping[str, Any]) -> dict[str, str]:
    said = {}
    for name, fact in facts.items():
        if name.endswith("_fen"):
            said[f"{name[:-4]}_yuan"] = yuan(fact)
        elif name.endswith("_at"):
            said[name] = f"{datetime.fromisoformat(fact).astimezone(SHANGHAI):%Y-%m-%d %H:%M}"
        else:
            said[name] = _texts()["routes"][fact] if name.endswith("route") else str(fact)
    return said


@cache
def _texts() -> dict[str, dict[str, str]]:
    path = Path(__file__).parent / "texts" / "refund_why.yaml"
    texts: dict[str, dict[str, str]] = yaml.safe_load(path.read_text("utf8"))
    return texts
