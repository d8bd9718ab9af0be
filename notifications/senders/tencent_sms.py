"""SMS by Tencent Cloud: one message to one number, its receipt, and no second try of its own."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests
from tencentcloud.common.credential import Credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.http.request import RequestInternal
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.sms.v20210111.sms_client import SmsClient

from config import SmsSettings
from models.waiting import outside
from notifications.wire import harden, silence
from policies.outcome import Declined, NoAnswer, NotNow

MEANINGS: dict[str, type[Declined] | type[NotNow]] = {
    "AuthFailure": NotNow,  # our clock or key: nothing was done, and it can be put right
    "FailedOperation": Declined,
    "FailedOperation.InsufficientBalanceInSmsPackage": NotNow,
    "InvalidParameter": Declined,
    "InvalidParameterValue": Declined,
    "LimitExceeded": NotNow,
    "MissingParameter": Declined,
    "RequestLimitExceeded": NotNow,
    "UnauthorizedOperation": Declined,
    "UnsupportedOperation": Declined,
}
"""A code or its part before the dot -> what it means. Anything else is NoAnswer."""

TIMEOUTS = (3.0, 10.0)
PULLED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the carrier says of one SMS. ``key`` is ours if Tencent hands it back, else empty."""

    serial_no: str
    delivered: bool
    reason: str
    key: str = ""


class TencentSms:
    """One SMS application. Calls raise Declined or NotNow as MEANINGS says, else NoAnswer."""

    def __init__(self, settings: SmsSettings, now: Callable[[], datetime]) -> None:
        self._settings, self._now = settings, now
        self._client = _Client(settings, now)

    def send(self, *, phone: str, template: str, values: list[str], key: str) -> str:
        """Send one SMS with our template's name; the carrier's serial number.

        Tencent does not know a repeated request from a new one: after NoAnswer look for the receipt
        with ``pull_receipt``, and do not send again.
        """
        template_id = self._settings.templates.get(template)
        if template_id is None:
            raise Declined("TEMPLATE_NOT_APPROVED", template)
        answer = self._ask(
            "SendSms",
            {
                "PhoneNumberSet": [_e164(phone)],
                "SmsSdkAppId": self._settings.sdk_app_id,
                "TemplateId": template_id,
                "SignName": self._settings.sign_name,
                "TemplateParamSet": values,
                "SessionContext": key,
            },
        )
        status = _only(answer.get("SendStatusSet"))
        if status.get("Code") != "Ok":
            raise _meaning(str(status.get("Code", "")))
        if not status.get("SerialNo"):
            raise NoAnswer("no SerialNo")
        return str(status["SerialNo"])

    def pull_receipt(
        self, *, phone: str, key: str, serial_no: str | None, since: datetime
    ) -> Receipt | None:
        """The receipt of one SMS to this number, by serial number or by our key; None: not (yet).

        Tencent keeps receipts for 7 days, and returns our key only where it has enabled that.
        """
        answer = self._ask(
            "PullSmsSendStatusByPhoneNumber",
            {
                "BeginTime": int(since.timestamp()) - 60,
                "EndTime": int(self._now().timestamp()),
                "Offset": 0,
                "Limit": PULLED_AT_ONCE,
                "PhoneNumber": _e164(phone),
                "SmsSdkAppId": self._settings.sdk_app_id,
            },
        )
        for row in answer.get("PullSmsSendStatusSet") or []:
            if (serial_no and row.get("SerialNo") == serial_no) or row.get("SessionContext") == key:
                return Receipt(
                    serial_no=str(row["SerialNo"]),
                    delivered=row.get("ReportStatus") == "SUCCESS",
                    reason=str(row.get("Description", ""))[:100],
                    key=str(row.get("SessionContext") or ""),
                )
        return None

    def _ask(self, action: str, body: dict[str, Any]) -> dict[str, Any]:
        """The fields of ``Response``, whatever content type it came with: the SDK misses errors."""
        raw, outcome = b"", None
        try:
            with outside():
                raw = self._client.call(action, body)
        except TencentCloudSDKException as error:
            outcome = _failure(error)
        except requests.RequestException as error:
            outcome = NoAnswer(type(error).__name__)  # the body broke off
        except (ValueError, KeyError, TypeError):
            outcome = NoAnswer("not a readable answer")
        if outcome:
            raise outcome  # outside: the SDK's texts hold URLs and numbers
        try:
            fields = json.loads(raw)["Response"]
        except (ValueError, KeyError, TypeError):
            fields = None
        if not isinstance(fields, dict):
            raise NoAnswer("not a readable answer")
        if refusal := fields.get("Error"):
            raise _meaning(str(refusal.get("Code", "")))
        return fields


def read_receipts(body: bytes) -> list[Receipt]:
    """The receipts that Tencent posts: unsigned, so only a hint. ValueError when unreadable."""
    rows = json.loads(body)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("not a list of receipts")
    return [
        Receipt(
            serial_no=str(row["sid"]),
            delivered=row.get("report_status") == "SUCCESS",
            reason=str(row.get("errmsg") or row.get("description") or "")[:100],
        )
        for row in rows
        if row.get("sid")
    ]


class _Client(SmsClient):  # type: ignore[misc]
    """Tencent's client with our clock in the signature, our time-outs, and no proxy."""

    def __init__(self, settings: SmsSettings, now: Callable[[], datetime]) -> None:
        profile = ClientProfile(
            httpProfile=HttpProfile(protocol=settings.scheme, endpoint=settings.endpoint)
        )
        super().__init__(
            Credential(settings.secret_id, settings.secret_key), settings.region, profile
        )
        self._now = now
        connection = self.request.conn
        connection.proxy, connection.timeout = None, TIMEOUTS
        harden(connection._session)

    def _build_req_with_tc3_signature(
        self,
        action: str,
        params: dict[str, Any],
        req: RequestInternal,
        options: dict[str, Any] | None = None,
    ) -> None:
        moment = self._now().astimezone(UTC)
        secret_id, secret_key, _ = self.credential.get_credential_info()
        req.data = json.dumps(params)
        req.header.update(
            {
                "Content-Type": "application/json",
                "Host": self._get_endpoint(options=options),
                "X-TC-Action": action,
                "X-TC-Timestamp": str(int(moment.timestamp())),
                "X-TC-Version": self._apiVersion,
                "X-TC-Region": self.region,
            }
        )
        day = moment.date().isoformat()
        signature = self._get_tc3_signature(params, req, day, self._service, secret_key, options)
        req.header["Authorization"] = (
            f"TC3-HMAC-SHA256 Credential={secret_id}/{day}/{self._service}/tc3_request, "
            f"SignedHeaders=content-type;host, Signature={signature}"
        )


def _failure(error: TencentCloudSDKException) -> Declined | NotNow | NoAnswer:
    if error.code == "ClientNetworkError" and error.__context__:
        return silence(error.__context__)
    return _meaning(str(error.code))


def _meaning(code: str) -> Declined | NotNow | NoAnswer:
    known = MEANINGS.get(code) or MEANINGS.get(code.partition(".")[0])
    return known(code) if known else NoAnswer(code)


def _only(statuses: Any) -> dict[str, Any]:
    if not isinstance(statuses, list) or len(statuses) != 1 or not isinstance(statuses[0], dict):
        raise NoAnswer("no SendStatusSet")
    return statuses[0]


def _e164(phone: str) -> str:
    return phone if phone.startswith("+") else f"+86{phone}"
