"""Asking for stored money: all of a person's balances at once or a chosen part, on the own phone,
for somebody else with papers, or at the window (GZ-7, GZ-8.3).
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session as Db

from config import today
from journeys.counterparts import Counterparts
from journeys.refund_request_view import view_request
from models.db import Session
from models.hospital import setting
from models.ledger import AccountKind
from models.patient import Patient
from models.refund_request import RefundRequest
from payments.purse import Holder, balances, holders
from payments.refund_asking import Wish, accept
from payments.refund_requests import KINDS, Parts
from policies.access import Actor, Channel
from policies.identity_number import read_id_no
from policies.refund_papers import FOR_ANOTHER, Asker, refuse_a_child_alone
from policies.refusals import Conflict, NotFound, Refused


def ask(
    actor: Actor, outside: Counterparts, patient_id: UUID, wish: Wish, key: str
) -> list[dict[str, Any]]:
    """Ask for stored money; one request for each hospital and kind of money, all accepted or none.

    The same key again is the same requests; with another wish it is a Conflict. Refused
    AMOUNT_EXCEEDS_BALANCE, AMOUNT_EXCEEDS_TURNED_OVER, NO_BALANCE_TO_REFUND, PAPERS_MISSING,
    SIGNATURE_REQUIRED, ASKER_UNNAMED, GUARDIAN_REQUIRED, ACCEPT_ABOVE_LIMIT.
    """
    now = outside.now()
    with Session.begin() as db:
        patient = _may_ask(db, actor, patient_id, wish)
        refuse_a_child_alone(wish.asker, patient.born_on, today(now))
        purse = holders(db, patient, lock=True)  # two requests for one person wait here
        made = _already_there(db, actor, purse, wish, key)
        if not made:
            parts = _chosen(db, purse, wish)
            _refuse_above_window(db, actor, sum(parts.values()))
            for holder in purse:
                for kind in KINDS:
                    if of_it := _of(holder, kind, parts):
                        by = _name_at(actor, holder)
                        their_key = f"{key}:{kind}"
                        made.append(
                            accept(
                                db,
                                actor,
                                holder.patient,
                                of_it,
                                wish,
                                by=by,
                                key=their_key,
                                now=now,
                            )
                        )
        ids = [request.id for request in made]
    return [view_request(actor, request_id) for request_id in ids]


def _may_ask(db: Db, actor: Actor, patient_id: UUID, wish: Wish) -> Patient:
    """Patients for themselves, relatives whom the patient trusts with the bill, and the window."""
    patient = db.get(Patient, patient_id)
    if patient is None or patient.hospital_id != actor.hospital_id:
        raise NotFound("PATIENT_UNKNOWN")
    trusted = any(whose == patient_id for whose, _ in actor.consents)
    if actor.may("own:act"):
        own = actor.patient_id == patient_id
        if not own and not trusted:
            raise NotFound("PATIENT_UNKNOWN")
        if wish.asker != (Asker.OWN if own else Asker.AGENT):
            raise Refused("ASK_AT_THE_WINDOW")
    elif wish.signature_sha256 is None:
        raise Refused("SIGNATURE_REQUIRED")
    if wish.asker in FOR_ANOTHER:
        if not wish.name:
            raise Refused("ASKER_UNNAMED")
        read_id_no(wish.id_no)
    return patient


def _already_there(
    db: Db, actor: Actor, purse: list[Holder], wish: Wish, key: str
) -> list[RefundRequest]:
    there = [
        request
        for holder in purse
        for kind in KINDS
        if (
            request := RefundRequest.by_key(
                db, holder.hospital.id, _name_at(actor, holder), f"{key}:{kind}"
            )
        )
    ]
    if any(request.request_hash != wish.content for request in there):
        raise Conflict("IDEMPOTENCY_CONFLICT")
    return there


def _chosen(db: Db, purse: list[Holder], wish: Wish) -> Mapping[tuple[UUID, AccountKind], int]:
    """What is asked for: the parts that were named, or everything there is."""
    if wish.parts is None:
        parts = {
            (balance.account.id, balance.kind): balance.held_fen
            for holder in purse
            for balance in balances(db, holder)
        }
    else:
        mine = {account.id for holder in purse for account in holder.accounts}
        if any(account_id not in mine for account_id, _, _ in wish.parts):
            raise NotFound("PREPAY_ACCOUNT_UNKNOWN")
        parts = Counter()
        for account_id, kind, fen in wish.parts:
            parts[account_id, AccountKind(kind)] += fen
    if not parts:
        raise Refused("NO_BALANCE_TO_REFUND")
    return parts


def _of(holder: Holder, kind: AccountKind, parts: Parts) -> Parts:
    """The parts of one kind that lie at one hospital."""
    here = {account.id for account in holder.accounts}
    return {part: fen for part, fen in parts.items() if part[0] in here and part[1] == kind}


def _refuse_above_window(db: Db, actor: Actor, amount_fen: int) -> None:
    """What a cashier may accept; above it finance does (GZ-7: limits by role)."""
    if actor.channel == Channel.PHONE or actor.may("refund:review"):
        return
    limit = int(setting(db, actor.hospital_id, "refund_window_limit_fen"))
    if amount_fen > limit:
        raise Refused("ACCEPT_ABOVE_LIMIT", limit_fen=limit)


def _name_at(actor: Actor, holder: Holder) -> str:
    """The actor's name in another hospital's trail, where a member of staff may have the same."""
    if holder.hospital.id == actor.hospital_id or actor.channel == Channel.PHONE:
        return actor.name
    return f"{actor.name}@{actor.hospital_id}"
