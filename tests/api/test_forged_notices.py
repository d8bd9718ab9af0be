"""Notices that WeChat Pay did not send just so: none is believed, none has an effect."""

import random
import string
from collections import Counter
from datetime import datetime, timedelta

from models.db import new_id, rows
from tests import genuine
from tests.figures import SEED, Figures, size
from tests.people import House, MovedClock

WIRES_EACH = 1_000
SUBJECTS = {
    "payment": ("TRANSACTION.SUCCESS", genuine.payment),
    "refund": ("REFUND.SUCCESS", genuine.refund),
    "transfer": ("MCHTRANSFER.BILL.FINISHED", genuine.transfer),
}
KINDS = ("body", "header", "stamp", "serial", "without", "probe", "stale", "appended")
Sent = tuple[dict[str, str], bytes]


def test_a_notice_changed_in_anything_is_refused(
    house: House, clock: MovedClock, figures: Figures
) -> None:
    tries, dice = size(400, 10_000), random.Random(SEED)
    notices = {subject: genuine_notices(house, clock(), subject) for subject in SUBJECTS}
    seen: Counter[tuple[str, str]] = Counter()
    for place in range(tries):
        if place % WIRES_EACH == 0:
            wire = house.wire
        subject, kind = dice.choice(list(SUBJECTS)), dice.choice(KINDS)
        fresh, old = notices[subject]
        sent = old if kind == "stale" else spoiled(kind, *fresh, dice)
        answer = wire.send("POST", f"/wxpay/notify/{house.code}/{subject}", *sent)
        assert (answer.status, answer.text) == (401, '{"code":"FAIL","message":"失败"}'), sent
        seen[subject, kind] += 1
    assert len(seen) == len(SUBJECTS) * len(KINDS)
    assert kept(house) == 0
    for number, (subject, (fresh, _)) in enumerate(notices.items(), 1):
        for _ in range(2):
            answer = wire.send("POST", f"/wxpay/notify/{house.code}/{subject}", *fresh)
            assert answer.status == 204
            assert kept(house) == number
    figures.add(
        "forged notices",
        f"{tries:,} notices of WeChat Pay about payments, refunds and transfers with a byte of"
        " body, signature, nonce, timestamp or serial changed, put in or left out, with a header"
        " missing, with SIGNTEST, or genuine and stale",
        "401, nothing kept, no job; the genuine one, sent twice, is then kept once with one job",
        f"0 of {tries:,} accepted under these changes with seed {SEED}",
    )


def genuine_notices(house: House, now: datetime, subject: str) -> tuple[Sent, Sent]:
    """One that counts, and one that is too old."""
    event, tell = SUBJECTS[subject]
    told = tell(house.simulator, new_id().hex, 100, now)
    fresh = genuine.notice(house.simulator, event, told, now)
    return fresh, genuine.notice(house.simulator, event, told, now - timedelta(seconds=301))


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
