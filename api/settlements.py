"""Settling a discharge in at most six calls: trial, agree, pay, look, receipt (GZ-10, GZ-19,
GZ-20)."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, fields

from api.fields import KeyHeader, said, sha256
from api.guard import current_actor, guarded
from api.payments import PaymentWish, payment_of
from api.routes import Routes
from api.surroundings import clock, counterparts
from journeys import discharge, settlement_view

blp = Routes("settlements", __name__, description="出院结算")

_PATH = "/v1/admissions/<uuid:admission_id>/settlement"


class PayerLine(Schema):
    """One payer's part. PENDING: not decided yet; nobody is charged for it meanwhile."""

    payer = fields.String(required=True)
    name = fields.String(required=True)
    amount_fen = fields.Integer(required=True)
    state = fields.String(required=True)


class RestRefund(Schema):
    """Where the rest of the deposit stands."""

    id = fields.UUID(required=True)
    state = fields.String(required=True)
    amount_fen = fields.Integer(required=True)
    routes = fields.List(fields.String(), required=True)


class SettlementOut(Schema):
    """A settlement: the lines add up to the total; ``agree_to`` is what the patient agrees to.

    ``order_id``: the last payment of what is due; how to pay it is at ``/v1/payments/{order_id}``.
    """

    id = fields.UUID(required=True)
    admission_id = fields.UUID(required=True)
    state = fields.String(required=True)
    waiting_for = fields.String(required=True)
    round = fields.Integer(required=True)
    agree_to = fields.String(required=True)
    insured = fields.Boolean(required=True)
    total_fen = fields.Integer(required=True)
    lines = fields.List(fields.Nested(PayerLine), required=True)
    personal_fen = fields.Integer(required=True)
    applied_fen = fields.Integer(required=True)
    due_fen = fields.Integer(required=True)
    rest_fen = fields.Integer(required=True)
    order_id = fields.UUID(required=True, allow_none=True)
    receipts = fields.List(fields.String(), required=True)
    refunds = fields.List(fields.Nested(RestRefund), required=True)
    closed_at = fields.AwareDateTime(required=True, allow_none=True)


class Agreement(Schema):
    """What is agreed to, and the hash of the signature where one was given."""

    agree_to = sha256(required=True)
    signature_sha256 = sha256(load_default=None)


class Undo(Schema):
    """Why a settlement is taken back."""

    reason = said(200, required=True)


class ReceiptOut(Schema):
    """A receipt; ``times_read`` counts this look too."""

    number = fields.String(required=True)
    kind = fields.String(required=True)
    issued_at = fields.AwareDateTime(required=True)
    times_read = fields.Integer(required=True)
    facts = fields.Dict(required=True)


@blp.route(f"{_PATH}/trial", methods=["POST"])
@guarded("own:act", "settlement:settle")
@blp.response(200, SettlementOut)
def try_out(admission_id: UUID) -> dict[str, Any]:
    """Try a settlement"""
    return discharge.try_settlement(current_actor(), counterparts(), admission_id)


@blp.route(_PATH, methods=["PUT"])
@guarded("own:act", "settlement:settle")
@blp.arguments(Agreement)
@blp.response(200, SettlementOut)
def settle(wish: dict[str, Any], admission_id: UUID) -> dict[str, Any]:
    """Settle a discharge"""
    return discharge.settle_discharge(
        current_actor(),
        counterparts(),
        admission_id,
        agreed=wish["agree_to"],
        signature_sha256=wish["signature_sha256"],
    )


@blp.route(_PATH)
@guarded("own:read", "ward:read", "hospital:read")
@blp.response(200, SettlementOut)
def look(admission_id: UUID) -> dict[str, Any]:
    """Look at a settlement"""
    return settlement_view.view_settlement(current_actor(), admission_id)


@blp.route(f"{_PATH}/payments", methods=["POST"])
@guarded("own:act", "deposit:collect")
@blp.arguments(KeyHeader, location="headers")
@blp.arguments(PaymentWish)
@blp.response(200, SettlementOut)
def pay(headers: dict[str, Any], wish: dict[str, Any], admission_id: UUID) -> dict[str, Any]:
    """Pay what is due"""
    payment = payment_of(wish, headers)
    return discharge.pay_due(current_actor(), counterparts(), admission_id, payment)


@blp.route(f"{_PATH}/undo", methods=["POST"])
@guarded("settlement:undo")
@blp.arguments(Undo)
@blp.response(200, SettlementOut)
def undo(wish: dict[str, Any], admission_id: UUID) -> dict[str, Any]:
    """Undo a settlement"""
    return discharge.undo_settlement(current_actor(), counterparts(), admission_id, **wish)


@blp.route("/v1/receipts/<string:number>")
@guarded("own:read", "ward:read", "hospital:read")
@blp.response(200, ReceiptOut)
def receipt(number: str) -> dict[str, Any]:
    """Read a receipt"""
    return settlement_view.read_receipt(current_actor(), number, clock()())
