"""What the clients asked for and what they were told: the third pair of books."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Fen = int


@dataclass
class Intent:
    """Somebody wants to pay once. ``order``: the last answer; ``refused``: the code of a plain no.

    Cash and cards: the money changes hands when the answer says PAID. Other routes: the channel's
    books say whether it did. ``by``: whose wish it is; the same key of another is another wish.
    """

    key: str
    stay: str
    purpose: str
    route: str
    amount_fen: Fen
    order: dict[str, Any] | None = None
    refused: str = ""
    by: Any = None

    @property
    def open(self) -> bool:
        """Whether nobody has given a definite answer yet."""
        return self.order is None and not self.refused


@dataclass
class Line:
    """One charge line (or reversal, negative) that the HIS was told is on the bill."""

    stay: str
    day: str
    amount_fen: Fen
    quantity: int


@dataclass
class Notebook:
    """All of it, written by many threads."""

    intents: dict[str, Intent] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    refunds: dict[str, Fen] = field(default_factory=dict)
    """refund id -> what was asked for and acknowledged."""
    asked_back: set[str] = field(default_factory=set)
    """Those that a person asked for during the stay."""
    handed_over: dict[str, tuple[str, str, Fen]] = field(default_factory=dict)
    """leg id -> (stay, route, fen) that the window was told is booked."""
    settlements: dict[str, dict[str, Any]] = field(default_factory=dict)
    """settlement id -> the last view of it."""
    receipts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """number -> the facts that were read."""
    stays: dict[str, str] = field(default_factory=dict)
    """admission id -> inpatient number."""
    home: set[str] = field(default_factory=set)
    """Stays that the play took home: each must have come to its end. The others were left in the
    house on purpose."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def lines_now(self) -> list[tuple[str, Line]]:
        """All lines by their number, as a copy: other threads go on writing."""
        return list(self.lines.items())

    def paid_by_hand(self) -> Counter[tuple[str, str, Fen]]:
        """(stay, channel, fen) of all cash and card money whose taking was acknowledged."""
        return Counter(
            (intent.stay, intent.route, intent.amount_fen)
            for intent in self.intents.values()
            if intent.route in ("CASH", "CARD") and intent.order
        )
