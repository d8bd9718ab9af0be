"""The clearance ledger: totals and rows (GZ-7)."""

from typing import Any

from marshmallow import Schema, fields, validate

from api.guard import current_actor, guarded
from api.routes import Routes
from journeys import clearance

blp = Routes("clearance", __name__, description="门诊预交金清退台账")


class ChannelFen(Schema):
    """What came by one channel and is still there."""

    channel = fields.String(required=True)
    fen = fields.Integer(required=True)


class ChannelTotal(ChannelFen):
    """The same over all accounts."""

    accounts = fields.Integer(required=True)


class Clearance(Schema):
    """What the hospital has to give back. ``no_contact``: accounts whose holder has no phone."""

    accounts = fields.Integer(required=True)
    total_fen = fields.Integer(required=True)
    no_contact = fields.Integer(required=True)
    by_channel = fields.List(fields.Nested(ChannelTotal), required=True)


class RowsAfter(Schema):
    """Which rows: those after the id ``after``, at most ``limit``."""

    after = fields.UUID(load_default=None)
    limit = fields.Integer(load_default=100, validate=validate.Range(1, 500))


class ClearanceRow(Schema):
    """One account that holds money. ``source``: OWN, or CENSUS for an old card."""

    id = fields.UUID(required=True)
    patient_id = fields.UUID(required=True)
    source = fields.String(required=True)
    card_no = fields.String(required=True, allow_none=True)
    opened_on = fields.Date(required=True, allow_none=True)
    last_activity_on = fields.Date(required=True)
    held_fen = fields.Integer(required=True)
    has_phone = fields.Boolean(required=True)
    by_channel = fields.List(fields.Nested(ChannelFen), required=True)


@blp.route("/v1/prepay/clearance")
@guarded("ledger:read")
@blp.response(200, Clearance)
def total() -> dict[str, Any]:
    """Read what is to be cleared"""
    return clearance.clearance_total(current_actor())


@blp.route("/v1/prepay/clearance/accounts")
@guarded("ledger:read")
@blp.arguments(RowsAfter, location="query")
@blp.response(200, ClearanceRow(many=True))
def rows(page: dict[str, Any]) -> list[dict[str, Any]]:
    """Read the clearance ledger account by account"""
    return clearance.clearance_rows(current_actor(), **page)
