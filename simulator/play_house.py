"""The house that a play is played in: its people, its clock, the world outside, and the eye that
checks every step.
"""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import requests
from rich.console import Console
from rich.panel import Panel

from simulator.clients import HisClient, OverNetwork, PhoneClient, StaffClient

SHANGHAI = ZoneInfo("Asia/Shanghai")
PATIENCE_S = 60
NEW_PASSWORD = "Xianzhen-demo-2026"  # noqa: S105 - of a hospital that is invented

say = Console(highlight=False, width=100)


class Wrong(AssertionError):
    """A step or a balance was not what it has to be."""


def check(what: str, found: Any, expected: Any) -> None:
    """Stop the play unless it is so."""
    if found != expected:
        raise Wrong(f"{what}: {found!r}, expected {expected!r}")


def until(what: str, happened: Callable[[], bool], *, patience_s: int = PATIENCE_S) -> None:
    """Wait for something that others do; Wrong when patience is over."""
    deadline = time.monotonic() + patience_s
    while not happened():
        if time.monotonic() > deadline:
            raise Wrong(f"{what}: not within {patience_s} s")
        time.sleep(0.3)


def yuan(fen: int) -> str:
    """Fen for the eye."""
    return f"{'-' if fen < 0 else ''}¥{abs(fen) // 100:,}.{abs(fen) % 100:02d}"


def sees(who: str, what: str) -> None:
    """Show what somebody has before their eyes."""
    say.print(Panel(what, title=who, title_align="left", padding=(0, 1)))


class House:
    """The hospital of a scene, and finance's two people, who work in every act."""

    maker: StaffClient
    checker: StaffClient

    def __init__(self, scene: dict[str, Any]) -> None:
        self.scene, self.code = scene, scene["hospital"]
        self.serial = int(self.code.removeprefix("DEMO"))
        self._outside = requests.Session()
        self._outside.trust_env = False
        shift = timedelta(seconds=self.world("GET", "/_sim/clock")["shift_seconds"])
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC) + shift
        self.today: date = self.now().astimezone(SHANGHAI).date()
        self._wire = OverNetwork(scene["url"])
        self._wire.session.trust_env = False
        self._begin()

    def _begin(self) -> None:
        """The administrator comes in with the one-time code and password, and sets a password."""
        first = self.scene["administrator"]
        self.admin = StaffClient(self._wire, self.code, now=self.now)
        self.admin.enrol(first["enrolment_code"])
        self.admin.log_in(first["staff_no"], first["password"], NEW_PASSWORD)
        self.admin.log_in(first["staff_no"], NEW_PASSWORD)

    def his(self) -> HisClient:
        """The hospital information system."""
        return HisClient(self._wire, self.code, now=self.now, **self.scene["his"])

    def hire(self, no: str, name: str, role: str, **device: str) -> StaffClient:
        """Somebody new, logged in on an own device with an own key: a desk if nothing else."""
        wards = [device["ward"]] if "ward" in device else []
        new = {"staff_no": no, "name": name, "roles": [role], "wards": wards}
        password = self.admin.post("/v1/staff", new)["first_password"]
        device = {"name": f"{name}的设备", "kind": "DESK"} | device
        code = self.admin.post("/v1/devices/enrolments", device)["code"]
        person = StaffClient(self._wire, self.code, now=self.now)
        person.enrol(code)
        person.log_in(no, password, NEW_PASSWORD)
        person.log_in(no, NEW_PASSWORD)
        return person

    def phone(self, openid: str, name: str, id_no: str) -> PhoneClient:
        """Somebody's phone: logged in over WeChat, then proven to be this patient's."""
        asked = {"openid": openid}
        js_code = self.world("POST", "/_sim/mini-program/codes", asked)["js_code"]
        phone = PhoneClient(self._wire, self.code, now=self.now)
        phone.log_in(js_code)
        phone.bind(name, id_no)
        return phone

    def world(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the simulated world outside."""
        url = self.scene["simulator_url"] + path
        answer = self._outside.request(method, url, json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def sms(self, phone: str) -> list[str]:
        """The texts on somebody's phone, the oldest first."""
        box = self.world("GET", f"/_sim/sms/outbox?phone=%2B86{phone}")
        return [each["text"] for each in box if each["hospital"] == self.code]

    def balances(self) -> dict[str, int]:
        """The ledger by kind of account, debit positive."""
        rows = self.maker.get("/v1/ledger/balances")
        return {row["kind"]: row["balance_fen"] for row in rows}

    def kept_at_wechat(self) -> int:
        """What WeChat Pay says that it holds for this hospital."""
        books = self.world("GET", "/_sim/books")["wxpay"].values()
        ours = [row for row in books if row["hospital"] == self.code]
        return sum(row["paid_fen"] - row["refunded_fen"] for row in ours)
