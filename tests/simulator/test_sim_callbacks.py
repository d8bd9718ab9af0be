"""Notices of WeChat Pay: what is in them, when they come again, and how they go wrong."""

import json
from datetime import datetime
from itertools import pairwise

import pytest

from tests.sim_process import Simulator, wait_until
from tests.simulator.receiver import Receiver
from tests.simulator.wechat_client import WeChatClient, number


def paid(wechat: WeChatClient, receiver: Receiver, total: int = 100) -> str:
    return wechat.paid(total, notify_url=receiver.url)


def arrived(receiver: Receiver, count: int) -> None:
    wait_until(lambda: len(receiver.received) >= count)


def state(simulator: Simulator, of: str) -> str:
    return simulator.notices(of)[0]["state"]


def test_a_payment_is_told_encrypted_and_signed(
    simulator: Simulator, wechat: WeChatClient, receiver: Receiver
) -> None:
    out_trade_no = paid(wechat, receiver, 777)
    arrived(receiver, 1)

    notice = receiver.received[0]
    envelope = json.loads(notice.body)
    assert wechat.proves(notice.headers, notice.body)
    assert not wechat.proves(notice.headers, notice.body + b" ")
    assert envelope["event_type"] == "TRANSACTION.SUCCESS"
    assert envelope["id"].startswith("EV-")
    assert envelope["resource"]["original_type"] == "transaction"
    assert len(envelope["resource"]["nonce"]) == 12
    assert out_trade_no.encode() not in notice.body
    assert wechat.opened(notice.body) == wechat.query(out_trade_no).json()
    wait_until(lambda: state(simulator, out_trade_no) == "delivered")


@pytest.mark.parametrize("fault", ["", "abnormal", "closed"])
def test_a_refund_is_told_with_its_result(
    simulator: Simulator, wechat: WeChatClient, receiver: Receiver, fault: str
) -> None:
    out_trade_no, out_refund_no = wechat.paid(), number()
    if fault:
        simulator.fault("wxpay", "refund", fault)
    wechat.refund(out_trade_no, 30, out_refund_no=out_refund_no, notify_url=receiver.url)
    arrived(receiver, 1)

    expected = fault.upper() or "SUCCESS"
    assert json.loads(receiver.received[0].body)["event_type"] == f"REFUND.{expected}"
    told = wechat.opened(receiver.received[0].body)
    assert told["refund_status"] == expected
    assert "status" not in told
    assert told["out_refund_no"] == out_refund_no
    assert told["amount"] == {"total": 100, "refund": 30, "payer_total": 100, "payer_refund": 30}
    assert ("success_time" in told) == (expected == "SUCCESS")


def test_no_address_no_notice(simulator: Simulator, wechat: WeChatClient) -> None:
    out_refund_no = number()
    wechat.refund(wechat.paid(), 1, out_refund_no=out_refund_no)
    wait_until(lambda: wechat.query_refund(out_refund_no).json()["status"] == "SUCCESS")
    assert simulator.notices(out_refund_no) == []


def test_it_comes_again_until_200_or_204(
    simulator: Simulator, wechat: WeChatClient, receiver: Receiver
) -> None:
    receiver.statuses = [500, 302, 0, 200]
    out_trade_no = paid(wechat, receiver)
    arrived(receiver, 4)

    wait_until(lambda: state(simulator, out_trade_no) == "delivered")
    notice = simulator.notices(out_trade_no)[0]
    assert notice["answers"] == [500, 302, 0, 200]
    assert len({each.body for each in receiver.received}) == 1
    assert len({each.headers["Wechatpay-Nonce"] for each in receiver.received}) == 4
    # 15 s, 15 s, 30 s on a clock of 0.02
    times = [each.at for each in receiver.received]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert [gap > wait for gap, wait in zip(gaps, [0.25, 0.25, 0.55], strict=True)] == [True] * 3


def test_the_schedule_lasts_a_day() -> None:
    from simulator.wechat_callbacks import RETRIES

    minutes = [0.25, 0.25, 0.5, 3, 10, 20, 30, 30, 30, 60, 180, 180, 180, 360, 360]
    assert [each / 60 for each in RETRIES] == minutes
    assert sum(RETRIES) == 24 * 3600 + 4 * 60


def test_a_probe_must_fail_and_the_notice_comes_again_correctly(
    simulator: Simulator, wechat: WeChatClient, receiver: Receiver
) -> None:
    receiver.statuses = [401]
    simulator.fault("wxpay", "callback", "signature_probe")
    paid(wechat, receiver)
    arrived(receiver, 2)

    probe, right = receiver.received
    assert probe.headers["Wechatpay-Signature"].startswith("WECHATPAY/SIGNTEST/")
    assert probe.body == right.body
    assert not wechat.proves(probe.headers, probe.body)
    assert wechat.proves(right.headers, right.body)


def test_who_believes_a_wrong_signature_is_written_down(
    simulator: Simulator, wechat: WeChatClient, receiver: Receiver
) -> None:
    simulator.fault("wxpay", "callback", "bad_signature")
    out_trade_no = paid(wechat, receiver)
    wait_until(lambda: state(simulator, out_trade_no) == "delivered")

    assert not wechat.proves(receiver.received[0].headers, receiver.received[0].body)
    last = simulator.events("wxpay")[-1]
    assert last["outcome"] == "204 BELIEVED A WRONG SIGNATURE"


def test_duplicates(simulator: Simulator, wechat: WeChatClient, receiver: Receiver) -> None:
    simulator.fault("wxpay", "callback", "duplicate", copies=3)
    out_trade_no = paid(wechat, receiver)
    wait_until(lambda: state(simulator, out_trade_no) == "delivered")
    assert len(receiver.received) == 4
    assert len({json.loads(each.body)["id"] for each in receiver.received}) == 1


def test_dropped_for_ever_but_the_query_knows(
    simulator: Simulator, wechat: WeChatClient, receiver: Receiver
) -> None:
    simulator.fault("wxpay", "callback", "drop")
    out_trade_no = paid(wechat, receiver)
    assert state(simulator, out_trade_no) == "dropped"
    assert wechat.query(out_trade_no).json()["trade_state"] == "SUCCESS"
    paid(wechat, receiver)
    arrived(receiver, 1)
    assert [wechat.opened(each.body)["out_trade_no"] for each in receiver.received] != [
        out_trade_no
    ]


def test_late(simulator: Simulator, wechat: WeChatClient, receiver: Receiver) -> None:
    simulator.fault("wxpay", "callback", "late", seconds=0.5)
    late = paid(wechat, receiver)
    prompt = paid(wechat, receiver)
    arrived(receiver, 2)
    order = [wechat.opened(each.body)["out_trade_no"] for each in receiver.received]
    assert order == [prompt, late]
    assert receiver.received[1].at - receiver.received[0].at > 0.2


def test_out_of_order(simulator: Simulator, wechat: WeChatClient, receiver: Receiver) -> None:
    simulator.fault("wxpay", "callback", "out_of_order", seconds=30)
    out_trade_no, out_refund_no = paid(wechat, receiver), number()
    wechat.refund(out_trade_no, 10, out_refund_no=out_refund_no, notify_url=receiver.url)
    arrived(receiver, 2)
    kinds = [json.loads(each.body)["event_type"] for each in receiver.received]
    assert kinds == ["REFUND.SUCCESS", "TRANSACTION.SUCCESS"]


def test_replay(simulator: Simulator, wechat: WeChatClient, receiver: Receiver) -> None:
    out_trade_no = paid(wechat, receiver)
    wait_until(lambda: state(simulator, out_trade_no) == "delivered")

    assert simulator.replay(out_trade_no, 3) == [204, 204, 204]
    assert simulator.replay(out_trade_no, signature="signature_probe") == [204]
    assert simulator.replay(out_trade_no, age_seconds=86400) == [204]
    assert simulator.replay(out_trade_no, body="{}") == [204]

    *_, probe, stale, forged = receiver.received
    assert len(receiver.received) == 7
    assert not wechat.proves(probe.headers, probe.body)
    assert wechat.proves(stale.headers, stale.body)
    age = datetime.now().timestamp() - int(stale.headers["Wechatpay-Timestamp"])  # noqa: DTZ005
    assert age == pytest.approx(86400, abs=5)
    assert not wechat.proves(forged.headers, forged.body)


def test_each_hospital_has_its_own_keys(simulator: Simulator, receiver: Receiver) -> None:
    guizhou, chongqing = WeChatClient(simulator, "GZ01"), WeChatClient(simulator, "CQ01")
    paid(chongqing, receiver)
    arrived(receiver, 1)
    notice = receiver.received[0]
    assert chongqing.proves(notice.headers, notice.body)
    assert notice.headers["Wechatpay-Serial"] != guizhou.settings["public_key_id"]
