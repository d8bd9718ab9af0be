"""Access tokens that nobody may come in with: our own, changed in one thing and signed again as
well as a forger could."""

import base64
import json
import random
import string
from collections.abc import Callable
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.api.conftest import KEYS

REQUIRED = ("iss", "aud", "sub", "jti", "iat", "exp")
FOREIGN = base64.b64encode(b"f" * 64).decode()
VISIBLE = string.ascii_letters + string.digits + string.punctuation


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims."""
    head, claims, _ = token.split(".")
    return tuple(json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, claims))


def forged(
    token: str, key: str = KEYS["new"], header: dict[str, Any] | None = None, **claims: Any
) -> str:
    """Our own token with some of it changed and signed again, by default with our own key."""
    head, said = parts(token)
    head |= {"alg": "HS256"} | (header or {})
    said = {name: value for name, value in (said | claims).items() if value is not None}
    return jwt.encode(said, base64.b64decode(key), algorithm=head["alg"], headers=head)


def unsigned(token: str) -> str:
    """``alg: none``."""
    head, said = parts(token)
    return jwt.encode(said, None, algorithm="none", headers={"kid": "new", "typ": head["typ"]})


def by_rsa(token: str) -> str:
    """``alg: RS256``, well signed by a key of the forger's."""
    head, said = parts(token)
    return jwt.encode(said, _rsa(), algorithm="RS256", headers=head | {"alg": "RS256"})


def tampered(token: str) -> str:
    """Somebody else's session under the old signature."""
    head, _, signature = token.split(".")
    said = parts(token)[1] | {"sub": "01a00000-0000-7000-8000-000000000000"}
    return f"{head}.{_b64(said)}.{signature}"


def spelled(token: str, spare: int) -> str:
    """The same signature with spare bits set, or with a character that decoders skip."""
    head, claims, signature = token.split(".")
    alphabet = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    last = alphabet[alphabet.index(signature[-1]) ^ spare] if spare else signature[-1] + "~"
    return f"{head}.{claims}.{signature[:-1]}{last}"


BAD: dict[str, Callable[[str], str]] = {
    "not a token": lambda _: "nonsense",
    "algorithm none": unsigned,
    "algorithm RS256": by_rsa,
    "algorithm HS384": lambda token: forged(token, header={"alg": "HS384"}),
    "a foreign key": lambda token: forged(token, key=FOREIGN),
    "an unknown key name": lambda token: forged(token, header={"kid": "other"}),
    "no key name": lambda token: forged(token, header={"kid": ""}),
    "the other key's name": lambda token: forged(token, header={"kid": "old"}),
    "another type": lambda token: forged(token, header={"typ": "JWT"}),
    "a refresh token's type": lambda token: forged(token, header={"typ": "rt+jwt"}),
    "another audience": lambda token: forged(token, aud="xianzhen:refresh"),
    "another issuer": lambda token: forged(token, iss="http://elsewhere.test"),
    "a subject that is no id": lambda token: forged(token, sub="1 OR 1=1"),
    "a session that never was": lambda token: forged(
        token, sub="01a00000-0000-7000-8000-000000000000"
    ),
    "made in the future": lambda token: forged(token, iat=parts(token)[1]["iat"] + 3600),
    "not yet valid": lambda token: forged(token, nbf=parts(token)[1]["iat"] + 3600),
    "expired": lambda token: forged(token, exp=parts(token)[1]["iat"] - 1),
    "an end that never comes": lambda token: forged(token, exp=float("nan")),
    "a tampered payload": tampered,
    "a cut signature": lambda token: token[:-1],
    "another spelling": lambda token: spelled(token, spare=1),
    "a character too many": lambda token: spelled(token, spare=0),
    **{
        f"without {name}": lambda token, name=name: forged(token, **{name: None})
        for name in REQUIRED
    },
}
"""Every one is refused with 401, for patients and staff alike."""


def mutated(token: str, other: str, dice: random.Random) -> str:
    """A token that was never given out: made of ``token`` and of another good one."""
    segments = token.split(".")
    how = dice.randrange(4)
    if how == 0:
        place = dice.randrange(len(token))
        new = dice.choice([each for each in VISIBLE if each != token[place]])
        return token[:place] + dice.choice([new, "", new + token[place]]) + token[place + 1 :]
    if how == 1:
        place = dice.randrange(3)
        segments[place] = other.split(".")[place]
    elif how == 2:
        head, said = parts(token)
        changed = dice.choice([head, said])
        changed[dice.choice(list(changed))] = dice.choice([None, 0, "", "x", [], {}, True, 2**70])
        segments[:2] = _b64(head), _b64(said)
    else:
        dice.shuffle(segments)
        segments = segments[: dice.randrange(1, 4)] if segments == token.split(".") else segments
    return ".".join(segments)


@cache
def _rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def _b64(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
