"""Refunds: the checker's queue, the window's hand-over, another route (GZ-4, GZ-7)."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, fields, validate

from api.fields import said
from api.guard import current_actor, guarded
from api.routes import Routes
from api.surroundings import counterparts
from journeys import refunds
from models.refund import RefundState

blp = Routes("refunds", __name__, description="退款")


class PlannedLeg(Schema):
    """One payment to the patient, as it is planned."""

    route = fields.String(required=True)
    amount_fen = fields.Integer(required=True)
    why = fields.String(required=True, metadata={"description": "为什么这样退，一句话"})
    closes_at = fields.AwareDateTime(required=True, allow_none=True)


class Leg(PlannedLeg):
    """One payment of a refund by one route."""

    id = fields.UUID(required=True)
    state = fields.String(required=True)
    paid_at = fields.AwareDateTime(required=True, allow_none=True)
    answer = fields.String(required=True)


class RefundOut(Schema):
    """A refund, who asked, who checked, and its legs."""

    id = fields.UUID(required=True)
    state = fields.String(required=True)
    reason = fields.String(required=True)
    subject_id = fields.UUID(required=True)
    amount_fen = fields.Integer(required=True)
    requested_by = fields.String(required=True)
    requested_at = fields.AwareDateTime(required=True)
    checked_by = fields.String(required=True, allow_none=True)
    checked_at = fields.AwareDateTime(required=True, allow_none=True)
    paid_at = fields.AwareDateTime(required=True, allow_none=True)
    note = fields.String(required=True)
    legs = fields.List(fields.Nested(Leg), required=True)


class RefundQuery(Schema):
    """Which refunds."""

    state = fields.String(load_default=None, validate=validate.OneOf(list(RefundState)))


class Check(Schema):
    """The second person's word."""

    approve = fields.Boolean(required=True)
    note = said(200, least=0, load_default="")


class HandOver(Schema):
    """What proves that the window gave the money: a signature's hash or a slip number."""

    proof = said(64, least=4, required=True)


class Confirmation(Schema):
    """Parameters of ``wx.requestMerchantTransfer``."""

    mchId = fields.String(required=True)
    appId = fields.String(required=True)
    package = fields.String(required=True)


@blp.route("/v1/refunds")
@guarded("refund:request", "refund:check")
@blp.arguments(RefundQuery, location="query")
@blp.response(200, RefundOut(many=True))
def queue(query: dict[str, Any]) -> list[dict[str, Any]]:
    """List refunds"""
    return refunds.list_refunds(current_actor(), query["state"])


@blp.route("/v1/refunds/<uuid:refund_id>")
@guarded("own:read", "hospital:read")
@blp.response(200, RefundOut)
def look(refund_id: UUID) -> dict[str, Any]:
    """Look at a refund"""
    return refunds.view_refund(current_actor(), refund_id)


@blp.route("/v1/refunds/<uuid:refund_id>/check", methods=["POST"])
@guarded("refund:request", "refund:check")
@blp.arguments(Check)
@blp.response(200, RefundOut)
def check(wish: dict[str, Any], refund_id: UUID) -> dict[str, Any]:
    """Approve or reject a refund"""
    return refunds.check_refund(current_actor(), counterparts(), refund_id, **wish)


@blp.route("/v1/refunds/<uuid:refund_id>/legs/<uuid:leg_id>/hand-over", methods=["POST"])
@guarded("cash:handle")
@blp.arguments(HandOver)
@blp.response(200, RefundOut)
def hand_over(wish: dict[str, Any], refund_id: UUID, leg_id: UUID) -> dict[str, Any]:
    """Hand a refund over at the window"""
    return refunds.hand_over(current_actor(), counterparts(), refund_id, leg_id, **wish)


@blp.route("/v1/refunds/<uuid:refund_id>/reroute", methods=["POST"])
@guarded("refund:request")
@blp.response(200, RefundOut)
def reroute(refund_id: UUID) -> dict[str, Any]:
    """Send what failed of a refund along another route"""
    return refunds.reroute_refund(current_actor(), counterparts(), refund_id)


@blp.route("/v1/refunds/<uuid:refund_id>/legs/<uuid:leg_id>/confirmation")
@guarded(
    "own:act", at_window="转到微信零钱要患者自己在微信里确认；没有微信的，由工作人员撤销后改走窗口"
)
@blp.response(200, Confirmation)
def confirmation(refund_id: UUID, leg_id: UUID) -> dict[str, str]:
    """Read what confirms a transfer in WeChat"""
    return refunds.confirmation(current_actor(), counterparts(), refund_id, leg_id)


@blp.route("/v1/refunds/<uuid:refund_id>/legs/<uuid:leg_id>/cancel", methods=["POST"])
@guarded("refund:request")
@blp.response(200, RefundOut)
def cancel(refund_id: UUID, leg_id: UUID) -> dict[str, Any]:
    """Take back a transfer that nobody confirmed"""
    return refunds.cancel_transfer(current_actor(), counterparts(), refund_id, leg_id)
