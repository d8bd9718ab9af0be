"""Notices of WeChat Pay: encrypted, signed, sent again and again until answered 200 or 204."""

import json
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
from flask import Blueprint, Response, jsonify, request

from .store import Doc
from .wechat_signing import sealed, signature_headers, spoiled
from .world import World, plain_error

NOTICE = "wxpay_notice"
DUE = "wxpay_notice_due"  # when a waiting notice is to be sent, and of which hospital it is
MINUTE, HOUR = 60, 3600
RETRIES = (
    *(15, 15, 30, 3 * MINUTE, 10 * MINUTE, 20 * MINUTE, *[30 * MINUTE] * 3),
    *(60 * MINUTE, *[3 * HOUR] * 3, *[6 * HOUR] * 2),
)
ANSWER_WITHIN = 5  # real seconds
FAULTS = ("duplicate", "late", "out_of_order", "drop", "bad_signature", "signature_probe")


def announce(
    world: World,
    hospital: str,
    *,
    event: tuple[str, str, str],
    number: str,
    url: str,
    content: dict[str, Any],
) -> None:
    """Store a notice (event type, subject, summary) in the caller's transaction; it goes soon."""
    event_type, subject, summary = event
    keys = world.hospitals[hospital]["wechat_pay"]
    number_of_notice = f"EV-{secrets.token_hex(16)}"
    envelope = {
        "id": number_of_notice,
        "create_time": content.get("success_time") or world.now().isoformat(timespec="seconds"),
        "event_type": event_type,
        "resource_type": "encrypt-resource",
        "summary": summary,
        "resource": sealed(keys["apiv3_key"], subject, content),
    }
    notice: Doc = {
        "hospital": hospital,
        "event_type": event_type,
        "number": number,
        "url": url,
        "body": json.dumps(envelope, ensure_ascii=False),
        "answers": [],
        "copies": 0,
        "spoiled": "",
        "state": "waiting",
    }
    due = {"at": time.time(), "held": False, "hospital": hospital}
    disturb(world, notice, due)
    world.store.put(NOTICE, number_of_notice, notice)
    if notice["state"] == "waiting":
        world.store.put(DUE, number_of_notice, due)


def disturb(world: World, notice: Doc, due: Doc) -> None:
    """Let the planned fault work on the new notice."""
    fault = world.faults.take("wxpay", "callback", FAULTS)
    if fault is None:
        return
    seconds = float(fault.options.get("seconds", 1))
    if fault.name == "drop":
        notice["state"] = "dropped"
    if fault.name == "duplicate":
        notice["copies"] = int(fault.options.get("copies", 2))
    if fault.name in ("bad_signature", "signature_probe"):
        notice["spoiled"] = fault.name  # only the first time: it comes again rightly signed
    if fault.name in ("late", "out_of_order"):
        due["at"] += seconds
        due["held"] = fault.name == "out_of_order"
    world.log("wxpay", "callback", f"{notice['hospital']} {notice['number']}", fault.name)


def blueprint(world: World) -> Blueprint:
    """Sends what is due; GET /_sim/wxpay/callbacks; POST /_sim/wxpay/callbacks/replay."""
    routes = Blueprint("wechat_callbacks", __name__, url_prefix="/_sim/wxpay/callbacks")
    postman = Postman(world)
    world.ticks.append(postman.send_due)
    world.forgetters.append(lambda: world.store.clear(DUE))
    world.coming.append(DUE)

    @routes.get("")
    def notices() -> Response:
        return jsonify([{"id": key, **notice} for key, notice in world.store.all(NOTICE)])

    @routes.post("/replay")
    def replay() -> Response:
        asked = request.get_json()
        for key, notice in reversed(world.store.all(NOTICE)):
            if asked.get("number", notice["number"]) == notice["number"] and (
                asked.get("id", key) == key
                and notice["event_type"].startswith(asked.get("event_type", ""))
            ):
                times = range(int(asked.get("times", 1)))
                return jsonify(id=key, answers=[postman.post(notice, asked) for _ in times])
        return plain_error(404, "NO_SUCH_NOTICE")

    return routes


class Postman:
    """Delivers notices that are due, several at once, each one only once at a time."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._pool = ThreadPoolExecutor(8, "postman")
        self._under_way: set[str] = set()
        self._lock = threading.Lock()

    def send_due(self) -> None:
        """Hand every notice that is due to the pool."""
        now = time.time()
        for key, due in self._world.store.all(DUE):
            with self._lock:
                if due["at"] > now or key in self._under_way:
                    continue
                self._under_way.add(key)
            self._pool.submit(self._deliver, key)

    def post(self, notice: Doc, how: dict[str, Any]) -> int:
        """Send once and say what came back (0: nothing). ``how``: signature, age_seconds, body."""
        world = self._world
        body = str(how.get("body", notice["body"])).encode()
        keys = world.hospitals[notice["hospital"]]["wechat_pay"]
        age = float(how.get("age_seconds", 0))
        headers = signature_headers(world, keys, notice["body"].encode(), age=age)
        if wrong := how.get("signature"):
            headers = spoiled(headers, wrong)
        headers |= {"Content-Type": "application/json", "User-Agent": "Mozilla/4.0"}
        try:
            with requests.Session() as session:
                session.trust_env = False
                answer = session.post(
                    notice["url"],
                    data=body,
                    headers=headers,
                    timeout=ANSWER_WITHIN,
                    allow_redirects=False,
                )
        except requests.RequestException:
            return 0
        return answer.status_code

    def _deliver(self, key: str) -> None:
        try:
            notice = self._world.store.get(NOTICE, key)
            if notice is None:
                return
            wrong = notice["spoiled"]
            answer = self.post(notice, {"signature": wrong})
            self._record(key, {**notice, "spoiled": ""}, answer, wrong)
        finally:
            with self._lock:
                self._under_way.discard(key)

    def _record(self, key: str, notice: Doc, answer: int, wrong: str) -> None:
        world = self._world
        notice["answers"].append(answer)
        believed = answer in (200, 204)
        tries = len(notice["answers"])
        wait = 0.0
        if believed and notice["copies"] > 0:
            notice["copies"] -= 1
        elif believed:
            notice["state"] = "delivered"
        elif tries > len(RETRIES):
            notice["state"] = "given up"
        else:
            wait = RETRIES[tries - 1] * world.callback_scale
        due = {"at": time.time() + wait, "held": False, "hospital": notice["hospital"]}
        with world.store.transaction():
            world.store.put(NOTICE, key, notice)
            if notice["state"] == "waiting" and world.store.get(DUE, key):  # else: forgotten
                world.store.put(DUE, key, due)
            else:
                world.store.delete(DUE, key)
            if believed:
                release_held(world, notice["hospital"])
        outcome = f"{answer} BELIEVED A WRONG SIGNATURE" if wrong and believed else str(answer)
        summary = f"{notice['hospital']} {notice['event_type']} {notice['number']} {wrong}"
        world.log("wxpay", "callback", summary.strip(), outcome)


def release_held(world: World, hospital: str) -> None:
    """A later notice has arrived: now the ones that were held back may come out of order."""
    for key, due in world.store.all(DUE):
        if due["held"] and due["hospital"] == hospital:
            world.store.put(DUE, key, {**due, "held": False, "at": time.time()})
