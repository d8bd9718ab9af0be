"""How a patient is told which way money came back (texts/refund_routes.yaml; GZ-7 T8)."""

from collections.abc import Collection
from functools import cache
from pathlib import Path

import yaml


def route_words(routes: Collection[str]) -> str:
    """The routes of one refund in plain words, always in the same order."""
    *others, last = [words for route, words in _words().items() if route in routes] or [""]
    return f"{'、'.join(others)}和{last}" if others else last


@cache
def _words() -> dict[str, str]:
    path = Path(__file__).parent / "texts" / "refund_routes.yaml"
    words: dict[str, str] = yaml.safe_load(path.read_text("utf8"))
    return words
