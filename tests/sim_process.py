"""The simulator as a real process on a free port, for every test that needs the outside world."""

import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import requests

ROOT = Path(__file__).resolve().parent.parent
HOSPITALS = ("GZ01:贵州示范医院:csb-guizhou", "CQ01:重庆示范医院:tif-chongqing")
PATIENCE = 30.0  # seconds
T = TypeVar("T")


@contextmanager
def running(
    *,
    hospitals: tuple[str, ...] = HOSPITALS,
    sms_templates: Path | None = None,
    callback_scale: float = 0.02,
) -> Iterator["Simulator"]:
    """A simulator with fresh keys in a directory of its own, stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="simulator-") as directory:
        simulator = Simulator(Path(directory), hospitals, sms_templates, callback_scale)
        simulator.start()
        try:
            yield simulator
        finally:
            simulator.stop()


class Simulator:
    """One simulator process and its strings; ``url`` is its address."""

    def __init__(
        self,
        directory: Path,
        hospitals: tuple[str, ...] = HOSPITALS,
        sms_templates: Path | None = None,
        callback_scale: float = 0.02,
    ) -> None:
        self.directory, self.port = directory, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.connections_file = directory / "connections.json"
        self.shifted = 0.0
        self._scale = callback_scale
        self._process: subprocess.Popen[bytes] | None = None
        self._session = requests.Session()
        self._session.trust_env = False
        named = [part for each in hospitals for part in ("--hospital", each)]
        texts = ["--sms-templates", str(sms_templates)] if sms_templates else []
        subprocess.run([*self._command("init"), *named, *texts], cwd=ROOT, check=True)

    # the process

    def start(self) -> None:
        """Start it and wait until it answers; what it remembers is still there."""
        with (self.directory / "simulator.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command("serve"), "--callback-scale", str(self._scale)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        wait_until(self._answers)

    def kill(self) -> None:
        """kill -9."""
        assert self._process
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End the process and reap it."""
        assert self._process
        self._process.terminate()
        self._process.wait()
        self._session.close()

    def connections(self, code: str) -> dict[str, Any]:
        """What the application is told of one hospital's counterparts."""
        return json.loads(self.connections_file.read_text("utf8"))[code]

    # the strings

    def fault(self, wire: str, operation: str, fault: str, times: int = 1, **options: Any) -> None:
        """Plan a fault for the next ``times`` calls of the operation ("*": any)."""
        plan = {"wire": wire, "operation": operation, "fault": fault, "times": times}
        self.post("/_sim/faults", {**plan, "options": options})

    def shift(self, seconds: float) -> None:
        """Set (not add) how far the world's clock is ahead of real time."""
        self.post("/_sim/clock", {"shift_seconds": seconds})
        self.shifted = seconds

    def now(self) -> datetime:
        """The world's time."""
        return datetime.now(UTC) + timedelta(seconds=self.shifted)

    def settings(self, **changed: Any) -> None:
        """Change settings of simulator/world.py DEFAULTS, for example ``app_url``."""
        self.post("/_sim/settings", changed)

    def reset(self) -> None:
        """No planned faults, default settings, the real time, no notice or receipt still to come;
        what happened stays."""
        for path in ("/_sim/faults", "/_sim/settings", "/_sim/under-way"):
            self._session.delete(self.url + path).raise_for_status()
        self.shift(0)

    def events(self, wire: str = "") -> list[dict[str, str]]:
        """The diary, oldest first."""
        return self.get(f"/_sim/events?wire={wire}" if wire else "/_sim/events")

    def books(self) -> dict[str, Any]:
        """Money by wire; ``books()["wxpay"][out_trade_no]["refunded_fen"]``."""
        return self.get("/_sim/books")

    # people

    def pay(self, **shown: Any) -> requests.Response:
        """A payer pays: ``out_trade_no``, ``prepay_id``, ``code_url`` or a paySign; ``openid``."""
        return self._session.post(f"{self.url}/_sim/wxpay/pay", json=shown, timeout=PATIENCE)

    def payment_code(self, openid: str, behaviour: str = "pays_at_once", **more: Any) -> str:
        """The 18 digits on a payer's phone; see simulator/wechat_payers.py BEHAVIOURS."""
        asked = {"openid": openid, "behaviour": behaviour, **more}
        return self.post("/_sim/wxpay/payment-codes", asked)["auth_code"]

    def login_code(self, openid: str) -> str:
        """The js_code of wx.login for code2session."""
        return self.post("/_sim/mini-program/codes", {"openid": openid})["js_code"]

    def phone_code(self, phone: str) -> str:
        """The code of the phone button."""
        return self.post("/_sim/mini-program/phone-codes", {"phone": phone})["code"]

    def subscribe(self, openid: str, template_id: str, count: int = 1, **more: Any) -> None:
        """The person accepts so many messages of a template (``long_term=True``: all)."""
        asked = {"openid": openid, "template_id": template_id, "count": count, **more}
        self.post("/_sim/mini-program/subscriptions", asked)

    def outbox(self, phone: str = "") -> list[dict[str, str]]:
        """Every SMS that arrived, or those of one number (+86…)."""
        return [each for each in self.get("/_sim/sms/outbox") if phone in ("", each["phone"])]

    def wechat_messages(self, openid: str = "") -> list[dict[str, Any]]:
        """Every subscription message that arrived."""
        sent = self.get("/_sim/mini-program/messages")
        return [each for each in sent if openid in ("", each["openid"])]

    # notices of WeChat Pay

    def notices(self, number: str = "") -> list[dict[str, Any]]:
        """Every notice with its state and answers; ``number``: those of one order or refund."""
        known = self.get("/_sim/wxpay/callbacks")
        return [each for each in known if number in ("", each["number"])]

    def replay(self, number: str, times: int = 1, **how: Any) -> list[int]:
        """Send a notice again; ``signature``, ``age_seconds``, ``body`` spoil it."""
        asked = {"number": number, "times": times, **how}
        return self.post("/_sim/wxpay/callbacks/replay", asked)["answers"]

    # plain HTTP

    def get(self, path: str) -> Any:
        """The JSON at a path."""
        answer = self._session.get(self.url + path, timeout=PATIENCE)
        answer.raise_for_status()
        return answer.json()

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The JSON answered to a body."""
        answer = self._session.post(self.url + path, json=body, timeout=PATIENCE)
        answer.raise_for_status()
        return answer.json()

    def _command(self, command: str) -> list[str]:
        place = ["--dir", str(self.directory), "--port", str(self.port)]
        return [sys.executable, "-m", "simulator", command, *place]

    def _answers(self) -> bool:
        assert self._process and self._process.poll() is None, (
            self.directory / "simulator.log"
        ).read_text()
        try:
            return self._session.get(f"{self.url}/_sim/health", timeout=PATIENCE).ok
        except requests.ConnectionError:
            return False


def free_port() -> int:
    """A port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(ask: Callable[[], T], *, seconds: float = PATIENCE) -> T:
    """The first true answer of ``ask``; an AssertionError when there is none in time."""
    until = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)
    return answer
