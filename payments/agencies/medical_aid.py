"""The medical-aid office, asked as docs/medical-aid-interface.md says (CQ-5.2)."""

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import requests

from config import AgencySettings
from notifications.wire import new_session, send
from policies.outcome import Declined, NoAnswer, NotNow

STATES = frozenset({"APPROVED", "REFUSED", "PENDING", "WITHDRAWN"})

REPEATABLE = frozenset({401, 429})
"""Key, clock or pace: surely not done, and may be done later. Any other 4xx is a final no."""


@dataclass(frozen=True, slots=True)
class AidAnswer:
    """What the office says of a claim. ``approved_fen`` is 0 unless the state is APPROVED."""

    state: str
    approved_fen: int


class MedicalAid:
    """One hospital's line to its office. Calls raise Declined, NotNow or NoAnswer; whole fen."""

    def __init__(self, settings: AgencySettings, now: Callable[[], datetime]) -> None:
        self._settings, self._now = settings, now
        self._http = new_session()

    def estimate(self, *, id_no: str, personal_fen: int) -> int:
        """What the office would approve of a personal share, in fen; binds nobody."""
        body = {"certno": id_no, "personal_fen": personal_fen}
        return self._asked("POST", "/estimates", body).approved_fen

    def claim(self, claim_no: str, *, id_no: str, personal_fen: int) -> AidAnswer:
        """Claim, or claim again with the same number and content, which only asks."""
        body = {"certno": id_no, "personal_fen": personal_fen}
        return self._asked("PUT", f"/claims/{claim_no}", body)

    def query(self, claim_no: str) -> AidAnswer | None:
        """The claim as it stands; None when the office never heard of it."""
        try:
            return self._asked("GET", f"/claims/{claim_no}")
        except Declined as no:
            if no.code == "CLAIM_UNKNOWN":
                return None
            raise

    def withdraw(self, claim_no: str) -> None:
        """Take a claim back; a claim that never arrived needs no taking back."""
        try:
            self._asked("DELETE", f"/claims/{claim_no}")
        except Declined as no:
            if no.code != "CLAIM_UNKNOWN":
                raise

    def _asked(self, method: str, path: str, body: dict[str, Any] | None = None) -> AidAnswer:
        raw = json.dumps(body).encode() if body else b""
        url = self._settings.base_url.rstrip("/") + path
        request = self._http.prepare_request(requests.Request(method, url, data=raw or None))
        stamp = str(int(self._now().timestamp()))
        signed = f"{method}\n{request.path_url}\n{stamp}\n".encode() + raw
        signature = hmac.new(self._settings.secret.encode(), signed, hashlib.sha256).hexdigest()
        request.headers.update(
            {
                "Content-Type": "application/json",
                "X-Aid-Timestamp": stamp,
                "X-Aid-Signature": signature,
            }
        )
        return _read(send(self._http, request))


def _read(answer: requests.Response) -> AidAnswer:
    kind = answer.status_code // 100
    if kind not in {2, 4}:
        raise NoAnswer(f"HTTP {answer.status_code}")
    try:
        said = answer.json()
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise NoAnswer("not a JSON object")
    if kind == 4:
        refusal = NotNow if answer.status_code in REPEATABLE else Declined
        raise refusal(str(said.get("error", answer.status_code)))
    approved = said.get("approved_fen")
    if said.get("state") not in STATES or type(approved) is not int or approved < 0:
        raise NoAnswer("an answer that cannot be read")
    return AidAnswer(said["state"], approved)
