"""When two written names are one name."""

import unicodedata


def plain(name: str) -> str:
    """Full-width forms and the several middle dots of minority names are one name."""
    text = unicodedata.normalize("NFKC", name).replace("•", "·").replace("・", "·")
    return "".join(text.split()).upper()


def same_name(one: str, other: str) -> bool:
    """Whether both are written, and name the same person."""
    return bool(plain(one)) and plain(one) == plain(other)
