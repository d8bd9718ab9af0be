"""The insurance platform of a province on HTTP: gateway, envelope, transactions, seeds, books.

POST /insurance/<hospital>/csb (profile csb-…) or
POST /insurance/<hospital>/ebus/<app>/fsi/api/<service>/<method> (profile tif-…).
"""

import secrets
import zlib
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify, request

from simulator.faults import Fault
from simulator.insurance import (
    fees,
    fields,
    gateway,
    persons,
    reversal,
    settlements,
    statements,
    stays,
)
from simulator.insurance.counter import Counter, Doc, Done, documents, next_number
from simulator.insurance.envelope import Message, answer, read_message
from simulator.insurance.lines import Item
from simulator.insurance.money import ZERO, cents, yuan
from simulator.insurance.profile import Profile, profile_named
from simulator.insurance.refusals import Declined
from simulator.world import World, guarded, hang_up

WIRE = "insurance"
SIGN_IN = "9001"

TRANSACTIONS: dict[str, Callable[[Counter, Doc], Done]] = {
    SIGN_IN: persons.sign_in,
    "1101": persons.read_person,
    "2001": persons.check_benefits,
    "2401": stays.admit,
    "2402": stays.discharge,
    "2403": stays.change,
    "2404": stays.cancel,
    "2405": stays.take_back_discharge,
    "2301": fees.upload,
    "2302": fees.withdraw,
    "2303": settlements.trial,
    "2304": settlements.settle,
    "2305": settlements.undo,
    "2601": reversal.reverse,
    "3201": statements.compare_totals,
    "3202": statements.compare_details,
    "5203": settlements.look,
    "5303": stays.list_stays,
    "9101": statements.take_file,
    "9102": statements.give_file,
}


def credentials(code: str, name: str, profile: str) -> tuple[dict[str, str], dict[str, str]]:
    """(what the hospital is told, what the platform keeps); the caller fills in base_url."""
    area = profile_named(profile).area
    here = {
        "profile": profile,
        "access_key": f"SIMULATOR-{code}-{secrets.token_hex(8)}",
        "secret_key": secrets.token_urlsafe(32),
        "fixmedins_code": f"H{area}{zlib.crc32(code.encode()) % 100000:05d}",
        "fixmedins_name": name,
        "mdtrtarea_admvs": area,
    }
    return {"base_url": ""} | here, dict(here)


def blueprint(world: World) -> Blueprint:
    """The platform of every hospital of this world, and its strings under /_sim/insurance."""
    routes = Blueprint(WIRE, __name__)

    @routes.post("/insurance/<code>/csb")
    def csb(code: str) -> Response:
        return receive(world, code, "csb", "")

    @routes.post("/insurance/<code>/ebus/<app>/fsi/api/<path:path>")
    def tif(code: str, app: str, path: str) -> Response:
        return receive(world, code, "tif", f"{app}/{path}")

    @routes.post("/_sim/insurance/<code>/persons")
    def seed(code: str) -> Response:
        here = world.hospitals[code][WIRE]
        try:
            person = persons.seed_person(
                world, code, profile_named(here["profile"]).area, request.get_json()
            )
        except persons.BadSeed as bad:
            return refused(400, str(bad))
        return jsonify(person)

    @routes.post("/_sim/insurance/<code>/catalogue")
    def list_item(code: str) -> Response:
        entry = {name: str(value) for name, value in request.get_json().items()}
        if set(entry) - {"med_list_codg", *Item.__slots__} or "chrgitm_lv" not in entry:
            return refused(400, "med_list_codg, chrgitm_lv and the other fields of Item")
        world.store.put("insurance.catalogue", f"{code}/{entry['med_list_codg']}", entry)
        return jsonify(entry)

    @routes.get("/_sim/insurance/<code>/settlements")
    def list_settlements(code: str) -> Response:
        return jsonify(settlements=documents(world, "settlement", code))

    world.books.append(lambda: {WIRE: books(world)})
    return routes


def receive(world: World, code: str, transport: str, path: str) -> Response:
    """Let the request through the gateway, then answer it or fail as a planned fault says."""
    here = world.hospitals.get(code, {}).get(WIRE)
    if here is None or (profile := profile_named(here["profile"])).transport != transport:
        return refused(404, "no such gateway")
    try:
        infno = _through_gateway(world, here, profile, path)
    except gateway.Stopped as stopped:
        world.log(WIRE, transport, code, f"401 {stopped}")
        answered = jsonify(code=401, message=str(stopped))
        answered.status_code = 401
        return answered
    if infno not in TRANSACTIONS:
        return refused(404, "no such transaction")

    def act() -> Response:
        return _act(world, code, here, profile, infno)

    def refuse(fault: Fault) -> Response:
        words = fault.options.get("message", "系统繁忙，请稍后再试")
        return answer(profile, world.now(), next_number(world, code, "reply"), None, words)

    return guarded(world, WIRE, infno, act, refuse)


def books(world: World) -> dict[str, Any]:
    """What the platform has paid for each hospital, in fen; what was undone nets to nothing."""
    found: dict[str, Any] = {}
    for code in world.hospitals:
        rows = [row for row in documents(world, "settlement", code) if row["state"] != "ANNULLED"]
        found[code] = {"rows": len(rows)} | {
            f"{name}_fen": int(sum((yuan(row["amounts"][name]) for row in rows), ZERO) * 100)
            for name in ("medfee_sumamt", "fund_pay_sumamt", "acct_pay", "psn_cash_pay")
        }
    return found


def _through_gateway(world: World, here: Doc, profile: Profile, path: str) -> str | None:
    """The transaction asked for, None for a path that leads nowhere; raises Stopped."""
    keys = (here["access_key"], here["secret_key"], world.now())
    if profile.transport == "csb":
        return gateway.check_csb(request.headers, *keys)
    gateway.check_tif(request.headers, *keys)
    app, _, rest = path.partition("/")
    return gateway.infno_of_path(rest) if app == profile.app else None


def _act(world: World, code: str, here: Doc, profile: Profile, infno: str) -> Response:
    """One transaction: all of it is kept or nothing."""
    serial = next_number(world, code, "reply")
    try:
        message = read_message(request.get_data(), infno, here, profile)
        with world.store.transaction():
            _use_up(world, code, message)
        with world.store.transaction():
            done = _carry_out(Counter(world, code, here, profile, message))
    except Declined as no:
        world.log(WIRE, infno, f"{code} {fields.name_of(infno)}", f"-1 {no}")
        return answer(profile, world.now(), serial, None, str(no))
    world.log(WIRE, infno, f"{code} {fields.name_of(infno)} {_about(done)}", "0")
    if done.unanswered:
        return hang_up()
    if done.file is not None:
        return Response(done.file, mimetype="application/octet-stream")
    return answer(profile, world.now(), serial, _spoilt(world, infno, done.output))


def _carry_out(counter: Counter) -> Done:
    message = counter.message
    if message.infno != SIGN_IN:
        persons.check_signed_in(counter)
    given = fields.read_input(message.infno, message.input)
    done = TRANSACTIONS[message.infno](counter, given)
    counter.put(
        "message",
        message.msgid,
        {"infno": message.infno, "psn_no": _psn_no(given), "about": done.about},
    )
    return done


def _use_up(world: World, code: str, message: Message) -> None:
    """A message id serves once, also when what it asked for is refused."""
    first = {"infno": message.infno, "psn_no": "", "about": None}
    if not world.store.insert("insurance.message", f"{code}/{message.msgid}", first):
        raise Declined(f"发送方报文ID(msgid)重复【{message.msgid}】")


def _psn_no(given: Doc) -> str:
    for node in given.values():
        row = node[0] if isinstance(node, list) and node else node
        if isinstance(row, dict) and row.get("psn_no"):
            return str(row["psn_no"])
    return ""


def _about(done: Done) -> str:
    return " ".join((done.about or {}).values())


def _spoilt(world: World, infno: str, output: Any) -> Any:
    """Fault wrong_amounts: the answer's personal part is a fen too high, which breaks I1."""
    if infno in ("2303", "2304", "2305") and world.faults.take(WIRE, infno, ("wrong_amounts",)):
        info = output["setlinfo"]
        for name in ("psn_part_amt", "psn_pay", "psn_cash_pay", "cashPayamt"):
            if info.get(name) is not None:
                info[name] = cents(info[name] + yuan("0.01"))
    return output


def refused(status: int, why: str) -> Response:
    """A plain refusal of this program's own doors."""
    response = jsonify(error=why)
    response.status_code = status
    return response
