"""The words of every refusal: one plain Chinese sentence, the clause it rests on, and what to do
next."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILES = Path(__file__).parent / "texts" / "refusals"


@dataclass(frozen=True, slots=True)
class Words:
    """What a person is told. ``clause`` is an id of docs/requirements such as GZ-17, or empty."""

    clause: str
    say: str
    next: str


class _Facts(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return ""


def words_of(code: str, facts: dict[str, Any]) -> Words:
    """The words of a code with its facts filled in; every ``x_fen`` may also be said as
    ``{x_yuan}``.

    A code without words gets those of UNEXPLAINED: a missing text must not turn a refusal into a
    crash.
    """
    known = catalogue()
    words = known.get(code) or known["UNEXPLAINED"]
    filled = _Facts(facts)
    for name, value in facts.items():
        if name.endswith("_fen") and isinstance(value, int):
            yuan, fen = divmod(abs(value), 100)
            filled[f"{name[:-4]}_yuan"] = f"{'-' if value < 0 else ''}{yuan}.{fen:02d}"
    return Words(words.clause, words.say.format_map(filled), words.next.format_map(filled))


@cache
def catalogue() -> dict[str, Words]:
    """code -> words, from every file of texts/refusals; a test sees that no code is there twice."""
    found: dict[str, Words] = {}
    for file in sorted(FILES.glob("*.yaml")):
        for code, entry in (yaml.safe_load(file.read_text("utf8")) or {}).items():
            found[code] = Words(entry["clause"], entry["say"], entry["next"])
    return found
