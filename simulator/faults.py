"""Faults planned for coming calls: which wire, which operation, what goes wrong, how many times."""

import threading
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

GUARDED = ("refuse", "before", "after", "error500_before", "error500_after", "delay")


@dataclass
class Fault:
    """One planned fault; ``operation`` "*" means any operation of the wire."""

    wire: str
    operation: str
    name: str
    times: int
    options: dict[str, Any] = field(default_factory=dict)


class Faults:
    """The plan, in memory: a restarted simulator is a healthy one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plan: list[Fault] = []

    def plan(self, fault: Fault) -> None:
        """Let the fault happen to the next ``times`` calls that fit."""
        with self._lock:
            self._plan.append(fault)

    def take(self, wire: str, operation: str, names: Collection[str]) -> Fault | None:
        """Use up one time of the first planned fault that fits, or None."""
        with self._lock:
            for fault in self._plan:
                if fault.wire == wire and fault.operation in (operation, "*"):
                    if fault.name not in names:
                        continue
                    fault.times -= 1
                    if fault.times <= 0:
                        self._plan.remove(fault)
                    return fault
        return None

    def planned(self) -> list[Fault]:
        """What is still to come."""
        with self._lock:
            return list(self._plan)

    def clear(self) -> None:
        """Forget every planned fault."""
        with self._lock:
            self._plan.clear()
