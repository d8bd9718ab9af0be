"""The mini-program's server interface at WeChat: who is there, their phone, messages and links."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import requests

from config import MiniProgramSettings
from models.db import Session, assert_nothing_open
from models.wechat_token import WeChatToken
from notifications.wire import new_session, send
from notifications.wording import FIELD_LIMITS
from policies.outcome import Declined, NoAnswer, NotNow

MEANINGS: dict[int, tuple[type[Declined] | type[NotNow], str]] = {
    -1: (NotNow, "WECHAT_BUSY"),
    40003: (Declined, "OPENID_UNKNOWN"),
    40029: (Declined, "CODE_INVALID"),
    40037: (Declined, "TEMPLATE_UNKNOWN"),
    40163: (Declined, "CODE_USED"),
    40226: (Declined, "ACCOUNT_AT_RISK"),
    41030: (Declined, "PAGE_UNKNOWN"),
    43101: (Declined, "NO_SUBSCRIPTION"),
    43107: (Declined, "CAPABILITY_BANNED"),
    43108: (NotNow, "ANOTHER_SEND_RUNNING"),
    45009: (NotNow, "QUOTA_USED_UP"),
    45011: (NotNow, "TOO_OFTEN"),
    45168: (Declined, "SENSITIVE_WORD"),
    47003: (Declined, "VALUE_REFUSED"),
}
"""errcode -> what it means. Any other errcode is a refusal too, under WeChat's own number."""

TOKEN_GONE = frozenset({40001, 40014, 42001})
"""The access token is not (any longer) good: somebody else fetched one, or it ran out."""

TOKEN_MARGIN = timedelta(minutes=5)
"""In its last five minutes WeChat gives out the next token; both work."""

LINK_DAYS = 30
VERSIONS = {"formal": "release", "trial": "trial", "developer": "develop"}
EMPTY = {"name": "*"}
"""Field type -> what stands for an empty value, which WeChat refuses; "-" for all others."""


class MiniProgram:
    """One mini-program. Calls raise Declined or NotNow as MEANINGS says, else NoAnswer."""

    def __init__(self, settings: MiniProgramSettings, now: Callable[[], datetime]) -> None:
        self._settings, self._now = settings, now
        self._http = new_session()

    @property
    def appid(self) -> str:
        """An openid means something only together with this."""
        return self._settings.appid

    def template_id(self, template: str) -> str:
        """WeChat's number of our template; the name itself where the hospital has chosen none."""
        return self._settings.templates.get(template, template)

    def code_to_session(self, code: str) -> str:
        """The openid of whoever's phone gave this login code; it works once, for 5 minutes."""
        answer = self._get(
            "/sns/jscode2session",
            appid=self._settings.appid,
            secret=self._settings.secret,
            js_code=code,
            grant_type="authorization_code",
        )
        _raise_if_refused(answer)
        return _text(answer, "openid")

    def phone_number(self, code: str) -> str:
        """The phone number behind a code of the phone button; with +country unless Chinese."""
        answer = self._with_token("/wxa/business/getuserphonenumber", {"code": code})
        info = answer.get("phone_info")
        if not isinstance(info, dict):
            raise NoAnswer("no phone_info")
        if info.get("watermark", {}).get("appid", self.appid) != self.appid:
            raise Declined("PHONE_OF_ANOTHER_APP")
        country, number = str(info.get("countryCode", "86")), _text(info, "purePhoneNumber")
        return number if country == "86" else f"+{country}{number}"

    def send(self, openid: str, template_id: str, page: str, values: Mapping[str, str]) -> None:
        """Send one subscription message. ``values``: field -> text, cut to what its type takes.

        Declined NO_SUBSCRIPTION when the patient has not accepted (another) one.
        """
        self._with_token(
            "/cgi-bin/message/subscribe/send",
            {
                "touser": openid,
                "template_id": template_id,
                "page": page,
                "data": {field: {"value": fitted(field, text)} for field, text in values.items()},
                "miniprogram_state": self._settings.state,
                "lang": "zh_CN",
            },
        )

    def url_link(self, path: str, query: str) -> str:
        """An https link that opens a page of the mini-program from outside WeChat, for 30 days."""
        answer = self._with_token(
            "/wxa/generate_urllink",
            {
                "path": path,
                "query": query,
                "expire_type": 1,
                "expire_interval": LINK_DAYS,
                "env_version": VERSIONS[self._settings.state],
            },
        )
        return _text(answer, "url_link")

    def _with_token(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask with the shared token; once more with a fresh one if WeChat does not take it."""
        token = self._token()
        answer = self._post(path, body, access_token=token)
        if answer.get("errcode") in TOKEN_GONE:
            answer = self._post(path, body, access_token=self._token(instead_of=token))
        if answer.get("errcode") in TOKEN_GONE:
            raise NotNow("TOKEN_REFUSED")
        _raise_if_refused(answer)
        return answer

    def _token(self, instead_of: str = "") -> str:
        """The shared token, or the one that WeChat gives now. Nothing is locked while we ask.

        Two processes may ask at once: the stable interface gives both the same token. It is never
        forced to make a new one, which would void that of every other process.
        """
        assert_nothing_open()
        with Session.begin() as db:
            token = WeChatToken.good_until(db, self.appid, self._now() + TOKEN_MARGIN)
        if token and token != instead_of:
            return token
        answer = self._post(
            "/cgi-bin/stable_token",
            {
                "grant_type": "client_credential",
                "appid": self.appid,
                "secret": self._settings.secret,
            },
        )
        _raise_if_refused(answer)
        token = _text(answer, "access_token")
        good_for = timedelta(seconds=int(answer.get("expires_in", 0)))
        with Session.begin() as db:
            WeChatToken.keep(db, self.appid, token, self._now() + good_for)
        return token

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        return self._ask(requests.Request("GET", self._url(path), params=query))

    def _post(self, path: str, body: dict[str, Any], **query: str) -> dict[str, Any]:
        # Characters, not \\u escapes: some of WeChat's interfaces show the escapes to the patient.
        raw = json.dumps(body, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json"}
        return self._ask(
            requests.Request("POST", self._url(path), params=query, data=raw, headers=headers)
        )

    def _url(self, path: str) -> str:
        return self._settings.base_url.rstrip("/") + path

    def _ask(self, request: requests.Request) -> dict[str, Any]:
        answer = send(self._http, self._http.prepare_request(request))
        if answer.status_code != 200:
            raise NoAnswer(f"HTTP {answer.status_code}")
        try:
            fields = answer.json()
        except ValueError:
            fields = None
        if not isinstance(fields, dict):
            raise NoAnswer("not a JSON object")
        return fields


def fitted(field: str, text: str) -> str:
    """A value cut to the length that its field type takes; longer ones are refused (47003)."""
    kind = field.rstrip("0123456789")
    limit = FIELD_LIMITS.get(kind, 20)
    text = text.strip() or EMPTY.get(kind, "-")
    if len(text) <= limit:
        return text
    return text[: limit - 1] + "…" if kind == "thing" else text[:limit]


def _raise_if_refused(answer: dict[str, Any]) -> None:
    code = answer.get("errcode", 0)
    if code != 0:
        meaning, name = MEANINGS.get(code, (Declined, f"WECHAT_{code}"))
        raise meaning(name, str(answer.get("errmsg", ""))[:200])


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise NoAnswer(f"no {name}")
    return value
