"""Daily bills: a stay's days, one day's list, questions to its lines, and what is missing."""

from datetime import date
from typing import Any
from uuid import UUID

from flask import Response
from flask.blueprints import BlueprintSetupState
from marshmallow import Schema, fields, validate
from werkzeug.routing import BaseConverter, ValidationError

from api.fields import DAYS, on_day, said
from api.guard import current_actor, guarded
from api.routes import Routes, as_they_are
from api.surroundings import clock
from journeys import bill_questions, bill_reading, daily_bill

blp = Routes("daily-bills", __name__, description="一日清单")


class Day(BaseConverter):
    """A calendar day in a path; a day that does not exist is not found."""

    regex = r"\d{4}-\d{2}-\d{2}"

    def to_python(self, value: str) -> date:
        """2025-07-03 as a date."""
        try:
            day = date.fromisoformat(value)
        except ValueError:
            raise ValidationError from None
        if not DAYS[0] <= day <= DAYS[1]:
            raise ValidationError
        return day


@blp.record_once
def know_days(state: BlueprintSetupState) -> None:
    """Make ``<date:day>`` known before the routes below are."""
    state.app.url_map.converters["date"] = Day


class BillOfDay(Schema):
    """One day in the list of a stay's days."""

    day = fields.String(required=True, metadata={"format": "date"})
    version = fields.Integer(required=True)
    line_count = fields.Integer(required=True)
    total_fen = fields.Integer(required=True)
    running_total_fen = fields.Integer(required=True)
    corrected = fields.Boolean(required=True)
    opened_at = fields.String(required=True, allow_none=True)


class Line(Schema):
    """One line. Its four parts are the insurer's, null before it spoke; ``added``: it came late."""

    seq = fields.Integer(required=True)
    occurred_at = fields.String(required=True, metadata={"description": "Shanghai time"})
    category = fields.String(required=True)
    hospital_code = fields.String(required=True)
    national_code = fields.String(required=True)
    item_name = fields.String(required=True)
    specification = fields.String(required=True)
    unit = fields.String(required=True)
    quantity = fields.String(required=True)
    unit_price = fields.String(required=True, metadata={"description": "yuan"})
    amount_fen = fields.Integer(required=True)
    insurance_level = fields.String(required=True)
    self_pay_ratio = fields.String(required=True, allow_none=True)
    own_expense_fen = fields.Integer(required=True, allow_none=True)
    over_limit_fen = fields.Integer(required=True, allow_none=True)
    first_share_fen = fields.Integer(required=True, allow_none=True)
    in_scope_fen = fields.Integer(required=True, allow_none=True)
    department_name = fields.String(required=True)
    doctor_name = fields.String(required=True)
    reversal = fields.Boolean(required=True)
    added = fields.Boolean(required=True)
    category_name = fields.String(required=True)
    level_words = fields.String(required=True)


class ClassTotal(Schema):
    """A class of charges today and the day before."""

    category = fields.String(required=True)
    name = fields.String(required=True)
    total_fen = fields.Integer(required=True)
    before_fen = fields.Integer(required=True)


class LineQuestion(Schema):
    """A question to a line, and the ward's answer."""

    id = fields.String(required=True)
    line_seq = fields.Integer(required=True)
    text = fields.String(required=True)
    asked_at = fields.String(required=True)
    answer = fields.String(required=True)
    answered_at = fields.String(required=True, allow_none=True)


class DailyBill(Schema):
    """One version of a day's list. ``read_aloud``: the whole of it in spoken sentences."""

    admission_id = fields.String(required=True)
    inpatient_no = fields.String(required=True)
    patient_name = fields.String(required=True, metadata={"description": "masked"})
    ward_name = fields.String(required=True)
    bed = fields.String(required=True)
    day = fields.String(required=True, metadata={"format": "date"})
    version = fields.Integer(required=True)
    corrected = fields.Boolean(required=True)
    made_at = fields.String(required=True)
    opened_at = fields.String(required=True, allow_none=True)
    items_hash = fields.String(required=True)
    line_count = fields.Integer(required=True)
    added_count = fields.Integer(required=True)
    total_fen = fields.Integer(required=True)
    running_total_fen = fields.Integer(required=True)
    deposit_held_fen = fields.Integer(required=True)
    estimated_personal_fen = fields.Integer(required=True, allow_none=True)
    estimate_note = fields.String(required=True)
    insured = fields.Boolean(required=True)
    before_total_fen = fields.Integer(required=True, allow_none=True)
    by_category = fields.List(fields.Nested(ClassTotal), required=True)
    read_aloud = fields.String(required=True)
    questions = fields.List(fields.Nested(LineQuestion), required=True)
    lines = fields.List(fields.Nested(Line), required=True)


class WhichVersion(Schema):
    """Which version; the latest if none is named."""

    version = fields.Integer(load_default=None, validate=validate.Range(1, 2**31 - 1))


class WhichDay(Schema):
    """Which day."""

    day = on_day(required=True)


class Question(Schema):
    """What is asked about which line."""

    line_seq = fields.Integer(required=True, strict=True, validate=validate.Range(0, 2**63 - 1))
    text = said(200, required=True)


class Asked(Schema):
    """A question as it is stored."""

    id = fields.UUID(required=True)
    admission_id = fields.UUID(required=True)
    day = fields.Date(required=True)
    line_seq = fields.Integer(required=True)
    text = fields.String(required=True)
    asked_at = fields.AwareDateTime(required=True)
    answer = fields.String(required=True)
    answered_at = fields.AwareDateTime(required=True, allow_none=True)


class WithoutBill(Schema):
    """A patient in the house without a bill of the day."""

    admission_id = fields.UUID(required=True)
    inpatient_no = fields.String(required=True)
    ward = fields.String(required=True)
    ward_name = fields.String(required=True)
    bed = fields.String(required=True)


class Made(Schema):
    """How many bills were made; none where every inpatient has one."""

    made = fields.Integer(required=True)


@blp.route("/v1/admissions/<uuid:admission_id>/daily-bills")
@guarded("own:read", "ward:read", "hospital:read")
@blp.response(200, BillOfDay(many=True))
def bills(admission_id: UUID) -> list[dict[str, Any]]:
    """List a stay's daily bills"""
    return bill_reading.list_bills(current_actor(), admission_id)


@blp.route("/v1/admissions/<uuid:admission_id>/daily-bills/<date:day>")
@guarded("own:read", "ward:read", "hospital:read")
@blp.arguments(WhichVersion, location="query")
@blp.response(200, DailyBill)
def bill(which: dict[str, Any], admission_id: UUID, day: date) -> Response:
    """Read one day's bill"""
    actor = current_actor()
    found, lines = bill_reading.read_bill(actor, admission_id, day, which["version"], clock())
    return as_they_are(found, lines=lines)


@blp.route("/v1/admissions/<uuid:admission_id>/daily-bills/<date:day>/questions", methods=["POST"])
@guarded("own:read", "ward:read", "hospital:read")
@blp.arguments(Question)
@blp.response(200, Asked)
def ask(question: dict[str, Any], admission_id: UUID, day: date) -> dict[str, Any]:
    """Ask about a line"""
    return bill_questions.ask(current_actor(), admission_id, day, now=clock(), **question)


@blp.route("/v1/daily-bills/missing")
@guarded("hospital:read", "kpi:read")
@blp.arguments(WhichDay, location="query")
@blp.response(200, WithoutBill(many=True))
def missing(which: dict[str, Any]) -> list[dict[str, Any]]:
    """List inpatients without a bill of a day"""
    return daily_bill.missing_bills(current_actor(), which["day"])


@blp.route("/v1/daily-bills/runs", methods=["POST"])
@guarded("bill:make")
@blp.arguments(WhichDay)
@blp.response(200, Made)
def make(which: dict[str, Any]) -> dict[str, Any]:
    """Make the missing bills of a day now"""
    actor = current_actor()
    return {"made": daily_bill.make_bills(actor.hospital_id, which["day"], clock())}
