"""A day's bill and our rows that agree, and differences of every kind planted in them."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from config import SHANGHAI
from policies.reconciliation import (
    BillRow,
    Difference,
    Here,
    Kind,
    OwnRow,
    Sort,
    There,
    Totals,
    bounds,
)

DAY = date(2026, 11, 21)


@dataclass
class Books:
    """Both sides of one day."""

    bill: list[BillRow]
    own: list[OwnRow]
    totals: Totals | None = None


def books(rows: int, seed: int, day: date = DAY) -> Books:
    """Bill rows that agree with ours: payments, refunds paid and under way, payment codes taken
    back, some of them written down here on a neighbouring day; and ours that no bill needs."""
    dice = random.Random(seed)
    start = bounds(day)[0]
    bill: list[BillRow] = []
    own: list[OwnRow] = []
    while len(bill) < rows:
        number, fen = f"{dice.getrandbits(128):032x}", dice.randrange(1, 5_000_000)
        at = start + timedelta(seconds=dice.randrange(86_400))
        shift = dice.choice([timedelta()] * 18 + [timedelta(days=1), timedelta(days=-1)])
        ours = (at + shift).astimezone(UTC)
        what = dice.choices(["paid", "refund", "under way", "back"], [70, 20, 5, 5])[0]
        if what == "paid":
            bill.append(BillRow(Sort.PAYMENT, number, fen, There.PAID, at))
            own.append(OwnRow(Sort.PAYMENT, number, fen, Here.PAID, ours))
        elif what == "refund":
            bill.append(BillRow(Sort.REFUND, number, fen, There.PAID, at))
            own.append(OwnRow(Sort.REFUND, number, fen, Here.PAID, ours))
        elif what == "under way":
            bill.append(BillRow(Sort.REFUND, number, fen, There.UNDER_WAY, at))
            own.append(OwnRow(Sort.REFUND, number, fen, Here.OPEN, None))
        elif len(bill) + 2 <= rows:
            bill.append(BillRow(Sort.PAYMENT, number, fen, There.PAID, at))
            bill.append(BillRow(Sort.REVERSAL, number, fen, There.PAID, at))
            own.append(OwnRow(Sort.PAYMENT, number, fen, Here.OVER, None, may_be_taken_back=True))
    own.append(OwnRow(Sort.PAYMENT, f"{dice.getrandbits(128):032x}", 1, Here.OPEN, None))
    return Books(bill, own)


def totals_of(bill: Iterable[BillRow]) -> Totals:
    """What the last line of this bill says."""
    rows = list(bill)
    paid = sum(row.amount_fen for row in rows if row.sort == Sort.PAYMENT)
    return Totals(len(rows), paid, sum(row.amount_fen for row in rows) - paid)


def plant(sound: Books, wanted: Sequence[Kind], seed: int) -> tuple[Books, list[Difference]]:
    """These differences, each at a row of its own where there is one left, and what must be
    found. The totals are those of the spoiled rows, but where TOTALS is wanted."""
    work = _Planting(sound, random.Random(seed + 1))
    for kind in wanted:
        if kind != Kind.TOTALS:
            PLANTS[kind](work)
    bill = work.bill
    work.dice.shuffle(bill)
    totals = totals_of(bill)
    if Kind.TOTALS in wanted:
        work.planted.append(
            Difference(Kind.TOTALS, "payments_fen", totals.payments_fen + 7, totals.payments_fen)
        )
        totals = totals._replace(payments_fen=totals.payments_fen + 7)
    return replace(sound, bill=bill, own=work.own, totals=totals), work.planted


class _Planting:
    def __init__(self, sound: Books, dice: random.Random) -> None:
        self.dice, self.planted = dice, list[Difference]()
        taken_back = {row.number for row in sound.bill if row.sort == Sort.REVERSAL}
        self._own = {row.number: row for row in sound.own}
        self._bill = {(row.sort, row.number): row for row in sound.bill}
        self._more: list[BillRow] = []
        start, end = bounds(DAY)
        end -= timedelta(minutes=10)  # nearer to midnight it would only wait
        fit = [
            row
            for row in sound.bill
            if row.number not in taken_back
            and (at := self._own[row.number].at)
            and start <= at < end
        ]
        dice.shuffle(fit)
        self._fit = {
            sort: [row for row in fit if row.sort == sort] for sort in (Sort.PAYMENT, Sort.REFUND)
        }

    @property
    def bill(self) -> list[BillRow]:
        return [*self._bill.values(), *self._more]

    @property
    def own(self) -> list[OwnRow]:
        return list(self._own.values())

    def row(self, sort: Sort) -> BillRow | None:
        """A row with which nothing was done before."""
        return self._fit[sort].pop() if self._fit[sort] else None

    def says(self, kind: Kind, number: str, there_fen: int, here_fen: int) -> None:
        self.planted.append(Difference(kind, number, there_fen, here_fen))

    def only_there(self, sort: Sort, kind: Kind) -> None:
        number, fen = f"{self.dice.getrandbits(128):032x}", self.dice.randrange(1, 10**6)
        at = datetime.combine(DAY, datetime.min.time(), SHANGHAI)
        self._bill[sort, number] = BillRow(sort, number, fen, There.PAID, at)
        self.says(kind, number, fen, 0)

    def missing(self, sort: Sort, kind: Kind) -> None:
        if row := self.row(sort):
            del self._bill[sort, row.number]
            self.says(kind, row.number, 0, row.amount_fen)

    def amount(self, sort: Sort, kind: Kind) -> None:
        if row := self.row(sort):
            other = row.amount_fen + self.dice.choice([1, 100, 99 * row.amount_fen])
            self._bill[sort, row.number] = row._replace(amount_fen=other)
            self.says(kind, row.number, other, row.amount_fen)

    def state(self, sort: Sort, kind: Kind) -> None:
        if row := self.row(sort):
            held = self.dice.choice([Here.OVER, Here.NOT_DONE, Here.OPEN])
            mine = self._own[row.number]
            self._own[row.number] = mine._replace(state=held, at=None)
            self.says(kind, row.number, row.amount_fen, 0)

    def twice(self, sort: Sort, kind: Kind) -> None:
        if row := self.row(sort):
            self._more.append(row)
            self.says(kind, row.number, row.amount_fen, 0)


Planter = Callable[[_Planting], None]


def _of(name: str, how: str) -> Planter:
    sort, kind = Sort(name), Kind(f"{name}_{how}")
    act = {
        "NOT_HERE": _Planting.only_there,
        "NOT_THERE": _Planting.missing,
        "AMOUNT": _Planting.amount,
        "STATE": _Planting.state,
        "TWICE": _Planting.twice,
    }[how]
    return lambda work: act(work, sort, kind)


PLANTS: dict[Kind, Planter] = {
    Kind(f"{name}_{how}"): _of(name, how)
    for name in ("PAYMENT", "REFUND")
    for how in ("NOT_HERE", "NOT_THERE", "AMOUNT", "STATE", "TWICE")
}
