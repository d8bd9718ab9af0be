"""What a figure is: ours and its baseline in turns, the median of the ratios, and their spread."""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

Round = Callable[[], float]
"""Runs once and returns a rate (per second) or a time (seconds)."""


@dataclass(frozen=True)
class Series:
    """The rounds of one measurement and its baseline, in pairs."""

    ours: list[float]
    baseline: list[float]

    @property
    def ratios(self) -> list[float]:
        """Ours ÷ baseline, round by round."""
        return [mine / theirs for mine, theirs in zip(self.ours, self.baseline, strict=True)]


@dataclass(frozen=True)
class Figure:
    """One row of the table. ``at_most``: the aim is a ceiling (times), else a floor (rates)."""

    key: str
    what: str
    baseline: str
    series: Series
    unit: str
    aim: float | None = None
    at_most: bool = False
    peak_mib: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float:
        """The figure itself."""
        return median(self.series.ratios)

    @property
    def reached(self) -> bool | None:
        """Whether the aim is; None for a figure without one."""
        if self.aim is None:
            return None
        return self.ratio <= self.aim if self.at_most else self.ratio >= self.aim

    def cells(self) -> list[str]:
        """The row as texts."""
        low, high = min(self.series.ratios), max(self.series.ratios)
        spread = f"{_plain(low)}–{_plain(high)}"
        sign = "≤" if self.at_most else "≥"
        verdict = {None: "", True: "reached", False: "missed"}[self.reached]
        return [
            f"({self.key}) {self.what}",
            _said(median(self.series.ours), self.unit),
            f"{self.baseline}: {_said(median(self.series.baseline), self.unit)}",
            f"**{_plain(self.ratio)}** ({spread}, {len(self.series.ratios)} rounds)",
            f"{sign} {self.aim:g} {verdict}" if self.aim is not None else "",
            f"{self.peak_mib:.0f} MiB" if self.peak_mib else "",
        ]


HEADINGS = ["what", "ours", "baseline", "ratio", "aim", "peak RSS"]


@dataclass
class Bench:
    """One file of this room. ``run`` gets the ground (ground.py) and returns its figures."""

    key: str
    says: str
    run: Callable[..., list[Figure]] = field(repr=False)


def in_turns(ours: Round, baseline: Round, rounds: int) -> Series:
    """A round of each to warm up, then so many rounds of both, baseline first."""
    baseline(), ours()
    found: list[tuple[float, float]] = []
    for _ in range(rounds):
        theirs = baseline()
        found.append((ours(), theirs))
    return Series([mine for mine, _ in found], [theirs for _, theirs in found])


def _said(value: float, unit: str) -> str:
    return f"{_plain(value)} {unit}".rstrip()


def _plain(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
