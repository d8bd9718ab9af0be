"""States are drawn, not implied: one table of moves an entity, one way to change a state, one row
for each move.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Index, Text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id

Moves = Mapping[str, frozenset[str]]
"""state -> the states it may move to. A final state maps to the empty set."""


class ForbiddenMove(Exception):
    """The entity cannot go from its present state to the one asked for; nothing was changed."""

    def __init__(self, machine: str, here: str, there: str) -> None:
        super().__init__(f"{machine}: {here} -> {there} is not drawn")
        self.machine, self.here, self.there = machine, here, there


class StateMove(Base):
    """One move of one entity: from where, to where, when, by whom and why. Append-only."""

    __tablename__ = "state_move"
    __table_args__ = (Index(None, "entity_id", "at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID]
    machine: Mapped[str] = mapped_column(Text)
    entity_id: Mapped[UUID]
    here: Mapped[str | None] = mapped_column(Text)
    there: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(Moment)
    by: Mapped[str] = mapped_column(Text)
    why: Mapped[str] = mapped_column(Text, default="")


class Machine:
    """Mix into a table that has ``id``, ``hospital_id`` and ``state``; set ``MOVES``. Only ``move``
    changes the state.
    """

    MOVES: ClassVar[Moves]
    id: Mapped[UUID]
    hospital_id: Mapped[UUID]
    state: Mapped[str]

    def move(self, db: Session, there: str, *, at: datetime, by: str, why: str = "") -> None:
        """Change the state and leave a row; refuse what is not drawn. The caller holds the row's
        lock.
        """
        db.add(StateMove(**self.goes(there, at=at, by=by, why=why)))

    def goes(self, there: str, *, at: datetime, by: str, why: str = "") -> dict[str, Any]:
        """Change the state; the row of the move, for whoever writes it down: ``move``, or the
        function of the database that writes an entity of no session.
        """
        move = self.drawn(there, at=at, by=by, why=why)
        self.state = there
        return move

    def drawn(self, there: str, *, at: datetime, by: str, why: str = "") -> dict[str, Any]:
        """The row of a move from here, for a function of the database that makes it; ForbiddenMove
        for what is not drawn.
        """
        if there not in self.MOVES.get(self.state, frozenset()):
            raise ForbiddenMove(type(self).__name__, self.state, there)
        return self._row(self.state, there, at, by, why)

    def start(self, db: Session, *, at: datetime, by: str, why: str = "") -> None:
        """Leave the row that says where and by whom this entity began."""
        db.add(StateMove(**self.begun(at=at, by=by, why=why)))

    def begun(self, *, at: datetime, by: str, why: str = "") -> dict[str, Any]:
        """That row, for a function of the database that leaves it."""
        return self._row(None, self.state, at, by, why)

    def _row(self, here: str | None, there: str, at: datetime, by: str, why: str) -> dict[str, Any]:
        return {
            "id": new_id(),
            "hospital_id": self.hospital_id,
            "machine": type(self).__name__,
            "entity_id": self.id,
            "here": here,
            "there": there,
            "at": at,
            "by": by,
            "why": why,
        }
