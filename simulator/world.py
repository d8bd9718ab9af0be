"""The simulated world outside the hospital: its clock, memory, planned faults, keys and diary."""

import json
import socket
import threading
import time
import traceback
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Response, jsonify, request

from .faults import GUARDED, Fault, Faults
from .store import Store

PULSE = 0.02  # real seconds between two looks at what is due
DEFAULTS: dict[str, Any] = {
    "app_url": "",  # where SMS receipts go; serve --app-url gives the first value
    "refund_seconds": 0.0,  # real seconds from the acceptance of a refund to its result
    "refund_gap_seconds": 60.0,  # world seconds between two refunds of one order
    "refunds_per_second": 150,
    "old_refunds_per_minute": 5_000,  # of orders paid more than a month ago
    "failing_refunds_per_second": 6,
    "password_seconds": 0.2,  # world seconds that a payer needs to type the password
    "sms_limits": True,  # the same words to one number: once in 30 seconds, ten times a day
    "sms_variable_length": 20,  # the real figure stands in the console of each application
    "sms_receipt_seconds": 0.0,  # real seconds from sending to the carrier's receipt
}


class World:
    """Everything the wires share. ``hospitals``: code -> what world.json holds of it."""

    def __init__(self, directory: Path, *, callback_scale: float = 0.02, app_url: str = "") -> None:
        known = json.loads((directory / "world.json").read_text("utf8"))
        self.root_url: str = known["root_url"]
        self.hospitals: dict[str, dict[str, Any]] = known["hospitals"]
        self.store = Store(directory / "world.sqlite")
        self.faults = Faults()
        self.callback_scale = callback_scale
        self._app_url = app_url
        # Each wire adds what it knows of money: a callable that returns {wire: {number: {...fen}}}.
        self.books: list[Callable[[], dict[str, Any]]] = []
        # Each wire may add work that is due by itself: called every PULSE seconds, must not wait.
        self.ticks: list[Callable[[], None]] = []
        # Each wire that sends by itself adds how to forget what it has not sent yet.
        self.forgetters: list[Callable[[], None]] = []
        # Each adds the kind of document that stands in the store for what is still to come.
        self.coming: list[str] = []
        self._shift = timedelta(seconds=self._clock()["shift_seconds"])
        self._shared: dict[str, Any] = {}

    def now(self) -> datetime:
        """The world's time in UTC: real time plus the shift."""
        return datetime.now(UTC) + self._shift

    def live(self, stop: threading.Event) -> None:
        """Call every tick again and again until told to stop; a failed one is tried again."""
        while not stop.wait(PULSE):
            for tick in self.ticks:
                try:
                    tick()
                except Exception:
                    traceback.print_exc()

    def shift(self, seconds: float) -> None:
        """Set (not add) how far the world's clock is ahead of real time."""
        self.store.put("clock", "clock", {"shift_seconds": seconds})
        self._shift = timedelta(seconds=seconds)

    @property
    def shift_seconds(self) -> float:
        """How far the world's clock is ahead of real time."""
        return self._shift.total_seconds()

    def setting(self, name: str) -> Any:
        """A setting of DEFAULTS, as last set over /_sim/settings."""
        changed = self.store.get("settings", "settings") or {}
        return {**DEFAULTS, "app_url": self._app_url, **changed}[name]

    def shared(self, name: str, make: Callable[[], Any]) -> Any:
        """One object for several blueprints, made by whoever needs it first."""
        if name not in self._shared:
            self._shared[name] = make()
        return self._shared[name]

    def find(self, wire: str, field: str, value: str) -> tuple[str, dict[str, Any]] | None:
        """The (hospital code, what this wire holds of it) whose ``field`` has this value."""
        for code, hospital in self.hospitals.items():
            if hospital[wire].get(field) == value:
                return code, hospital[wire]
        return None

    def log(self, wire: str, operation: str, summary: str, outcome: str) -> None:
        """Write a line of the diary that the page and /_sim/events show."""
        self.store.put(
            "event",
            uuid.uuid4().hex,
            {
                "at": self.now().isoformat(),
                "wire": wire,
                "operation": operation,
                "summary": summary,
                "outcome": outcome,
            },
        )

    def _clock(self) -> dict[str, Any]:
        return self.store.get("clock", "clock") or {"shift_seconds": 0}


def guarded(
    world: World,
    wire: str,
    operation: str,
    act: Callable[[], Response],
    refuse: Callable[[Fault], Response] | None = None,
    broken: Callable[[], Response] | None = None,
) -> Response:
    """Answer with ``act()``, or as the fault planned for this operation says.

    ``refuse`` renders a refusal in the wire's own words, ``broken`` its internal error (HTTP 500).
    """
    fault = world.faults.take(wire, operation, GUARDED)
    if fault is None:
        return act()
    world.log(wire, operation, "planned fault", fault.name)
    if fault.name == "before":
        return hang_up()
    if fault.name == "refuse":
        return refuse(fault) if refuse else plain_error(403, "REFUSED")
    if fault.name == "delay":
        time.sleep(float(fault.options.get("seconds", 1)))
        return act()
    if fault.name in ("after", "error500_after"):
        act()
    if fault.name == "after":
        return hang_up()
    return broken() if broken else plain_error(500, "SYSTEM_ERROR")


def hang_up() -> Response:
    """Cut the connection under the caller: whatever is returned here never reaches anybody."""
    connection: socket.socket = request.environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    return Response(status=500, headers={"Connection": "close"})


def plain_error(status: int, code: str) -> Response:
    """A JSON error in nobody's dialect."""
    answer = jsonify(code=code)
    answer.status_code = status
    return answer
