"""Access and refresh tokens: JWTs that carry only ids, signed by the newest key, checked against
the injected clock."""

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

import jwt
from jwt.utils import base64url_decode, base64url_encode

from api.surroundings import clock, settings
from policies.refusals import Unauthenticated

Kind = Literal["patient", "staff", "refresh"]

ALGORITHM = "HS256"
ACCESS_LIFE = timedelta(minutes=10)
TYP: dict[Kind, str] = {"patient": "at+jwt", "staff": "at+jwt", "refresh": "rt+jwt"}
_REQUIRED = ["iss", "aud", "sub", "jti", "iat", "exp"]
_OUR_CLOCK = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}


@dataclass(frozen=True, slots=True)
class Claims:
    """What a good token said."""

    session_id: UUID
    jti: str
    thumbprint: str | None


def access_token(kind: Kind, session_id: UUID, thumbprint: str | None = None) -> str:
    """A token for ten minutes; a staff token is bound to the device's key (RFC 9449,
    ``cnf.jkt``)."""
    claims: dict[str, Any] = {"cnf": {"jkt": thumbprint}} if thumbprint else {}
    return _signed(kind, session_id, secrets.token_urlsafe(12), clock()() + ACCESS_LIFE, claims)


def refresh_token(session_id: UUID, secret: str, ends_at: datetime) -> str:
    """A refresh token; only the newest of a session is good, and only once."""
    return _signed("refresh", session_id, secret, ends_at, {})


def read(token: str, kind: Kind) -> Claims:
    """The claims of a token that we signed for this use and that is still good; else
    Unauthenticated."""
    told = settings()
    try:
        found, starts, ends = _signed_by_us(
            token, kind, told.public_base_url, tuple(told.jwt_keys.items())
        )
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        raise Unauthenticated("TOKEN_INVALID") from None
    now = clock()().timestamp()
    if now >= ends:
        raise Unauthenticated("TOKEN_EXPIRED")
    if now < starts - 60:
        raise Unauthenticated("TOKEN_INVALID")
    return found


@lru_cache(maxsize=4096)
def _signed_by_us(
    token: str, kind: Kind, issuer: str, keys: tuple[tuple[str, str], ...]
) -> tuple[Claims, int, int]:
    """What a token says, and from when to when.

    A phone shows the same one for ten minutes: its signature is looked at once, its time and its
    session (PostgreSQL) at each request. What is not good raises, and nothing is remembered.
    """
    _one_spelling(token)
    header = jwt.get_unverified_header(token)
    key = dict(keys).get(str(header.get("kid", "")))
    if key is None or header.get("typ") != TYP[kind]:
        raise ValueError("not ours, or not for this")
    said = jwt.decode(
        token,
        base64.b64decode(key),
        algorithms=[ALGORITHM],
        audience=_audience(kind),
        issuer=issuer,
        options={"require": _REQUIRED, **_OUR_CLOCK},  # type: ignore[typeddict-item]
    )
    found = Claims(UUID(said["sub"]), said["jti"], said.get("cnf", {}).get("jkt"))
    starts = max(_second(said["iat"]), _second(said.get("nbf", 0)))
    return found, starts, _second(said["exp"])


def _one_spelling(token: str) -> None:
    """Decoders skip foreign characters and spare bits of a signature: other text, same token."""
    signature = token.rpartition(".")[2]
    if base64url_encode(base64url_decode(signature)).decode() != signature:
        raise ValueError("not as it was given out")


def _second(said: Any) -> int:
    """A whole second; NaN would be neither before nor after now."""
    if type(said) is not int:
        raise TypeError("not a whole second")
    return said


def _signed(kind: Kind, session_id: UUID, jti: str, ends_at: datetime, more: dict[str, Any]) -> str:
    keys = settings().jwt_keys
    kid = list(keys)[-1]
    claims = {
        "iss": settings().public_base_url,
        "aud": _audience(kind),
        "sub": str(session_id),
        "jti": jti,
        "iat": int(clock()().timestamp()),
        "exp": int(ends_at.timestamp()),
        **more,
    }
    headers = {"kid": kid, "typ": TYP[kind]}
    return jwt.encode(claims, base64.b64decode(keys[kid]), algorithm=ALGORITHM, headers=headers)


def _audience(kind: Kind) -> str:
    return f"xianzhen:{kind}"
