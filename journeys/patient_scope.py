"""Which stays an actor may know of and act on: staff by ward or hospital, patients their own,
relatives by consent."""

from typing import Any, Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.admission import Admission, AdmissionState
from policies.access import Actor
from policies.refusals import NotFound

Scope = Literal["VIEW", "PAY", "OWN"]
"""VIEW: see the bill. PAY: pay for it. OWN: what only the patient (or staff) may do, such as
settling."""

_OVER = (AdmissionState.SETTLED, AdmissionState.CANCELLED)


def stay_for(
    db: Session, actor: Actor, admission_id: UUID, scope: Scope, *, lock: bool = False
) -> Admission:
    """The stay, if this actor may do this much with it; else NotFound, as for a stay that does not
    exist.
    """
    query = select(Admission).where(
        Admission.id == admission_id, Admission.hospital_id == actor.hospital_id
    )
    bounds = reach(actor, scope)
    if (patients := bounds["patients"]) is not None:
        query = query.where(Admission.patient_id.in_(patients))
    if (wards := bounds["wards"]) is not None:
        query = query.where(Admission.ward.in_(wards))
    if stay := db.scalar(query.with_for_update() if lock else query):
        return stay
    raise NotFound("ADMISSION_UNKNOWN")


def reach(actor: Actor, scope: Scope) -> dict[str, list[Any] | None]:
    """Whose stays of the hospital the actor may do this much with: of these ``patients``, in these
    ``wards``; None is no bound.

    A relative's consents are read with the request itself (``Actor.consents``), so a withdrawal
    counts from the next request on.
    """
    if actor.may("own:read"):
        return {"patients": list(_patients(actor, scope)), "wards": None}
    if actor.may("hospital:read"):
        return {"patients": None, "wards": None}
    return {"patients": None, "wards": list(actor.wards) if actor.may("ward:read") else []}


def asked_for(actor: Actor, admission_id: UUID, scope: Scope) -> dict[str, Any]:
    """What ``stay_for`` asks, for a statement of its own: ``stay.id = %(stay)s AND stay.hospital_id
    = %(hospital)s AND within_reach(stay, %(patients)s, %(wards)s)``.
    """
    return {"hospital": actor.hospital_id, "stay": admission_id, **reach(actor, scope)}


def knows_stay(db: Session, actor: Actor, admission_id: UUID, scope: Scope) -> bool:
    """Whether ``stay_for`` would find it: for things of a stay, which are unknown in their own
    words."""
    try:
        stay_for(db, actor, admission_id, scope)
    except NotFound:
        return False
    return True


def stays_of(db: Session, actor: Actor) -> list[Admission]:
    """A patient's own and consented stays; for staff the open stays of their wards or hospital.
    Newest first."""
    query = select(Admission).where(Admission.hospital_id == actor.hospital_id)
    if actor.may("own:read"):
        query = query.where(
            Admission.patient_id.in_(_patients(actor, "VIEW")),
            Admission.state != AdmissionState.CANCELLED,
        )
    elif actor.may("hospital:read"):
        query = query.where(Admission.state.not_in(_OVER))
    elif actor.may("ward:read"):
        query = query.where(Admission.state.not_in(_OVER), Admission.ward.in_(actor.wards))
    else:
        return []
    return list(db.scalars(query.order_by(Admission.admitted_at.desc(), Admission.id)))


def _patients(actor: Actor, scope: Scope) -> set[UUID]:
    found = {patient for patient, allowed in actor.consents if allowed == scope}
    return found | {actor.patient_id} if actor.patient_id else found
