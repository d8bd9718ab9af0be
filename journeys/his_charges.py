"""Charges and reversals from the HIS: a verdict for each line; bad lines do not stop good ones."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from config import today
from journeys.counterparts import Counterparts
from journeys.his_intake import Clock, Facts, once
from models import charges
from models.admission import Admission
from models.charges import ChargeLine, ChargeSource, Verdicts
from models.db import Session
from models.sealing import fingerprint
from models.work_item import task
from policies.access import Actor
from policies.charge_rows import Read, read, row_of
from policies.charges import (
    UNSTORABLE,
    Charge,
    NotTaken,
    Reversal,
    Verdict,
    check_reversal,
    reason,
    take_back,
)

MONTHS_AHEAD = 4
"""This month and three more: a job that fails for weeks is noticed before it matters."""

Raw = Mapping[str, Any]


def take_charges(actor: Actor, facts: Facts, now: Clock) -> Facts:
    """Take up to 1,000 lines, each judged on its own by policies/charges.py and the set function.

    The event, its lines and what became of them are one statement: no stay is locked while Python
    works. Said again it gets its first answer, with another body Conflict EVENT_ID_REUSED.
    Nothing here asks what the patient has paid: a low deposit never stops a treatment (GZ-25).
    """
    actor.needs("his:report")
    at, lines = now(), facts["lines"]
    found = read(lines, at)
    others = charges.take_batch(
        _batch(actor, facts, at, found),
        body_hash=fingerprint(found.content),
        by=actor.name,
        refused=found.refused,
    )
    return _answer(lines, others)


def take_reversals(actor: Actor, facts: Facts, now: Clock) -> Facts:
    """Take lines back, whole or in part, by negative lines; never more than is left of a line."""

    def take(db: Db, at: datetime) -> Facts:
        asked: dict[int, Reversal] = {}
        found = Read()
        for place, raw in enumerate(facts["lines"]):
            try:
                asked[place] = check_reversal(raw, at)
            except NotTaken as refused:
                found.refuse(place, refused)
        for place, charge in _taken_back(db, actor, asked, found).items():
            found.take(place, charge.inpatient_no, row_of(charge))
        others = charges.ingest(db, _batch(actor, facts, at, found))
        return _answer(facts["lines"], found.refused | others)

    return once(actor, "charge-reversal", facts, now, take)


def have_months(day: date) -> int:
    """Have this month's partition and the coming ones ready; the number of those made now. NotNow
    when everybody is at work.
    """
    with Session.begin() as db:
        return charges.make_months(db, day, MONTHS_AHEAD)


def make_charge_months(outside: Counterparts) -> int:
    """The same as a line of the timetable: on NotNow it is tried again."""
    return have_months(today(outside.now()))


def _batch(actor: Actor, facts: Facts, at: datetime, found: Read) -> charges.Batch:
    # Charges for a closed bill are not lost in a log: a person decides about each stay.
    note = "结算后又收到费用，没有记账。请决定：撤销结算后重传，或由科室作废。"
    return charges.Batch(
        hospital_id=actor.hospital_id,
        source_event_id=facts["source_event_id"],
        at=at,
        today=today(at),
        stays=found.stays,
        rows=found.rows,
        late_task=task(actor.hospital_id, "CHARGE_AFTER_SETTLEMENT", "", at, note=note),
    )


def _answer(lines: list[Raw], others: Verdicts) -> Facts:
    """What became of each line; those that are not among the ``others`` were accepted."""
    told = []
    for place, raw in enumerate(lines):
        verdict, field = others.get(place, (Verdict.ACCEPTED.value, ""))
        told.append(
            {
                "place": place,
                "source_line_id": _shown(raw.get("source_line_id")),
                "verdict": verdict,
                "field": field,
                "reason": reason(verdict, field),
            }
        )
    duplicate = sum(verdict == Verdict.DUPLICATE for verdict, _ in others.values())
    return {
        "accepted": len(lines) - len(others),
        "duplicate": duplicate,
        "refused": len(others) - duplicate,
        "lines": told,
    }


def _shown(said: Any) -> str | None:
    if not isinstance(said, str):
        return None
    return said if said.isprintable() or not UNSTORABLE.search(said) else None


class _Part(NamedTuple):
    """So much of a line was taken back, in positive numbers."""

    quantity: Decimal
    amount_fen: int


def _taken_back(db: Db, actor: Actor, asked: dict[int, Reversal], found: Read) -> dict[int, Charge]:
    stays = _locked_stays(db, actor, {reversal.inpatient_no for reversal in asked.values()})
    originals = _originals(db, actor, stays, {reversal.reverses for reversal in asked.values()})
    taken = _taken_so_far(db, set(stays.values()), set(originals))
    good: dict[int, Charge] = {}
    said: dict[Reversal, Charge] = {}
    for place, reversal in asked.items():
        if reversal.inpatient_no not in stays:
            found.refuse(place, NotTaken(Verdict.UNKNOWN_ADMISSION, "inpatient_no"))
            continue
        if reversal in said:
            good[place] = said[reversal]
            continue
        original = originals.get(reversal.reverses)
        if original and original.inpatient_no != reversal.inpatient_no:
            original = None
        parts = taken.setdefault(reversal.reverses, {})
        # What this number took before is not in its own way, and stays taken whatever it says now.
        others = [part for number, part in parts.items() if number != reversal.source_line_id]
        quantity = sum((part.quantity for part in others), Decimal())
        fen = sum(part.amount_fen for part in others)
        try:
            good[place] = said[reversal] = take_back(original, reversal, quantity, fen)
        except NotTaken as refused:
            found.refuse(place, refused)
            continue
        parts.setdefault(reversal.source_line_id, _Part(reversal.quantity, reversal.amount_fen))
    return good


def _locked_stays(db: Db, actor: Actor, inpatient_nos: set[str]) -> dict[str, UUID]:
    # The same locks in the same order as the set function takes them a moment later.
    query = (
        select(Admission.inpatient_no, Admission.id)
        .where(
            Admission.hospital_id == actor.hospital_id, Admission.inpatient_no.in_(inpatient_nos)
        )
        .order_by(Admission.id)
        .with_for_update(key_share=True)
    )
    return dict(db.execute(query).all())


def _originals(
    db: Db, actor: Actor, stays: dict[str, UUID], line_ids: set[str]
) -> dict[str, Charge]:
    """The lines to be taken back, as they were reported; a reversal itself cannot be reversed."""
    numbers = {stay: inpatient_no for inpatient_no, stay in stays.items()}
    query = (
        select(ChargeLine)
        .join(
            ChargeSource,
            (ChargeSource.occurred_on == ChargeLine.occurred_on)
            & (ChargeSource.seq == ChargeLine.seq),
        )
        .where(
            ChargeSource.hospital_id == actor.hospital_id,
            ChargeSource.source_line_id.in_(line_ids),
            ChargeLine.admission_id.in_(stays.values()),
            ChargeLine.reverses.is_(None),
        )
    )
    return {
        line.source_line_id: line.as_charge(numbers[line.admission_id])
        for line in db.scalars(query)
    }


def _taken_so_far(db: Db, stays: set[UUID], line_ids: set[str]) -> dict[str, dict[str, _Part]]:
    """What was taken back of each of these lines, by the number of the reversal."""
    query = select(
        ChargeLine.reverses, ChargeLine.source_line_id, -ChargeLine.quantity, -ChargeLine.amount_fen
    ).where(ChargeLine.admission_id.in_(stays), ChargeLine.reverses.in_(line_ids))
    taken: dict[str, dict[str, _Part]] = {}
    for line, number, quantity, fen in db.execute(query):
        taken.setdefault(str(line), {})[number] = _Part(quantity, fen)
    return taken
