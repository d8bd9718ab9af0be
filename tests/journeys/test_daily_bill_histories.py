"""Whatever happens in whatever order, the latest bills sum to the charges (reliability row 11)."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID

from hypothesis import given, seed, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from models.db import rows
from tests.figures import SEED, Figures, size
from tests.his_day import HisDay, line, shanghai

FIRST = date(2025, 7, 1)
SUMS = """
    SELECT line.occurred_on AS day, line.admission_id AS stay, sum(line.amount_fen)::bigint AS fen,
        count(*) AS lines
    FROM charge_line line WHERE hospital_id = :h GROUP BY 1, 2
"""
LATEST = """
    SELECT DISTINCT ON (day, admission_id) day, admission_id AS stay, total_fen AS fen,
        line_count AS lines, running_total_fen AS running_fen
    FROM daily_bill WHERE hospital_id = :h ORDER BY day, admission_id, version DESC
"""

DAYS = st.integers(0, 3)
STAYS = st.integers(0, 1)
STEPS = st.one_of(
    st.tuples(st.just("charge"), STAYS, DAYS, st.integers(1, 9)),
    st.tuples(st.just("reverse"), STAYS, DAYS, st.integers(0, 20)),
    st.tuples(st.just("again"), STAYS, DAYS, st.integers(0, 20)),
    st.tuples(st.just("night"), STAYS, DAYS, st.just(0)),
    st.tuples(st.just("correct"), STAYS, DAYS, st.just(0)),
)


@dataclass
class History:
    """Two stays over four days, and every line that the HIS ever sent."""

    day: HisDay = field(default_factory=lambda: HisDay(shanghai(2025, 7, 1, 12)))
    sent: list[dict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stays = [self.day.admit().inpatient_no for _ in range(2)]

    def charge(self, stay: int, back: int, quantity: int) -> None:
        """On a day that may be over for long."""
        charge = line(
            self.stays[stay],
            occurred_at=self.back(back).isoformat(),
            quantity=str(quantity),
            unit_price="1.111",
            amount=f"{quantity * 1.111:.2f}",
        )
        assert self.day.charge(charge) == ["ACCEPTED"]
        self.sent.append(charge)

    def reverse(self, stay: int, back: int, which: int) -> None:
        """One unit less of some line, if it has one left; what is left over goes with the last."""
        if self.sent:
            charge = self.sent[which % len(self.sent)]
            reversal = {
                "source_line_id": f"R{len(self.sent)}-{charge['source_line_id']}-{which}",
                "inpatient_no": charge["inpatient_no"],
                "reverses": charge["source_line_id"],
                "occurred_at": self.back(back).isoformat(),
                "quantity": charge["quantity"] if which % 2 else "1",
                "amount": charge["amount"] if which % 2 else "1.11",
            }
            self.day.reverse(reversal)

    def again(self, stay: int, back: int, which: int) -> None:
        if self.sent:
            assert self.day.charge(self.sent[which % len(self.sent)]) == ["DUPLICATE"]

    def night(self, stay: int, back: int, which: int) -> None:
        """The next morning at six."""
        self.day.at += timedelta(days=1)
        self.day.make_bills(self.day.at.date() - timedelta(days=1))

    def correct(self, stay: int, back: int, which: int) -> None:
        self.day.correct_bills()

    def back(self, days: int) -> datetime:
        return max(self.day.at - timedelta(days=days), shanghai(2025, 7, 1, 1))


def test_the_latest_bills_sum_to_the_charges(engine: Engine, figures: Figures) -> None:
    played: Counter[str] = Counter()

    @seed(SEED)
    @settings(max_examples=size(25, 1_000), deadline=None, database=None)
    @given(steps=st.lists(STEPS, min_size=3, max_size=25))
    def play(steps: list[tuple]) -> None:
        live(steps)
        played.update(name for name, *_ in steps)
        played["histories"] += 1

    play()
    figures.add(
        "daily bills in any order",
        f"{played['histories']:,} histories of two stays over days: {played['charge']:,} charges"
        f" and {played['reverse']:,} reversals, on the day, late or dated back, {played['again']:,}"
        f" sent again, among {played['night']:,} nights and {played['correct']:,} corrections",
        "the latest bills and their running totals sum to the charge lines, day by day; no closed"
        " day is edited",
        f"0 of {played['histories']:,} histories with a fen of difference under these steps with"
        f" seed {SEED}",
    )


def live(steps: list[tuple]) -> None:
    """One history, a last night, and what must hold then."""
    history, old = History(), set[tuple]()
    for name, stay, back, number in steps:
        getattr(history, name)(stay, back, number)
        old |= versions(history)
    history.night(0, 0, 0)
    history.correct(0, 0, 0)
    house = history.day.hospital_id
    charged = {(row["day"], row["stay"]): (row["fen"], row["lines"]) for row in rows(SUMS, h=house)}
    latest = rows(LATEST, h=house)
    billed = {(row["day"], row["stay"]): (row["fen"], row["lines"]) for row in latest}
    assert {key: sums for key, sums in billed.items() if sums != (0, 0)} == charged
    assert sum(fen for fen, _ in billed.values()) == history.day.charged_fen()
    running: Counter[UUID] = Counter()
    for row in latest:  # the earliest day first
        running[row["stay"]] += row["fen"]
        assert row["running_fen"] == running[row["stay"]]
    assert old <= versions(history)
    assert history.day.count("unbilled_day") == 0
    numbers = rows(
        "SELECT max(version) = count(*) AS gapless FROM daily_bill WHERE hospital_id = :h"
        " GROUP BY admission_id, day",
        h=house,
    )
    assert all(row["gapless"] for row in numbers)


def versions(history: History) -> set[tuple]:
    return {
        (bill.id, bill.total_fen, bill.running_total_fen, bill.items_hash)
        for bill in history.day.bills()
    }
