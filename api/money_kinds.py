"""What kind of money it is, and ordered services that have no invoice yet (GZ-5)."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, fields, validate

from api.fields import KeyHeader, fen, said, seen
from api.guard import current_actor, guarded
from api.routes import Routes
from api.surroundings import clock, counterparts
from journeys import money_kinds
from policies.money_kind import Claim, Exclusion, Money

blp = Routes("money_kinds", __name__, description="门诊收款性质判定（第五条）")


class ClaimIn(Schema):
    """Why it is said to be no prepayment, and what shows it (GZ-9)."""

    code = fields.Enum(Exclusion, by_value=True, required=True)
    proof = seen(64, least=0, load_default="")
    course = said(40, least=0, load_default="")
    units = fields.Integer(strict=True, load_default=0, validate=validate.Range(0, 100_000))
    reason = seen(200, least=0, load_default="")


class Asked(Schema):
    """The answers to the four questions. ``visit_id``: whose listed services are determined."""

    amount_fen = fen(least=1, required=True)
    to_institution = fields.Boolean(load_default=True)
    order_ids = fields.List(said(64), load_default=list, validate=validate.Length(max=100))
    invoice_no = said(64, least=0, load_default="")
    claim = fields.Nested(ClaimIn, load_default=None, allow_none=True)
    visit_id = fields.UUID(load_default=None, allow_none=True)


class KindOut(Schema):
    """What it is, and how it may be taken."""

    id = fields.UUID(required=True)
    patient_id = fields.UUID(required=True, allow_none=True)
    amount_fen = fields.Integer(required=True)
    answer = fields.String(required=True)
    may_be_taken = fields.Boolean(required=True)
    order_ids = fields.List(fields.String(), required=True)
    invoice_no = fields.String(required=True)
    version = fields.String(required=True)
    at = fields.AwareDateTime(required=True)
    say = fields.String(required=True)
    next = fields.String(required=True)


class InvoiceNo(Schema):
    """The number of the formal medical invoice."""

    invoice_no = said(64, required=True)


@blp.route("/v1/patients/<uuid:patient_id>/outpatient-money/classifications", methods=["POST"])
@guarded("outpatient:act")
@blp.arguments(KeyHeader, location="headers")
@blp.arguments(Asked)
@blp.response(200, KindOut)
def classify(headers: dict[str, Any], asked: dict[str, Any], patient_id: UUID) -> dict[str, Any]:
    """Ask what kind of money it is"""
    claim = asked.pop("claim")
    amount_fen, visit_id = asked.pop("amount_fen"), asked.pop("visit_id")
    orders = tuple(asked.pop("order_ids"))
    return money_kinds.classify(
        current_actor(),
        counterparts(),
        patient_id,
        key=headers["idempotency_key"],
        amount_fen=amount_fen,
        money=Money(order_ids=orders, claim=Claim(**claim) if claim else None, **asked),
        visit_id=visit_id,
    )


@blp.route("/v1/outpatient-money/without-invoice")
@guarded("hospital:read")
@blp.response(200, KindOut(many=True))
def without_invoice() -> list[dict[str, Any]]:
    """List paid orders without an invoice"""
    return money_kinds.without_invoice(current_actor(), clock()())


@blp.route("/v1/outpatient-money/classifications/<uuid:classification_id>/invoice", methods=["PUT"])
@guarded("outpatient:act")
@blp.arguments(InvoiceNo)
@blp.response(200, KindOut)
def invoice(told: dict[str, Any], classification_id: UUID) -> dict[str, Any]:
    """Record an invoice"""
    return money_kinds.record_invoice(current_actor(), counterparts(), classification_id, **told)
