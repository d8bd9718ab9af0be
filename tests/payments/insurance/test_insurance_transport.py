"""Two gateways: what is signed, and which of the four answers each silence, refusal or yes is."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from config import InsuranceSettings
from models.db import Session, TransactionOpen
from payments.insurance.profile import load
from payments.insurance.transport import Csb, Tif, csb_signature
from policies.outcome import Declined, NoAnswer, NotNow
from tests.payments.insurance.counter import Counter, HangUp, Raw, Slow, no, standing, yes

NOW = datetime(2025, 7, 1, 4, 0, 5, 250_000, tzinfo=UTC)
ASKED = {"infno": "1101", "input": {}}


@pytest.fixture(scope="module")
def _standing() -> Iterator[Counter]:
    with standing() as counter:
        yield counter


@pytest.fixture
def counter(_standing: Counter) -> Counter:
    _standing.seen.clear()
    _standing.script.clear()
    return _standing


def settings(url: str, profile: str = "csb-guizhou") -> InsuranceSettings:
    return InsuranceSettings(url, profile, "AK1", "SK1", "H99010000001", "示范医院", "990100")


def csb(url: str, **changed: object) -> Csb:
    return Csb(settings(url), replace(load("csb-guizhou"), **changed), lambda: NOW)


def test_csb_signs_four_headers_in_key_order(counter: Counter) -> None:
    counter.script["1101"] = [yes()]
    csb(counter.url).ask("1101", ASKED)
    ((path, headers, body),) = counter.seen
    assert (path, body) == ("/csb", ASKED)
    assert headers["_api_name"] == "1101"
    assert headers["_api_timestamp"] == "1751342405250"
    assert headers["_api_access_key"] == "AK1"
    assert headers["_api_signature"] == csb_signature(
        {name: headers[name] for name in headers if name.startswith("_api")}, "SK1"
    )


def test_the_csb_signature_is_the_one_worked_out_by_hand() -> None:
    """printf '_api_access_key=AK&_api_name=1101&_api_timestamp=1&_api_version=1.0.0' |
    openssl dgst -sha1 -hmac SK -binary | base64
    """
    given = {
        "_api_name": "1101",
        "_api_version": "1.0.0",
        "_api_timestamp": "1",
        "_api_access_key": "AK",
    }
    assert csb_signature(given, "SK") == BY_OPENSSL


def test_csb_may_count_seconds(counter: Counter) -> None:
    counter.script["1101"] = [yes()]
    csb(counter.url, time_unit="seconds").ask("1101", ASKED)
    assert counter.seen[0][1]["_api_timestamp"] == "1751342405"


@pytest.mark.parametrize("case", ["lower", "upper"])
def test_tif_names_the_transaction_in_the_address(counter: Counter, case: str) -> None:
    counter.script["1101"] = [yes()]
    profile = replace(load("tif-chongqing"), hex_case=case)
    Tif(settings(counter.url, "tif-chongqing"), profile, lambda: NOW).ask("1101", ASKED)
    ((path, headers, _),) = counter.seen
    assert path == "/ebus/xz/fsi/api/fsiPsnInfoService/queryPsnInfo"
    stamp, nonce = headers["x-tif-timestamp"], headers["x-tif-nonce"]
    expected = hashlib.sha256(f"{stamp}SK1{nonce}{stamp}".encode()).hexdigest()
    assert headers["x-tif-signature"] == (expected.upper() if case == "upper" else expected)
    assert (stamp, headers["x-tif-paasid"]) == ("1751342405", "AK1")


def test_every_spoken_transaction_has_an_address_at_tif() -> None:
    assert len(load("tif-chongqing").paths) == 20


def test_yes_brings_the_output_with_exact_numbers(counter: Counter) -> None:
    body = b'{"infcode": "0", "inf_refmsgid": "R9", "output": {"a": 2.50}}'
    counter.script["1101"] = [Raw(200, body)]
    reply = csb(counter.url).ask("1101", ASKED)
    assert reply.refmsgid == "R9"
    assert str(reply.output["a"]) == "2.50" and isinstance(reply.output["a"], Decimal)


@pytest.mark.parametrize(
    "body",
    [b'{"infcode": 0}', b'{"infcode": 0, "output": null}', b'{"infcode": "0", "output": ""}'],
)
def test_a_yes_without_output_is_a_yes(counter: Counter, body: bytes) -> None:
    counter.script["1101"] = [Raw(200, body)]
    assert csb(counter.url).ask("1101", ASKED).output == {}


def test_an_output_sent_as_text_is_read(counter: Counter) -> None:
    counter.script["1101"] = [{"infcode": 0, "output": '{"a": "1"}'}]
    assert csb(counter.url).ask("1101", ASKED).output == {"a": "1"}


def test_a_file_comes_as_it_is(counter: Counter) -> None:
    counter.script["1101"] = [Raw(200, b"PK\x03\x04rest")]
    assert csb(counter.url).ask("1101", ASKED).output == b"PK\x03\x04rest"


@pytest.mark.parametrize("code", [-1, "-1"])
def test_the_platforms_no_is_final_and_brings_its_words(counter: Counter, code: object) -> None:
    counter.script["1101"] = [no("在院状态不允许结算", code)]
    with pytest.raises(Declined) as declined:
        csb(counter.url).ask("1101", ASKED)
    assert declined.value.detail == "在院状态不允许结算"


@pytest.mark.parametrize(
    "answer",
    [
        Raw(401, b'{"code": 401, "message": "x"}'),
        Raw(200, '{"code": 401, "message": "签名不一致!"}'.encode()),
        Raw(429, b""),
        Raw(404, b"<html>"),
    ],
)
def test_what_the_gateway_turns_away_was_surely_not_done(counter: Counter, answer: Raw) -> None:
    counter.script["1101"] = [answer]
    with pytest.raises(NotNow):
        csb(counter.url).ask("1101", ASKED)


@pytest.mark.parametrize(
    "answer",
    [
        HangUp(),
        HangUp(half=True),
        Raw(500, b"oops"),
        Raw(502, b""),
        Raw(302, b""),
        Raw(200, b"<html>"),
        Raw(200, b'["infcode"]'),
        Raw(200, b'{"output": {}}'),
        Raw(200, b'{"infcode": 0, "output": "{"}'),
        no("事务处理中", 7),
        no("接口调用超时"),
    ],
)
def test_silence_is_not_a_no(counter: Counter, answer: object) -> None:
    counter.script["1101"] = [answer]
    with pytest.raises(NoAnswer):
        csb(counter.url).ask("1101", ASKED)


def test_a_timeout_says_that_it_may_still_be_running(counter: Counter) -> None:
    counter.script["1101"] = [Slow(0.5, yes())]
    with pytest.raises(NoAnswer) as silence:
        csb(counter.url, answer_seconds=0.05).ask("1101", ASKED)
    assert silence.value.detail == "timeout"


def test_a_request_that_never_left_was_surely_not_done() -> None:
    with pytest.raises(NotNow):
        csb("http://127.0.0.1:9").ask("1101", ASKED)


def test_a_broken_line_is_not_tried_twice(counter: Counter) -> None:
    counter.script["1101"] = [yes(), HangUp()]
    way = csb(counter.url)
    way.ask("1101", ASKED)
    with pytest.raises(NoAnswer):
        way.ask("1101", ASKED)
    assert len(counter.seen) == 2


def test_nobody_asks_with_a_transaction_open(engine: object, counter: Counter) -> None:
    with Session.begin(), pytest.raises(TransactionOpen):
        csb(counter.url).ask("1101", ASKED)
    assert counter.seen == []


def test_a_proxy_of_the_machine_is_not_used(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    counter.script["1101"] = [yes()]
    csb(counter.url).ask("1101", ASKED)
    assert len(counter.seen) == 1


BY_OPENSSL = "D2yrIw+rRit5t2p0lTj3TWDvHDc="
