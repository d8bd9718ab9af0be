"""Tencent Cloud SMS on the wire: TC3 signatures, approved templates, a code for every number."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, json, request

from . import sms_receipts, sms_templates
from .faults import Fault
from .sms_receipts import OUTBOX
from .world import World, guarded

WIRE = "sms"
VERSION = "2021-01-11"
SKEW = 300  # seconds
MOST_NUMBERS = 200
MOBILE = r"\+861[3-9]\d{9}"
EVERY_SECONDS, A_DAY, DAY = 30, 10, 86400
RECENT = "sms_recent"  # when the same words went to the same number


class Error(Exception):
    """The whole request is refused: HTTP 200 with Response.Error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def credentials(code: str, name: str, profile: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A new SMS application: (what the hospital gets, what the world keeps)."""
    app_side = {
        "scheme": "http",
        "endpoint": "",
        "region": "ap-guangzhou",
        "secret_id": f"AKIDSIMULATOR{secrets.token_hex(8)}",
        "secret_key": secrets.token_hex(16),
        "sdk_app_id": f"1400{secrets.randbelow(10**6):06d}",
        "sign_name": name,
        "receipt_token": secrets.token_urlsafe(24),
        "templates": {},
    }
    world_side = {key: app_side[key] for key in app_side if key not in ("scheme", "endpoint")}
    return app_side, {**world_side, "templates": {}}


def approve(app_side: dict[str, Any], world_side: dict[str, Any], texts: dict[str, str]) -> None:
    """Approve these templates for a hospital; ValueError names the one that breaks a rule."""
    for name, text in texts.items():
        number = sms_templates.number_of(name, text)
        world_side["templates"][number] = {"name": name, "text": text}
        app_side["templates"][name] = number


def blueprint(world: World) -> Blueprint:
    """POST / as Tencent has it; GET /_sim/sms/outbox; receipts go out by themselves."""
    routes = Blueprint("tencent_sms", __name__)
    world.ticks.append(sms_receipts.Carrier(world).send_due)
    world.forgetters.append(lambda: world.store.clear(sms_receipts.DUE))
    world.coming.append(sms_receipts.DUE)
    actions: dict[str, Callable[[World, str, dict[str, Any]], dict[str, Any]]] = {
        "SendSms": send_sms,
        "PullSmsSendStatusByPhoneNumber": sms_receipts.pulled,
    }

    @routes.post("/")
    def call() -> Response:
        action = request.headers.get("X-TC-Action", "")
        return guarded(
            world,
            WIRE,
            action,
            lambda: answered(world, action, actions.get(action)),
            lambda fault: refused(world, action, fault),
        )

    @routes.get("/_sim/sms/outbox")
    def outbox() -> Response:
        sent = [{"serial_no": key, **message} for key, message in world.store.all(OUTBOX)]
        phone = request.args.get("phone")
        return bare_json([each for each in sent if phone in (None, each["phone"])])

    return routes


def answered(
    world: World,
    action: str,
    work: Callable[[World, str, dict[str, Any]], dict[str, Any]] | None,
) -> Response:
    """Prove the caller, do the work, wrap the answer."""
    try:
        code = caller(world)
        if work is None or request.headers.get("X-TC-Version") != VERSION:
            raise Error("InvalidAction", "The request action or version does not exist.")
        asked = json.loads(request.get_data())
        if asked.get("SmsSdkAppId") != world.hospitals[code]["sms"]["sdk_app_id"]:
            raise Error("UnauthorizedOperation.SmsSdkAppIdVerifyFail", "SdkAppId verify fail.")
        with world.store.transaction():
            return wrapped(work(world, code, asked))
    except Error as error:
        world.log(WIRE, action, "", error.code)
        return wrapped({"Error": {"Code": error.code, "Message": error.message}})


def caller(world: World) -> str:
    """The hospital whose secret signed this request, by TC3-HMAC-SHA256."""
    pattern = (
        r"TC3-HMAC-SHA256 Credential=(?P<id>[^/]+)/(?P<day>[\d-]+)/sms/tc3_request,"
        r" ?SignedHeaders=(?P<names>[\w;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
    )
    given = re.fullmatch(pattern, request.headers.get("Authorization", ""))
    if not given or not {"content-type", "host"} <= set(given["names"].split(";")):
        raise Error("AuthFailure.InvalidAuthorization", "Authorization is malformed.")
    found = world.find("sms", "secret_id", given["id"])
    if not found:
        raise Error("AuthFailure.SecretIdNotFound", "The SecretId is not found.")
    stamp = request.headers.get("X-TC-Timestamp", "")
    if not stamp.isdigit() or abs(world.now().timestamp() - int(stamp)) > SKEW:
        raise Error("AuthFailure.SignatureExpire", "The timestamp is more than 5 minutes off.")
    if given["day"] != datetime.fromtimestamp(int(stamp), UTC).strftime("%Y-%m-%d"):
        raise Error("AuthFailure.SignatureFailure", "The date is not the timestamp's.")
    right = signature(found[1]["secret_key"], stamp, given["day"], given["names"])
    if not hmac.compare_digest(right, given["signature"]):
        raise Error("AuthFailure.SignatureFailure", "The provided credentials could not verify.")
    return found[0]


def signature(secret: str, stamp: str, day: str, names: str) -> str:
    """What the signature of the current request must be."""
    headers = "".join(
        f"{name}:{request.headers.get(name, '').strip()}\n" for name in names.split(";")
    )
    payload = hashlib.sha256(request.get_data()).hexdigest()
    canonical = f"POST\n/\n\n{headers}\n{names}\n{payload}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"TC3-HMAC-SHA256\n{stamp}\n{day}/sms/tc3_request\n{digest}"
    key = f"TC3{secret}".encode()
    for part in (day, "sms", "tc3_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def send_sms(world: World, code: str, asked: dict[str, Any]) -> dict[str, Any]:
    """One message to each number; every number has its own verdict."""
    phones = asked.get("PhoneNumberSet") or []
    if not 1 <= len(phones) <= MOST_NUMBERS:
        raise Error("LimitExceeded.PhoneNumberCountLimit", "1 to 200 numbers a request.")
    if len(str(asked.get("SessionContext", "")).encode()) >= 512:
        raise Error("InvalidParameterValue.ContentLengthLimit", "SessionContext is too long.")
    verdicts = []
    for phone in phones:
        refusal = refusal_of(world, code, phone, asked)
        serial_no, fee = ("", 0) if refusal else delivered(world, code, phone, asked)
        world.log(WIRE, "SendSms", f"{code} template {asked.get('TemplateId')}", refusal or "Ok")
        verdicts.append(verdict(phone, asked, refusal or "Ok", serial_no, fee))
    return {"SendStatusSet": verdicts}


def refusal_of(world: World, code: str, phone: str, asked: dict[str, Any]) -> str:
    """The code of the first rule that this message breaks, or ""."""
    known = world.hospitals[code]["sms"]
    if not re.fullmatch(MOBILE, phone):
        return "InvalidParameterValue.IncorrectPhoneNumber"
    if asked.get("SignName") != known["sign_name"]:
        return "FailedOperation.SignatureIncorrectOrUnapproved"
    template = known["templates"].get(str(asked.get("TemplateId")))
    if template is None:
        return "FailedOperation.TemplateIncorrectOrUnapproved"
    values = asked.get("TemplateParamSet") or []
    longest = world.setting("sms_variable_length")
    if wrong := sms_templates.wrong_values(template["text"], values, longest):
        return wrong
    return too_often(world, phone, sms_templates.filled(template["text"], values))


def too_often(world: World, phone: str, text: str) -> str:
    """Tencent's frequency rules for the same words to the same number; counts this one."""
    if not world.setting("sms_limits"):
        return ""
    now = world.now().timestamp()
    key = hashlib.sha256(f"{phone} {text}".encode()).hexdigest()
    known = world.store.get(RECENT, key) or {"at": []}
    recent = [at for at in known["at"] if 0 <= now - at < DAY]
    if any(now - at < EVERY_SECONDS for at in recent):
        return "LimitExceeded.PhoneNumberThirtySecondLimit"
    if len(recent) >= A_DAY:
        return "LimitExceeded.PhoneNumberSameContentDailyLimit"
    world.store.put(RECENT, key, {"at": [*recent, now]})
    return ""


def delivered(world: World, code: str, phone: str, asked: dict[str, Any]) -> tuple[str, int]:
    """Put the message on the person's phone; (its serial number, how many SMS it costs)."""
    known = world.hospitals[code]["sms"]
    template = known["templates"][str(asked["TemplateId"])]
    words = sms_templates.filled(template["text"], asked.get("TemplateParamSet") or [])
    text = f"【{known['sign_name']}】{words}"
    serial_no = f"5000:{secrets.randbelow(10**28):028d}"
    message = {
        "at": world.now().isoformat(),
        "hospital": code,
        "phone": phone,
        "template": template["name"],
        "text": text,
        "session": asked.get("SessionContext", ""),
        "status": "",
        "received_at": "",
        "description": "",
    }
    world.store.put(OUTBOX, serial_no, message)
    sms_receipts.expect(world, serial_no)
    return serial_no, 1 if len(text) <= 70 else -(-len(text) // 67)


def verdict(
    phone: str, asked: dict[str, Any], code: str, serial_no: str = "", fee: int = 0
) -> dict[str, Any]:
    """One entry of SendStatusSet."""
    return {
        "SerialNo": serial_no,
        "PhoneNumber": phone,
        "Fee": fee,
        "SessionContext": asked.get("SessionContext", ""),
        "Code": code,
        "Message": "send success" if code == "Ok" else code.rpartition(".")[2],
        "IsoCode": "CN",
    }


def refused(world: World, action: str, fault: Fault) -> Response:
    """A planned refusal, of the request or (options.per_number) of each number."""
    code = fault.options.get("code", "FailedOperation.InsufficientBalanceInSmsPackage")
    world.log(WIRE, action, "", code)
    if fault.options.get("per_number"):
        asked = json.loads(request.get_data())
        return wrapped(
            {"SendStatusSet": [verdict(each, asked, code) for each in asked["PhoneNumberSet"]]}
        )
    return wrapped({"Error": {"Code": code, "Message": "planned refusal"}})


def wrapped(content: dict[str, Any]) -> Response:
    """Tencent's envelope; errors are HTTP 200 too."""
    request_id = f"{secrets.token_hex(4)}-{secrets.token_hex(2)}-{secrets.token_hex(6)}"
    return bare_json({"Response": {**content, "RequestId": request_id}})


def bare_json(content: Any) -> Response:
    """The content type without charset: with one, Tencent's own SDK overlooks errors."""
    response = Response(json.dumps(content, ensure_ascii=False))
    response.headers["Content-Type"] = "application/json"
    return response
