"""Request numbers, careful headers, health, figures, documents without internet, and logs without
people."""

import io
import json
import logging
import re
from collections.abc import Callable, Iterator

import pytest
import structlog
from flask import Flask

import logs
from models import queue
from models.db import Session
from simulator.clients import Client, OverApp
from tests.people import House

SANE = "req_0123456789-abc"


@pytest.fixture
def anybody(house: House) -> Client:
    return Client(house.wire, house.code)


@pytest.mark.parametrize(
    ("offered", "kept"), [(SANE, True), ("short", False), ("x" * 65, False), ("a b" * 5, False)]
)
def test_a_sane_request_number_is_kept(anybody: Client, offered: str, kept: bool) -> None:
    answer = anybody.try_("GET", "/healthz", headers={"X-Request-ID": offered})
    assert (answer.headers["X-Request-ID"] == offered) is kept
    assert re.fullmatch(r"[A-Za-z0-9_-]{8,64}", answer.headers["X-Request-ID"])


def test_answers_are_careful(anybody: Client) -> None:
    for path in ("/healthz", "/v1/nothing", "/probe/fail/crash"):
        headers = anybody.try_("GET", path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        strict = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'"
        assert headers["Content-Security-Policy"] == strict


@pytest.mark.parametrize(
    ("scheme", "header"), [("https", "max-age=31536000; includeSubDomains"), ("http", None)]
)
def test_browsers_are_told_to_stay_with_https(
    make_app: Callable[..., Flask], scheme: str, header: str | None
) -> None:
    url = f"{scheme}://xianzhen.test"
    answer = Client(OverApp(make_app(public_base_url=url), url), "").try_("GET", "/healthz")
    assert answer.headers.get("Strict-Transport-Security") == header


def test_ready_when_everything_is_there(anybody: Client) -> None:
    assert anybody.get("/healthz") == {"status": "ok"}
    told = anybody.get("/readyz")
    told["checks"].pop("durability")  # the tests' own PostgreSQL does without fsync
    assert told == {
        "status": "ok",
        "checks": {"database": "ok", "migrations": "ok", "queue": "ok", "redis": "ok"},
    }


def test_without_redis_it_is_degraded_and_not_dead(make_app: Callable[..., Flask]) -> None:
    lonely = Client(OverApp(make_app(redis_url="redis://127.0.0.1:1/0"), ""), "")
    answer = lonely.try_("GET", "/readyz")
    assert (answer.status, answer.body["status"]) == (200, "degraded")
    assert answer.body["checks"]["redis"] == "down"


def test_with_another_schema_it_takes_no_work(anybody: Client) -> None:
    with Session.begin() as db:
        db.connection().exec_driver_sql("INSERT INTO alembic_version VALUES ('other')")
    answer = anybody.try_("GET", "/readyz")
    with Session.begin() as db:
        db.connection().exec_driver_sql("DELETE FROM alembic_version WHERE version_num = 'other'")
    assert (answer.status, answer.body["status"]) == (503, "not ready")
    assert answer.body["checks"]["migrations"] == "behind"


@pytest.fixture
def old_job() -> Iterator[None]:
    with Session.begin() as db:
        db.connection().exec_driver_sql("DELETE FROM procrastinate_jobs")
        queue.defer(db, "nobody")
        db.connection().exec_driver_sql(
            "UPDATE procrastinate_events SET at = now() - interval '10 minutes'"
        )
    yield
    with Session.begin() as db:
        db.connection().exec_driver_sql("DELETE FROM procrastinate_jobs")


def test_an_old_queue_is_seen(anybody: Client, old_job: None) -> None:
    assert anybody.get("/readyz")["checks"]["queue"] == "old"
    page = OverApp(anybody.wire.app, "").send("GET", "/metrics", {}, b"").text
    assert 'xianzhen_queue_jobs{status="todo"} 1.0' in page
    age = re.search(r"^xianzhen_queue_age_seconds (\S+)", page, re.MULTILINE)
    assert age and float(age[1]) >= 600


def test_figures_are_for_configured_addresses(house: House, app: Flask) -> None:
    for address, status in (("127.0.0.1", 200), ("10.1.2.3", 404), ("::1", 200)):
        answer = OverApp(app, "", address).send("GET", "/metrics", {}, b"")
        assert answer.status == status
    behind = {"X-Forwarded-For": "127.0.0.1"}
    assert OverApp(app, "", "10.1.2.3").send("GET", "/metrics", behind, b"").status == 404


def test_figures_count_requests_by_route(anybody: Client, app: Flask) -> None:
    anybody.try_("GET", "/probe/fail/conflict")
    page = OverApp(app, "").send("GET", "/metrics", {}, b"").text
    line = r'xianzhen_request_seconds_count{method="GET",route="/probe/fail/<how>",status="409"}'
    assert line in page


def test_a_trusted_proxy_says_who_asks(make_app: Callable[..., Flask]) -> None:
    app = make_app(trusted_proxies=1)
    behind = {"X-Forwarded-For": "127.0.0.1"}
    assert OverApp(app, "", "10.1.2.3").send("GET", "/metrics", behind, b"").status == 200


def test_the_documents_page_needs_no_internet(anybody: Client) -> None:
    page = anybody.try_("GET", "/documents")
    assert page.status == 200
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self'")
    assert policy.endswith("object-src 'none'; base-uri 'none'; frame-ancestors 'none'")
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(named) == 4
    for address in named:
        assert address.startswith("/documents/")
        found = anybody.wire.app.test_client().get(address)
        assert (found.status_code, len(found.data) > 100) == (200, True)
        assert found.headers["Cache-Control"] == "public, max-age=86400"
        found.close()
    for outside in ("/documents/../app.py", "/documents/%2e%2e/app.py", "/documents/x.js"):
        assert anybody.try_("GET", outside).status == 404


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the logs say, line by line."""
    stream = io.StringIO()
    logs.configure(stream)
    yield stream
    logs.configure()


def lines(written: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


SECRETS = ("990101197503090013", "13812345678", "o6_bmjrPTlm6_2sgVt7hMZOPfL2M", "张小丰")


def test_what_looks_like_a_person_is_masked_and_unlisted_keys_do_not_pass(
    written: io.StringIO,
) -> None:
    number, phone, openid, name = SECRETS
    structlog.get_logger("x").info(
        f"seen {number} {phone}", why=[openid, phone], name=name, patient=name, order_id=phone
    )
    logging.getLogger("library").warning("failed for %s and %s", number, openid)
    assert not any(secret in written.getvalue() for secret in SECRETS)
    first, second = lines(written)
    assert first["event"] == "seen ****************** 1**********"
    assert (first["why"], first["dropped"]) == (["o***", "1**********"], 2)
    assert second["event"] == "failed for ****************** and o***"


def test_an_exception_is_logged_by_its_frames_without_its_words(
    anybody: Client, written: io.StringIO
) -> None:
    answer = anybody.try_("GET", "/probe/fail/crash", headers={"X-Request-ID": SANE})
    assert answer.status == 500
    assert not any(secret in written.getvalue() for secret in SECRETS)
    failure = next(line for line in lines(written) if line["event"] == "unexpected")
    assert (failure["error"], failure["request_id"]) == ("Crash", SANE)
    assert any("probe.py" in frame for frame in failure["frames"])


def test_a_request_is_one_line_with_its_route_and_no_address(
    house: House, written: io.StringIO
) -> None:
    nurse, stay = house.staff("NURSE", wards=("W1",)), house.stay()
    nurse.get(f"/probe/stays/{stay.id}", headers={"X-Request-ID": SANE})
    (line,) = [line for line in lines(written) if line.get("request_id") == SANE]
    assert str(stay.id) not in written.getvalue()
    assert {key: line[key] for key in ("route", "status", "actor", "hospital", "method")} == {
        "route": "/probe/stays/<uuid:stay_id>",
        "status": 200,
        "actor": f"staff:{nurse.staff_no}",
        "hospital": house.code,
        "method": "GET",
    }
    assert "dropped" not in line


def test_ids_stay_whole_in_logs() -> None:
    for whole in ("019a7b13-8123-4567-8912-138123456789", "a" * 10 + "13812345678" + "b" * 11):
        assert logs.masked(whole) == whole
