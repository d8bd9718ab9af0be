"""Argon2id hashes of staff passwords, 19 MiB, two passes, one lane: the OWASP minimum, about 28
ms."""

import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_NOBODYS = _hasher.hash("nobody has this password")


def hashed(password: str) -> str:
    """The text to store."""
    return _hasher.hash(password)


def first_password() -> str:
    """A password to hand over once; it must be changed at the first login."""
    return secrets.token_urlsafe(12)


def right_password(stored: str | None, password: str) -> bool:
    """Whether it is the one; with nothing stored it takes the same time and is False. Hold no
    transaction."""
    try:
        return _hasher.verify(stored or _NOBODYS, password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False
