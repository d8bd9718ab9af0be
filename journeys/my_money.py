"""One look at all of a person's stored money: every card, every hospital of the consortium, what
was turned over, and which way it would go back (GZ-7, GZ-8.3).
"""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session as Db

from journeys.counterparts import Counterparts
from models.db import ReadSession
from models.patient import Patient
from payments.purse import Balance, Holder, balances, holders, would_go
from policies.access import Actor
from policies.refund_why import sentence


def view_my_money(actor: Actor, outside: Counterparts, patient_id: UUID) -> dict[str, Any]:
    """The balances of the patient who asks, or at the window of any patient here."""
    with ReadSession() as db:
        patient = Patient.seen_by(db, actor, patient_id)
        shown = [
            _shown(db, outside, holder, balance)
            for holder in holders(db, patient)
            for balance in balances(db, holder)
        ]
        return {"total_fen": sum(each["held_fen"] for each in shown), "balances": shown}


def _shown(db: Db, outside: Counterparts, holder: Holder, balance: Balance) -> dict[str, Any]:
    return {
        "hospital": holder.hospital.name,
        "account_id": balance.account.id,
        "kind": balance.kind,
        "card": balance.account.masked_card,
        "last_activity_on": balance.account.last_activity_on,
        "held_fen": balance.held_fen,
        "legs": [
            {
                "route": leg.route,
                "amount_fen": leg.amount_fen,
                "why": sentence(leg.why),
                "closes_at": leg.closes_at,
            }
            for leg in would_go(db, holder, balance, outside.now())
        ],
    }
