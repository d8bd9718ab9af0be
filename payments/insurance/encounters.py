"""What a known outcome changes on an encounter; the same whether the answer came at once or was
found out later.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session as SqlSession

from models.admission import Admission
from models.insurance import Encounter, EncounterState
from models.insurance_calls import Change
from models.patient import Patient
from payments.insurance.amounts import SettlementAmounts
from payments.insurance.codec import Row, Unreadable, local_time
from policies.refusals import Refused

Effect = Callable[[Encounter, datetime], Change]
"""From the encounter as it stands and the moment of the answer."""


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
    number = {"mdtrt_id": mdtrt_id}
    return lambda stay, at: Change(number, EncounterState.REGISTERED, {"facts": number})


def moved(there: EncounterState) -> Effect:
    """2402, 2404 or 2405 happened."""
    return lambda stay, at: Change(there=there)


def settled(what: Settled) -> Effect:
    """2304 happened with these amounts."""
    if not what.amounts.setl_id:
        raise Unreadable("no setl_id")
    now = {"setl_id": what.amounts.setl_id, "settlement": what.amounts.to_json()}
    return lambda stay, at: Change(now, EncounterState.SETTLED, _remembered(what, at))


def undone(what: Settled) -> Effect:
    """2305 happened with these negative amounts."""
    nothing = dict.fromkeys(("setl_id", "settlement", "trial"))
    return lambda stay, at: Change(
        nothing, EncounterState.DISCHARGED, _remembered(what, at, undoes=stay.setl_id)
    )


def all_withdrawn(stay: Encounter, at: datetime) -> Change:
    """2302 of everything happened."""
    return Change(withdrawn=True)


def _remembered(what: Settled, at: datetime, **more: Any) -> dict[str, Any]:
    """Of the call; ``at``: when its answer was written down."""
    facts = more | {
        "amounts": what.amounts.to_json(),
        "cleared_by": what.cleared_by,
        "clr_type": what.clr_type,
    }
    return {"settled_at": what.at or at, "facts": facts}
