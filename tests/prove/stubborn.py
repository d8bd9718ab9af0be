"""Clients as the real ones must be: after a lost answer they say the same again, with the same key,
until somebody answers; and once in a while they press twice.
"""

import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from typing import Any

import requests

from simulator.clients import Answer, Client

PATIENCE_S = 240.0
PAUSE_S = (0.05, 0.1, 0.3, 0.5, 1.0)
AGAIN = frozenset({429, 500, 502, 503, 504})
"""Not an answer to the question: ask again. A 500 is noted besides, because none may happen."""
PROMISED = ("id", "order_id", "refund_id", "admission_id", "route", "amount_fen", "total_fen")
"""What two good answers to the same wish must say alike. Where a thing stands (``state``,
``due_fen``, papers, what to pay with) and whether a line is new or known may change meanwhile."""
OFFERS = "/v1/patient/consents"
"""An invitation has no key: pressed twice, it is two of them."""
BEING_UNDONE = ("UNDOING", "UNDONE")
"""When one finger alone is shown a settlement that the queue is taking back, it was just too early:
for the other it was gone, and the trial is a new one."""
A_NUMBER = re.compile(r"(?<=/)[^/]*\d[^/]*(?=/|$)(?<!v1)")


@dataclass
class Counts:
    """What all clients met together; ``wrongs`` are things that no client may ever see."""

    acts: int = 0
    requests: int = 0
    no_answer: int = 0
    pressed_twice: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    kinds: dict[str, list[int]] = field(default_factory=dict)
    """What was asked for, and in which act -> how often, and how often with success."""
    wrongs: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def met(self, status: int | None, code: str = "", *, begun: float = 0.0) -> None:
        """One request came to this; ``begun``: when it was sent, on the monotonic clock."""
        with self.lock:
            self.requests += 1
            self.no_answer += status is None
            self.statuses[f"{status} {code}".strip()] += 1

    def granted(self, act: str, method: str, path: str, *, yes: bool) -> None:
        """A wish of this act came to a definite answer."""
        with self.lock:
            for kind in (act, f"{method} {A_NUMBER.sub('…', path)}"):
                seen = self.kinds.setdefault(kind, [0, 0])
                seen[0] += 1
                seen[1] += yes

    def wrong(self, what: str) -> None:
        """Somebody saw what must not be."""
        with self.lock:
            self.wrongs.append(what)


class GaveUp(Exception):
    """Nobody answered while patience lasted."""


@dataclass
class Stubborn:
    """One person at one client. ``log_in`` gets new tokens; it is called when the old are over."""

    client: Client
    log_in: Callable[[], None]
    counts: Counts
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(
        self, method: str, path: str, body: Any = None, *, chance: Random, **more: Any
    ) -> Answer:
        """The first definite answer; the same request goes out again until it comes. With a small
        chance it goes out twice at once, and both answers must be the same in what they promise."""
        if method == "GET" or chance.random() > 0.08:
            return self._until_answered(method, path, body, more)
        self.counts.pressed_twice += 1
        with ThreadPoolExecutor(2) as fingers:
            both = [
                fingers.submit(self._until_answered, method, path, body, more) for _ in range(2)
            ]
            answers = [each.result() for each in both]
        if path != OFFERS and (other := differing(*answers)):
            self.counts.wrong(f"pressed twice, {method} {A_NUMBER.sub('…', path)} said {other}")
        # One finger may have been too late and find the matter closed: the one that was heard wins.
        return min(answers, key=lambda answer: answer.status)

    def once(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        """One try; another only when the tokens were over."""
        token = self.client.access_token
        answer = self.client.try_(method, path, body, **more)
        if answer.status == 401:
            self._again(token)
            answer = self.client.try_(method, path, body, **more)
        return answer

    def _until_answered(self, method: str, path: str, body: Any, more: dict[str, Any]) -> Answer:
        until, tries = time.monotonic() + PATIENCE_S, 0
        while time.monotonic() < until:
            token, begun = self.client.access_token, time.monotonic()
            try:
                answer = self.client.try_(method, path, body, **more)
            except requests.RequestException:
                self.counts.met(None, begun=begun)
            else:
                self.counts.met(answer.status, answer.code, begun=begun)
                if answer.status == 503 and "retry-after" not in answer.headers:
                    self.counts.wrong(f"503 {answer.code} does not say when to come back")
                if answer.status == 500:
                    number = answer.headers.get("x-request-id", "?")
                    self.counts.wrong(
                        f"500 to {method} {path.rsplit('/', maxsplit=1)[-1]}, request {number}"
                    )
                if answer.status == 401:
                    self._again(token)
                elif answer.status not in AGAIN:
                    return answer
            time.sleep(PAUSE_S[min(tries, len(PAUSE_S) - 1)])
            tries += 1
        raise GaveUp(f"{method} {path}")

    def _again(self, old_token: str) -> None:
        """New tokens, unless another thread of the same person has got them meanwhile."""
        with self.lock:
            if self.client.access_token == old_token:
                self.log_in()


def differing(one: Answer, other: Answer) -> dict[str, tuple[Any, Any]]:
    """What two good answers to the same wish promise differently."""
    if max(one.status, other.status) >= 300:
        return {}
    both = [each.body if isinstance(each.body, dict) else {} for each in (one, other)]
    if sum(each.get("state") in BEING_UNDONE for each in both) == 1:
        return {}
    told = {name: (both[0].get(name), both[1].get(name)) for name in PROMISED}
    return {name: said for name, said in told.items() if said[0] != said[1]}
