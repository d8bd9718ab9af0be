"""A question to the insurance platform, written down: held, claimed and answered, each by one
statement (sql/0052_insurance_calls.sql).
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
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
class AtPlatform:
    """What of a stay surely lies at the platform, in fen, and whose it is.

    ``parts``: the four of I6 over all lines; None when a line came without a verdict.
    """

    lines: int
    fen: int
    parts: tuple[int, int, int, int] | None
    patient: Patient = field(repr=False)


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


def hold(db: Session, encounter_id: UUID) -> tuple[Encounter, bool]:
    """The encounter, read under its lock, and whether a call holds it; NotFound
    INSURANCE_ENCOUNTER_UNKNOWN. It belongs to no session: only ``answered`` changes it.
    """
    found = within(
        db, "SELECT (h.encounter).*, h.taken FROM insurance_hold(%(id)s) AS h", id=encounter_id
    )
    if not found:
        raise NotFound("INSURANCE_ENCOUNTER_UNKNOWN")
    taken = found[0].pop("taken")
    return Encounter(**found[0]), taken


def at_platform(db: Session, stay: Encounter) -> AtPlatform:
    """Our own books about what the platform was told of a stay."""
    (found,) = within(
        db,
        """
        SELECT count(f.id) AS lines, coalesce(sum(f.amount_fen), 0)::bigint AS fen,
            bool_and(f.verdict ? 'in_scope') IS NOT false AS whole,
            coalesce(sum((f.verdict ->> 'own_expense')::bigint), 0)::bigint AS own_expense,
            coalesce(sum((f.verdict ->> 'over_limit')::bigint), 0)::bigint AS over_limit,
            coalesce(sum((f.verdict ->> 'first_share')::bigint), 0)::bigint AS first_share,
            coalesce(sum((f.verdict ->> 'in_scope')::bigint), 0)::bigint AS in_scope,
            p.name_sealed, p.id_no_sealed
        FROM patient p
        LEFT JOIN insurance_uploaded_fee f ON f.encounter_id = %(stay)s AND f.state = 'UPLOADED'
        WHERE p.id = %(patient)s
        GROUP BY p.id
        """,
        stay=stay.id,
        patient=stay.patient_id,
    )
    sums = (found["own_expense"], found["over_limit"], found["first_share"], found["in_scope"])
    person = Patient(
        id=stay.patient_id, name_sealed=found["name_sealed"], id_no_sealed=found["id_no_sealed"]
    )
    return AtPlatform(found["lines"], found["fen"], sums if found["whole"] else None, person)


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
