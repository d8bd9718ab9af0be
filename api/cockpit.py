"""The clearance cockpit: how far it is, and the ledger as a file (GZ-7)."""

from datetime import datetime
from typing import Any

from flask import Response
from marshmallow import Schema, fields

from api.fields import at_moment, file_form
from api.guard import current_actor, guarded
from api.routes import Routes, as_sheet
from api.surroundings import clock, counterparts
from journeys import cockpit

blp = Routes("cockpit", __name__, description="清退驾驶舱")


class Moment(Schema):
    """As of when; now if not said. Nothing later than now."""

    at = at_moment(load_default=None)


class Export(Moment):
    """As of when, and csv or xlsx."""

    form = file_form()


class SideRow(Schema):
    """The accounts of one value of one side."""

    value = fields.String(required=True)
    accounts = fields.Integer(required=True)
    stored_fen = fields.Integer(required=True)
    left_fen = fields.Integer(required=True)
    paid_fen = fields.Integer(required=True)


class Side(Schema):
    """The ledger by state, channel, age, amount or reason; no reason where nothing is left."""

    side = fields.String(required=True)
    rows = fields.List(fields.Nested(SideRow), required=True)


class Funnel(Schema):
    """Accounts: found, their holders told, asked for, paid."""

    census = fields.Integer(required=True)
    contacted = fields.Integer(required=True)
    asked = fields.Integer(required=True)
    paid = fields.Integer(required=True)


class Ahead(Schema):
    """At the pace of the last four weeks."""

    deadline = fields.Date(required=True)
    per_day_fen = fields.Integer(required=True)
    left_fen = fields.Integer(required=True)
    done_on = fields.Date(required=True, allow_none=True)


class Effort(Schema):
    """What it cost, by the prices in the settings."""

    sms = fields.Integer(required=True)
    cost_fen = fields.Integer(required=True)
    cost_per_refunded_yuan = fields.String(required=True, allow_none=True)


class Board(Schema):
    """The clearance at a moment."""

    at = fields.AwareDateTime(required=True)
    accounts = fields.Integer(required=True)
    stored_fen = fields.Integer(required=True)
    held_fen = fields.Integer(required=True)
    under_way_fen = fields.Integer(required=True)
    paid_fen = fields.Integer(required=True)
    turned_over_fen = fields.Integer(required=True)
    cleared_percent = fields.String(required=True)
    sides = fields.List(fields.Nested(Side), required=True)
    funnel = fields.Nested(Funnel, required=True)
    forecast = fields.Nested(Ahead, required=True, allow_none=True)
    effort = fields.Nested(Effort, required=True)


def _moment(wish: dict[str, Any]) -> datetime:
    now = clock()()
    return min(wish["at"] or now, now)


@blp.route("/v1/prepay/clearance/board")
@guarded("clearance:read", "kpi:read")
@blp.arguments(Moment, location="query")
@blp.response(200, Board)
def board(wish: dict[str, Any]) -> dict[str, Any]:
    """Read the clearance board"""
    return cockpit.board(current_actor(), _moment(wish))


@blp.route("/v1/prepay/clearance/export")
@guarded("clearance:make", "clearance:approve")
@blp.arguments(Export, location="query")
@blp.sheet
def export(wish: dict[str, Any]) -> Response:
    """Export the clearance ledger"""
    content = cockpit.export(current_actor(), counterparts(), _moment(wish), wish["form"])
    return as_sheet(content, f"clearance.{wish['form']}")
