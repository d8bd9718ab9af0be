"""A staff request is signed by the device's own key: DPoP (RFC 9449) plus a hash of the body, so a
copy is worth nothing."""

import base64
import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

import jwt
from flask import request
from jwt.utils import base64url_decode

from api.surroundings import clock, settings
from models.proof_seen import first_use
from policies.refusals import Unauthenticated

WINDOW_S = 60
"""How far a proof's ``iat`` may be from our clock."""

_REQUIRED = ["jti", "htm", "htu", "iat"]
_OPTIONS: Any = {
    "require": _REQUIRED,
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
    "verify_aud": False,
}


@dataclass(frozen=True, slots=True)
class Proof:
    """Who signed this request (a public key as JWK and its thumbprint), and a mark of the proof
    itself, by which a second use is known."""

    jwk: dict[str, str]
    thumbprint: str
    digest: bytes


def proven_key() -> dict[str, str]:
    """The public key (JWK) whose holder signed exactly this request, just now and for the first
    time; for requests of a device that is not logged in.

    Unauthenticated PROOF_INVALID, PROOF_STALE or PROOF_REPLAYED.
    """
    proof = proof_of_request()
    if not first_use(proof.digest):
        raise Unauthenticated("PROOF_REPLAYED")
    return proof.jwk


def proof_of_request(access_token: str | None = None) -> Proof:
    """The proof that came with this request, signed for it and just now; Unauthenticated
    PROOF_INVALID or PROOF_STALE. Whether it was used before is for the caller to ask."""
    jwk, said = _signed_by(request.headers.getlist("DPoP"))
    expected = {"htm": request.method, "htu": _here(), "bh": _hash(request.get_data())}
    found = {"htm": said["htm"], "htu": _target(said["htu"]), "bh": said.get("bh")}
    if not request.get_data() and found["bh"] is None:
        found["bh"] = expected["bh"]
    if access_token is not None:
        expected["ath"] = _hash(access_token.encode())
        found["ath"] = said.get("ath")
    if found != expected or not 8 <= len(str(said["jti"])) <= 128:
        raise Unauthenticated("PROOF_INVALID")
    if abs(clock()().timestamp() - float(said["iat"])) > WINDOW_S:
        raise Unauthenticated("PROOF_STALE")
    own = thumbprint(jwk)
    return Proof(jwk, own, hashlib.sha256(f"{own}:{said['jti']}".encode()).digest())


def thumbprint(jwk: dict[str, str]) -> str:
    """RFC 7638 thumbprint of a P-256 key."""
    members = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    return _hash(json.dumps(members, separators=(",", ":"), sort_keys=True).encode())


def _signed_by(headers: list[str]) -> tuple[dict[str, str], dict[str, Any]]:
    if len(headers) != 1 or len(headers[0]) > 4096:
        raise Unauthenticated("PROOF_INVALID")
    try:
        # Only the key is taken from here; `decode` reads the header again and judges all of it.
        header = json.loads(base64url_decode(headers[0].partition(".")[0]))
        jwk = header["jwk"]
        if header.get("typ") != "dpop+jwt" or "d" in jwk or jwk.get("crv") != "P-256":
            raise Unauthenticated("PROOF_INVALID")
        public = {name: jwk[name] for name in ("kty", "crv", "x", "y")}
        key = _key(**public)
        said = jwt.decode(headers[0], key, algorithms=["ES256"], options=_OPTIONS)
        float(said["iat"])
    except (jwt.PyJWTError, KeyError, ValueError, TypeError, AttributeError, RecursionError):
        raise Unauthenticated("PROOF_INVALID") from None
    return public, said


@lru_cache(maxsize=4096)
def _key(kty: str, crv: str, x: str, y: str) -> jwt.PyJWK:
    """A device's key, checked to be a point of the curve; the same for all its requests."""
    return jwt.PyJWK({"kty": kty, "crv": crv, "x": x, "y": y}, algorithm="ES256")


def _here() -> str:
    return _target(settings().public_base_url.rstrip("/") + request.path)


def _target(url: Any) -> str:
    parts = urlsplit(str(url))
    return f"{parts.scheme}://{parts.netloc}".lower() + unquote(parts.path)


def _hash(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
