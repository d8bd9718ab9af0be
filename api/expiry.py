"""The expiry radar: which payments can soon no longer go back the way they came (GZ-7)."""

from typing import Any

from marshmallow import Schema, fields, validate

from api.fields import at_moment
from api.guard import current_actor, guarded
from api.routes import Routes
from api.surroundings import clock
from journeys import expiry_radar

blp = Routes("expiry", __name__, description="原路退款到期提醒")


class RadarQuery(Schema):
    """How far ahead; ``after_at`` and ``after_id`` of the last payment lead to the next page."""

    days = fields.Integer(load_default=30, validate=validate.Range(1, 365))
    after_at = at_moment(load_default=None)
    after_id = fields.UUID(load_default=None)


class Window(Schema):
    """What closes within so many days. ``legs``, ``asked_fen``: refunds asked for, not yet sent."""

    days = fields.Integer(required=True)
    payments = fields.Integer(required=True)
    unused_fen = fields.Integer(required=True)
    legs = fields.Integer(required=True)
    asked_fen = fields.Integer(required=True)


class Closing(Schema):
    """One payment with money left. ``days``: the narrowest warning that it falls under."""

    id = fields.UUID(required=True)
    account_id = fields.String(required=True)
    channel = fields.String(required=True)
    paid_at = fields.AwareDateTime(required=True)
    closes_at = fields.AwareDateTime(required=True)
    unused_fen = fields.Integer(required=True)
    days = fields.Integer(required=True, allow_none=True)


class RadarOut(Schema):
    """Sums of the warnings, money saved from other routes, and the payments, soonest first."""

    windows = fields.List(fields.Nested(Window), required=True)
    saved_fen = fields.Integer(required=True)
    payments = fields.List(fields.Nested(Closing), required=True)


@blp.route("/v1/expiry-radar")
@guarded("refund:request", "refund:check")
@blp.arguments(RadarQuery, location="query")
@blp.response(200, RadarOut)
def radar(query: dict[str, Any]) -> dict[str, Any]:
    """List payments whose way back closes soon"""
    return expiry_radar.radar(current_actor(), clock()(), **query)
