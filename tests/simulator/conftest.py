"""One simulator for these tests, talked to by tiny clients that share no code with anybody."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim_process import Simulator, running
from tests.simulator.receiver import Receiver
from tests.simulator.wechat_client import WeChatClient

TEXTS = """
PAID: {text: "{1}您好，已收到预交金{2}元。"}
PLAIN: {text: "您的出院结算已办好。"}
"""


@pytest.fixture(scope="session")
def shared_simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    texts: Path = tmp_path_factory.mktemp("texts") / "sms.yaml"
    texts.write_text(TEXTS, "utf8")
    with running(sms_templates=texts) as simulator, Receiver() as listener:
        WeChatClient.notify_url = listener.url  # so that no notice is left to be repeated
        yield simulator


@pytest.fixture
def simulator(shared_simulator: Simulator) -> Simulator:
    """No planned faults, default settings, the real time."""
    shared_simulator.reset()
    return shared_simulator


@pytest.fixture
def wechat(simulator: Simulator) -> WeChatClient:
    return WeChatClient(simulator)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver
