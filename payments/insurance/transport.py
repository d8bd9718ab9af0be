"""Two ways to a province's gateway, CSB and TIF: sign, post once, and say which of the four answers
came back.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

import requests
from urllib3.exceptions import NewConnectionError

from config import InsuranceSettings
from models.waiting import outside
from payments.insurance.profile import Profile
from policies.outcome import Declined, NoAnswer, NotNow

REFUSED_BEFORE_PROCESSING = frozenset({400, 401, 403, 404, 405, 413, 415, 429})
"""HTTP statuses (and `code`s of a gateway's own body) after which the platform never saw the
request.
"""


@dataclass(frozen=True, slots=True)
class Reply:
    """A yes. ``output`` is the reply's node tree, or the bytes of a file (9102)."""

    refmsgid: str
    output: Any


class Platform(Protocol):
    """A gateway that carries one enveloped request. ``settings`` says as whom."""

    settings: InsuranceSettings

    def ask(self, infno: str, envelope: Mapping[str, Any]) -> Reply:
        """Send once; raises Declined, NotNow or NoAnswer (detail "timeout" when it may still be
        running).
        """
        ...


class Csb:
    """The cloud service bus: one address, the transaction in signed headers."""

    def __init__(
        self, settings: InsuranceSettings, profile: Profile, now: Callable[[], datetime]
    ) -> None:
        self.settings, self._profile, self._now = settings, profile, now
        self._session = _session()

    def ask(self, infno: str, envelope: Mapping[str, Any]) -> Reply:
        """POST <base_url>/csb."""
        seconds = self._now().timestamp()
        unit = 1000 if self._profile.time_unit == "milliseconds" else 1
        headers = {
            "_api_name": infno,
            "_api_version": "1.0.0",
            "_api_timestamp": str(int(seconds * unit)),
            "_api_access_key": self.settings.access_key,
        }
        headers["_api_signature"] = csb_signature(headers, self.settings.secret_key)
        url = self.settings.base_url.rstrip("/") + self._profile.path_prefix
        return _post(self._session, url, headers, envelope, self._profile)


class Tif:
    """The TIF gateway: the transaction in the URL, headers signed with a token, body not signed."""

    def __init__(
        self, settings: InsuranceSettings, profile: Profile, now: Callable[[], datetime]
    ) -> None:
        self.settings, self._profile, self._now = settings, profile, now
        self._session = _session()

    def ask(self, infno: str, envelope: Mapping[str, Any]) -> Reply:
        """POST <base_url>/ebus/…/<path of the transaction>."""
        seconds = self._now().timestamp()
        unit = 1000 if self._profile.time_unit == "milliseconds" else 1
        stamp, nonce = str(int(seconds * unit)), secrets.token_hex(8)
        signature = tif_signature(stamp, nonce, self.settings.secret_key)
        headers = {
            "x-tif-paasid": self.settings.access_key,
            "x-tif-timestamp": stamp,
            "x-tif-nonce": nonce,
            "x-tif-signature": signature.upper()
            if self._profile.hex_case == "upper"
            else signature,
        }
        path = self._profile.path_prefix + self._profile.paths[infno]
        url = self.settings.base_url.rstrip("/") + path
        return _post(self._session, url, headers, envelope, self._profile)


GATEWAYS: dict[str, Callable[[InsuranceSettings, Profile, Callable[[], datetime]], Platform]] = {
    "csb": Csb,
    "tif": Tif,
}


def csb_signature(headers: Mapping[str, str], secret_key: str) -> str:
    """base64 of HMAC-SHA1 over the four headers in key order."""
    names = ("_api_access_key", "_api_name", "_api_timestamp", "_api_version")
    signed = "&".join(f"{name}={headers[name]}" for name in names)
    digest = hmac.new(secret_key.encode(), signed.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def tif_signature(stamp: str, nonce: str, token: str) -> str:
    """Lower-case hex of SHA-256(time + token + nonce + time)."""
    return hashlib.sha256(f"{stamp}{token}{nonce}{stamp}".encode()).hexdigest()


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # neither proxies nor .netrc of the machine may see insurance data
    return session


def _post(
    session: requests.Session,
    url: str,
    headers: dict[str, str],
    envelope: Mapping[str, Any],
    profile: Profile,
) -> Reply:
    body = json.dumps(envelope, ensure_ascii=False).encode()
    headers = headers | {"Content-Type": "application/json; charset=utf-8"}
    timeouts = (profile.connect_seconds, profile.answer_seconds)
    try:
        with outside():
            answer = session.post(
                url, data=body, headers=headers, timeout=timeouts, allow_redirects=False
            )
    except requests.ConnectTimeout as lost:
        raise NotNow("INSURANCE_UNREACHABLE", "connect timeout") from lost
    except requests.Timeout as lost:
        raise NoAnswer("timeout") from lost
    except requests.ConnectionError as lost:
        if _never_left(lost):
            raise NotNow("INSURANCE_UNREACHABLE", "connection refused") from lost
        raise NoAnswer("connection lost") from lost
    except requests.RequestException as lost:
        raise NoAnswer(type(lost).__name__) from lost
    return _read(answer, profile)


def _never_left(lost: requests.ConnectionError) -> bool:
    reason = getattr(lost.args[0] if lost.args else None, "reason", None)
    return isinstance(reason, NewConnectionError)


def _read(answer: requests.Response, profile: Profile) -> Reply:
    if answer.status_code in REFUSED_BEFORE_PROCESSING:
        raise NotNow("INSURANCE_GATEWAY", _gateway_words(answer))
    if answer.status_code != 200:
        raise NoAnswer(f"HTTP {answer.status_code}")
    if answer.content[:2] == b"PK":
        return Reply("", answer.content)
    try:
        reply = json.loads(answer.content, parse_float=Decimal)
    except ValueError as wrong:
        raise NoAnswer("not JSON") from wrong
    if not isinstance(reply, dict):
        raise NoAnswer("not an object")
    if "infcode" not in reply:
        if str(reply.get("code")) in map(str, REFUSED_BEFORE_PROCESSING):
            raise NotNow("INSURANCE_GATEWAY", str(reply.get("message", ""))[:200])
        raise NoAnswer("no infcode")
    return _verdict(reply, profile)


def _verdict(reply: dict[str, Any], profile: Profile) -> Reply:
    said = str(reply.get("err_msg") or "")[:500]
    code = str(reply["infcode"]).strip()
    if code == "0":
        return Reply(str(reply.get("inf_refmsgid") or ""), _output(reply.get("output")))
    if code == "-1" and not any(word in said for word in profile.unsure_words):
        raise Declined("INSURANCE_DECLINED", said)
    raise NoAnswer(f"infcode {code}")


def _output(given: Any) -> Any:
    if not isinstance(given, str) or not given.strip():
        return given or {}
    try:
        return json.loads(given, parse_float=Decimal)  # gateways that want input as text answer so
    except ValueError as wrong:
        raise NoAnswer("output is not JSON") from wrong


def _gateway_words(answer: requests.Response) -> str:
    try:
        return f"HTTP {answer.status_code} {answer.json().get('message', '')}"[:200]
    except (ValueError, AttributeError):
        return f"HTTP {answer.status_code}"
