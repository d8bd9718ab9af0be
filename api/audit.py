"""The audit trail, read and checked; and the one door through which masked identities are seen in
clear."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, fields, validate

from api.fields import said
from api.guard import current_actor, guarded
from api.routes import Routes
from api.surroundings import clock
from journeys import unmasking
from models import audit

blp = Routes("audit", __name__, description="审计记录")


class Page(Schema):
    """Which rows: those after ``after``, at most ``limit``."""

    after = fields.Integer(load_default=0, validate=validate.Range(0, 2**63 - 1))
    limit = fields.Integer(load_default=100, validate=validate.Range(1, 500))


class Entry(Schema):
    """One row of the chain."""

    no = fields.Integer(required=True)
    at = fields.AwareDateTime(required=True)
    by = fields.String(required=True)
    what = fields.String(required=True)
    subject = fields.String(required=True)
    facts = fields.Dict(required=True)


class Check(Schema):
    """``broken_at``: the first row that is changed or missing; ``head``: number:hash to keep
    elsewhere."""

    broken_at = fields.Integer(required=True, allow_none=True)
    head = fields.String(required=True)


class Reason(Schema):
    """Why somebody must see a patient in clear."""

    reason = said(200, least=4, required=True)


class IdentityOut(Schema):
    """What is otherwise masked."""

    name = fields.String(required=True)
    id_no = fields.String(required=True)
    phone = fields.String(required=True)


@blp.route("/v1/audit", methods=["GET"])
@guarded("audit:read")
@blp.arguments(Page, location="query")
@blp.response(200, Entry(many=True))
def entries(page: dict[str, int]) -> list[dict[str, Any]]:
    """Read the audit trail"""
    return audit.entries(current_actor().hospital_id, **page)


@blp.route("/v1/audit/check", methods=["GET"])
@guarded("audit:read")
@blp.response(200, Check)
def check() -> dict[str, Any]:
    """Recompute the chain of the audit trail"""
    hospital_id = current_actor().hospital_id
    no, digest = audit.head(hospital_id)
    return {"broken_at": audit.verify(hospital_id), "head": f"{no}:{digest}"}


@blp.route("/v1/admissions/<uuid:admission_id>/identity", methods=["POST"])
@guarded("admission:register")
@blp.arguments(Reason)
@blp.response(200, IdentityOut)
def unmask(asked: dict[str, str], admission_id: UUID) -> Any:
    """See a patient's identity in clear

    The reason and the look are in the audit trail.
    """
    return unmasking.unmask(current_actor(), admission_id, asked["reason"], clock())
