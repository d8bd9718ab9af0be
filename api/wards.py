"""A ward's desk: questions about daily bills and their answers, and what is to be printed."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, fields

from api.daily_bills import Asked
from api.fields import said
from api.guard import current_actor, guarded
from api.routes import Routes
from api.surroundings import clock
from journeys import bill_questions, ward_desk

blp = Routes("wards", __name__, description="病区")


class OpenQuestion(Schema):
    """A question that waits, with the line that it is about."""

    id = fields.UUID(required=True)
    admission_id = fields.UUID(required=True)
    day = fields.Date(required=True)
    line_seq = fields.Integer(required=True)
    text = fields.String(required=True)
    asked_at = fields.AwareDateTime(required=True)
    bed = fields.String(required=True)
    inpatient_no = fields.String(required=True)
    item_name = fields.String(required=True)
    specification = fields.String(required=True)
    amount_fen = fields.Integer(required=True)


class Answer(Schema):
    """The ward's answer."""

    text = said(500, required=True)


class ToPrint(Schema):
    """Something to print and hand over; ``values`` names the day."""

    id = fields.UUID(required=True)
    admission_id = fields.UUID(required=True)
    bed = fields.String(required=True)
    inpatient_no = fields.String(required=True)
    patient_name = fields.String(required=True, metadata={"description": "masked"})
    what = fields.String(required=True)
    values = fields.Dict(required=True)
    since = fields.AwareDateTime(required=True)


@blp.route("/v1/wards/<ward>/questions")
@guarded("ward:read", "hospital:read")
@blp.response(200, OpenQuestion(many=True))
def questions(ward: str) -> list[dict[str, Any]]:
    """List a ward's open questions"""
    return ward_desk.questions_of_ward(current_actor(), ward)


@blp.route("/v1/questions/<uuid:question_id>/answer", methods=["POST"])
@guarded("question:answer")
@blp.arguments(Answer)
@blp.response(200, Asked)
def answer(given: dict[str, Any], question_id: UUID) -> dict[str, Any]:
    """Answer a question"""
    return bill_questions.answer(current_actor(), question_id, text=given["text"], now=clock())


@blp.route("/v1/wards/<ward>/print-queue")
@guarded("ward:read", "hospital:read")
@blp.response(200, ToPrint(many=True))
def print_queue(ward: str) -> list[dict[str, Any]]:
    """List what a ward has to print"""
    return ward_desk.print_queue(current_actor(), ward)


@blp.route("/v1/wards/<ward>/print-queue/<uuid:job_id>/printed", methods=["POST"])
@guarded("ward:read", "hospital:read")
@blp.response(204)
def printed(ward: str, job_id: UUID) -> None:
    """Say that it was printed and handed over"""
    ward_desk.mark_printed(current_actor(), ward, job_id, clock())
