"""What a known outcome changes on an encounter; the same whether the answer came at once or was
found out later.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session as SqlSession

from models.admission import Admission
from models.insurance import Encounter, EncounterState, InsuranceCall
from models.patient import Patient
from payments.insurance.amounts import SettlementAmounts
from payments.insurance.codec import Row, Unreadable, local_time
from policies.refusals import Refused

Effect = Callable[[SqlSession, Encounter, InsuranceCall], None]


@dataclass(frozen=True, slots=True)
class Papers:
    """What the platform wants to see of a patient and their stay, from our own books."""

    name: str = field(repr=False)
    id_no: str = field(repr=False)
    inpatient_no: str
    admitted_at: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """The meaning of a 2304, 2305 or 5203 reply. ``cleared_by`` and ``clr_type`` are what 3201
    counts by.
    """

    amounts: SettlementAmounts
    at: datetime | None
    cleared_by: str
    clr_type: str

    @classmethod
    def of(cls, setlinfo: Row, amounts: SettlementAmounts) -> "Settled":
        """From a parsed setlinfo; Unreadable when setl_time is no moment."""
        return cls(
            amounts,
            local_time(str(setlinfo["setl_time"])) if setlinfo.get("setl_time") else None,
            str(setlinfo.get("clr_optins") or ""),
            str(setlinfo.get("clr_type") or ""),
        )


def papers(db: SqlSession, stay: Encounter) -> Papers:
    """Name, identity number, inpatient number and admission time."""
    patient = db.get_one(Patient, stay.patient_id)
    admission = db.get_one(Admission, stay.admission_id)
    return Papers(patient.name, patient.id_no, admission.inpatient_no, admission.admitted_at)


def must_be(stay: Encounter, *states: str) -> None:
    """Refused INSURANCE_WRONG_STATE when the encounter stands elsewhere."""
    if stay.state not in states:
        raise Refused("INSURANCE_WRONG_STATE", state=stay.state)


def registered(mdtrt_id: str) -> Effect:
    """2401 happened and this is the stay's number."""

    def effect(db: SqlSession, stay: Encounter, call: InsuranceCall) -> None:
        stay.mdtrt_id = mdtrt_id
        call.facts = {"mdtrt_id": mdtrt_id}
        _move(db, stay, call, EncounterState.REGISTERED)

    return effect


def moved(there: EncounterState) -> Effect:
    """2402, 2404 or 2405 happened."""
    return lambda db, stay, call: _move(db, stay, call, there)


def settled(what: Settled) -> Effect:
    """2304 happened with these amounts."""
    if not what.amounts.setl_id:
        raise Unreadable("no setl_id")

    def effect(db: SqlSession, stay: Encounter, call: InsuranceCall) -> None:
        stay.setl_id, stay.settlement = what.amounts.setl_id, what.amounts.to_json()
        _remember(call, what)
        _move(db, stay, call, EncounterState.SETTLED)

    return effect


def undone(what: Settled) -> Effect:
    """2305 happened with these negative amounts."""

    def effect(db: SqlSession, stay: Encounter, call: InsuranceCall) -> None:
        _remember(call, what, undoes=stay.setl_id)
        stay.setl_id = stay.settlement = stay.trial = None
        _move(db, stay, call, EncounterState.DISCHARGED)

    return effect


def _remember(call: InsuranceCall, what: Settled, **more: Any) -> None:
    call.settled_at = what.at or call.answered_at
    call.facts = more | {
        "amounts": what.amounts.to_json(),
        "cleared_by": what.cleared_by,
        "clr_type": what.clr_type,
    }


def _move(db: SqlSession, stay: Encounter, call: InsuranceCall, there: EncounterState) -> None:
    at = call.answered_at or call.asked_at
    stay.move(db, there, at=at, by=call.by, why=f"{call.infno} {call.msgid}")
