"""The four who speak to the API over HTTP: a phone, a handheld or desk with its own key, the HIS,
and finance's desk.

Each works over a Flask test client (``OverApp``) or a real address (``OverNetwork``). An answer
that is
not 2xx raises ``Answered``, unless the call says which status it wants.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import quote

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask


@dataclass(frozen=True)
class Answer:
    """What came back; ``body`` is parsed JSON, or None."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text) if self.text else None

    @property
    def code(self) -> str:
        """The problem's code, or empty."""
        return self.body.get("code", "") if self.status >= 400 else ""


class Answered(AssertionError):
    """An answer that was not expected."""

    def __init__(self, method: str, path: str, answer: Answer) -> None:
        super().__init__(f"{method} {path}: {answer.status} {answer.text[:500]}")
        self.answer = answer


class Wire(Protocol):
    """Something that carries one request."""

    base_url: str

    def send(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """Carry it and bring the answer."""


@dataclass
class OverApp:
    """Requests to a Flask app in this process. ``address``: whom it sees as the caller."""

    app: Flask
    base_url: str
    address: str = "127.0.0.1"

    def send(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        got = self.app.test_client().open(
            target,
            method=method,
            headers=headers,
            data=body,
            environ_base={"REMOTE_ADDR": self.address},
        )
        with got:
            text = got.get_data().decode(errors="replace")  # a table is no text
            return Answer(got.status_code, dict(got.headers), text)


@dataclass
class OverNetwork:
    """Requests to a served API."""

    base_url: str
    session: requests.Session = field(default_factory=requests.Session)

    def send(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        url = self.base_url + target
        got = self.session.request(method, url, headers=headers, data=body, timeout=60)
        return Answer(got.status_code, dict(got.headers), got.text)


@dataclass
class Client:
    """The common part: build a request, let the subclass sign it, send it."""

    wire: Wire
    hospital: str
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC), kw_only=True)
    access_token: str = field(default="", kw_only=True)
    refresh_token: str = field(default="", kw_only=True)
    calls: int = field(default=0, kw_only=True)

    def get(self, path: str, **more: Any) -> Any:
        return self.ask("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Any:
        return self.ask("POST", path, body, **more)

    def put(self, path: str, body: Any = None, **more: Any) -> Any:
        return self.ask("PUT", path, body, **more)

    def delete(self, path: str, **more: Any) -> Any:
        return self.ask("DELETE", path, **more)

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The parsed body of a 2xx answer; ``Answered`` otherwise."""
        answer = self.try_(method, path, body, **more)
        if not 200 <= answer.status < 300:
            raise Answered(method, path, answer)
        return answer.body

    def try_(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, Any] | None = None,
        key: str = "",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Whatever comes back. ``key`` is sent as Idempotency-Key."""
        sent = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        pairs = [f"{quote(name)}={quote(str(value))}" for name, value in (query or {}).items()]
        target = f"{path}?{'&'.join(pairs)}" if pairs else path
        asked = {"Accept": "application/json"}
        if sent:
            asked["Content-Type"] = "application/json"
        if key:
            asked["Idempotency-Key"] = key
        asked |= self.credentials(method, target, sent)
        self.calls += 1
        return self.wire.send(method, target, asked | (headers or {}), sent)

    def credentials(self, method: str, target: str, body: bytes) -> dict[str, str]:
        """Headers that say who asks."""
        return {}

    def refresh(self) -> None:
        """Exchange the refresh token."""
        self.keep(self.post("/v1/sessions/refresh", {"refresh_token": self.refresh_token}))

    def keep(self, tokens: dict[str, Any]) -> None:
        """Remember new tokens."""
        self.access_token, self.refresh_token = tokens["access_token"], tokens["refresh_token"]


@dataclass
class PhoneClient(Client):
    """A patient or relative in the mini-program."""

    def log_in(self, js_code: str) -> dict[str, Any]:
        """Log in with a code of wx.login."""
        asked = {"hospital": self.hospital, "code": js_code}
        tokens = self.post("/v1/patient/sessions", asked)
        self.keep(tokens)
        return tokens

    def bind(self, name: str, id_no: str) -> dict[str, Any]:
        """Prove to be a patient."""
        return self.put("/v1/patient/binding", {"name": name, "id_no": id_no})

    def credentials(self, method: str, target: str, body: bytes) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"} if self.access_token else {}


@dataclass
class StaffClient(Client):
    """A staff member on a handheld or desk that has a key of its own."""

    staff_no: str = field(default="", kw_only=True)
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1()), kw_only=True
    )

    @property
    def jwk(self) -> dict[str, str]:
        """The device's public key."""
        numbers = self.key.public_key().public_numbers()
        x, y = (_b64(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": "P-256", "x": x, "y": y}

    def enrol(self, code: str) -> dict[str, Any]:
        """Give the device its key with the administrator's one-time code."""
        asked = {"hospital": self.hospital, "code": code, "jwk": self.jwk}
        return self.post("/v1/devices", asked)

    def log_in(self, staff_no: str, password: str, new_password: str = "") -> dict[str, Any]:
        """Log in; with ``new_password`` also replace a first password."""
        self.access_token, self.staff_no = "", staff_no
        asked = {"hospital": self.hospital, "staff_no": staff_no, "password": password}
        tokens = self.post("/v1/staff/sessions", asked)
        self.keep(tokens)
        if new_password:
            self.put("/v1/staff/me/password", {"old": password, "new": new_password})
        return tokens

    def refresh(self) -> None:
        token, self.access_token = self.access_token, ""
        try:
            super().refresh()
        finally:
            self.access_token = self.access_token or token

    def credentials(self, method: str, target: str, body: bytes) -> dict[str, str]:
        sent = {"DPoP": self.proof(method, target, body)}
        if self.access_token:
            sent["Authorization"] = f"DPoP {self.access_token}"
        return sent

    def proof(self, method: str, target: str, body: bytes, **changed: Any) -> str:
        """A DPoP proof (RFC 9449) for one request, with the body's hash; ``changed`` claims spoil
        it."""
        said = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": self.wire.base_url + target.partition("?")[0],
            "iat": int(self.now().timestamp()),
        }
        if body:
            said["bh"] = _b64(hashlib.sha256(body).digest())
        if self.access_token:
            said["ath"] = _b64(hashlib.sha256(self.access_token.encode()).digest())
        headers = {"typ": "dpop+jwt", "jwk": self.jwk}
        return jwt.encode(said | changed, self.key, algorithm="ES256", headers=headers)


@dataclass
class HisClient(Client):
    """The hospital information system."""

    key_id: str = field(kw_only=True)
    secret: str = field(kw_only=True)

    def credentials(self, method: str, target: str, body: bytes) -> dict[str, str]:
        nonce, sent_at = secrets.token_hex(16), str(int(self.now().timestamp()))
        lines = (method, target, sent_at, nonce, hashlib.sha256(body).hexdigest())
        signed = hmac.new(self.secret.encode(), "\n".join(lines).encode(), hashlib.sha256)
        return {
            "X-Hospital": self.hospital,
            "X-Key-Id": self.key_id,
            "X-Timestamp": sent_at,
            "X-Nonce": nonce,
            "X-Signature": signed.hexdigest(),
        }


def _b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
