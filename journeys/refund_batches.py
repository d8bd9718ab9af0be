"""Finance gives stored money back without being asked, where all of it can go the way it came and
nobody has to come for it (GZ-7).
"""

from typing import Any
from uuid import UUID

from journeys.counterparts import Counterparts
from models.db import Session
from models.ledger import AccountKind
from models.patient import Patient
from models.prepay_account import PrepayAccount
from models.refund_request import RefundRequest
from payments.purse import Balance, Holder, balances, holders, would_go
from payments.refund_asking import Wish, accept
from policies.access import Actor
from policies.refund_papers import Asker
from policies.refusals import Conflict, NotFound, Refusal, Refused

COMES_BY_ITSELF = frozenset({"WECHAT", "ALIPAY"})
"""Original ways on which the money arrives without the patient."""

PREPAY = AccountKind.OUTPATIENT_PREPAY


def start_batch(
    actor: Actor, outside: Counterparts, *, account_ids: list[UUID], reason: str, key: str
) -> list[dict[str, Any]]:
    """One request for each account, accepted by the one who starts the batch, or why there is none.

    Each account stands alone and the same key again answers the same, so a batch that was cut off
    is simply sent again. NEEDS_APPLICATION: a part would go another way, its owner must choose.
    """
    return [_one(actor, outside, account_id, reason, key) for account_id in account_ids]


def _one(
    actor: Actor, outside: Counterparts, account_id: UUID, reason: str, key: str
) -> dict[str, Any]:
    try:
        request_id, refused = _cleared(actor, outside, account_id, reason, key), ""
    except Refusal as no:
        request_id, refused = None, no.code
    return {"account_id": account_id, "request_id": request_id, "refused": refused}


def _cleared(actor: Actor, outside: Counterparts, account_id: UUID, reason: str, key: str) -> UUID:
    now = outside.now()
    wish = Wish(asker=Asker.HOSPITAL, reason=reason)
    with Session.begin() as db:
        account = db.get(PrepayAccount, account_id)
        if account is None or account.hospital_id != actor.hospital_id:
            raise NotFound("PREPAY_ACCOUNT_UNKNOWN")
        patient = Patient.locked(db, account.patient_id)
        own_key = f"{key}:{account_id}"
        there = RefundRequest.by_key(db, actor.hospital_id, actor.name, own_key)
        if there:
            if there.request_hash != wish.content:
                raise Conflict("IDEMPOTENCY_CONFLICT")
            return there.id
        holder = holders(db, patient)[0]
        balance = _balance(holder, list(balances(db, holder)), account_id)
        if not all(
            leg.route in COMES_BY_ITSELF and leg.why[-1].code == f"BACK_TO_{leg.route}"
            for leg in would_go(db, holder, balance, now)
        ):
            raise Refused("NEEDS_APPLICATION")
        parts = {(account_id, PREPAY): balance.held_fen}
        return accept(db, actor, patient, parts, wish, by=actor.name, key=own_key, now=now).id


def _balance(holder: Holder, there: list[Balance], account_id: UUID) -> Balance:
    for balance in there:
        if (balance.account.id, balance.kind) == (account_id, PREPAY):
            return balance
    raise Refused("NO_BALANCE_TO_REFUND")
