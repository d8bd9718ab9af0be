"""What only a person can do: the list of tasks, and papers given back (CQ-3.2)."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, fields

from api.fields import said, sha256
from api.guard import current_actor, guarded
from api.routes import Routes
from api.surroundings import counterparts
from journeys import documents

blp = Routes("work", __name__, description="待办事项")


class Work(Schema):
    """One open task."""

    id = fields.UUID(required=True)
    kind = fields.String(required=True)
    subject = fields.String(required=True)
    note = fields.String(required=True)
    facts = fields.Dict(required=True)
    opened_at = fields.AwareDateTime(required=True)
    due_at = fields.AwareDateTime(required=True, allow_none=True)


class WorkQuery(Schema):
    """Which tasks."""

    kind = said(64, load_default=None)


class Done(Schema):
    """How a task was done."""

    outcome = said(200, required=True)


class Returned(Schema):
    """The hash of the signature for the papers."""

    signature_sha256 = sha256(required=True)


@blp.route("/v1/work-items")
@guarded("hospital:read")
@blp.arguments(WorkQuery, location="query")
@blp.response(200, Work(many=True))
def work(query: dict[str, Any]) -> list[dict[str, Any]]:
    """List open tasks"""
    return documents.list_work(current_actor(), query["kind"])


@blp.route("/v1/work-items/<uuid:item_id>/done", methods=["POST"])
@guarded("hospital:read")
@blp.arguments(Done)
@blp.response(204)
def done(wish: dict[str, Any], item_id: UUID) -> None:
    """Close a task"""
    documents.close_work(current_actor(), counterparts(), item_id, **wish)


@blp.route("/v1/admissions/<uuid:admission_id>/documents/return", methods=["POST"])
@guarded("admission:register")
@blp.arguments(Returned)
@blp.response(204)
def give_back(wish: dict[str, Any], admission_id: UUID) -> None:
    """Give handed-in papers back"""
    documents.return_documents(current_actor(), counterparts(), admission_id, **wish)
