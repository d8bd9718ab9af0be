"""WeChat Pay's limits on refunds, counted in real time and told to the tests."""

from threading import Event, RLock, Thread
from types import SimpleNamespace

from simulator.wechat_limits import Limits
from tests.sim_process import Simulator
from tests.simulator.wechat_client import WeChatClient, number

DAY = 24 * 3600


def seen(wechat: WeChatClient) -> dict[str, int]:
    return wechat.simulator.get("/_sim/wxpay/limits")[wechat.mchid]


def statuses(wechat: WeChatClient, times: int, order: str) -> list[int]:
    return [wechat.refund(order, 1).status_code for _ in range(times)]


def test_too_many_calls_in_a_second(wechat: WeChatClient, simulator: Simulator):
    paid = wechat.paid()
    simulator.settings(refund_gap_seconds=0, refunds_per_second=3, failing_refunds_per_second=99)
    assert statuses(wechat, 5, paid) == [200, 200, 200, 429, 429]
    assert seen(wechat)["calls"] == 5
    assert seen(wechat)["over"] == 2


def test_too_many_that_fail(wechat: WeChatClient, simulator: Simulator):
    simulator.settings(failing_refunds_per_second=2)
    assert statuses(wechat, 4, number()) == [404, 404, 429, 429]
    assert seen(wechat)["failures"] == 4


def test_orders_of_more_than_a_month_go_slowly(wechat: WeChatClient, simulator: Simulator):
    old = wechat.paid()
    simulator.settings(refund_gap_seconds=0, old_refunds_per_minute=2)
    simulator.shift(31 * DAY)
    assert statuses(wechat, 3, old) == [200, 200, 429]
    assert seen(wechat)["old"] == 3
    assert statuses(wechat, 1, wechat.paid()) == [200]


def test_two_who_count_never_wait_for_each_other_for_ever():
    """One asks with the store's lock in hand, as a refund about an old order does."""
    store, asking = RLock(), Event()

    def setting(_name):
        asking.set()
        with store:
            return 5

    limits = Limits(SimpleNamespace(setting=setting))
    other = Thread(target=lambda: limits.count("m", "calls"), daemon=True)

    def old_order():
        with store:
            other.start()
            asking.wait()
            limits.count("m", "old")

    mine = Thread(target=old_order, daemon=True)
    mine.start()
    mine.join(10)
    assert not mine.is_alive()
    other.join(10)
    assert limits.told() == {"m": {"calls": 1, "old": 1, "failures": 0, "over": 0}}
