"""Identity numbers, names and phones are ciphertext at rest, bound to their table, column and row,
with a keyed blind index for look-up."""

import base64
import os
from typing import Any, Protocol, Self, overload

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

_NONCE, _TAG = 12, 16
SM4 = "sm4-gcm:"
"""Stands before the base64 of a key of 16 bytes that seals with SM4-GCM; else AES-256-GCM."""


class Key(Protocol):
    """One authenticated cipher under one key."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        """Ciphertext and tag."""

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        """The data; InvalidTag when anything was changed."""


class CannotOpen(Exception):
    """A sealed value was changed, stands in another row or column, or its key is not in the ring.

    The message never quotes the value.
    """


class Sm4Gcm:
    """SM4-GCM (GB/T 32907), which the library offers as a cipher but not among its AEADs."""

    def __init__(self, key: bytes) -> None:
        self._sm4 = algorithms.SM4(key)

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        """Ciphertext and tag."""
        sealer = Cipher(self._sm4, modes.GCM(nonce)).encryptor()
        sealer.authenticate_additional_data(associated_data)
        return sealer.update(data) + sealer.finalize() + sealer.tag

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes:
        """The data; InvalidTag when anything was changed."""
        if len(data) < _TAG:
            raise InvalidTag
        opener = Cipher(self._sm4, modes.GCM(nonce, data[-_TAG:])).decryptor()
        opener.authenticate_additional_data(associated_data)
        return opener.update(data[:-_TAG]) + opener.finalize()


_ring: dict[str, Key] = {}
_current = ""
_index_mac = HMAC(b"", SHA256())
"""Keyed, and fed nothing: copying it costs a third of starting anew with the key."""
COLUMNS: list[tuple[type, str]] = []
"""Every sealed attribute of every table: what a key's retirement has to go through."""


def use_keys(keys: dict[str, str], index_key: str) -> None:
    """Load the key ring (name -> base64 of 32 bytes, or ``sm4-gcm:`` and base64 of 16; the last one
    seals, all open) and the index key (base64).
    """
    global _current, _index_mac
    _ring.clear()
    _ring.update({name: _key(told) for name, told in keys.items()})
    _current = list(keys)[-1]
    _index_mac = HMAC(base64.b64decode(index_key), SHA256())


def key_length(told: str) -> int:
    """How many bytes this key of the ring ought to have."""
    return 16 if told.startswith(SM4) else 32


def current_key() -> str:
    """The name of the key that seals."""
    return _current


def known_keys() -> frozenset[str]:
    """The names of the keys that open."""
    return frozenset(_ring)


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
    """The value; CannotOpen when the ciphertext was changed or moved, or its key is not here."""
    name, _, rest = bytes(blob).partition(b"\0")
    key = _ring.get(name.decode(errors="replace"))
    if key is None:
        raise CannotOpen("sealed with a key that is not in the ring")
    try:
        return key.decrypt(rest[:_NONCE], rest[_NONCE:], bound_to.encode()).decode()
    except (InvalidTag, ValueError):
        raise CannotOpen("changed, or moved from another place") from None


def blind_index(value: str) -> bytes:
    """HMAC-SHA256 of the normalised value (upper case, no spaces): equal values find each other,
    nobody reads them.
    """
    return _keyed(value.strip().upper().encode())


def fingerprint(content: bytes) -> bytes:
    """Whether this was said before, for content that names a person.

    Keyed: a bare hash of a request that holds an identity number is undone by trying all numbers.
    """
    return _keyed(b"fingerprint\0" + content)


def bound_to(table: str, column: str, row_id: object) -> str:
    """The place that a sealed value is bound to."""
    return f"{table}:{column}:{row_id}"


class Sealed:
    """A str attribute stored sealed in the column ``<name>_sealed`` and, where ``<name>_index``
    exists, indexed blindly.

    The row's ``id`` must be set before the attribute is.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        COLUMNS.append((owner, name))

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
        return bound_to(row.__tablename__, self.name, row.id)


def _keyed(content: bytes) -> bytes:
    mac = _index_mac.copy()
    mac.update(content)
    return mac.finalize()


def _key(told: str) -> Key:
    if told.startswith(SM4):
        return Sm4Gcm(base64.b64decode(told.removeprefix(SM4)))
    return AESGCM(base64.b64decode(told))
