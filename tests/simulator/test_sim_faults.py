"""Planned faults of a call: refused, cut before, cut after, broken, slow, wrongly signed."""

import time

import pytest
import requests

from tests.sim_process import Simulator, wait_until
from tests.simulator.wechat_client import WeChatClient, number, says


def test_refuse(simulator: Simulator, wechat: WeChatClient) -> None:
    out_trade_no = number()
    simulator.fault("wxpay", "jsapi", "refuse", status=403, code="NO_AUTH", number=268435999)
    answer = wechat.jsapi(out_trade_no)
    assert says(answer) == (403, "NO_AUTH")
    assert answer.headers["Request-ID"].endswith("-268435999")
    assert says(wechat.query(out_trade_no)) == (404, "ORDER_NOT_EXIST")


def test_the_line_is_cut_before_anything_is_done(
    simulator: Simulator, wechat: WeChatClient
) -> None:
    out_trade_no = wechat.paid()
    simulator.fault("wxpay", "refund", "before")
    with pytest.raises(requests.ConnectionError):
        wechat.refund(out_trade_no, 60, out_refund_no="CUTBEFORE1")
    assert says(wechat.query_refund("CUTBEFORE1")) == (404, "RESOURCE_NOT_EXISTS")
    assert wechat.refund(out_trade_no, 60, out_refund_no="CUTBEFORE1").status_code == 200


def test_the_line_is_cut_after_it_is_done(simulator: Simulator, wechat: WeChatClient) -> None:
    out_trade_no = wechat.paid()
    simulator.fault("wxpay", "refund", "after")
    with pytest.raises(requests.ConnectionError):
        wechat.refund(out_trade_no, 60, out_refund_no="CUTAFTER1")
    wait_until(lambda: wechat.query_refund("CUTAFTER1").json().get("status") == "SUCCESS")
    assert wechat.refund(out_trade_no, 60, out_refund_no="CUTAFTER1").status_code == 200
    assert simulator.books()["wxpay"][out_trade_no]["refunded_fen"] == 60


@pytest.mark.parametrize(("fault", "known"), [("error500_before", 404), ("error500_after", 200)])
def test_broken_inside(simulator: Simulator, wechat: WeChatClient, fault: str, known: int) -> None:
    out_trade_no = number()
    simulator.fault("wxpay", "native", fault)
    answer = wechat.native(out_trade_no)
    assert says(answer) == (500, "SYSTEM_ERROR")
    assert "Wechatpay-Signature" not in answer.headers
    assert wechat.query(out_trade_no).status_code == known


def test_slow(simulator: Simulator, wechat: WeChatClient) -> None:
    simulator.fault("wxpay", "native", "delay", seconds=0.3)
    start = time.monotonic()
    assert wechat.native(number()).status_code == 200
    assert time.monotonic() - start > 0.3


@pytest.mark.parametrize("fault", ["bad_signature", "signature_probe"])
def test_done_but_wrongly_signed(simulator: Simulator, wechat: WeChatClient, fault: str) -> None:
    out_trade_no = number()
    simulator.fault("wxpay", "native", fault)
    answer = wechat.native(out_trade_no)
    assert answer.status_code == 200
    assert not wechat.proves(answer.headers, answer.content)
    is_probe = answer.headers["Wechatpay-Signature"].startswith("WECHATPAY/SIGNTEST/")
    assert is_probe == (fault == "signature_probe")
    right = wechat.query(out_trade_no)
    assert right.json()["trade_state"] == "NOTPAY"
    assert wechat.proves(right.headers, right.content)


def test_any_operation_and_so_many_times(simulator: Simulator, wechat: WeChatClient) -> None:
    simulator.fault("wxpay", "*", "error500_before", times=2)
    answers = [wechat.native(number()), wechat.query(number()), wechat.native(number())]
    assert [answer.status_code for answer in answers] == [500, 500, 200]
    assert simulator.get("/_sim/faults") == []


def test_faults_can_be_forgotten(simulator: Simulator, wechat: WeChatClient) -> None:
    simulator.fault("wxpay", "native", "before", times=99)
    assert simulator.get("/_sim/faults")[0]["times"] == 99
    simulator.reset()
    assert wechat.native(number()).status_code == 200


def test_connections_stay_open(simulator: Simulator, wechat: WeChatClient) -> None:
    with requests.Session() as session:
        session.trust_env = False
        first = session.get(f"{simulator.url}/_sim/clock", stream=True, timeout=5)
        door = first.raw.connection.sock.getsockname()
        first.json()
        second = session.post(f"{simulator.url}/_sim/faults", json={}, stream=True, timeout=5)
        assert second.status_code == 400
        assert second.raw.connection.sock.getsockname() == door
        assert "Connection" not in second.headers
