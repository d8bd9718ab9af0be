"""The bill of a channel for one day beside our own rows (对账): which do not agree, and how.

The day is a calendar day in Shanghai. A bill row belongs to the day whose bill it stands in: it is
looked for here by its number, whatever moment we have for it, so a payment that succeeded there at
23:59:59 and was written down here at 00:00:02 is no difference. A row of ours belongs to the day of
``at``, the channel's own moment of success. Where the bill of that day lacks it, it may stand in
another one: a refund stands on the day it was accepted and succeeds later (``elsewhere`` names what
the other bills have), and within BORDER before midnight it may follow in the next. It waits for
that bill, and is a difference only when that one lacks it too. What is open here and not there is
no difference: nobody has claimed yet that money moved.
"""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple

from config import SHANGHAI

BORDER = timedelta(minutes=10)
"""So long before midnight a row of ours may stand in the next day's bill."""


class Sort(StrEnum):
    """REVERSAL: an unfinished payment was taken back (撤销); its number is the payment's."""

    PAYMENT = "PAYMENT"
    REFUND = "REFUND"
    REVERSAL = "REVERSAL"


class There(StrEnum):
    """What the bill says became of a row. STUCK: the payee's account does not take it."""

    PAID = "PAID"
    UNDER_WAY = "UNDER_WAY"
    FAILED = "FAILED"
    STUCK = "STUCK"


class Here(StrEnum):
    """What we hold of it. OPEN: asked, no final word. OVER: failed by the channel's word. NOT_DONE:
    never asked, or refused. REROUTED: its money went, or goes, another way.
    """

    PAID = "PAID"
    OPEN = "OPEN"
    OVER = "OVER"
    NOT_DONE = "NOT_DONE"
    REROUTED = "REROUTED"


class Kind(StrEnum):
    """NOT_HERE: their row, unknown to us. NOT_THERE: ours, in no bill. TOTALS: their line of totals
    is not the sum of their rows.
    """

    PAYMENT_NOT_HERE = "PAYMENT_NOT_HERE"
    PAYMENT_NOT_THERE = "PAYMENT_NOT_THERE"
    PAYMENT_AMOUNT = "PAYMENT_AMOUNT"
    PAYMENT_STATE = "PAYMENT_STATE"
    PAYMENT_TWICE = "PAYMENT_TWICE"
    REFUND_NOT_HERE = "REFUND_NOT_HERE"
    REFUND_NOT_THERE = "REFUND_NOT_THERE"
    REFUND_AMOUNT = "REFUND_AMOUNT"
    REFUND_STATE = "REFUND_STATE"
    REFUND_TWICE = "REFUND_TWICE"
    TOTALS = "TOTALS"


FITS: dict[There, frozenset[Here]] = {
    There.PAID: frozenset({Here.PAID}),
    # The bill is hours older than what we hold: since then it may have ended either way.
    There.UNDER_WAY: frozenset({Here.OPEN, Here.PAID, Here.OVER}),
    There.FAILED: frozenset({Here.OVER, Here.REROUTED, Here.NOT_DONE}),
    There.STUCK: frozenset({Here.OVER, Here.REROUTED, Here.PAID}),
}
"""What the bill says of a refund -> what we may hold of it. UNDER_WAY with REROUTED does not fit:
the money may leave twice.
"""

Key = tuple[Sort, str]


class BillRow(NamedTuple):
    """A row of the bill. ``number`` is the merchant's, ``at`` what the bill says of its time."""

    sort: Sort
    number: str
    amount_fen: int
    state: There
    at: datetime


class OwnRow(NamedTuple):
    """A row of ours. ``at``: when the money moved there; None while we do not know that it did.
    ``may_be_taken_back``: by a reversal, as only a payment code is.
    """

    sort: Sort
    number: str
    amount_fen: int
    state: Here
    at: datetime | None
    may_be_taken_back: bool = False


class Totals(NamedTuple):
    """The bill's own last line."""

    rows: int
    payments_fen: int
    refunds_fen: int


class Difference(NamedTuple):
    """One disagreement: what they count, what we count. ``number`` of TOTALS: which total."""

    kind: Kind
    number: str
    there_fen: int
    here_fen: int


AWAITED = {
    Kind.PAYMENT_NOT_THERE: Sort.PAYMENT,
    Kind.REFUND_NOT_THERE: Sort.REFUND,
    Kind.PAYMENT_STATE: Sort.REVERSAL,
}
"""What a waiting difference needs in the next bill so as to be none."""


@dataclass
class Side:
    """Rows and fen of one sort on one side. The two sides differ by exactly the differences."""

    rows: int = 0
    fen: int = 0

    def add(self, fen: int) -> None:
        """One row more."""
        self.rows, self.fen = self.rows + 1, self.fen + fen


class Around(NamedTuple):
    """What the other bills say: rows of ours that stand in them, and whether the next one is in."""

    elsewhere: Set[Key] = frozenset()
    next_is_in: bool = False


def _sides() -> dict[Sort, Side]:
    return {Sort.PAYMENT: Side(), Sort.REFUND: Side()}


@dataclass
class Outcome:
    """``waiting`` may be gone with the next bill; ``of_other_days``: rows of this bill that are no
    rows of this day here, for the days on which they will be missed.
    """

    differences: list[Difference] = field(default_factory=list)
    waiting: list[Difference] = field(default_factory=list)
    of_other_days: set[Key] = field(default_factory=set)
    there: dict[Sort, Side] = field(default_factory=_sides)
    here: dict[Sort, Side] = field(default_factory=_sides)


ALONE = Around()


def compare(
    day: date,
    bill: Sequence[BillRow],
    totals: Totals | None,
    own: Iterable[OwnRow],
    around: Around = ALONE,
) -> Outcome:
    """Every difference of the day, each row in at most one: another amount explains another state.

    ``own``: our rows of the day and those that the bill names. Linear in both.
    """
    found, seen = Outcome(), set[Key]()
    start, end = bounds(day)
    ours = {(row.sort, row.number): row for row in own}
    taken_back = {row.number for row in bill if row.sort == Sort.REVERSAL}
    for row in bill:
        key = (row.sort, row.number)
        mine = ours.get((Sort.PAYMENT, row.number) if row.sort == Sort.REVERSAL else key)
        kind = _twice(row) if key in seen else _kind(row, mine, taken_back, around)
        seen.add(key)
        waits = (
            kind == Kind.PAYMENT_STATE
            and mine is not None
            and mine.may_be_taken_back
            and row.at >= end - BORDER
            and not around.next_is_in
        )
        _note(found, row, mine, kind, waits=waits)
        if mine and not (mine.at and start <= mine.at < end and row.sort != Sort.REVERSAL):
            found.of_other_days.add(key)
    for key, mine in ours.items():
        of_the_day = mine.state == Here.PAID and mine.at and start <= mine.at < end
        if mine.at and of_the_day and key not in seen and key not in around.elsewhere:
            _missed(found, mine, waits=mine.at >= end - BORDER and not around.next_is_in)
    if totals is not None:
        found.differences += _of_totals(bill, totals)
    return found


def bounds(day: date) -> tuple[datetime, datetime]:
    """The first moment of a day in Shanghai and the first of the next."""
    start = datetime.combine(day, time(), SHANGHAI)
    return start, datetime.combine(day + timedelta(days=1), time(), SHANGHAI)


def _kind(row: BillRow, mine: OwnRow | None, taken_back: Set[str], around: Around) -> Kind | None:
    if row.sort == Sort.PAYMENT:
        if mine is None:
            return Kind.PAYMENT_NOT_HERE
        if mine.amount_fen != row.amount_fen:
            return Kind.PAYMENT_AMOUNT
        undone = row.number in taken_back or (Sort.REVERSAL, row.number) in around.elsewhere
        return None if mine.state == Here.PAID or undone else Kind.PAYMENT_STATE
    if mine is None or (row.sort == Sort.REVERSAL and mine.state == Here.PAID):
        return Kind.REFUND_NOT_HERE
    if mine.amount_fen != row.amount_fen:
        return Kind.REFUND_AMOUNT
    fits = row.sort == Sort.REVERSAL or mine.state in FITS[row.state]
    return None if fits else Kind.REFUND_STATE


def _twice(row: BillRow) -> Kind:
    return Kind.PAYMENT_TWICE if row.sort == Sort.PAYMENT else Kind.REFUND_TWICE


def _note(
    found: Outcome, row: BillRow, mine: OwnRow | None, kind: Kind | None, *, waits: bool
) -> None:
    side = Sort.PAYMENT if row.sort == Sort.PAYMENT else Sort.REFUND
    there_fen = 0 if row.state == There.FAILED else row.amount_fen
    here_fen = _here_fen(there_fen, mine, kind)
    if kind is not None:
        which = found.waiting if waits else found.differences
        which.append(Difference(kind, row.number, there_fen, here_fen))
    if there_fen:
        found.there[side].add(there_fen)
    if here_fen:
        found.here[side].add(here_fen)


def _here_fen(there_fen: int, mine: OwnRow | None, kind: Kind | None) -> int:
    if kind is None:
        return there_fen
    if mine and kind in (Kind.PAYMENT_AMOUNT, Kind.REFUND_AMOUNT):
        return mine.amount_fen
    if mine and kind == Kind.REFUND_STATE and mine.state == Here.PAID:
        return mine.amount_fen
    return 0


def _missed(found: Outcome, mine: OwnRow, *, waits: bool) -> None:
    payment = mine.sort == Sort.PAYMENT
    kind = Kind.PAYMENT_NOT_THERE if payment else Kind.REFUND_NOT_THERE
    which = found.waiting if waits else found.differences
    which.append(Difference(kind, mine.number, 0, mine.amount_fen))
    found.here[mine.sort].add(mine.amount_fen)


def _of_totals(bill: Sequence[BillRow], totals: Totals) -> list[Difference]:
    payments = sum(row.amount_fen for row in bill if row.sort == Sort.PAYMENT)
    refunds = sum(row.amount_fen for row in bill if row.sort != Sort.PAYMENT)
    each = (
        ("rows", totals.rows, len(bill)),
        ("payments_fen", totals.payments_fen, payments),
        ("refunds_fen", totals.refunds_fen, refunds),
    )
    return [Difference(Kind.TOTALS, name, said, is_) for name, said, is_ in each if said != is_]
