"""What the window is told of each kind of money: what it is, and how it may be taken (GZ-5)."""

from functools import cache
from pathlib import Path

import yaml

FILE = Path(__file__).parent / "texts" / "money_kinds.yaml"


@cache
def money_words() -> dict[str, dict[str, str]]:
    """answer -> ``say`` and ``next``."""
    return dict(yaml.safe_load(FILE.read_text("utf8")))
