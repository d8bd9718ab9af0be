"""The three ways in: each makes an actor of a credential, read afresh from PostgreSQL every
time."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flask import request

from api import tokens
from api.proofs import proof_of_request
from api.signatures import his_that_signed
from api.surroundings import clock
from models import login
from policies.access import Actor, Channel
from policies.refusals import Unauthenticated


@dataclass(frozen=True, slots=True)
class CameIn:
    """An actor, hospital code and session; ``password_due``: may only set a new password."""

    actor: Actor
    hospital: str
    session_id: UUID | None = None
    password_due: bool = False


def of_patient() -> CameIn:
    """A patient or relative: bearer token of a WeChat session."""
    said = tokens.read(_token(), "patient")
    who = login.patient_in(said.session_id, clock()())
    if who is None:
        raise Unauthenticated("SESSION_OVER")
    consents = [row.split(" ") for row in who["consents"]]
    actor = Actor(
        hospital_id=who["hospital_id"],
        name=f"patient:{who['binding_id']}",
        roles=frozenset({"PATIENT"}),
        channel=Channel.PHONE,
        id=who["binding_id"],
        openid=who["openid"],
        patient_id=who["patient_id"],
        consents=frozenset((UUID(patient), _SCOPE[scope]) for patient, scope in consents),
    )
    return CameIn(actor, who["hospital"], said.session_id)


_SCOPE = {"VIEW_BILL": "VIEW", "PAY": "PAY"}


def of_staff() -> CameIn:
    """A staff member: token bound to the device's key, and that key's proof for this request."""
    token = _token()
    said = tokens.read(token, "staff")
    proof, now = proof_of_request(token), clock()()
    who = login.staff_in(said.session_id, now, proof.digest)
    if who is None:
        raise Unauthenticated("SESSION_OVER")
    if not who["fresh"]:
        raise Unauthenticated("PROOF_REPLAYED")
    if not said.thumbprint == proof.thumbprint == who["thumbprint"]:
        raise Unauthenticated("DEVICE_OTHER")
    actor = Actor(
        hospital_id=who["hospital_id"],
        name=f"staff:{who['staff_no']}",
        roles=frozenset(who["roles"]),
        channel=_channel(who),
        id=who["staff_id"],
        wards=frozenset(who["wards"]),
        device_id=who["device_id"],
    )
    due = who["password_due_at"]
    return CameIn(actor, who["hospital"], said.session_id, due is not None and due <= now)


def of_his() -> CameIn:
    """A system of the hospital: a signed request."""
    key = his_that_signed()
    actor = Actor(key["hospital_id"], f"his:{key['system']}", frozenset({"HIS"}), Channel.HIS)
    return CameIn(actor, key["hospital"])


def _channel(who: dict[str, Any]) -> Channel:
    if who["kind"] == "HANDHELD":
        return Channel.BEDSIDE
    return Channel.WINDOW if who["window"] and "CASHIER" in who["roles"] else Channel.DESK


def _token() -> str:
    return (request.authorization.token if request.authorization else None) or ""
