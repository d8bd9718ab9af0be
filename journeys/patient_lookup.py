"""Who stands at the window or is on the telephone: found by identity number or by the old card, so
that what is done next is done to the right balance (GZ-7).
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session as Db

from models.audit import audit
from models.db import Session
from models.patient import Patient
from models.prepay_account import PrepayAccount
from models.sealing import blind_index
from policies.access import Actor
from policies.identity_number import read_id_no


def look_up(
    actor: Actor, now: Callable[[], datetime], *, id_no: str = "", card_no: str = ""
) -> list[dict[str, Any]]:
    """The rows of the patient index with this identity number, or else the holder of this card;
    none is no error. Masked; the look is in the audit trail. Refused ID_NUMBER_INVALID.
    """
    query = select(Patient).where(Patient.hospital_id == actor.hospital_id)
    if id_no:
        query = query.where(Patient.id_no_index == blind_index(read_id_no(id_no)))
    else:
        card = PrepayAccount.hospital_id == actor.hospital_id, PrepayAccount.card_no == card_no
        query = query.where(Patient.id.in_(select(PrepayAccount.patient_id).where(*card)))
    with Session.begin() as db:
        found = db.scalars(query.order_by(Patient.id)).all()
        for patient in found:
            subject, facts = f"patient:{patient.id}", {"by": "identity" if id_no else "card"}
            audit(db, actor.hospital_id, actor.name, "patient looked up", subject, facts, at=now())
        return [_shown(db, patient) for patient in found]


def _shown(db: Db, patient: Patient) -> dict[str, Any]:
    return {
        "patient_id": patient.id,
        "name": patient.masked_name,
        "born_on": patient.born_on,
        "has_phone": patient.phone_index is not None,
        "accounts": [
            {
                "account_id": account.id,
                "card": account.masked_card,
                "last_activity_on": account.last_activity_on,
            }
            for account in PrepayAccount.of(db, patient.id)
        ],
    }
