"""kill -9: whatever was answered is still true, whatever was to be told is told."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim_process import HOSPITALS, ROOT, Simulator, running, wait_until
from tests.simulator.receiver import Receiver
from tests.simulator.wechat_client import WeChatClient, number, says


@pytest.fixture(scope="module")
def mortal() -> Iterator[Simulator]:
    with running(hospitals=HOSPITALS[:1]) as simulator:
        yield simulator


def test_everything_answered_survives(mortal: Simulator) -> None:
    wechat = WeChatClient(mortal)
    mortal.settings(refund_seconds=0.5)
    unpaid, paid, out_refund_no = number(), wechat.paid(500), number()
    prepay_id = wechat.jsapi(unpaid).json()["prepay_id"]
    wechat.refund(paid, 200, 500, out_refund_no)
    mortal.subscribe("o-1", "tmpl-daily-bill")
    mortal.settings(refund_gap_seconds=7)
    mortal.shift(3600)
    before = mortal.books()["wxpay"][unpaid]

    mortal.kill()
    mortal.start()

    assert mortal.get("/_sim/clock")["shift_seconds"] == 3600
    assert mortal.post("/_sim/settings", {})["refund_gap_seconds"] == 7
    assert mortal.books()["wxpay"][unpaid] == before
    assert mortal.pay(prepay_id=prepay_id, openid="o-payer").status_code == 200
    wait_until(lambda: wechat.query_refund(out_refund_no).json()["status"] == "SUCCESS")
    assert mortal.books()["wxpay"][paid]["refunded_fen"] == 200
    assert says(wechat.refund(paid, 201, 500, out_refund_no)) == (400, "INVALID_REQUEST")


def test_notices_that_were_not_delivered_come_after_the_restart(mortal: Simulator) -> None:
    wechat = WeChatClient(mortal)
    with Receiver(statuses=[500]) as receiver:
        out_trade_no = wechat.paid(notify_url=receiver.url)
        wait_until(lambda: mortal.notices(out_trade_no)[0]["answers"] == [500])
        mortal.kill()
        mortal.start()
        wait_until(lambda: mortal.notices(out_trade_no)[0]["state"] == "delivered")
        assert mortal.notices(out_trade_no)[0]["answers"] == [500, 204]


def test_given_up_after_fifteen_repetitions(tmp_path: Path) -> None:
    hurried = running(hospitals=HOSPITALS[1:], callback_scale=1e-6, sms_templates=tmp_path / "no")
    with hurried as simulator, Receiver(statuses=[500] * 40) as receiver:
        assert simulator.connections("CQ01")["sms"]["templates"] == {}
        out_trade_no = WeChatClient(simulator, "CQ01").paid(notify_url=receiver.url)
        wait_until(lambda: simulator.notices(out_trade_no)[0]["state"] == "given up")
        assert simulator.notices(out_trade_no)[0]["answers"] == [500] * 16
        assert len(receiver.received) == 16
        assert simulator.replay(out_trade_no) == [500]


def test_init_again_keeps_the_keys_and_adds_a_hospital(mortal: Simulator) -> None:
    before = mortal.connections("GZ01")
    command = [sys.executable, "-m", "simulator", "init", "--dir", str(mortal.directory)]
    more = ["--port", "18080", "--hospital", "GZ02:贵州第二示范医院:csb-guizhou"]
    subprocess.run([*command, *more], cwd=ROOT, check=True)

    after = mortal.connections("GZ01")
    assert after["wechat_pay"] == {**before["wechat_pay"], "base_url": "http://127.0.0.1:18080"}
    assert mortal.connections("GZ02")["sms"]["sign_name"] == "贵州第二示范医院"
