"""Balances that cannot be given back: attempts, marks, and the list for the health department."""

from typing import Any
from uuid import UUID

from flask import Response
from marshmallow import Schema, fields, validate

from api.fields import KeyHeader, at_moment, file_form, said
from api.guard import current_actor, guarded
from api.routes import Routes, as_sheet
from api.surroundings import counterparts
from journeys import unreturnable
from journeys.unreturnable import Tried
from policies.turnover import ContactChannel, Reason, Result

blp = Routes("unreturnable", __name__, description="无法清退")


class AttemptIn(Schema):
    """One attempt to reach a holder. ``at``: when, if not just now."""

    channel = fields.String(required=True, validate=validate.OneOf(list(ContactChannel)))
    result = fields.Enum(Result, by_value=True, required=True)
    note = said(200, least=0, load_default="")
    at = at_moment(load_default=None)


class AttemptOut(Schema):
    """An attempt as it was written down."""

    at = fields.AwareDateTime(required=True)
    channel = fields.String(required=True)
    result = fields.String(required=True)


class AccountOut(Schema):
    """One stored balance: what was tried, and whether it is given up (``reason``)."""

    account_id = fields.UUID(required=True)
    held_fen = fields.Integer(required=True)
    last_activity_on = fields.Date(required=True)
    reason = fields.String(required=True, allow_none=True)
    found_on = fields.Date(required=True, allow_none=True)
    attempts = fields.List(fields.Nested(AttemptOut), required=True)


class Mark(Schema):
    """Why a balance cannot be given back, and what could go wrong."""

    reason = fields.Enum(Reason, by_value=True, required=True)
    risk_note = said(500, required=True)


class Why(Schema):
    """Why something is taken back."""

    why = said(200, required=True)


class Period(Schema):
    """Which period a list is for: 2025Q4."""

    period = fields.String(required=True, validate=validate.Regexp(r"^20\d\d(Q[1-4]|-\d\d)\Z"))


class Received(Schema):
    """The health department's number, and which department."""

    filing_no = said(60, required=True)
    authority = said(60, required=True)


class FilingOut(Schema):
    """A list of unreturnable balances and its filing."""

    id = fields.UUID(required=True)
    period = fields.String(required=True)
    accounts = fields.Integer(required=True)
    total_fen = fields.Integer(required=True)
    made_by = fields.String(required=True)
    filing_no = fields.String(required=True)
    authority = fields.String(required=True)
    received_at = fields.AwareDateTime(required=True, allow_none=True)


class Form(Schema):
    """csv or xlsx."""

    form = file_form()


@blp.route("/v1/prepay-accounts/<uuid:account_id>/contact")
@guarded("clearance:read", "holder:contact")
@blp.response(200, AccountOut)
def look(account_id: UUID) -> dict[str, Any]:
    """Look at what was tried to reach a holder"""
    return unreturnable.view(current_actor(), account_id)


@blp.route("/v1/prepay-accounts/<uuid:account_id>/contact/attempts", methods=["POST"])
@guarded("holder:contact")
@blp.arguments(KeyHeader, location="headers")
@blp.arguments(AttemptIn)
@blp.response(200, AccountOut)
def attempt(key: dict[str, Any], wish: dict[str, Any], account_id: UUID) -> dict[str, Any]:
    """Write down an attempt to reach a holder"""
    return unreturnable.record_attempt(
        current_actor(), counterparts(), account_id, key["idempotency_key"], Tried(**wish)
    )


@blp.route("/v1/prepay-accounts/<uuid:account_id>/unreturnable", methods=["PUT"])
@guarded("clearance:make")
@blp.arguments(Mark)
@blp.response(200, AccountOut)
def mark(wish: dict[str, Any], account_id: UUID) -> dict[str, Any]:
    """Mark a balance as unreturnable"""
    return unreturnable.mark(current_actor(), counterparts(), account_id, **wish)


@blp.route("/v1/prepay-accounts/<uuid:account_id>/unreturnable/lift", methods=["POST"])
@guarded("clearance:make")
@blp.arguments(Why)
@blp.response(200, AccountOut)
def lift(wish: dict[str, Any], account_id: UUID) -> dict[str, Any]:
    """Take the mark of an unreturnable balance away"""
    return unreturnable.lift(current_actor(), counterparts(), account_id, **wish)


@blp.route("/v1/unreturnable-filings", methods=["POST"])
@guarded("clearance:make")
@blp.arguments(Period)
@blp.response(200, FilingOut)
def make(wish: dict[str, Any]) -> dict[str, Any]:
    """Make the list of a period for the health department"""
    return unreturnable.make_filing(current_actor(), counterparts(), **wish)


@blp.route("/v1/unreturnable-filings/<uuid:list_id>/receipt", methods=["PUT"])
@guarded("clearance:make")
@blp.arguments(Received)
@blp.response(200, FilingOut)
def received(wish: dict[str, Any], list_id: UUID) -> dict[str, Any]:
    """Write down that the health department has the list"""
    return unreturnable.filing_received(current_actor(), counterparts(), list_id, **wish)


@blp.route("/v1/unreturnable-filings/<uuid:list_id>/export")
@guarded("clearance:make", "clearance:approve")
@blp.arguments(Form, location="query")
@blp.sheet
def export(wish: dict[str, Any], list_id: UUID) -> Response:
    """Export the list with full names"""
    content = unreturnable.export_filing(current_actor(), counterparts(), list_id, wish["form"])
    return as_sheet(content, f"unreturnable.{wish['form']}")
