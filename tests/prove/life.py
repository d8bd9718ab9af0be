"""One patient's stay as the clients know it, and the words with which they speak to the house."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any

from simulator.clients import Answer
from simulator.old_cards import id_number
from tests.prove.cast import Cast
from tests.prove.house import House
from tests.prove.notebook import Notebook
from tests.prove.stubborn import Stubborn


@dataclass
class Life:
    """``phase``: slip, in house, leaving, over. What is in ``told`` was answered, not assumed."""

    cast: Cast
    book: Notebook
    serial: int
    chance: Random
    phase: str = "slip"
    stay: str = ""
    insured: bool = False
    run: dict[str, Any] = field(default_factory=dict)
    """The last view of the settlement."""
    phone: Stubborn | None = None
    relative: Stubborn | None = None
    refunds: set[str] = field(default_factory=set)
    events: int = 0
    homeward: bool = False
    """Nothing new is begun that would have to wait for somebody."""
    act: str = ""
    """What is being done just now."""
    asked: int = 0
    """How often somebody was asked something."""

    @property
    def house(self) -> House:
        return self.cast.house

    @property
    def inpatient_no(self) -> str:
        return f"ZY{self.serial:06d}"

    @property
    def name(self) -> str:
        return "张" + "一二三四五六七八九十"[self.serial % 10]

    @property
    def id_no(self) -> str:
        return id_number(self.serial, date(1940, 1, 1) + timedelta(days=self.serial))

    @property
    def path(self) -> str:
        return f"/v1/admissions/{self.stay}"

    def number(self, what: str) -> str:
        """A number of the client's own, never used for anything else."""
        self.events += 1
        return f"{what}-{self.serial:06d}-{self.events:04d}"

    def one_of(self, who: str) -> Stubborn:
        """Any of the nurses, cashiers, ..."""
        return self.chance.choice(self.cast.staff[who])

    def ask(
        self, person: Stubborn, method: str, path: str, body: Any = None, **more: Any
    ) -> Answer:
        """The definite answer to one wish."""
        self.asked += 1
        answer = person.ask(method, path, body, chance=self.chance, **more)
        self.cast.counts.granted(self.act, method, path, yes=answer.status < 300)
        return answer

    def likely(self, share: float) -> bool:
        """True with this chance."""
        return self.chance.random() < share

    def pick(self, *choices: Any, weights: Sequence[float]) -> Any:
        """One of these."""
        return self.chance.choices(choices, weights)[0]

    def wrong(self, what: str) -> None:
        """A client saw what must not be."""
        self.cast.counts.wrong(f"{self.inpatient_no}: {what}")
