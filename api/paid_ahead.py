"""Courses, group contracts and other money paid ahead that is no prepayment (GZ-9)."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, fields, validate

from api.fields import KeyHeader, fen, said, seen
from api.guard import current_actor, guarded
from api.money_kinds import ClaimIn
from api.payments import PaymentWish, payment_of
from api.routes import Routes
from api.surroundings import counterparts
from journeys import paid_ahead, paid_ahead_end
from journeys.paid_ahead import Plan
from policies.money_kind import Claim, Exclusion

blp = Routes("paid_ahead", __name__, description="疗程、团体体检等专款（第九条）")

HOME = "/v1/paid-ahead"


class PlanIn(Schema):
    """What is paid ahead, in fen for the whole, by a patient or (GROUP_EXAM) an employer."""

    claim = fields.Nested(ClaimIn, required=True)
    price_fen = fen(least=1, required=True)
    patient_id = fields.UUID(load_default=None, allow_none=True)
    employer = said(80, load_default=None, allow_none=True)


class UseOut(Schema):
    """One part that was used."""

    use_no = fields.String(required=True)
    amount_fen = fields.Integer(required=True)
    at = fields.AwareDateTime(required=True)
    by = fields.String(required=True)


class PlanOut(Schema):
    """A plan; ``left_fen`` is what would go back today."""

    id = fields.UUID(required=True)
    state = fields.String(required=True)
    answer = fields.String(required=True)
    code = fields.String(required=True)
    patient_id = fields.UUID(required=True, allow_none=True)
    employer = fields.String(required=True, allow_none=True)
    course = fields.String(required=True, allow_none=True)
    units = fields.Integer(required=True)
    used = fields.Integer(required=True)
    price_fen = fields.Integer(required=True)
    left_fen = fields.Integer(required=True)
    order_id = fields.UUID(required=True, allow_none=True)
    receipt_no = fields.String(required=True, allow_none=True)
    refund_id = fields.UUID(required=True, allow_none=True)
    uses = fields.List(fields.Nested(UseOut), required=True)


class PlanQuery(Schema):
    """Which plans."""

    code = fields.Enum(Exclusion, by_value=True, load_default=None)


class SecondWord(Schema):
    """The second person's word on OTHER."""

    approve = fields.Boolean(required=True)
    note = seen(200, least=0, load_default="")


class EmployersPayment(Schema):
    """How the employer paid the whole price, and the number of the slip."""

    channel = fields.String(required=True, validate=validate.OneOf(["BANK", "CASH", "CARD"]))
    reference = said(64, required=True)


class UseIn(Schema):
    """The HIS's number of the treatment, check-up or charge; a price only where there is no plan
    price.
    """

    use_no = seen(64, required=True)
    amount_fen = fen(least=1, load_default=None, allow_none=True)


class UseNo(Schema):
    """Which use was a mistake: the latest."""

    use_no = seen(64, required=True)


class Reason(Schema):
    """Why it stops."""

    reason = seen(200, required=True)


class Slip(Schema):
    """The bank's slip."""

    slip_no = said(64, required=True)


class Ended(Schema):
    """Where the rest is now; an employer's has no refund."""

    plan_id = fields.UUID(required=True)
    state = fields.String(required=True)
    refund_id = fields.UUID(required=True, allow_none=True)


class SurplusId(Schema):
    """The refund that was asked for."""

    refund_id = fields.UUID(required=True)


@blp.route(HOME, methods=["POST"])
@guarded("paid-ahead:keep")
@blp.arguments(KeyHeader, location="headers")
@blp.arguments(PlanIn)
@blp.response(200, PlanOut)
def open_plan(headers: dict[str, Any], wish: dict[str, Any]) -> dict[str, Any]:
    """Open a course, group contract or other plan"""
    plan = Plan(claim=Claim(**wish.pop("claim")), **wish)
    key = headers["idempotency_key"]
    return paid_ahead.open_plan(current_actor(), counterparts(), plan, key)


@blp.route(HOME)
@guarded("own:read", "hospital:read")
@blp.arguments(PlanQuery, location="query")
@blp.response(200, PlanOut(many=True))
def list_all(query: dict[str, Any]) -> list[dict[str, Any]]:
    """List plans paid ahead"""
    return paid_ahead.list_plans(current_actor(), query["code"])


@blp.route(f"{HOME}/<uuid:plan_id>")
@guarded("own:read", "hospital:read")
@blp.response(200, PlanOut)
def look(plan_id: UUID) -> dict[str, Any]:
    """Look at a plan paid ahead"""
    return paid_ahead.view_plan(current_actor(), plan_id)


@blp.route(f"{HOME}/<uuid:plan_id>/approval", methods=["PUT"])
@guarded("exclusion:approve")
@blp.arguments(SecondWord)
@blp.response(200, PlanOut)
def approve(told: dict[str, Any], plan_id: UUID) -> dict[str, Any]:
    """Approve or refuse another kind of plan"""
    return paid_ahead.approve_plan(current_actor(), counterparts(), plan_id, **told)


@blp.route(f"{HOME}/<uuid:plan_id>/payments", methods=["POST"])
@guarded("own:act", "outpatient:act")
@blp.arguments(KeyHeader, location="headers")
@blp.arguments(PaymentWish)
@blp.response(200, PlanOut)
def pay(headers: dict[str, Any], wish: dict[str, Any], plan_id: UUID) -> dict[str, Any]:
    """Pay a patient's plan"""
    payment = payment_of(wish, headers)
    return paid_ahead.pay_plan(current_actor(), counterparts(), plan_id, payment)


@blp.route(f"{HOME}/<uuid:plan_id>/employers-payment", methods=["PUT"])
@guarded("paid-ahead:keep")
@blp.arguments(EmployersPayment)
@blp.response(200, PlanOut)
def employers_payment(told: dict[str, Any], plan_id: UUID) -> dict[str, Any]:
    """Book an employer's payment"""
    return paid_ahead.receive_from_employer(current_actor(), counterparts(), plan_id, **told)


@blp.route(f"{HOME}/<uuid:plan_id>/uses", methods=["POST"])
@guarded("paid-ahead:keep")
@blp.arguments(UseIn)
@blp.response(200, PlanOut)
def use(told: dict[str, Any], plan_id: UUID) -> dict[str, Any]:
    """Use one part of a plan"""
    return paid_ahead.use_plan(current_actor(), counterparts(), plan_id, **told)


@blp.route(f"{HOME}/<uuid:plan_id>/uses/undo", methods=["POST"])
@guarded("paid-ahead:keep")
@blp.arguments(UseNo)
@blp.response(200, PlanOut)
def undo(told: dict[str, Any], plan_id: UUID) -> dict[str, Any]:
    """Take the latest use of a plan back"""
    return paid_ahead.undo_last_use(current_actor(), counterparts(), plan_id, told["use_no"])


@blp.route(f"{HOME}/<uuid:plan_id>/stop", methods=["POST"])
@guarded("own:act", "refund:request")
@blp.arguments(Reason)
@blp.response(200, Ended)
def stop(told: dict[str, Any], plan_id: UUID) -> dict[str, Any]:
    """Stop a plan and ask the rest back"""
    return paid_ahead_end.stop_plan(current_actor(), counterparts(), plan_id, **told)


@blp.route(f"{HOME}/<uuid:plan_id>/surplus-refund", methods=["POST"])
@guarded("own:act", "refund:request")
@blp.response(200, SurplusId)
def surplus(plan_id: UUID) -> dict[str, Any]:
    """Give back what was paid twice for a plan"""
    refund_id = paid_ahead_end.refund_surplus(current_actor(), counterparts(), plan_id)
    return {"refund_id": refund_id}


@blp.route(f"{HOME}/<uuid:plan_id>/repayment", methods=["PUT"])
@guarded("refund:check")
@blp.arguments(Slip)
@blp.response(200, Ended)
def repay(told: dict[str, Any], plan_id: UUID) -> dict[str, Any]:
    """Book the repayment to an employer"""
    return paid_ahead_end.repay_employer(current_actor(), counterparts(), plan_id, **told)
