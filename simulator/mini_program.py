"""WeChat's server API of a mini-program: login, token, phone, subscription message, URL link."""

import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response, jsonify, request

from .faults import Fault
from .mini_program_values import wrong_value
from .world import World, guarded

WIRE = "mini-program"
TOKEN, CODE, PHONE_CODE = "mini_token", "mini_code", "mini_phone_code"
ALLOWANCE, SENT, PERSON = "mini_allowance", "mini_sent", "mini_person"
CODE_LIFE = timedelta(minutes=5)
TOKEN_LIFE = 7200
LAST_MINUTES = 300  # seconds in which a new token is given while the old one is still good
MESSAGES = {
    -1: "system error",
    40001: "invalid credential, access_token is invalid or not latest",
    40003: "invalid openid",
    40013: "invalid appid",
    40029: "invalid code",
    40037: "invalid template_id",
    40097: "invalid args",
    40125: "invalid appsecret",
    40163: "code been used",
    41030: "invalid page",
    42001: "access_token expired",
    43101: "user refuse to accept the msg",
    85400: "is_expire true, expire_interval invalid",
}


class Refusal(Exception):
    """An errcode with HTTP 200, as WeChat answers."""

    def __init__(self, errcode: int, message: str = "") -> None:
        super().__init__(message)
        self.errcode, self.message = errcode, message or MESSAGES.get(errcode, "error")


def credentials(code: str, name: str, profile: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A new mini-program: (what the application gets, what the world keeps)."""
    app_side = {
        "base_url": "",
        "appid": f"wx{secrets.token_hex(8)}",
        "secret": f"SIMULATOR{secrets.token_hex(12)}",
        "state": "developer",
    }
    return app_side, {"appid": app_side["appid"], "secret": app_side["secret"]}


def blueprint(world: World) -> Blueprint:
    """/sns, /cgi-bin, /wxa as WeChat has them; the person's own acts under /_sim/mini-program."""
    routes = Blueprint("mini_program", __name__)
    add_person(routes, world)

    def route(method: str, path: str, operation: str, work: Callable[[World], Any]) -> None:
        routes.add_url_rule(
            path, operation, lambda: answered(world, operation, work), methods=[method]
        )

    route("GET", "/sns/jscode2session", "code2session", code2session)
    route("POST", "/cgi-bin/stable_token", "stable_token", stable_token)
    route("POST", "/wxa/business/getuserphonenumber", "phone", phone_number)
    route("POST", "/cgi-bin/message/subscribe/send", "subscribe_send", subscribe_send)
    route("POST", "/wxa/generate_urllink", "url_link", url_link)
    return routes


def add_person(routes: Blueprint, world: World) -> None:
    """What the person does in the mini-program: log in, share the phone, accept messages."""

    @routes.post("/_sim/mini-program/codes")
    def log_in() -> Response:
        openid = request.get_json()["openid"]
        world.store.put(PERSON, openid, {})
        return jsonify(js_code=new_code(world, CODE, {"openid": openid}))

    @routes.post("/_sim/mini-program/phone-codes")
    def share_phone() -> Response:
        return jsonify(code=new_code(world, PHONE_CODE, {"phone": request.get_json()["phone"]}))

    @routes.post("/_sim/mini-program/subscriptions")
    def accept() -> Response:
        asked = request.get_json()
        world.store.put(PERSON, asked["openid"], {})
        key = f"{asked['openid']}/{asked['template_id']}"
        with world.store.transaction():
            known = world.store.get(ALLOWANCE, key) or {"left": 0, "long_term": False}
            known["left"] += int(asked.get("count", 1))
            known["long_term"] = asked.get("long_term", known["long_term"])
            world.store.put(ALLOWANCE, key, known)
        return jsonify(known)

    @routes.delete("/_sim/mini-program/tokens")
    def steal_tokens() -> Response:
        for key, _ in world.store.all(TOKEN):
            world.store.delete(TOKEN, key)
        return jsonify(left=0)

    @routes.get("/_sim/mini-program/messages")
    def messages() -> Response:
        return jsonify([message for _, message in world.store.all(SENT)])


def answered(world: World, operation: str, work: Callable[[World], Any]) -> Response:
    """HTTP 200 whatever happens, errcode tells; planned faults apply."""

    def act() -> Response:
        try:
            with world.store.transaction():
                body = work(world)
        except Refusal as refusal:
            return refused(refusal)
        world.log(WIRE, operation, "", "ok")
        return jsonify(body)

    def refused(refusal: Refusal) -> Response:
        world.log(WIRE, operation, "", f"errcode {refusal.errcode}")
        rid = f"{secrets.token_hex(4)}-{secrets.token_hex(4)}-{secrets.token_hex(4)}"
        return jsonify(errcode=refusal.errcode, errmsg=f"{refusal.message} rid: {rid}")

    def planned(fault: Fault) -> Response:
        return refused(Refusal(int(fault.options.get("errcode", -1))))

    return guarded(world, WIRE, operation, act, planned)


def code2session(world: World) -> dict[str, Any]:
    """The openid behind a login code, once."""
    given = request.args
    check_secret(world, given.get("appid", ""), given.get("secret", ""))
    if given.get("grant_type") != "authorization_code":
        raise Refusal(40097)
    code = used_code(world, CODE, given.get("js_code", ""))
    return {"openid": code["openid"], "session_key": secrets.token_urlsafe(18)}


def stable_token(world: World) -> dict[str, Any]:
    """The same token until its last five minutes, then a new one while the old stays good."""
    asked = json_body()
    if asked.get("grant_type") != "client_credential":
        raise Refusal(40097)
    appid = str(asked.get("appid", ""))
    check_secret(world, appid, str(asked.get("secret", "")))
    now = world.now().timestamp()
    mine = [(key, doc) for key, doc in world.store.all(TOKEN) if doc["appid"] == appid]
    key, token = mine[-1] if mine else ("", {"ends": 0.0})
    if token["ends"] - now <= LAST_MINUTES or asked.get("force_refresh"):
        key = f"SIMULATOR_{secrets.token_urlsafe(60)}"
        token = {"appid": appid, "ends": now + TOKEN_LIFE}
        world.store.put(TOKEN, key, token)
    return {"access_token": key, "expires_in": int(token["ends"] - now)}


def phone_number(world: World) -> dict[str, Any]:
    """The phone number behind a code of the phone button, once."""
    appid = check_token(world)
    phone = used_code(world, PHONE_CODE, str(json_body().get("code", "")))["phone"]
    mark = {"timestamp": int(world.now().timestamp()), "appid": appid}
    info = {"phoneNumber": phone, "purePhoneNumber": phone, "countryCode": "86", "watermark": mark}
    return {"errcode": 0, "errmsg": "ok", "phone_info": info}


def subscribe_send(world: World) -> dict[str, Any]:
    """A message to somebody who accepted this template; each acceptance buys one message."""
    check_token(world)
    asked = json_body()
    openid, template = str(asked.get("touser", "")), str(asked.get("template_id", ""))
    if world.store.get(PERSON, openid) is None:
        raise Refusal(40003)
    if not re.fullmatch(r"[0-9A-Za-z_-]{6,64}", template):
        raise Refusal(40037)
    page = asked.get("page", "")
    if not isinstance(page, str) or page.startswith("/") or "://" in page:
        raise Refusal(41030)
    if asked.get("miniprogram_state", "formal") not in ("formal", "trial", "developer"):
        raise Refusal(40097)
    if wrong := wrong_value(asked.get("data")):
        raise Refusal(47003, f"argument invalid! {wrong}")
    take_allowance(world, f"{openid}/{template}")
    message = {"at": world.now().isoformat(), "openid": openid, "template_id": template}
    content = {name: value["value"] for name, value in asked["data"].items()}
    number = secrets.randbelow(10**18)
    world.store.put(SENT, str(number), {**message, "page": page, "data": content})
    return {"errcode": 0, "errmsg": "ok", "msgid": number}


def url_link(world: World) -> dict[str, Any]:
    """A link for SMS or browsers that opens a page of the mini-program, for at most 30 days."""
    check_token(world)
    asked = json_body()
    if str(asked.get("path", "")).startswith("http") or len(str(asked.get("query", ""))) > 1024:
        raise Refusal(40097)
    if not 1 <= int(asked.get("expire_interval", 30)) <= 30:
        raise Refusal(85400)
    link = f"https://wxaurl.cn/{secrets.token_urlsafe(8)}"
    return {"errcode": 0, "errmsg": "ok", "url_link": link}


def new_code(world: World, kind: str, content: dict[str, Any]) -> str:
    """A single-use code for five minutes."""
    code = secrets.token_urlsafe(24)
    ends_at = (world.now() + CODE_LIFE).isoformat()
    world.store.put(kind, code, {**content, "ends_at": ends_at, "used": False})
    return code


def used_code(world: World, kind: str, code: str) -> dict[str, Any]:
    """What the code stands for; afterwards it is worthless."""
    known = world.store.get(kind, code)
    if known is None or datetime.fromisoformat(known["ends_at"]) <= world.now():
        raise Refusal(40029)
    if known["used"]:
        raise Refusal(40163)
    world.store.put(kind, code, {**known, "used": True})
    return known


def check_secret(world: World, appid: str, secret: str) -> None:
    """The mini-program must exist and know its secret."""
    found = world.find("mini_program", "appid", appid)
    if not found:
        raise Refusal(40013)
    if found[1]["secret"] != secret:
        raise Refusal(40125)


def check_token(world: World) -> str:
    """The appid of a good access token."""
    token = world.store.get(TOKEN, request.args.get("access_token", ""))
    if token is None:
        raise Refusal(40001)
    if token["ends"] <= world.now().timestamp():
        raise Refusal(42001)
    return str(token["appid"])


def take_allowance(world: World, key: str) -> None:
    """Use up one acceptance; a long-term one is never used up."""
    allowance = world.store.get(ALLOWANCE, key) or {"left": 0, "long_term": False}
    if allowance["long_term"]:
        return
    if allowance["left"] < 1:
        raise Refusal(43101)
    world.store.put(ALLOWANCE, key, {**allowance, "left": allowance["left"] - 1})


def json_body() -> dict[str, Any]:
    """The JSON object of the request, whatever its content type."""
    body = request.get_json(force=True, silent=True)
    if not isinstance(body, dict):
        raise Refusal(47001, "data format error")
    return body
