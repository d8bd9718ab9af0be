"""Stays: list, look, register, insure, quota, papers (GZ-20)."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, fields, validate

from api.fields import fen, said, sha256
from api.guard import current_actor, guarded
from api.routes import Routes
from api.surroundings import counterparts
from journeys import admission

blp = Routes("admissions", __name__, description="住院登记")


class StayLine(Schema):
    """One line of a list of stays."""

    id = fields.UUID(required=True)
    inpatient_no = fields.String(required=True)
    patient_name = fields.String(required=True, metadata={"description": "masked"})
    state = fields.String(required=True)
    ward = fields.String(required=True)
    ward_name = fields.String(required=True)
    department_name = fields.String(required=True)
    bed = fields.String(required=True)
    admitted_on = fields.Date(required=True)


class Step(Schema):
    """One step of a stay's trail."""

    step = fields.String(required=True)
    at = fields.AwareDateTime(required=True)
    by = fields.String(required=True)
    channel = fields.String(required=True)


class Stay(StayLine):
    """One stay with its deposit and its trail."""

    quota_fen = fields.Integer(required=True, allow_none=True)
    deposit_held_fen = fields.Integer(required=True)
    deposit_pending_fen = fields.Integer(required=True)
    insurance = fields.String(required=True, allow_none=True)
    insurance_state = fields.String(required=True, allow_none=True)
    ordered_at = fields.AwareDateTime(required=True, allow_none=True)
    left_at = fields.AwareDateTime(required=True, allow_none=True)
    steps = fields.List(fields.Nested(Step), required=True)


class Registration(Schema):
    """What the patient or the nurse adds to the slip."""

    phone = fields.String(
        load_default=None, allow_none=True, validate=validate.Regexp(r"^1\d{10}\Z")
    )


class InsuranceWish(Schema):
    """Which card was shown and which cover is wanted; empty: the profile's order decides."""

    card_kind = fields.String(load_default="02", validate=validate.OneOf(["01", "02", "03"]))
    card_number = said(50, least=0, load_default="")
    insutype = fields.String(load_default="", validate=validate.OneOf(["", "310", "390"]))


class Quota(Schema):
    """The most that may be held for the stay, and why."""

    quota_fen = fen(required=True)
    basis = said(200, required=True)


class Paper(Schema):
    """A handed-in paper; only copies may be kept."""

    kind = fields.String(
        required=True, validate=validate.OneOf(["SOCIAL_CARD", "ID_CARD", "CERTIFICATE", "OTHER"])
    )
    form = fields.String(required=True, validate=validate.OneOf(["COPY", "ORIGINAL"]))
    sha256 = sha256(required=True)


@blp.route("/v1/admissions")
@guarded("own:read", "ward:read", "hospital:read")
@blp.response(200, StayLine(many=True))
def stays() -> list[dict[str, Any]]:
    """List the stays that I may see"""
    return admission.list_stays(current_actor())


@blp.route("/v1/admissions/<uuid:admission_id>")
@guarded("own:read", "ward:read", "hospital:read")
@blp.response(200, Stay)
def stay(admission_id: UUID) -> dict[str, Any]:
    """Look at one stay and its trail"""
    return admission.view_stay(current_actor(), admission_id)


@blp.route("/v1/admissions/<uuid:admission_id>/registration", methods=["PUT"])
@guarded("own:act", "admission:register")
@blp.arguments(Registration)
@blp.response(200, Stay)
def register(wish: dict[str, Any], admission_id: UUID) -> dict[str, Any]:
    """Complete the admission"""
    return admission.register(current_actor(), counterparts(), admission_id, **wish)


@blp.route("/v1/admissions/<uuid:admission_id>/insurance", methods=["PUT"])
@guarded("own:act", "admission:register")
@blp.arguments(InsuranceWish)
@blp.response(200, Stay)
def insure(wish: dict[str, Any], admission_id: UUID) -> dict[str, Any]:
    """Register the stay's insurance"""
    return admission.register_insurance(current_actor(), counterparts(), admission_id, **wish)


@blp.route("/v1/admissions/<uuid:admission_id>/quota", methods=["PUT"])
@guarded("quota:set")
@blp.arguments(Quota)
@blp.response(200, Stay)
def quota(wish: dict[str, Any], admission_id: UUID) -> dict[str, Any]:
    """Set the stay's quota"""
    return admission.set_quota(current_actor(), counterparts(), admission_id, **wish)


@blp.route("/v1/admissions/<uuid:admission_id>/documents", methods=["POST"])
@guarded("admission:register")
@blp.arguments(Paper)
@blp.response(204)
def hand_in(paper: dict[str, Any], admission_id: UUID) -> None:
    """Register a handed-in copy"""
    admission.hand_in_document(current_actor(), counterparts(), admission_id, **paper)
