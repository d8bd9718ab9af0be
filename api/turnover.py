"""Turnover to the treasury each 31 December, and what is claimed back (GZ-8.2, GZ-8.3)."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, fields, validate

from api.fields import fen, on_day, said
from api.guard import current_actor, guarded
from api.routes import Routes
from api.surroundings import counterparts
from journeys import treasury_claims, turnover
from policies.turnover import Reading

blp = Routes("turnover", __name__, description="上缴财政与先行垫付")


class AsOf(Schema):
    """Which 31 December."""

    as_of = on_day(required=True)


class Draft(AsOf):
    """Which 31 December, and from which day the three years count."""

    reading = fields.Enum(Reading, by_value=True, load_default=Reading.ACCOUNT_ACTIVITY)


class ReadingOut(Schema):
    """What one reading of «more than three years» would turn over."""

    reading = fields.String(required=True)
    accounts = fields.Integer(required=True)
    total_fen = fields.Integer(required=True)


class BatchOut(Schema):
    """One year's batch: also what the voucher for the treasury says."""

    id = fields.UUID(required=True)
    state = fields.String(required=True)
    year = fields.Integer(required=True)
    as_of = fields.Date(required=True)
    reading = fields.String(required=True)
    rule_pack = fields.String(required=True)
    accounts = fields.Integer(required=True)
    total_fen = fields.Integer(required=True)
    made_by = fields.String(required=True)
    approved_by = fields.String(required=True, allow_none=True)
    treasury_receipt_no = fields.String(required=True)
    paid_on = fields.Date(required=True, allow_none=True)


class ItemOut(Schema):
    """One account of a batch."""

    account_id = fields.UUID(required=True)
    card_no = fields.String(required=True, allow_none=True)
    amount_fen = fields.Integer(required=True)
    last_activity_on = fields.Date(required=True)
    reason = fields.String(required=True)
    moved_fen = fields.Integer(required=True)
    returned_fen = fields.Integer(required=True)


class After(Schema):
    """The last account of the page before."""

    after = fields.UUID(load_default=None)


class TreasuryReceipt(Schema):
    """The treasury's receipt: its number, its day, its amount."""

    receipt_no = said(60, required=True)
    paid_on = on_day(required=True)
    amount_fen = fen(least=1, required=True)


class Why(Schema):
    """Why something is taken back."""

    why = said(200, required=True)


class Year(Schema):
    """Which budget year."""

    budget_year = fields.Integer(strict=True, required=True, validate=validate.Range(2025, 2100))


class FilingNo(Schema):
    """Under which number the claim went to the health department."""

    filing_no = said(60, required=True)


class ReceiptNo(Schema):
    """Which receipt paid it back."""

    receipt_no = said(60, required=True)


class ClaimOut(Schema):
    """A claim for one budget year."""

    id = fields.UUID(required=True)
    state = fields.String(required=True)
    budget_year = fields.Integer(required=True)
    amount_fen = fields.Integer(required=True)
    made_by = fields.String(required=True)
    filed_by = fields.String(required=True, allow_none=True)
    filing_no = fields.String(required=True)
    receipt_no = fields.String(required=True)


class DraftedOut(ClaimOut):
    """A new claim, and what the cap left out of it."""

    beyond_cap_fen = fields.Integer(required=True)
    warnings = fields.List(fields.String(), required=True)


class Unclaimed(Schema):
    """Advances that nobody claimed yet, by the budget that they belong to."""

    budget_year = fields.Integer(required=True)
    amount_fen = fields.Integer(required=True)


class ClaimBook(Schema):
    """What the treasury has, what was claimed, what may still be."""

    turned_over_fen = fields.Integer(required=True)
    claimed_fen = fields.Integer(required=True)
    room_fen = fields.Integer(required=True)
    unclaimed = fields.List(fields.Nested(Unclaimed), required=True)
    claims = fields.List(fields.Nested(ClaimOut), required=True)


@blp.route("/v1/turnover/preview")
@guarded("clearance:read")
@blp.arguments(AsOf, location="query")
@blp.response(200, ReadingOut(many=True))
def preview(wish: dict[str, Any]) -> list[dict[str, Any]]:
    """Compare the three readings of «more than three years»"""
    return turnover.preview(current_actor(), counterparts(), wish["as_of"])


@blp.route("/v1/turnover/batches")
@guarded("clearance:read")
@blp.response(200, BatchOut(many=True))
def batches() -> list[dict[str, Any]]:
    """List the turnover batches"""
    return turnover.batches(current_actor())


@blp.route("/v1/turnover/batches", methods=["POST"])
@guarded("clearance:make")
@blp.arguments(Draft)
@blp.response(200, BatchOut)
def draft(wish: dict[str, Any]) -> dict[str, Any]:
    """Draft the year's turnover"""
    return turnover.draft(current_actor(), counterparts(), **wish)


@blp.route("/v1/turnover/batches/<uuid:batch_id>")
@guarded("clearance:read")
@blp.response(200, BatchOut)
def look(batch_id: UUID) -> dict[str, Any]:
    """Look at a turnover batch"""
    return turnover.look(current_actor(), batch_id)


@blp.route("/v1/turnover/batches/<uuid:batch_id>/items")
@guarded("clearance:read")
@blp.arguments(After, location="query")
@blp.response(200, ItemOut(many=True))
def items(wish: dict[str, Any], batch_id: UUID) -> list[dict[str, Any]]:
    """List the accounts of a turnover batch"""
    return turnover.items(current_actor(), batch_id, **wish)


@blp.route("/v1/turnover/batches/<uuid:batch_id>/approve", methods=["POST"])
@guarded("clearance:approve")
@blp.response(200, BatchOut)
def approve(batch_id: UUID) -> dict[str, Any]:
    """Approve a turnover batch"""
    return turnover.approve(current_actor(), counterparts(), batch_id)


@blp.route("/v1/turnover/batches/<uuid:batch_id>/cancel", methods=["POST"])
@guarded("clearance:make", "clearance:approve")
@blp.arguments(Why)
@blp.response(200, BatchOut)
def cancel(wish: dict[str, Any], batch_id: UUID) -> dict[str, Any]:
    """Cancel a turnover batch that was not receipted"""
    return turnover.cancel(current_actor(), counterparts(), batch_id, **wish)


@blp.route("/v1/turnover/batches/<uuid:batch_id>/receipt", methods=["PUT"])
@guarded("clearance:make")
@blp.arguments(TreasuryReceipt)
@blp.response(200, BatchOut)
def receipt(wish: dict[str, Any], batch_id: UUID) -> dict[str, Any]:
    """Write down the treasury's receipt"""
    return turnover.receipt(current_actor(), counterparts(), batch_id, **wish)


@blp.route("/v1/treasury-claims")
@guarded("clearance:read")
@blp.response(200, ClaimBook)
def book() -> dict[str, Any]:
    """Read the claim book"""
    return treasury_claims.claim_book(current_actor())


@blp.route("/v1/treasury-claims", methods=["POST"])
@guarded("clearance:make")
@blp.arguments(Year)
@blp.response(200, DraftedOut)
def draft_claim(wish: dict[str, Any]) -> dict[str, Any]:
    """Draft a claim for a budget year"""
    return treasury_claims.draft_claim(current_actor(), counterparts(), **wish)


@blp.route("/v1/treasury-claims/<uuid:claim_id>/file", methods=["POST"])
@guarded("clearance:approve")
@blp.arguments(FilingNo)
@blp.response(200, ClaimOut)
def file_claim(wish: dict[str, Any], claim_id: UUID) -> dict[str, Any]:
    """File a claim"""
    return treasury_claims.file_claim(current_actor(), counterparts(), claim_id, **wish)


@blp.route("/v1/treasury-claims/<uuid:claim_id>/allocation", methods=["PUT"])
@guarded("clearance:make")
@blp.arguments(ReceiptNo)
@blp.response(200, ClaimOut)
def allocated(wish: dict[str, Any], claim_id: UUID) -> dict[str, Any]:
    """Write down that a claim was paid back"""
    return treasury_claims.allocated(current_actor(), counterparts(), claim_id, **wish)


@blp.route("/v1/treasury-claims/<uuid:claim_id>/refusal", methods=["PUT"])
@guarded("clearance:make")
@blp.arguments(Why)
@blp.response(200, ClaimOut)
def refused(wish: dict[str, Any], claim_id: UUID) -> dict[str, Any]:
    """Write down that a claim came back"""
    return treasury_claims.refused(current_actor(), counterparts(), claim_id, **wish)
