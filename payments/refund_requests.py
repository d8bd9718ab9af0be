"""The money of a request for stored balances: taken out at acceptance, put back when it is refused,
held when it looks wrong (GZ-7).
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session as Db

from config import today
from models import ledger
from models.hospital import setting
from models.ledger import AccountKind
from models.patient import Patient
from models.payee import Payee
from models.refund import RefundLeg, RefundState
from models.refund_hold import RefundHold
from models.refund_request import RefundRequest, RequestItem, RequestState
from models.unreturnable import holder_appeared
from payments import refunds
from payments.refund_risk import facts_of
from policies.refund_papers import Asker, PaperRules, PayeeCheck, check_payee
from policies.refund_risk import Limits, Risk, risks
from policies.refund_routes import route_words
from policies.refusals import Refused

KINDS = (AccountKind.OUTPATIENT_PREPAY, AccountKind.TREASURY_TURNED_OVER)
"""What a patient may ask back: stored money, and what was turned over to the treasury (GZ-8.3)."""

TOO_MUCH = {
    AccountKind.OUTPATIENT_PREPAY: "AMOUNT_EXCEEDS_BALANCE",
    AccountKind.TREASURY_TURNED_OVER: "AMOUNT_EXCEEDS_TURNED_OVER",
}

Parts = Mapping[tuple[UUID, AccountKind], int]
"""(prepay account, kind) -> fen that is asked for."""


def refuse_too_much(db: Db, hospital_id: UUID, parts: Parts) -> None:
    """Refused AMOUNT_EXCEEDS_BALANCE or AMOUNT_EXCEEDS_TURNED_OVER, with what is there."""
    for (account_id, kind), fen in parts.items():
        held_fen = ledger.held(db, hospital_id, kind, str(account_id))
        if fen > held_fen:
            raise Refused(TOO_MUCH[kind], held_fen=held_fen)


def take_out(db: Db, request: RefundRequest, parts: Parts, now: datetime) -> None:
    """One refund for each balance: the money leaves the balances now, its legs are planned.

    Of two at once for the same money the ledger lets one through.
    """
    refuse_too_much(db, request.hospital_id, parts)
    if request.asker != Asker.HOSPITAL:  # the holder, or somebody for them
        accounts = [account_id for account_id, _ in parts]
        holder_appeared(db, accounts, today(now), at=now, by=request.accepted_by)
    there = {(item.account_id, item.kind): item for item in request.items(db)}
    for (account_id, kind), fen in parts.items():
        refund = refunds.request(
            db,
            refunds.drawn_up(
                hospital_id=request.hospital_id,
                key=f"refund-request:{request.id}:{request.round}:{kind}:{account_id}",
                reason="CLEARANCE",
                kind=kind,
                owner=str(account_id),
                subject_id=request.id,
                patient_id=request.patient_id,
                amount_fen=fen,
                by=request.accepted_by,
                now=now,
                payee_id=request.payee_id,
            ),
        )
        if item := there.get((account_id, kind)):
            item.refund_id = refund.id
        else:
            db.add(
                RequestItem(
                    hospital_id=request.hospital_id,
                    request_id=request.id,
                    account_id=account_id,
                    kind=kind,
                    amount_fen=fen,
                    refund_id=refund.id,
                )
            )
    db.flush()


def put_back(db: Db, request: RefundRequest, *, by: str, now: datetime, note: str) -> None:
    """Everything returns to its balance, each part with its way back.

    Refused REFUND_PARTLY_PAID when some of it has left or may have left.
    """
    for refund in request.refunds(db):
        if refund.state != RefundState.REJECTED:
            refunds.reject(db, refund, by=by, now=now, note=note)


def take_out_again(db: Db, request: RefundRequest, now: datetime) -> None:
    """After the money went back: the same amounts again, with the payee of now."""
    request.round += 1
    parts = {
        (item.account_id, AccountKind(item.kind)): item.amount_fen for item in request.items(db)
    }
    take_out(db, request, parts, now)


def end(
    db: Db, request: RefundRequest, there: RequestState, *, by: str, now: datetime, note: str
) -> None:
    """Stop it while no money has left, and put everything back.

    Refused REFUND_PARTLY_PAID once any has left, or may have.
    """
    if request.state in {RequestState.PAYING, RequestState.PAID}:
        raise Refused("REFUND_PARTLY_PAID")
    request.held_from = None
    request.move(db, there, at=now, by=by, why=note)
    put_back(db, request, by=by, now=now, note=note)


def judge(
    db: Db, request: RefundRequest, now: datetime, *, by: str, device_id: UUID | None = None
) -> None:
    """Hold the request for every reason there is now and was not released; without one let it go.

    Called at acceptance and again before every step. ``by`` and ``device_id``: who takes it.
    """
    found = {risk.reason: ("RISK_HOLD", risk) for risk in _risks(db, request, now, by, device_id)}
    if payee_check(db, request) == PayeeCheck.MISMATCH:
        found["PAYEE_MISMATCH"] = ("PAYEE_MISMATCH", Risk("PAYEE_MISMATCH"))
    for hold in RefundHold.of(db, request.id):
        released = hold.second_by is not None and hold.payee_id == request.payee_id
        if hold.closed_at is not None:
            if released:
                found.pop(hold.reason, None)
        elif hold.reason in found:
            found.pop(hold.reason)
        elif hold.code == "PAYEE_MISMATCH" or hold.payee_id != request.payee_id:
            hold.closed_at = now  # cured: another payee, or papers
    for code, risk in found.values():
        db.add(
            RefundHold(
                hospital_id=request.hospital_id,
                request_id=request.id,
                code=code,
                reason=risk.reason,
                facts=dict(risk.facts),
                payee_id=request.payee_id,
                at=now,
            )
        )
    db.flush()
    hold_or_let_go(db, request, by=by, now=now)


def hold_or_let_go(db: Db, request: RefundRequest, *, by: str, now: datetime) -> None:
    """Move into HELD or out of it, as its open holds say."""
    reasons = [hold.reason for hold in RefundHold.open_of(db, request.id)]
    if reasons and request.state != RequestState.HELD:
        request.held_from = request.state
        request.move(db, RequestState.HELD, at=now, by=by, why=", ".join(reasons))
    elif not reasons and request.held_from is not None:
        request.move(db, request.held_from, at=now, by=by, why="released")
        request.held_from = None


def payee_check(db: Db, request: RefundRequest) -> PayeeCheck:
    """Whose bank account was named; without one nothing can go to a stranger."""
    if request.payee_id is None:
        return PayeeCheck.OWN
    return check_payee(
        db.get_one(Payee, request.payee_id).name,
        db.get_one(Patient, request.patient_id).name,
        Asker(request.asker),
        request.asker_name,
        paper_rules(db, request.hospital_id),
    )


def paper_rules(db: Db, hospital_id: UUID) -> PaperRules:
    """What this hospital decided about papers."""
    limits = {
        Asker.AGENT: _decided_fen(db, hospital_id, "refund.agent_limit_fen"),
        Asker.HEIR: _decided_fen(db, hospital_id, "refund.heir_limit_fen"),
    }
    own_only = setting(db, hospital_id, "refund.own_account_only") == "on"
    return PaperRules(limits, own_only)


def routes_said(db: Db, request: RefundRequest) -> str:
    """The ways on which its money is planned to go, in plain words."""
    legs = [leg for refund in request.refunds(db) for leg in RefundLeg.of(db, refund.id)]
    return route_words({leg.route for leg in legs})


def _risks(
    db: Db, request: RefundRequest, now: datetime, by: str, device_id: UUID | None
) -> list[Risk]:
    limits = Limits(_decided_fen(db, request.hospital_id, "refund.risk_limit_fen"))
    return risks(facts_of(db, request, now, by=by, device_id=device_id), limits)


def _decided_fen(db: Db, hospital_id: UUID, key: str) -> int:
    return int(setting(db, hospital_id, key))
