"""Refused notices leave a trace that tells why: in the log, in the figures, and once an hour in the
audit trail, however many come."""

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

import logs
from models import audit
from models.db import Session, at_once, new_id, rows
from simulator.clients import OverNetwork
from tests import genuine
from tests.arrivals import post
from tests.served import Served

OPENID = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"
KINDS = {
    "BAD_SIGNATURE": "Wechatpay-Nonce",
    "SIGNATURE_PROBE": "Wechatpay-Signature",
    "UNKNOWN_SERIAL": "Wechatpay-Serial",
    "NO_TIMESTAMP": "Wechatpay-Timestamp",
    "UNKNOWN_SIGNATURE_TYPE": "Wechatpay-Signature-Type",
    "NOT_FRESH": "",
    "OTHER_MERCHANT": "",
    "UNKNOWN_EVENT": "",
    "UNREADABLE": "",
}


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.configure(stream)
    yield stream
    logs.configure()


def refused(served: Served, kind: str, more: int = 0) -> None:
    """Send a notice that is refused for this reason, and so many copies."""
    now = served.stage.clock.now()
    told = genuine.payment(served.simulator, new_id().hex, 100, now)
    told["payer"] = {"openid": OPENID}
    if kind == "OTHER_MERCHANT":
        told["mchid"] = "1900000099"
    if kind == "UNREADABLE":
        told["amount"] = {}
    event = "COUPON.USE" if kind == "UNKNOWN_EVENT" else "TRANSACTION.SUCCESS"
    at = now - timedelta(seconds=301 if kind == "NOT_FRESH" else 0)
    headers, body = genuine.notice(served.simulator, event, told, at)
    if spoiled := KINDS[kind]:
        probe = "WECHATPAY/SIGNTEST/" + headers["Wechatpay-Signature"][19:]
        headers |= {spoiled: probe if kind == "SIGNATURE_PROBE" else f"{OPENID}13800138000"}
    for _ in range(1 + more):
        answer = post(served, headers, body)
        assert (answer.status_code, answer.text) == (401, '{"code":"FAIL","message":"失败"}')


def trail(served: Served) -> list[dict[str, Any]]:
    found = audit.entries(served.house.hospital_id, 0, 500)
    return [entry for entry in found if entry["what"] == "notice refused"]


def reasons(served: Served) -> list[str]:
    return [entry["facts"]["reason"] for entry in trail(served)]


def counted(served: Served, reason: str) -> float:
    page = OverNetwork(served.house.base_url).send("GET", "/metrics", {}, b"").text
    return sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == "xianzhen_notices_refused_total" and sample.labels["reason"] == reason
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_notice_says_why_in_log_figures_and_trail(
    served: Served, written: io.StringIO, kind: str
) -> None:
    before = counted(served, kind)
    refused(served, kind)
    assert counted(served, kind) == before + 1
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    (line,) = [line for line in lines if line.get("route", "").startswith("/wxpay/")]
    assert (line["status"], line["code"], line["hospital"]) == (401, kind, served.house.code)
    (entry,) = trail(served)
    assert (entry["by"], entry["subject"]) == ("unknown", "channel-notice")
    assert entry["facts"] == {"reason": kind}
    assert audit.verify(served.house.hospital_id) is None
    for private in (OPENID, "13800138000"):
        assert private not in written.getvalue()
        assert private not in str(entry)


def test_any_number_of_them_is_one_row_an_hour(served: Served) -> None:
    clock = served.stage.clock
    clock.set(clock.now().replace(minute=20) + timedelta(hours=1))
    refused(served, "BAD_SIGNATURE", more=30)
    refused(served, "SIGNATURE_PROBE", more=3)
    assert reasons(served) == ["BAD_SIGNATURE", "SIGNATURE_PROBE"]
    clock.forward(minutes=30)
    refused(served, "BAD_SIGNATURE", more=3)
    assert len(trail(served)) == 2
    clock.forward(minutes=30)
    refused(served, "BAD_SIGNATURE", more=3)
    assert reasons(served) == ["BAD_SIGNATURE", "SIGNATURE_PROBE", "BAD_SIGNATURE"]


def test_a_flood_does_not_wait_for_the_trail(served: Served) -> None:
    clock = served.stage.clock
    clock.set(clock.now().replace(minute=20) + timedelta(hours=1))
    refused(served, "BAD_SIGNATURE")
    with Session.begin() as db:  # whoever asked would wait 15 s for the lock and get a 503
        db.execute(text("LOCK TABLE refused_notice, audit_entry IN ACCESS EXCLUSIVE MODE"))
        refused(served, "BAD_SIGNATURE", more=10)
    assert reasons(served) == ["BAD_SIGNATURE"]


def test_several_processes_write_one_row_and_keep_one_line_a_reason(served: Served) -> None:
    now = served.stage.clock.now()

    def of_another_process(hours: int = 0) -> bool:
        at = now + timedelta(hours=hours)
        noted = "SELECT note_refused_notice(%s, %s, %s)"
        return bool(at_once(noted, served.house.code, "BAD_SIGNATURE", at)[0][0])

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(of_another_process, [0] * 40)) == 1
    # A process whose clock is behind adds nothing.
    assert [of_another_process(hours) for hours in (1, 2, 0, 1, 2)] == [True, True] + [False] * 3
    assert reasons(served) == ["BAD_SIGNATURE"] * 3
    known = "SELECT count(*) AS n FROM refused_notice WHERE hospital_id = :id"
    assert rows(known, id=served.house.hospital_id) == [{"n": 1}]
    assert audit.verify(served.house.hospital_id) is None


def test_a_genuine_notice_leaves_no_such_row(served: Served) -> None:
    now = served.stage.clock.now()
    told = genuine.payment(served.simulator, new_id().hex, 100, now)
    sent = genuine.notice(served.simulator, "TRANSACTION.SUCCESS", told, now)
    assert post(served, *sent).status_code == 204
    assert trail(served) == []


def test_what_is_longer_than_any_notice_is_not_even_read(served: Served) -> None:
    now = served.stage.clock.now()
    body = b'{"id":"' + b"x" * 64 * 1024 + b'"}'
    assert post(served, genuine.signed(served.simulator, body, now), body).status_code == 413
    stored = "SELECT count(*) AS n FROM channel_notice WHERE hospital_id = :id"
    assert rows(stored, id=served.house.hospital_id) == [{"n": 0}]
