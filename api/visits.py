"""Outpatient visits: one payment, one receipt, each item given back by itself (GZ-19)."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from api.fields import KeyHeader, fen, said, their_number
from api.guard import current_actor, guarded
from api.payments import PaymentWish, payment_of
from api.routes import Routes
from api.surroundings import counterparts
from journeys import visits

blp = Routes("visits", __name__, description="门诊就诊")


class ItemIn(Schema):
    """One order of a visit."""

    order_no = said(64, required=True)
    name = said(200, required=True)
    amount_fen = fen(least=1, required=True)


class VisitIn(Schema):
    """A visit as the HIS reports it."""

    visit_no = their_number()
    his_patient_no = their_number()
    items = fields.List(
        fields.Nested(ItemIn), required=True, validate=validate.Length(min=1, max=200)
    )

    @validates_schema
    def each_order_once(self, visit: dict[str, Any], **_: Any) -> None:
        """An order is one item."""
        numbers = [item["order_no"] for item in visit["items"]]
        if len(set(numbers)) < len(numbers):
            raise ValidationError("order_no is there twice", "items")


class ItemOut(ItemIn):
    """One order, with the refund that gave it back, if any."""

    id = fields.UUID(required=True)
    refund_id = fields.UUID(required=True, allow_none=True)


class VisitOut(Schema):
    """A visit, its payment and its one receipt. ``order_id``: the payment that was made or tried
    last; how to pay it and what became of it is at ``/v1/payments/{order_id}``."""

    id = fields.UUID(required=True)
    visit_no = fields.String(required=True)
    state = fields.String(required=True)
    total_fen = fields.Integer(required=True)
    order_id = fields.UUID(required=True, allow_none=True)
    receipt_no = fields.String(required=True, allow_none=True)
    items = fields.List(fields.Nested(ItemOut), required=True)


class SurplusRefund(Schema):
    """The refund that was asked for."""

    refund_id = fields.UUID(required=True)


class ItemRefund(Schema):
    """Why an item is given back."""

    reason = said(200, required=True)


@blp.route("/v1/his/events/visit", methods=["POST"])
@guarded("his:report")
@blp.arguments(VisitIn)
@blp.response(200, VisitOut)
def open_visit(wish: dict[str, Any]) -> dict[str, Any]:
    """Report a visit's items"""
    items = [visits.Item(**item) for item in wish.pop("items")]
    return visits.open_visit(current_actor(), counterparts(), items=items, **wish)


@blp.route("/v1/visits/<uuid:visit_id>")
@guarded("own:read", "hospital:read")
@blp.response(200, VisitOut)
def look(visit_id: UUID) -> dict[str, Any]:
    """Look at a visit"""
    return visits.view_visit(current_actor(), visit_id)


@blp.route("/v1/visits/<uuid:visit_id>/payments", methods=["POST"])
@guarded("own:act", "deposit:collect")
@blp.arguments(KeyHeader, location="headers")
@blp.arguments(PaymentWish)
@blp.response(200, VisitOut)
def pay(headers: dict[str, Any], wish: dict[str, Any], visit_id: UUID) -> dict[str, Any]:
    """Pay a visit"""
    payment = payment_of(wish, headers)
    return visits.pay_visit(current_actor(), counterparts(), visit_id, payment)


@blp.route("/v1/visits/<uuid:visit_id>/items/<uuid:item_id>/refund", methods=["POST"])
@guarded("own:act", "refund:request")
@blp.arguments(ItemRefund)
@blp.response(200, VisitOut)
def refund(wish: dict[str, Any], visit_id: UUID, item_id: UUID) -> dict[str, Any]:
    """Give one item back"""
    return visits.refund_item(current_actor(), counterparts(), visit_id, item_id, **wish)


@blp.route("/v1/visits/<uuid:visit_id>/surplus-refund", methods=["POST"])
@guarded("own:act", "refund:request")
@blp.response(200, SurplusRefund)
def refund_surplus(visit_id: UUID) -> dict[str, Any]:
    """Give back what was paid twice"""
    return {"refund_id": visits.refund_surplus(current_actor(), counterparts(), visit_id)}
