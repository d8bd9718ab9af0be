"""A request for stored money is mended, taken back, or opened again after a refusal (GZ-7)."""

from typing import Any
from uuid import UUID

from journeys.counterparts import Counterparts
from journeys.refund_request_view import request_for, view_request
from models.db import Session
from models.refund_request import RequestState
from payments.refund_asking import NamedCard, keep_papers, name_payee
from payments.refund_requests import end, judge, put_back, take_out_again
from policies.access import Actor
from policies.refund_papers import Paper
from policies.refusals import Conflict, Refused


def mend(
    actor: Actor,
    outside: Counterparts,
    request_id: UUID,
    *,
    papers: tuple[tuple[Paper, str], ...],
    payee: NamedCard | None,
) -> dict[str, Any]:
    """Bring further papers or name another account before the review; a hold that this cures ends.

    Conflict STATE_CHANGED once it was reviewed: take it back and ask again.
    """
    now = outside.now()
    with Session.begin() as db:
        request = request_for(db, actor, request_id)
        if request.reviewed_by or request.state not in {RequestState.ACCEPTED, RequestState.HELD}:
            raise Conflict("STATE_CHANGED")
        keep_papers(db, request, papers, by=actor.name, now=now)
        if payee is not None:
            put_back(db, request, by=actor.name, now=now, note="another payee")
            name_payee(db, request, payee)
            take_out_again(db, request, now)
        judge(db, request, now, by=actor.name)
    return view_request(actor, request_id)


def withdraw(
    actor: Actor,
    outside: Counterparts,
    request_id: UUID,
    *,
    reason: str,
    signature_sha256: str | None,
) -> dict[str, Any]:
    """Whoever asked takes the request back while no money has left; at the window they sign.

    Refused REFUND_PARTLY_PAID, SIGNATURE_REQUIRED. Said again it changes nothing.
    """
    now = outside.now()
    with Session.begin() as db:
        request = request_for(db, actor, request_id)
        _refuse_unsigned(actor, signature_sha256)
        if request.state != RequestState.WITHDRAWN:
            end(db, request, RequestState.WITHDRAWN, by=actor.name, now=now, note=reason)
            request.withdrawal_sha256 = signature_sha256
    return view_request(actor, request_id)


def appeal(
    actor: Actor,
    outside: Counterparts,
    request_id: UUID,
    *,
    reason: str,
    signature_sha256: str | None,
) -> dict[str, Any]:
    """A rejected request is opened again, once, for other people than the one who rejected it.

    The money is taken out again: Refused AMOUNT_EXCEEDS_BALANCE when it was used meanwhile,
    APPEAL_USED, SIGNATURE_REQUIRED.
    """
    now = outside.now()
    with Session.begin() as db:
        request = request_for(db, actor, request_id)
        _refuse_unsigned(actor, signature_sha256)
        done = request.appealed_by == actor.name and request.state != RequestState.REJECTED
        if not done:
            if request.appealed_by is not None:
                raise Refused("APPEAL_USED")
            if request.state != RequestState.REJECTED:
                raise Conflict("STATE_CHANGED")
            request.reviewed_by = request.reviewed_at = None
            request.confirmed_by = request.confirmed_at = None
            request.appealed_by = actor.name
            request.move(db, RequestState.ACCEPTED, at=now, by=actor.name, why=reason)
            take_out_again(db, request, now)
            judge(db, request, now, by=actor.name)
    return view_request(actor, request_id)


def _refuse_unsigned(actor: Actor, signature_sha256: str | None) -> None:
    if not actor.may("own:act") and signature_sha256 is None:
        raise Refused("SIGNATURE_REQUIRED")
