"""A question to the insurance platform, written down: held, claimed and answered, each by one
statement (sql/0052_insurance_calls.sql).
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from models.db import at_once, new_id, within
from models.insurance import Encounter, InsuranceCall
from models.patient import Patient
from policies.refusals import NotFound


@dataclass(frozen=True, slots=True)
class FeeSent:
    """A line that goes out with a 2301 under its serial."""

    line: str
    serial: int
    amount_fen: int


@dataclass(frozen=True, slots=True)
class Held:
    """An encounter under its lock, whether a call holds it, whose it is, and by our own books how
    many lines of it surely lie at the platform, for how much.

    ``parts``: the four of I6 over all lines; None when a line came without a verdict. ``agreed``:
    when the settlement was agreed to that waits for the insurer; None where none does.
    """

    stay: Encounter
    taken: bool
    lines: int
    fen: int
    parts: tuple[int, ...] | None
    patient: Patient = field(repr=False)
    agreed: datetime | None


@dataclass(frozen=True, slots=True)
class Change:
    """What an outcome changes. ``stay``: columns of the encounter, ``there``: the state it moves
    to; ``call``: columns of the call; ``batch``: the state of the lines that it carried,
    ``verdicts``: what was said of each, by serial; ``withdrawn``: no line lies there any more.
    """

    stay: Mapping[str, Any] = field(default_factory=dict)
    there: str = ""
    call: Mapping[str, Any] = field(default_factory=dict)
    batch: str | None = None
    verdicts: Mapping[str, Any] = field(default_factory=dict)
    withdrawn: bool = False


def hold(db: Session, encounter_id: UUID) -> Held:
    """The encounter, read under its lock, and what is known beside it; NotFound
    INSURANCE_ENCOUNTER_UNKNOWN. It belongs to no session: only ``answered`` changes it.
    """
    found = within(
        db,
        "SELECT (h.encounter).*, h.taken, h.lines, h.fen, h.parts, h.name_sealed, h.id_no_sealed,"
        " h.agreed FROM insurance_hold(%(id)s) AS h",
        id=encounter_id,
    )
    if not found:
        raise NotFound("INSURANCE_ENCOUNTER_UNKNOWN")
    (row,) = found
    taken, lines, fen, parts = (row.pop(name) for name in ("taken", "lines", "fen", "parts"))
    agreed = row.pop("agreed")
    sealed = {name: row.pop(name) for name in ("name_sealed", "id_no_sealed")}
    return Held(
        stay=Encounter(**row),
        taken=taken,
        lines=lines,
        fen=fen,
        parts=parts and tuple(parts),
        patient=Patient(id=row["patient_id"], **sealed),
        agreed=agreed,
    )


def claim(
    db: Session, call: InsuranceCall, started: Mapping[str, Any], fees: Iterable[FeeSent] = ()
) -> None:
    """Store a call before it is sent, its first move, and the lines that it carries; its msgid gets
    its last four digits.
    """
    lines = [
        {"id": new_id(), "line": fee.line, "serial": fee.serial, "amount_fen": fee.amount_fen}
        for fee in fees
    ]
    said = {"call": call.as_row(), "started": started, "fees": lines or None}
    (stored,) = within(db, "SELECT insurance_claim(%(said)s::jsonb) AS msgid", said=_json(said))
    call.msgid = stored["msgid"]


def ended(
    call: InsuranceCall,
    there: str,
    change: Change,
    *,
    moves: Iterable[Mapping[str, Any]],
    stood: Collection[str] = (),
) -> str:
    """What ``answered`` writes down: the call goes from its present state to ``there``, the stay
    changes if it stands in one of the states ``stood``.
    """
    stay = dict(change.stay) | ({"state": change.there} if change.there else {})
    mine = {"id": call.id, "encounter_id": call.encounter_id, "state": there}
    said = {
        "was": call.state,
        "call": mine | dict(change.call),
        "moves": list(moves),
        "stay": stay or None,
        "stood": list(stood),
        "batch": change.batch,
        "verdicts": change.verdicts,
        "withdrawn": change.withdrawn or None,
    }
    return _json(said)


def answered(said: str, db: Session | None = None) -> bool | None:
    """Write down what became of a call, in the caller's transaction or as one of its own. None: it
    is not as the caller saw it, and nothing was changed; False: the stay has gone on.
    """
    if db is None:
        ((kept,),) = at_once("SELECT insurance_answered(%s::jsonb)", said)
    else:
        (found,) = within(db, "SELECT insurance_answered(%(said)s::jsonb) AS kept", said=said)
        kept = found["kept"]
    return None if kept is None else bool(kept)


def _json(said: Mapping[str, Any]) -> str:
    return json.dumps(said, default=str)
