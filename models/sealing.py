"""Identity numbers, names and phones are ciphertext at rest, bound to their table, column and row,
with a keyed blind index for look-up."""

import base64
import hashlib
import hmac
import os
from typing import Any, Self, overload

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12
_ring: dict[str, AESGCM] = {}
_current = ""
_index_key = b""


def use_keys(keys: dict[str, str], index_key: str) -> None:
    """Load the key ring (name -> base64 of 32 bytes; the last one seals, all open) and the index
    key (base64).
    """
    global _current, _index_key
    _ring.clear()
    _ring.update({name: AESGCM(base64.b64decode(key)) for name, key in keys.items()})
    _current = list(keys)[-1]
    _index_key = base64.b64decode(index_key)


def seal(value: str, bound_to: str) -> bytes:
    """``key name | 0 | nonce | ciphertext``; ``bound_to`` is authenticated, so a moved ciphertext
    does not open.
    """
    nonce = os.urandom(_NONCE)
    return (
        _current.encode()
        + b"\0"
        + nonce
        + _ring[_current].encrypt(nonce, value.encode(), bound_to.encode())
    )


def unseal(blob: bytes, bound_to: str) -> str:
    """The value; raises InvalidTag when the ciphertext was changed or stands in another row."""
    name, _, rest = bytes(blob).partition(b"\0")
    return _ring[name.decode()].decrypt(rest[:_NONCE], rest[_NONCE:], bound_to.encode()).decode()


def blind_index(value: str) -> bytes:
    """HMAC-SHA256 of the normalised value (upper case, no spaces): equal values find each other,
    nobody reads them.
    """
    return hmac.new(_index_key, value.strip().upper().encode(), hashlib.sha256).digest()


class Sealed:
    """A str attribute stored sealed in the column ``<name>_sealed`` and, where ``<name>_index``
    exists, indexed blindly.

    The row's ``id`` must be set before the attribute is.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, row: None, owner: type) -> Self: ...
    @overload
    def __get__(self, row: Any, owner: type) -> str: ...
    def __get__(self, row: Any, owner: type) -> Self | str:
        if row is None:
            return self
        blob = getattr(row, f"{self.name}_sealed")
        return "" if blob is None else unseal(blob, self._bound_to(row))

    def __set__(self, row: Any, value: str) -> None:
        setattr(row, f"{self.name}_sealed", seal(value, self._bound_to(row)) if value else None)
        if hasattr(type(row), f"{self.name}_index"):
            setattr(row, f"{self.name}_index", blind_index(value) if value else None)

    def _bound_to(self, row: Any) -> str:
        return f"{row.__tablename__}:{self.name}:{row.id}"
