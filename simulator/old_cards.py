"""A made-up old card system and its dump: ``python -m simulator.old_cards DIRECTORY ACCOUNTS``.

People are invented, their identity numbers are of region 990101, which is assigned to nobody. The
same seed makes the same dump; every stated balance is right.
"""

import csv
import random
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

SURNAMES = "王李张刘陈杨黄赵周吴徐孙马朱胡林郭何高罗"
GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华玉兰春红梅建国"
WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHANNELS = ("微信", "现金", "银行卡", "支付宝")
LAST_DAY = datetime(2025, 3, 30, 18)  # noqa: DTZ001  (wall clock, as old systems write it)

TABLES = {
    "accounts": ["卡号", "余额", "开户日期", "最后使用日期"],
    "holders": ["卡号", "姓名", "身份证号", "手机号", "出生日期", "性别"],
    "top_ups": ["流水号", "卡号", "金额", "时间", "支付方式", "渠道流水号"],
    "spends": ["卡号", "金额", "时间", "项目"],
    "refunds": ["卡号", "金额", "时间", "原充值流水号"],
}
"""table -> its headings."""


@dataclass
class Card:
    """One card with everything that ever happened on it; money in fen."""

    number: str
    holder: list[str]
    opened: datetime
    top_ups: list[tuple[str, int, datetime, str, str]] = field(default_factory=list)
    spends: list[tuple[int, datetime, str]] = field(default_factory=list)
    refunds: list[tuple[int, datetime, str]] = field(default_factory=list)

    @property
    def balance_fen(self) -> int:
        """What is left."""
        came = sum(fen for _, fen, *_ in self.top_ups)
        return came - sum(fen for fen, *_ in self.spends) - sum(fen for fen, *_ in self.refunds)

    @property
    def last_used(self) -> datetime:
        """When anything last happened."""
        moments = [at for _, _, at, *_ in self.top_ups]
        moments += [at for _, at, _ in [*self.spends, *self.refunds]]
        return max(moments, default=self.opened)


def cards(
    count: int, seed: int = 1, *, first: int = 0, last_day: datetime = LAST_DAY
) -> Iterator[Card]:
    """So many cards: about one in ten of a person who has another, one in twelve without identity,
    one in nine without phone, one in five used up. ``first``: where their numbers begin.
    """
    chance = random.Random(seed)  # noqa: S311  (made-up people, no secret)
    holder: list[str] = []
    for serial in range(first, first + count):
        if not holder or chance.random() > 0.1:
            holder = _holder(chance, serial)
        yield _card(chance, serial, holder, last_day)


def write(directory: Path, told: Iterable[Card]) -> None:
    """The dump of these cards as five CSV files."""
    directory.mkdir(parents=True, exist_ok=True)
    files = {
        name: (directory / f"{name}.csv").open("w", newline="", encoding="utf-8") for name in TABLES
    }
    writers = {name: csv.writer(file) for name, file in files.items()}
    for name, headings in TABLES.items():
        writers[name].writerow(headings)
    for card in told:
        for name, row in rows_of(card):
            writers[name].writerow(row)
    for file in files.values():
        file.close()


def rows_of(card: Card) -> Iterator[tuple[str, list[str]]]:
    """The rows of a card, each with its table."""
    opened, used = f"{card.opened:%Y-%m-%d}", f"{card.last_used:%Y-%m-%d}"
    yield "accounts", [card.number, yuan(card.balance_fen), opened, used]
    yield "holders", [card.number, *card.holder]
    for number, fen, at, channel, transaction in card.top_ups:
        yield "top_ups", [number, card.number, yuan(fen), f"{at}", channel, transaction]
    for fen, at, item in card.spends:
        yield "spends", [card.number, yuan(fen), f"{at}", item]
    for fen, at, number in card.refunds:
        yield "refunds", [card.number, yuan(fen), f"{at}", number]


def id_number(serial: int, born: date) -> str:
    """A checksummed number of region 990101."""
    body = f"990101{born:%Y%m%d}{serial % 1000:03d}"
    total = sum(int(digit) * weight for digit, weight in zip(body, WEIGHTS, strict=True))
    return body + "10X98765432"[total % 11]


def yuan(fen: int) -> str:
    """12050 -> 120.50"""
    return f"{fen // 100}.{fen % 100:02d}"


def _holder(chance: random.Random, serial: int) -> list[str]:
    born = date(1935, 1, 1) + timedelta(days=(serial // 1000 + serial % 1000 * 28) % 28_000)
    name = chance.choice(SURNAMES) + "".join(chance.choices(GIVEN, k=chance.choice((1, 2))))
    number = id_number(serial, born) if chance.random() > 1 / 12 else ""
    phone = f"199{serial % 10**8:08d}" if chance.random() > 1 / 9 else ""
    return [name, number, phone, f"{born}", "男" if serial % 2 else "女"]


def _card(chance: random.Random, serial: int, holder: list[str], last_day: datetime) -> Card:
    days, seconds = chance.randrange(30, 3_000), chance.randrange(80_000)
    opened = last_day - timedelta(days=days, seconds=seconds)
    card = Card(f"K{serial:010d}", holder, opened)
    at = opened
    for turn in range(chance.choice((1, 1, 2, 3))):
        at = min(at + timedelta(days=chance.randrange(1, 400)), last_day)
        channel = chance.choices(CHANNELS, (6, 3, 2, 1))[0]
        number = f"T{serial:09d}{turn}"
        transaction = "" if channel == "现金" else f"42{serial:012d}{turn}"
        card.top_ups.append((number, chance.randrange(1, 100) * 1_000, at, channel, transaction))
    _use(chance, card, at, last_day)
    return card


def _use(chance: random.Random, card: Card, since: datetime, last_day: datetime) -> None:
    if chance.random() < 1 / 15:
        number, fen, *_ = card.top_ups[-1]
        card.refunds.append((chance.randrange(1, fen + 1), since + timedelta(hours=1), number))
    used_up = chance.random() < 0.2
    for visit in range(chance.choice((0, 1, 2, 3))):
        if left := card.balance_fen:
            fen = left if used_up else chance.randrange(1, left + 1)
            at = min(since + timedelta(days=visit, hours=2), last_day + timedelta(hours=4))
            card.spends.append((fen, at, chance.choice(("挂号费", "西药费", "检查费"))))


if __name__ == "__main__":
    write(Path(sys.argv[1]), cards(int(sys.argv[2])))
