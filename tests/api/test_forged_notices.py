"""Notices that WeChat Pay did not send just so: none is believed, none has an effect."""

import random
import string
from datetime import timedelta

from models.db import new_id, rows
from tests import genuine
from tests.figures import SEED, Figures, size
from tests.people import House, MovedClock

WIRES_EACH = 1_000
KINDS = ("body", "header", "stamp", "serial", "without", "probe", "stale", "appended")


def test_a_notice_changed_in_anything_is_refused(
    house: House, clock: MovedClock, figures: Figures
) -> None:
    tries, dice, number = size(400, 10_000), random.Random(SEED), new_id().hex
    path = f"/wxpay/notify/{house.code}/payment"
    told = genuine.payment(house.simulator, number, 100, clock())
    headers, body = genuine.notice(house.simulator, "TRANSACTION.SUCCESS", told, clock())
    old = genuine.notice(
        house.simulator, "TRANSACTION.SUCCESS", told, clock() - timedelta(seconds=301)
    )
    seen: dict[str, int] = dict.fromkeys(KINDS, 0)
    for place in range(tries):
        if place % WIRES_EACH == 0:
            wire = house.wire
        kind = dice.choice(KINDS)
        sent = old if kind == "stale" else spoiled(kind, headers, body, dice)
        answer = wire.send("POST", path, *sent)
        assert (answer.status, answer.text) == (401, '{"code":"FAIL","message":"失败"}'), sent
        seen[kind] += 1
    assert all(seen.values())
    assert kept(house) == 0
    assert wire.send("POST", path, headers, body).status == 204
    assert kept(house) == 1
    figures.add(
        "forged notices",
        f"{tries:,} notices of WeChat Pay with a byte of body, signature, nonce, timestamp or"
        " serial changed, put in or left out, with a header missing, with SIGNTEST, or genuine"
        " and stale",
        "401, nothing kept, no job; the genuine one then counts once",
        f"0 of {tries:,} accepted",
    )


def spoiled(
    kind: str, headers: dict[str, str], body: bytes, dice: random.Random
) -> tuple[dict[str, str], bytes]:
    """The genuine notice with one thing wrong."""
    if kind == "body":
        return headers, _flipped(body, dice)
    if kind == "without":
        gone = dice.choice(list(headers))
        return {name: value for name, value in headers.items() if name != gone}, body
    if kind == "probe":
        probe = "WECHATPAY/SIGNTEST/" + headers["Wechatpay-Signature"][19:]
        return headers | {"Wechatpay-Signature": probe}, body
    if kind == "appended":
        return headers, body + dice.choice([b"\n", b" ", b"\0", body])
    name = {"stamp": "Wechatpay-Timestamp", "serial": "Wechatpay-Serial"}.get(kind) or dice.choice(
        ["Wechatpay-Signature", "Wechatpay-Nonce"]
    )
    return headers | {name: _retyped(headers[name], dice)}, body


def _flipped(body: bytes, dice: random.Random) -> bytes:
    place = dice.randrange(len(body))
    return body[:place] + bytes([body[place] ^ dice.randrange(1, 256)]) + body[place + 1 :]


def _retyped(text: str, dice: random.Random) -> str:
    """One visible character changed, dropped or put in; a header cannot carry the others."""
    place = dice.randrange(len(text))
    other = dice.choice([each for each in string.printable[:94] if each != text[place]])
    kept = dice.choice(["", text[place]])
    return text[:place] + dice.choice([other, other + kept, ""]) + text[place + 1 :]


def kept(house: House) -> int:
    """Notices of this hospital that were believed, each with its job."""
    notices = rows(
        "SELECT count(*) AS n FROM channel_notice WHERE hospital_id = :id", id=house.hospital_id
    )
    jobs = rows(
        "SELECT count(*) AS n FROM procrastinate_jobs WHERE task_name = 'apply_notice'"
        " AND args->>'hospital_id' = :id",
        id=str(house.hospital_id),
    )
    assert notices == jobs
    return notices[0]["n"]
