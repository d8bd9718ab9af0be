"""(e) Notices of WeChat Pay: verified, decrypted, kept in the inbox with their job, answered."""

from uuid import uuid4

from tests import genuine
from tests.benchmarks.ground import CODE, Ground, address
from tests.benchmarks.load import fire, request
from tests.benchmarks.measure import Bench, Figure, in_turns

NOTICES, SENDERS = 300, 16
TARGET = f"/wxpay/notify/{CODE}/payment"


def run(ground: Ground) -> list[Figure]:
    """Notices a second beside the bare route."""
    ground.kept["senders"] = [address() for _ in range(SENDERS)]
    ground.forget_peak()
    series = in_turns(lambda: receive(ground), ground.bare, ground.rounds(7))
    return [
        Figure(
            "e",
            "payment callbacks, verified and kept before the answer",
            "bare Flask route",
            series,
            "/s",
            aim=0.25,
            peak_mib=ground.peak_mib(),
        )
    ]


def receive(ground: Ground) -> float:
    """Each of another payment; what was answered 204 must be in the inbox."""
    before = _kept(ground)
    wishes = [_notice(ground, number) for number in range(NOTICES)]
    took, _ = fire(ground.port, wishes, status=204)
    assert _kept(ground) - before == NOTICES
    return NOTICES / took


def _notice(ground: Ground, number: int) -> bytes:
    now = ground.house.now()
    told = genuine.payment(ground.stage.simulator, uuid4().hex, 100, now)
    headers, body = genuine.notice(ground.stage.simulator, "TRANSACTION.SUCCESS", told, now)
    sender = ground.kept["senders"][number % SENDERS]
    headers |= {"Content-Type": "application/json", "X-Forwarded-For": sender}
    return request("POST", TARGET, headers, body)


def _kept(ground: Ground) -> int:
    with ground.sql() as db:
        row = db.execute("SELECT count(*) FROM channel_notice").fetchone()
    return int(row[0]) if row else 0


BENCH = Bench("e", "payment callbacks", run)
