"""What each payer is called on a settlement sheet (texts/payers.yaml), plain enough for an elderly
reader.
"""

from functools import cache
from pathlib import Path

import yaml


@cache
def payer_words() -> dict[str, str]:
    """payer -> its Chinese name."""
    words: dict[str, str] = yaml.safe_load(
        (Path(__file__).parent / "texts" / "payers.yaml").read_text("utf8")
    )
    return words
