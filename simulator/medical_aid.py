"""The medical-aid office's claim interface: estimates, and claims under the hospital's own number.

The interface is invented and neutral (docs/medical-aid-interface.md); a real office's differs.
Requests are signed: X-Aid-Timestamp (seconds) and X-Aid-Signature, the hex HMAC-SHA256 over method,
path, timestamp and body, a line each. Body {"certno", "personal_fen"}; money in whole fen.
POST <base>/estimates        what would be approved, kept nowhere
PUT <base>/claims/<number>   201, then 200 for the same body, 409 for another
GET, DELETE <base>/claims/<number>   look, withdraw
Answers {"claim_no", "state": APPROVED | REFUSED | PENDING | WITHDRAWN, "approved_fen", "reason"}.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify, request

from .faults import Fault
from .world import World, guarded

WIRE = "medical_aid"
WINDOW_SECONDS = 300
CLAIM_NUMBER = re.compile(r"[A-Za-z0-9-]{1,64}")
BODY = {"certno": str, "personal_fen": int}
DECISIONS = ("APPROVED", "REFUSED", "PENDING")

Doc = dict[str, Any]


class Turned(Exception):
    """The office does not take the request: HTTP status and a stable word."""

    def __init__(self, status: int, word: str) -> None:
        super().__init__(word)
        self.status, self.word = status, word


def credentials(
    code: str, name: str = "", profile: str = ""
) -> tuple[dict[str, str], dict[str, str]]:
    """(what the hospital is told, what the office keeps); the caller fills in base_url."""
    secret = f"SIMULATOR-{secrets.token_urlsafe(32)}"
    return {"base_url": "", "secret": secret}, {"secret": secret}


def blueprint(world: World) -> Blueprint:
    """The office's doors for every hospital of this world, and its seeds under /_sim."""
    routes = Blueprint(WIRE, __name__)

    @routes.post("/medical-aid/<code>/estimates")
    def estimate(code: str) -> Response:
        return receive(world, code, "estimate", lambda: (200, decision(world, code, read_body())))

    @routes.put("/medical-aid/<code>/claims/<number>")
    def claim(code: str, number: str) -> Response:
        return receive(world, code, "claim", lambda: put_claim(world, code, number))

    @routes.get("/medical-aid/<code>/claims/<number>")
    def query(code: str, number: str) -> Response:
        return receive(world, code, "query", lambda: (200, find_claim(world, code, number)))

    @routes.delete("/medical-aid/<code>/claims/<number>")
    def withdraw(code: str, number: str) -> Response:
        return receive(world, code, "withdraw", lambda: withdraw_claim(world, code, number))

    @routes.post("/_sim/medical-aid/<code>/persons")
    def seed(code: str) -> Response:
        return seed_person(world, code, request.get_json())

    @routes.get("/_sim/medical-aid/<code>/claims")
    def list_claims(code: str) -> Response:
        return jsonify(claims=claims(world, code))

    world.books.append(lambda: {WIRE: {code: books(world, code) for code in world.hospitals}})
    return routes


def receive(
    world: World, code: str, operation: str, act: Callable[[], tuple[int, Doc]]
) -> Response:
    """Check the signature, then act (all or nothing) or fail as a planned fault says."""
    here = world.hospitals.get(code, {}).get(WIRE)
    if here is None:
        return answer(404, {"error": "NO_SUCH_HOSPITAL"})
    if not is_signed(world, here["secret"]):
        world.log(WIRE, operation, code, "401")
        return answer(401, {"error": "SIGNATURE"})

    def once() -> Response:
        try:
            with world.store.transaction():
                status, body = act()
        except Turned as turned:
            status, body = turned.status, {"error": turned.word}
        world.log(
            WIRE,
            operation,
            code,
            f"{status} {body.get('state') or body['error']}",
        )
        return answer(status, body)

    def refuse(fault: Fault) -> Response:
        return answer(422, {"error": fault.options.get("word", "REFUSED_BY_OFFICE")})

    return guarded(world, WIRE, operation, once, refuse)


def is_signed(world: World, secret: str) -> bool:
    """Whether X-Aid-Signature fits method, path, X-Aid-Timestamp and body, and the time is now."""
    stamp = request.headers.get("X-Aid-Timestamp", "")
    if not stamp.isascii() or not stamp.isdigit():
        return False
    if abs(int(stamp) - world.now().timestamp()) > WINDOW_SECONDS:
        return False
    signed = f"{request.method}\n{request.path}\n{stamp}\n".encode() + request.get_data()
    expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, request.headers.get("X-Aid-Signature", ""))


def read_body() -> Doc:
    """The claim's facts, exactly the fields of BODY; a bool is no number."""
    try:
        body = json.loads(request.get_data())
    except ValueError:
        raise Turned(422, "BODY") from None
    if not isinstance(body, dict) or body.keys() != BODY.keys():
        raise Turned(422, "BODY")
    if any(type(body[name]) is not kind for name, kind in BODY.items()):
        raise Turned(422, "BODY")
    if not body["certno"] or body["personal_fen"] <= 0:
        raise Turned(422, "BODY")
    return body


def decision(world: World, code: str, asked: Doc) -> Doc:
    """What the office would decide now, never more than was asked for."""
    seeded = world.store.get("medical_aid.person", f"{code}/{asked['certno']}")
    if seeded is None:
        return {"state": "REFUSED", "approved_fen": 0, "reason": "NOT_ENTITLED"}
    state = seeded["decision"]
    approved = min(seeded["approves_fen"], asked["personal_fen"]) if state == "APPROVED" else 0
    return {"state": state, "approved_fen": approved, "reason": ""}


def put_claim(world: World, code: str, number: str) -> tuple[int, Doc]:
    """A claim under the hospital's number: 201 the first time, 200 again, 409 with another body."""
    if not CLAIM_NUMBER.fullmatch(number):
        raise Turned(422, "CLAIM_NUMBER")
    body = read_body()
    kept = world.store.get("medical_aid.claim", f"{code}/{number}")
    if kept is None:
        claim = {"claim_no": number} | decision(world, code, body)
        world.store.put("medical_aid.claim", f"{code}/{number}", claim | {"body": body})
        return 201, claim
    if kept["body"] != body:
        raise Turned(409, "CLAIM_HAS_OTHER_BODY")
    if kept["state"] == "WITHDRAWN":
        raise Turned(409, "CLAIM_WITHDRAWN")
    return 200, find_claim(world, code, number)


def find_claim(world: World, code: str, number: str) -> Doc:
    """The claim; one that was pending is decided as soon as the person's seed says so."""
    key = f"{code}/{number}"
    kept = world.store.get("medical_aid.claim", key)
    if kept is None:
        raise Turned(404, "CLAIM_UNKNOWN")
    if kept["state"] == "PENDING":
        kept |= decision(world, code, kept["body"])
        world.store.put("medical_aid.claim", key, kept)
    return shown(kept)


def withdraw_claim(world: World, code: str, number: str) -> tuple[int, Doc]:
    """The claim is void and nothing is paid on it; may be repeated."""
    key = f"{code}/{number}"
    kept = world.store.get("medical_aid.claim", key)
    if kept is None:
        raise Turned(404, "CLAIM_UNKNOWN")
    kept |= {"state": "WITHDRAWN", "approved_fen": 0, "reason": ""}
    world.store.put("medical_aid.claim", key, kept)
    return 200, shown(kept)


def seed_person(world: World, code: str, seed: Doc) -> Response:
    """Let the office know a person: how much it approves and what it decides."""
    person = {"decision": "APPROVED", "approves_fen": 0} | seed
    if set(person) != {"certno", "approves_fen", "decision"}:
        return answer(400, {"error": "certno, approves_fen and decision are what a seed has"})
    if person["decision"] not in DECISIONS or type(person["approves_fen"]) is not int:
        return answer(400, {"error": f"decision is one of {DECISIONS}, approves_fen whole fen"})
    world.store.put("medical_aid.person", f"{code}/{person['certno']}", person)
    return answer(200, person)


def claims(world: World, code: str) -> list[Doc]:
    """Every claim of a hospital, oldest first, without the person."""
    return [
        shown(kept) | {"personal_fen": kept["body"]["personal_fen"]}
        for key, kept in world.store.all("medical_aid.claim")
        if key.split("/", 1)[0] == code
    ]


def books(world: World, code: str) -> Doc:
    """What the office has approved for a hospital, in fen."""
    found = [one for one in claims(world, code) if one["state"] == "APPROVED"]
    return {"approved": len(found), "approved_fen": sum(one["approved_fen"] for one in found)}


def shown(kept: Doc) -> Doc:
    """A claim as the office answers it."""
    return {name: kept[name] for name in ("claim_no", "state", "approved_fen", "reason")}


def answer(status: int, body: Doc) -> Response:
    """JSON with a status."""
    response = jsonify(body)
    response.status_code = status
    return response
