"""What the checker's questions look at: our database, the simulator's books, the clients' notes."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.prove.cast import Cast
from tests.prove.house import HOSPITAL
from tests.prove.notebook import Notebook

VIEWS = (
    # The insurance office has the stay on its list: nobody else can go on with it.
    "CREATE TEMP VIEW with_the_office AS SELECT e.admission_id FROM insurance_call c"
    " JOIN insurance_encounter e ON e.id = c.encounter_id"
    " JOIN work_item w ON w.subject = 'insurance-call:' || c.id AND w.closed_at IS NULL",
    # What the insurer owes: its funds, and the account of the insured person that lies with it.
    "CREATE TEMP VIEW insurer AS SELECT id, owner = 'ACCOUNT' AS personal, balance_fen"
    " FROM account WHERE kind = 'FUND_RECEIVABLE' AND owner <> 'AID_AGENCY'",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be."""

    kind: str
    what: str


class Books:
    """Everything that the questions look at, read once after the dust has settled."""

    def __init__(self, cast: Cast, book: Notebook) -> None:
        self.cast, self.book = cast, book
        self.world = cast.house.world("GET", "/_sim/books")
        asked = f"/_sim/insurance/{HOSPITAL}/settlements"
        self.world_settlements = cast.house.world("GET", asked)["settlements"]
        self.outbox = cast.house.world("GET", "/_sim/sms/outbox")
        self.shown = cast.house.world("GET", "/_sim/mini-program/messages")
        self._db = cast.house.database()
        for view in VIEWS:
            self._db.execute(view)

    def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        """The rows of a question to our database; ``%(name)s`` stands for a value, ``%%`` for %."""
        return self._db.execute(sql, values).fetchall()

    @contextmanager
    def spoiled(self, sql: str) -> Iterator[None]:
        """Our books as if somebody had done this to them, past all that guards them."""
        with self._db.transaction(force_rollback=True):
            self._db.execute("SET LOCAL session_replication_role = replica")
            if self._db.execute(sql).rowcount < 1:
                raise LookupError(f"there is nothing to spoil: {sql}")
            yield

    def close(self) -> None:
        """Let go of the database."""
        self._db.close()
