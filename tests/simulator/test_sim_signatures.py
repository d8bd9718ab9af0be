"""Who may talk to WeChat Pay, and how its answers prove themselves."""

import time
from typing import Any

import pytest

from tests.sim_process import Simulator
from tests.simulator.wechat_client import WeChatClient, number, says

NOWHERE = "/v3/pay/transactions/out-trade-no/none12345?mchid="


def test_a_signed_request_is_answered_with_a_signature(wechat: WeChatClient) -> None:
    answer = wechat.jsapi(number())

    assert answer.status_code == 200
    assert answer.json()["prepay_id"].startswith("wx")
    assert wechat.proves(answer.headers, answer.content)
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Request-ID"].endswith("-0")
    assert answer.headers["Wechatpay-Signature-Type"] == "WECHATPAY2-SHA256-RSA2048"


def test_an_answer_without_body_is_signed_over_the_empty_body(wechat: WeChatClient) -> None:
    out_trade_no = number()
    wechat.jsapi(out_trade_no)

    answer = wechat.close(out_trade_no)

    assert (answer.status_code, answer.content) == (204, b"")
    assert "Content-Type" not in answer.headers
    assert wechat.proves(answer.headers, b"")


@pytest.mark.parametrize(
    "changed",
    [
        {"serial_no": "SIMULATOR00"},
        {"mchid": "1900000000"},
        {"signature": "AAAA"},
        {"signature": "not base64!"},
        {"timestamp": -301},
        {"timestamp": 310},
        {"timestamp": "soon"},
        {"nonce_str": ""},
    ],
)
def test_whoever_does_not_prove_himself_gets_an_unsigned_401(
    wechat: WeChatClient, changed: dict[str, Any]
) -> None:
    path = NOWHERE + wechat.mchid
    if isinstance(off := changed.get("timestamp"), int):
        changed = {"timestamp": str(int(time.time()) + off)}
    headers = wechat.headers("GET", path, "", **changed)

    answer = wechat.call("GET", path, Authorization=headers["Authorization"])

    assert says(answer) == (401, "SIGN_ERROR")
    assert answer.json()["detail"]["location"] == "authorization"
    assert "Wechatpay-Signature" not in answer.headers


def test_method_path_query_and_body_are_all_signed(wechat: WeChatClient) -> None:
    path = NOWHERE + wechat.mchid
    for method, signed_path, body in (
        ("POST", path, ""),
        ("GET", path + "0", ""),
        ("GET", path, "{}"),
    ):
        headers = wechat.headers(method, signed_path, body)
        answer = wechat.call("GET", path, Authorization=headers["Authorization"])
        assert says(answer) == (401, "SIGN_ERROR")
    assert says(wechat.call("GET", path)) == (404, "ORDER_NOT_EXIST")


def test_percent_signs_are_signed_as_they_were_sent(wechat: WeChatClient) -> None:
    answer = wechat.call("GET", "/v3/refund/domestic/refunds/RF%7C1")
    assert says(answer) == (404, "RESOURCE_NOT_EXISTS")

    unencoded = wechat.headers("GET", "/v3/refund/domestic/refunds/RF|1", "")
    answer = wechat.call(
        "GET", "/v3/refund/domestic/refunds/RF%7C1", Authorization=unencoded["Authorization"]
    )
    assert says(answer) == (401, "SIGN_ERROR")


def test_a_nonce_works_once(wechat: WeChatClient) -> None:
    path = NOWHERE + wechat.mchid
    headers = wechat.headers("GET", path, "")

    first = wechat.call("GET", path, Authorization=headers["Authorization"])
    second = wechat.call("GET", path, Authorization=headers["Authorization"])

    assert says(first) == (404, "ORDER_NOT_EXIST")
    assert says(second) == (401, "SIGN_ERROR")
    assert second.json()["detail"]["issue"] == "nonce_str was used before"


def test_the_world_clock_decides_what_is_stale(simulator: Simulator, wechat: WeChatClient) -> None:
    path = NOWHERE + wechat.mchid
    headers = wechat.headers("GET", path, "")
    simulator.shift(86400)

    answer = wechat.call("GET", path, Authorization=headers["Authorization"])

    assert says(answer) == (401, "SIGN_ERROR")
    assert wechat.jsapi(number()).status_code == 200


@pytest.mark.parametrize("headers", [{"Accept": "text/html"}, {"User-Agent": ""}])
def test_accept_and_user_agent_are_required(wechat: WeChatClient, headers: dict[str, str]) -> None:
    answer = wechat.call("GET", NOWHERE + wechat.mchid, **headers)
    assert says(answer) == (400, "PARAM_ERROR")


def test_a_body_must_say_that_it_is_json(wechat: WeChatClient) -> None:
    body = wechat.order_body(number())
    answer = wechat.call(
        "POST", "/v3/pay/transactions/native", body, **{"Content-Type": "text/plain"}
    )
    assert says(answer) == (415, "PARAM_ERROR")


def test_only_who_names_the_public_key_gets_its_signature(wechat: WeChatClient) -> None:
    path, body = "/v3/pay/transactions/native", wechat.order_body(number())

    unnamed = wechat.call("POST", path, body, **{"Wechatpay-Serial": None})
    wrong = wechat.call("POST", path, body, **{"Wechatpay-Serial": "PUB_KEY_ID_0"})

    assert unnamed.status_code == 200
    assert not unnamed.headers["Wechatpay-Serial"].startswith("PUB_KEY_ID_")
    assert says(wrong) == (400, "PARAM_ERROR")


def test_there_are_no_platform_certificates(wechat: WeChatClient) -> None:
    assert says(wechat.call("GET", "/v3/certificates")) == (404, "RESOURCE_NOT_EXISTS")


def test_every_key_id_says_that_it_is_simulated(simulator: Simulator) -> None:
    for code in ("GZ01", "CQ01"):
        outside = simulator.connections(code)
        for wire, name in (
            ("wechat_pay", "public_key_id"),
            ("wechat_pay", "merchant_serial"),
            ("mini_program", "secret"),
            ("sms", "secret_id"),
            ("insurance", "access_key"),
        ):
            assert "SIMULATOR" in outside[wire][name]
        assert outside["wechat_pay"]["appid"] == outside["mini_program"]["appid"]
