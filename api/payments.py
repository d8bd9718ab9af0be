"""Money in at a stay: deposits and what became of an order (GZ-10, GZ-17, GZ-20)."""

from typing import Any
from uuid import UUID

from flask import request
from marshmallow import Schema, fields, validate

from api.fields import KeyHeader, fen, said
from api.guard import current_actor, guarded
from api.routes import Routes
from api.surroundings import counterparts
from journeys import deposits
from models.payment_order import Route
from payments.collection import Payment

blp = Routes("payments", __name__, description="收款")


class PaymentWish(Schema):
    """How much, and how. The payment code is used once and never stored."""

    amount_fen = fen(least=1, required=True)
    route = fields.Enum(Route, by_value=True, required=True)
    auth_code = fields.String(load_default=None, validate=validate.Regexp(r"^1[0-5]\d{16}\Z"))
    slip_no = said(64, load_default=None)


class Order(Schema):
    """One payment order. ``pay_with``: the mini-program's parameters or the QR's content."""

    id = fields.UUID(required=True)
    purpose = fields.String(required=True)
    subject_id = fields.UUID(required=True)
    route = fields.String(required=True)
    amount_fen = fields.Integer(required=True)
    state = fields.String(required=True)
    pay_with = fields.Dict(required=True, allow_none=True)
    expires_at = fields.AwareDateTime(required=True)
    paid_at = fields.AwareDateTime(required=True, allow_none=True)
    receipt_no = fields.String(required=True, allow_none=True)
    answer = fields.String(required=True)


class DepositRefund(Schema):
    """Part of a held deposit, wanted back during the stay."""

    amount_fen = fen(least=1, required=True)
    reason = fields.String(
        required=True, validate=validate.OneOf(["DURING_STAY", "EXCESS", "PATIENT_WISH"])
    )


class RefundId(Schema):
    """The refund that was asked for."""

    refund_id = fields.UUID(required=True)


def payment_of(wish: dict[str, Any], headers: dict[str, Any]) -> Payment:
    """The wish with its key and the device's address."""
    return Payment(**wish, key=headers["idempotency_key"], device_ip=request.remote_addr or "")


@blp.route("/v1/admissions/<uuid:admission_id>/deposits", methods=["POST"])
@guarded("own:act", "deposit:collect")
@blp.arguments(KeyHeader, location="headers")
@blp.arguments(PaymentWish)
@blp.response(200, Order)
def collect(headers: dict[str, Any], wish: dict[str, Any], admission_id: UUID) -> dict[str, Any]:
    """Collect a deposit"""
    payment = payment_of(wish, headers)
    return deposits.collect_deposit(current_actor(), counterparts(), admission_id, payment)


@blp.route("/v1/payments/<uuid:order_id>")
@guarded("own:read", "ward:read", "hospital:read")
@blp.response(200, Order)
def look(order_id: UUID) -> dict[str, Any]:
    """Ask what became of a payment"""
    return deposits.look_at_payment(current_actor(), counterparts(), order_id)


@blp.route("/v1/admissions/<uuid:admission_id>/deposit-refunds", methods=["POST"])
@guarded("own:act", "refund:request")
@blp.arguments(KeyHeader, location="headers")
@blp.arguments(DepositRefund)
@blp.response(200, RefundId)
def refund_part(
    headers: dict[str, Any], wish: dict[str, Any], admission_id: UUID
) -> dict[str, Any]:
    """Ask for part of a deposit back"""
    key = headers["idempotency_key"]
    refund_id = deposits.refund_part(current_actor(), counterparts(), admission_id, key=key, **wish)
    return {"refund_id": refund_id}
