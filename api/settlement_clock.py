"""The settlement clocks: who waits, why, and the KPI (GZ-19)."""

from datetime import date
from typing import Any
from uuid import UUID

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from api.fields import said
from api.guard import current_actor, guarded
from api.routes import Routes
from api.surroundings import counterparts
from journeys import settlement_clock

blp = Routes("settlement-clock", __name__, description="结算时效")


class CaseOut(Schema):
    """One discharge on its clocks."""

    admission_id = fields.UUID(required=True)
    inpatient_no = fields.String(required=True)
    ward = fields.String(required=True)
    started_at = fields.AwareDateTime(required=True)
    due_on = fields.Date(required=True)
    late_from = fields.AwareDateTime(required=True)
    target_at = fields.AwareDateTime(required=True)
    settled_at = fields.AwareDateTime(required=True, allow_none=True)
    refund_paid_at = fields.AwareDateTime(required=True, allow_none=True)
    reason = fields.String(required=True)
    reason_text = fields.String(required=True)
    warnings = fields.List(fields.String(), required=True)


class KpiOut(Schema):
    """How the discharges of some days did."""

    discharges = fields.Integer(required=True)
    on_time = fields.Integer(required=True)
    on_target = fields.Integer(required=True)
    waiting = fields.Integer(required=True)
    late = fields.List(fields.Nested(CaseOut), required=True)


class Days(Schema):
    """The Shanghai days of the discharges, both included; at most a year."""

    first = fields.Date(required=True, validate=validate.Range(date(2017, 1, 1), date(2100, 1, 1)))
    last = fields.Date(required=True, validate=validate.Range(date(2017, 1, 1), date(2100, 1, 1)))

    @validates_schema
    def a_year_at_most(self, days: dict[str, date], **_: Any) -> None:
        """Each discharge of these days is looked at."""
        if not 0 <= (days["last"] - days["first"]).days <= 366:
            raise ValidationError("not before the first day, and at most 366 days after", "last")


class Reason(Schema):
    """What blocks a settlement."""

    reason = fields.String(required=True, validate=validate.OneOf(list(settlement_clock.REASONS)))
    note = said(200, least=0, load_default="")


@blp.route("/v1/discharges/waiting")
@guarded("ward:read", "hospital:read")
@blp.response(200, CaseOut(many=True))
def waiting() -> list[dict[str, Any]]:
    """List discharges that are not settled"""
    return settlement_clock.waiting_discharges(current_actor())


@blp.route("/v1/admissions/<uuid:admission_id>/settlement/delay", methods=["PUT"])
@guarded("settlement:settle")
@blp.arguments(Reason)
@blp.response(204)
def delay(wish: dict[str, Any], admission_id: UUID) -> None:
    """Say why a settlement waits"""
    settlement_clock.give_reason(current_actor(), counterparts(), admission_id, **wish)


@blp.route("/v1/kpi/settlement")
@guarded("kpi:read")
@blp.arguments(Days, location="query")
@blp.response(200, KpiOut)
def kpi(query: dict[str, Any]) -> dict[str, Any]:
    """Read the settlement KPI"""
    return settlement_clock.settlement_kpi(current_actor(), counterparts(), **query)
