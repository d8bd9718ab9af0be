"""Stored money: one look at all of it, and the request to get it back, from acceptance to payment
(GZ-7, GZ-8.3)."""

from datetime import date
from typing import Any
from uuid import UUID

from marshmallow import Schema, fields, validate

from api.fields import KeyHeader, fen, on_day, said, sha256
from api.guard import current_actor, guarded
from api.refunds import PlannedLeg
from api.routes import Routes
from api.surroundings import counterparts
from journeys import (
    my_money,
    refund_asking,
    refund_batches,
    refund_deciding,
    refund_request_view,
    refund_undoing,
)
from models.refund_request import RequestState
from payments.refund_asking import NamedCard, Wish
from payments.refund_requests import KINDS
from policies.refund_papers import Asker, Paper

blp = Routes("refund requests", __name__, description="清退：我的余额与退款申请")

Requests = list[dict[str, Any]]


class Balance(Schema):
    """One account's money, and which way it would go back if all of it were asked for now."""

    hospital = fields.String(required=True)
    account_id = fields.UUID(required=True)
    kind = fields.String(required=True, validate=validate.OneOf(list(KINDS)))
    card = fields.String(required=True)
    last_activity_on = fields.Date(required=True)
    held_fen = fields.Integer(required=True)
    legs = fields.List(fields.Nested(PlannedLeg), required=True)


class MyMoney(Schema):
    """All stored money of one person."""

    total_fen = fields.Integer(required=True)
    balances = fields.List(fields.Nested(Balance), required=True)


class PartIn(Schema):
    """A part of one balance."""

    account_id = fields.UUID(required=True)
    kind = fields.String(required=True, validate=validate.OneOf(list(KINDS)))
    amount_fen = fen(least=1, required=True)


class PaperIn(Schema):
    """A copy of one paper, known by its SHA-256."""

    kind = fields.String(required=True, validate=validate.OneOf(list(Paper)))
    sha256 = sha256(required=True)


class Card(Schema):
    """A bank account."""

    name = said(60, required=True)
    card_no = fields.String(required=True, validate=validate.Regexp(r"^[0-9]{10,30}\Z"))
    bank_name = said(60, required=True)


class Asked(Schema):
    """What is wanted. Without ``parts``: everything. At the window with the signature's hash."""

    asker = fields.String(
        load_default=Asker.OWN.value,
        validate=validate.OneOf([Asker.OWN, Asker.AGENT, Asker.GUARDIAN, Asker.HEIR]),
    )
    parts = fields.List(
        fields.Nested(PartIn), load_default=None, allow_none=True, validate=validate.Length(1, 50)
    )
    name = said(60, least=0, load_default="")
    id_no = said(30, least=0, load_default="")
    papers = fields.List(fields.Nested(PaperIn), load_default=[], validate=validate.Length(max=20))
    payee = fields.Nested(Card, load_default=None, allow_none=True)
    signature_sha256 = sha256(load_default=None, allow_none=True)
    reason = said(200, least=0, load_default="")


class Mending(Schema):
    """Further papers, or another account."""

    papers = fields.List(fields.Nested(PaperIn), load_default=[], validate=validate.Length(max=20))
    payee = fields.Nested(Card, load_default=None, allow_none=True)


class Said(Schema):
    """A step's reason."""

    reason = said(200, required=True)


class Reviewed(Said):
    """The second person's word; every paper's copy is named."""

    papers_seen = fields.List(sha256(), load_default=[], validate=validate.Length(max=50))


class SaidAndSigned(Said):
    """The patient's word; at the window with the signature's hash."""

    signature_sha256 = sha256(load_default=None, allow_none=True)


class Item(Schema):
    """One balance that the request covers, its refund and the refund's legs."""

    account_id = fields.UUID(required=True)
    card = fields.String(required=True)
    kind = fields.String(required=True)
    amount_fen = fields.Integer(required=True)
    refund_id = fields.UUID(required=True)
    refund_state = fields.String(required=True)
    legs = fields.List(fields.Nested(PlannedLeg), required=True)


class PayeeOut(Schema):
    """The named account, masked."""

    card = fields.String(required=True)
    bank_name = fields.String(required=True)
    verified = fields.Boolean(required=True)


class Word(Schema):
    """One of the two who let it go on."""

    by = fields.String(required=True)
    at = fields.AwareDateTime(required=True)
    why = fields.String(required=True)


class Hold(Schema):
    """Why the request is held, or was."""

    code = fields.String(required=True, validate=validate.OneOf(["RISK_HOLD", "PAYEE_MISMATCH"]))
    reason = fields.String(required=True)
    say = fields.String(required=True)
    at = fields.AwareDateTime(required=True)
    open = fields.Boolean(required=True)
    released = fields.List(fields.Nested(Word), required=True)


class Step(Schema):
    """One move; who took it and why is shown to staff only."""

    state = fields.String(required=True)
    at = fields.AwareDateTime(required=True)
    by = fields.String(required=True)
    reason = fields.String(required=True)


class RequestOut(Schema):
    """A request for stored money."""

    id = fields.UUID(required=True)
    state = fields.String(required=True, validate=validate.OneOf(list(RequestState)))
    asker = fields.String(required=True)
    amount_fen = fields.Integer(required=True)
    accepted_at = fields.AwareDateTime(required=True)
    paid_at = fields.AwareDateTime(required=True, allow_none=True)
    payee = fields.Nested(PayeeOut, required=True, allow_none=True)
    papers = fields.List(fields.Nested(PaperIn), required=True)
    items = fields.List(fields.Nested(Item), required=True)
    holds = fields.List(fields.Nested(Hold), required=True)
    steps = fields.List(fields.Nested(Step), required=True)


class RequestQuery(Schema):
    """Which requests."""

    state = fields.String(load_default=None, validate=validate.OneOf(list(RequestState)))


class DayQuery(Schema):
    """Which Shanghai day."""

    day = on_day(required=True)


class Batch(Schema):
    """Accounts that finance clears without being asked."""

    account_ids = fields.List(fields.UUID(), required=True, validate=validate.Length(1, 200))
    reason = said(200, required=True)


class BatchLine(Schema):
    """What became of one account: its request, or the code of the refusal."""

    account_id = fields.UUID(required=True)
    request_id = fields.UUID(required=True, allow_none=True)
    refused = fields.String(required=True)


@blp.route("/v1/patients/<uuid:patient_id>/my-money")
@guarded("own:read", "hospital:read")
@blp.response(200, MyMoney)
def my_balances(patient_id: UUID) -> dict[str, Any]:
    """Look at all stored money of a person"""
    return my_money.view_my_money(current_actor(), counterparts(), patient_id)


@blp.route("/v1/patients/<uuid:patient_id>/refund-requests", methods=["POST"])
@guarded("own:act", "refund:request")
@blp.arguments(KeyHeader, location="headers")
@blp.arguments(Asked)
@blp.response(200, RequestOut(many=True))
def ask(headers: dict[str, Any], asked: dict[str, Any], patient_id: UUID) -> Requests:
    """Ask for stored money"""
    wish = Wish(
        asker=Asker(asked["asker"]),
        parts=_parts(asked["parts"]),
        name=asked["name"],
        id_no=asked["id_no"],
        papers=_papers(asked["papers"]),
        payee=_card(asked["payee"]),
        signature_sha256=asked["signature_sha256"],
        reason=asked["reason"],
    )
    key = headers["idempotency_key"]
    return refund_asking.ask(current_actor(), counterparts(), patient_id, wish, key)


@blp.route("/v1/patients/<uuid:patient_id>/refund-requests", methods=["GET"])
@guarded("own:read", "hospital:read")
@blp.response(200, RequestOut(many=True))
def of_patient(patient_id: UUID) -> Requests:
    """List a person's requests"""
    return refund_request_view.requests_of_patient(current_actor(), patient_id)


@blp.route("/v1/refund-requests")
@guarded("refund:request", "refund:review", "refund:check")
@blp.arguments(RequestQuery, location="query")
@blp.response(200, RequestOut(many=True))
def queue(query: dict[str, Any]) -> Requests:
    """List requests for stored money"""
    return refund_request_view.list_requests(current_actor(), query["state"])


@blp.route("/v1/refund-requests/four-eyes")
@guarded("refund:review", "refund:check")
@blp.arguments(DayQuery, location="query")
@blp.response(200, RequestOut(many=True))
def four_eyes(query: dict[str, date]) -> Requests:
    """List what moved on a day and who decided"""
    return refund_request_view.four_eyes(current_actor(), query["day"])


@blp.route("/v1/refund-requests/<uuid:request_id>")
@guarded("own:read", "hospital:read")
@blp.response(200, RequestOut)
def look(request_id: UUID) -> dict[str, Any]:
    """Look at a request for stored money"""
    return refund_request_view.view_request(current_actor(), request_id)


@blp.route("/v1/refund-requests/<uuid:request_id>/review", methods=["POST"])
@guarded("refund:review")
@blp.arguments(Reviewed)
@blp.response(200, RequestOut)
def review(asked: dict[str, Any], request_id: UUID) -> dict[str, Any]:
    """Review a request as its second person"""
    seen = tuple(asked["papers_seen"])
    return refund_deciding.review(
        current_actor(), counterparts(), request_id, reason=asked["reason"], papers_seen=seen
    )


@blp.route("/v1/refund-requests/<uuid:request_id>/confirm", methods=["POST"])
@guarded("refund:check")
@blp.arguments(Said)
@blp.response(200, RequestOut)
def confirm(asked: dict[str, Any], request_id: UUID) -> dict[str, Any]:
    """Confirm a request as its third person"""
    return refund_deciding.confirm(current_actor(), counterparts(), request_id, **asked)


@blp.route("/v1/refund-requests/<uuid:request_id>/release", methods=["POST"])
@guarded("refund:check")
@blp.arguments(Said)
@blp.response(200, RequestOut)
def release(asked: dict[str, Any], request_id: UUID) -> dict[str, Any]:
    """Let a held request go on, as one of two"""
    return refund_deciding.release(current_actor(), counterparts(), request_id, **asked)


@blp.route("/v1/refund-requests/<uuid:request_id>/reject", methods=["POST"])
@guarded("refund:review", "refund:check")
@blp.arguments(Said)
@blp.response(200, RequestOut)
def reject(asked: dict[str, Any], request_id: UUID) -> dict[str, Any]:
    """Reject a request for stored money"""
    return refund_deciding.reject(current_actor(), counterparts(), request_id, **asked)


@blp.route("/v1/refund-requests/<uuid:request_id>/mend", methods=["POST"])
@guarded("own:act", "refund:request")
@blp.arguments(Mending)
@blp.response(200, RequestOut)
def mend(asked: dict[str, Any], request_id: UUID) -> dict[str, Any]:
    """Bring papers or name another account"""
    papers, payee = _papers(asked["papers"]), _card(asked["payee"])
    return refund_undoing.mend(
        current_actor(), counterparts(), request_id, papers=papers, payee=payee
    )


@blp.route("/v1/refund-requests/<uuid:request_id>/withdraw", methods=["POST"])
@guarded("own:act", "refund:request")
@blp.arguments(SaidAndSigned)
@blp.response(200, RequestOut)
def withdraw(asked: dict[str, Any], request_id: UUID) -> dict[str, Any]:
    """Take a request back"""
    return refund_undoing.withdraw(current_actor(), counterparts(), request_id, **asked)


@blp.route("/v1/refund-requests/<uuid:request_id>/appeal", methods=["POST"])
@guarded("own:act", "refund:request")
@blp.arguments(SaidAndSigned)
@blp.response(200, RequestOut)
def appeal(asked: dict[str, Any], request_id: UUID) -> dict[str, Any]:
    """Appeal against a rejection"""
    return refund_undoing.appeal(current_actor(), counterparts(), request_id, **asked)


@blp.route("/v1/refund-batches", methods=["POST"])
@guarded("refund:batch")
@blp.arguments(KeyHeader, location="headers")
@blp.arguments(Batch)
@blp.response(200, BatchLine(many=True))
def batch(headers: dict[str, Any], asked: dict[str, Any]) -> Requests:
    """Clear accounts without being asked"""
    key = headers["idempotency_key"]
    return refund_batches.start_batch(current_actor(), counterparts(), **asked, key=key)


def _parts(parts: list[dict[str, Any]] | None) -> tuple[tuple[UUID, str, int], ...] | None:
    if parts is None:
        return None
    return tuple((part["account_id"], part["kind"], part["amount_fen"]) for part in parts)


def _papers(papers: list[dict[str, str]]) -> tuple[tuple[Paper, str], ...]:
    return tuple((Paper(paper["kind"]), paper["sha256"]) for paper in papers)


def _card(card: dict[str, str] | None) -> NamedCard | None:
    return NamedCard(**card) if card else None
