"""A lone WeChat Pay, and one simulator process with a clock that it shares."""

from collections.abc import Iterator

import pytest

from payments.channels.wechat import WeChatPay
from tests.payments import wechat_keys
from tests.payments.wechat_calls import NOW
from tests.peer import Peer
from tests.sim_process import Simulator, running


@pytest.fixture(scope="session")
def lone() -> Iterator[tuple[Peer, WeChatPay]]:
    """A peer with its own keys and an adapter that talks to it; made once, reading keys is slow."""
    with Peer().running() as peer:
        yield peer, WeChatPay(wechat_keys.settings(peer.url), lambda: NOW)


@pytest.fixture
def peer(lone: tuple[Peer, WeChatPay]) -> Peer:
    lone[0].asked.clear()
    return lone[0]


@pytest.fixture
def pay(lone: tuple[Peer, WeChatPay]) -> WeChatPay:
    return lone[1]


@pytest.fixture(scope="session")
def shared_simulator() -> Iterator[Simulator]:
    with running() as simulator:
        yield simulator


@pytest.fixture
def simulator(shared_simulator: Simulator) -> Simulator:
    """No planned faults, default settings, the real time."""
    shared_simulator.reset()
    return shared_simulator


@pytest.fixture
def now(simulator: Simulator):
    """The simulator's time; ``simulator.shift`` moves both."""
    return simulator.now
