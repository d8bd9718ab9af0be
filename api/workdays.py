"""Working days that the published table does not know (GZ-19)."""

from typing import Any

from marshmallow import Schema, fields, validate

from api.fields import on_day, said
from api.guard import current_actor, guarded
from api.routes import Routes
from api.surroundings import counterparts
from journeys import workdays

blp = Routes("workdays", __name__, description="工作日")


class Workday(Schema):
    """One day, and the notice that says so."""

    day = on_day(required=True)
    works = fields.Boolean(required=True)
    source = said(200, required=True)


class Year(Schema):
    """Which year."""

    year = fields.Integer(required=True, validate=validate.Range(2017, 2100))


class YearOut(Schema):
    """The hospital's own days; ``table_missing``: the State Council's are not known yet."""

    year = fields.Integer(required=True)
    table_missing = fields.Boolean(required=True)
    days = fields.List(fields.Nested(Workday), required=True)


@blp.route("/v1/workdays")
@guarded("settings:change", "kpi:read")
@blp.arguments(Year, location="query")
@blp.response(200, YearOut)
def year(wanted: dict[str, Any]) -> dict[str, Any]:
    """Look at a year's own working days"""
    return workdays.workdays_of(current_actor(), **wanted)


@blp.route("/v1/workdays", methods=["PUT"])
@guarded("settings:change")
@blp.arguments(Workday)
@blp.response(204)
def set_day(day: dict[str, Any]) -> None:
    """Set one working day"""
    workdays.set_workday(current_actor(), counterparts(), **day)
