"""Accepting a request for stored money: the row, its papers and payee, the money taken out, and the
word to the patient, all in one transaction (GZ-7).
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session as Db

from models.db import new_id
from models.patient import Patient
from models.payee import Payee
from models.refund_request import RefundRequest, RequestPaper
from models.sealing import fingerprint
from models.workday_override import overrides_of
from notifications.messages import tell
from payments.refund_requests import (
    Parts,
    judge,
    paper_rules,
    payee_check,
    routes_said,
    take_out,
)
from policies.access import Actor
from policies.digest import digest
from policies.money import yuan
from policies.refund_papers import Asker, Paper, PayeeCheck, missing, names_of
from policies.refund_risk import off_hours
from policies.refusals import Refused


@dataclass(frozen=True, slots=True)
class NamedCard:
    """The bank account that somebody wants the money on."""

    name: str
    card_no: str
    bank_name: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked: for whose money, on what papers, to which account. ``parts`` None: everything.

    ``papers``: kinds with the SHA-256 of their copies. ``signature_sha256``: at the window.
    """

    asker: Asker = Asker.OWN
    parts: tuple[tuple[UUID, str, int], ...] | None = None
    name: str = ""
    id_no: str = ""
    papers: tuple[tuple[Paper, str], ...] = ()
    payee: NamedCard | None = None
    signature_sha256: str | None = None
    reason: str = ""

    @property
    def content(self) -> str:
        """Recognises the same wish; keyed, because it names people."""
        return fingerprint(digest(asdict(self)).encode()).hex()


def accept(
    db: Db,
    actor: Actor,
    patient: Patient,
    parts: Parts,
    wish: Wish,
    *,
    by: str,
    key: str,
    now: datetime,
) -> RefundRequest:
    """Take these balances out for this patient. Refused PAPERS_MISSING and what `take_out` refuses.

    A payee of another name and whatever looks wrong is accepted and held.
    """
    amount_fen = sum(parts.values())
    kinds = {paper for paper, _ in wish.papers}
    lacking = missing(wish.asker, amount_fen, kinds, paper_rules(db, patient.hospital_id))
    if lacking:
        raise Refused("PAPERS_MISSING", papers=names_of(lacking))
    request = RefundRequest(
        id=new_id(),
        hospital_id=patient.hospital_id,
        patient_id=patient.id,
        amount_fen=amount_fen,
        round=1,
        client_key=key,
        request_hash=wish.content,
        asker=wish.asker,
        signature_sha256=wish.signature_sha256,
        reason=wish.reason,
        channel=actor.channel,
        device_id=actor.device_id,
        off_hours=off_hours(now, overrides_of(db, patient.hospital_id)),
        accepted_by=by,
        accepted_at=now,
    )
    request.asker_name, request.asker_id_no = wish.name, wish.id_no
    db.add(request)
    db.flush()
    request.start(db, at=now, by=by, why=wish.reason or wish.asker)
    keep_papers(db, request, wish.papers, by=by, now=now)
    if wish.payee:
        name_payee(db, request, wish.payee)
    take_out(db, request, parts, now)
    judge(db, request, now, by=by, device_id=actor.device_id)
    _tell_accepted(db, request, now)
    return request


def keep_papers(
    db: Db,
    request: RefundRequest,
    papers: tuple[tuple[Paper, str], ...],
    *,
    by: str,
    now: datetime,
) -> None:
    """Add the copies that are not there yet."""
    there = {(paper.kind, paper.sha256) for paper in request.papers(db)}
    db.add_all(
        RequestPaper(
            hospital_id=request.hospital_id,
            request_id=request.id,
            kind=kind,
            sha256=sha256,
            taken_by=by,
            taken_at=now,
        )
        for kind, sha256 in dict.fromkeys(papers)
        if (kind, sha256) not in there
    )
    db.flush()


def name_payee(db: Db, request: RefundRequest, card: NamedCard) -> None:
    """The account that was named; nothing is paid to it before a reviewer has verified it."""
    payee = Payee(
        id=new_id(),
        hospital_id=request.hospital_id,
        patient_id=request.patient_id,
        bank_name=card.bank_name,
    )
    payee.name, payee.card_no = card.name, card.card_no
    db.add(payee)
    db.flush()
    request.payee_id = payee.id
    payee.papers = payee_check(db, request) != PayeeCheck.OWN
    db.flush()


def _tell_accepted(db: Db, request: RefundRequest, now: datetime) -> None:
    tell(
        db,
        hospital_id=request.hospital_id,
        key=f"refund-accepted:{request.id}",
        patient_id=request.patient_id,
        template="REFUND_ACCEPTED",
        values={"amount": yuan(request.amount_fen), "route": routes_said(db, request)},
        at=now,
    )
