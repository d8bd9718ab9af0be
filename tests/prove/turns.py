"""Times taken in turns, calm and slow, and how they compare on a machine that others use too.

What the others do falls on calm and slow turns alike when those lie close together and change
places; and a control beside each request, answered by a server that has no part in it, says how
much busier the machine was in the slow ones: ratios are divided by the control's. How much noise is
left is told by the turns themselves: pairs of them are drawn again and again, and the ratio that 99
of 100 draws stay above is surely no noise.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from statistics import median, quantiles

Seconds = list[float]
Pair = tuple[Seconds, Seconds]
"""What one kind of request took in a calm turn, and in the slow one beside it."""

DRAWS = 1000
ENOUGH = 1000
"""Of so many requests one in a hundred is ten, and their place says something."""


@dataclass
class Times:
    """Seconds of each kind of request in one turn, and of our processors."""

    of: dict[str, Seconds] = field(default_factory=dict)
    cpu_s: float = 0.0
    lasted_s: float = 0.0

    def add(self, kind: str, seconds: float) -> None:
        self.of.setdefault(kind, []).append(seconds)

    @contextmanager
    def taken(self, kind: str) -> Iterator[None]:
        """Of what happens in the block."""
        begun = time.monotonic()
        yield
        self.add(kind, time.monotonic() - begun)


@dataclass(frozen=True, slots=True)
class Ratio:
    """Slow ÷ calm over the control's, and between which ratios 98 of 100 draws lie."""

    found: float
    low: float
    high: float

    def within(self, aim: float) -> bool:
        """At most so much; or noise: then draws lie on the other side of 1 as well."""
        return self.found <= aim or self.low <= 1.0

    def __str__(self) -> str:
        return f"{self.found:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True, slots=True)
class Compared:
    """One kind of request."""

    medians: Ratio
    p99s: Ratio
    calm_ms: float
    slow_ms: float
    """The p99s themselves."""
    number: int

    def held(self, aim: float) -> bool:
        """Whether slow turns took no longer; of few requests only the medians are judged."""
        return self.medians.within(aim) and (self.number < ENOUGH or self.p99s.within(aim))

    def __str__(self) -> str:
        return (
            f"median {self.medians}, p99 {self.p99s}, {self.calm_ms:.0f} and {self.slow_ms:.0f} ms"
        )


def compare(pairs: Sequence[Pair], controls: Sequence[Pair], chance: Random) -> Compared:
    """All requests of the calm turns with all of the slow ones; ``controls`` of the same turns."""
    turns = list(zip(pairs, controls, strict=True))
    drawn = [_ratios(chance.choices(turns, k=len(turns))) for _ in range(DRAWS)]
    (of_median, of_p99), (calm, slow) = _ratios(turns), _joined(pairs)
    return Compared(
        _between(of_median, sorted(ratio for ratio, _ in drawn)),
        _between(of_p99, sorted(ratio for _, ratio in drawn)),
        1000 * p99(calm),
        1000 * p99(slow),
        len(slow),
    )


def p99(seconds: Seconds) -> float:
    """One in a hundred is slower."""
    return quantiles(seconds, n=100, method="inclusive")[98]


def busier(controls: Sequence[Pair]) -> float:
    """How many times as long the control took in the slow turns."""
    calm, slow = _joined(controls)
    return median(slow) / median(calm)


def _ratios(turns: Sequence[tuple[Pair, Pair]]) -> tuple[float, float]:
    calm, slow = _joined([pair for pair, _ in turns])
    control = [pair for _, pair in turns]
    before, after = _joined(control)
    return (
        median(slow) / median(calm) / busier(control),
        p99(slow) / p99(calm) / (p99(after) / p99(before)),
    )


def _joined(pairs: Sequence[Pair]) -> Pair:
    return [s for calm, _ in pairs for s in calm], [s for _, slow in pairs for s in slow]


def _between(found: float, drawn: list[float]) -> Ratio:
    return Ratio(found, drawn[len(drawn) // 100], drawn[-1 - len(drawn) // 100])
