"""The old cards of the second act: a made-up dump of 2,000 accounts in which three people are known
to us, and what WeChat Pay remembers of it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from simulator.old_cards import Card, cards, id_number
from simulator.play_house import SHANGHAI

ACCOUNTS = 2_000
PEOPLE = 10_000
"""So many serial numbers belong to each hospital: nobody is at two of them."""
FIRST_TURNOVER = date(2025, 12, 31)
"""The first 31 December for which the rule pack knows a turnover."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who asks for their money, and the cards it lies on."""

    name: str
    id_no: str
    phone: str
    cards: tuple[Card, ...]

    @property
    def held_fen(self) -> int:
        """All of it."""
        return sum(card.balance_fen for card in self.cards)


@dataclass(frozen=True, slots=True)
class OldSystem:
    """Everything that the old card system knows; ``late`` comes when the treasury has the money."""

    wechat_only: Person
    mixed: Person
    late: Person
    others: tuple[Card, ...]

    @property
    def cards(self) -> tuple[Card, ...]:
        """Every card."""
        return (*self.wechat_only.cards, *self.mixed.cards, *self.late.cards, *self.others)


def as_of(today: date) -> date:
    """The last 31 December, or the first one that the law names."""
    return max(date(today.year - 1, 12, 31), FIRST_TURNOVER)


def an_old_system(serial: int, today: date) -> OldSystem:
    """The cards of one hospital as they stood last evening."""
    first = serial * PEOPLE
    evening = datetime.combine(today - timedelta(days=1), time(18))
    before = {days: evening - timedelta(days=days) for days in (20, 40, 100, 500, 900)}
    long_ago = datetime(as_of(today).year - 4, 6, 1, 10)  # noqa: DTZ001  (wall clock)
    who = iter(range(first, first + 4))

    first_card = a_card(next(who), "陈桂英", [(10_000, before[100], "微信")])
    first_card.spends.append((3_740, before[40], "西药费"))
    second_card = a_card(next(who), "陈桂英", [(5_000, before[20], "微信")])
    second_card.holder = first_card.holder
    paid = [
        (12_000, before[900], "现金"),
        (8_050, before[500], "微信"),
        (6_000, before[40], "微信"),
    ]
    mixed = a_card(next(who), "李秀兰", paid)
    late = a_card(next(who), "王建国", [(8_880, long_ago, "现金")])
    several = cards(ACCOUNTS - 4, serial, first=first + 4, last_day=evening)
    return OldSystem(
        a_person(first_card, second_card), a_person(mixed), a_person(late), tuple(several)
    )


def a_card(serial: int, name: str, paid: list[tuple[int, datetime, str]]) -> Card:
    """One card with these top-ups."""
    born = date(1949, 3, 8)
    holder = [name, id_number(serial, born), f"199{serial:08d}", f"{born}", "女"]
    card = Card(f"K{serial:010d}", holder, paid[0][1] - timedelta(days=1))
    for turn, (fen, at, channel) in enumerate(paid):
        transaction = f"42{serial:012d}{turn}" if channel == "微信" else ""
        card.top_ups.append((f"T{serial:09d}{turn}", fen, at, channel, transaction))
    return card


def a_person(*theirs: Card) -> Person:
    """The holder of these cards."""
    name, id_no, phone, *_ = theirs[0].holder
    return Person(name, id_no, phone, theirs)


def wechat_payments(told: Iterable[Card]) -> Iterator[dict[str, Any]]:
    """The payments of these cards that went through WeChat Pay, with what went back of each."""
    for card in told:
        for number, fen, at, channel, transaction in card.top_ups:
            if channel == "微信":
                back = [
                    {"fen": back, "at": f"{on.replace(tzinfo=SHANGHAI)}"}
                    for back, on, of in card.refunds
                    if of == number
                ]
                yield {
                    "transaction_id": transaction,
                    "paid_at": f"{at.replace(tzinfo=SHANGHAI)}",
                    "total": fen,
                    "refunds": back,
                }
