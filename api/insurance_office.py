"""The insurance office: calls whose outcome only a person can find out."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, fields

from api.fields import said
from api.guard import current_actor, guarded
from api.routes import Routes
from api.surroundings import counterparts
from journeys import insurance_office

blp = Routes("insurance-office", __name__, description="医保办")


class OpenCall(Schema):
    """One call and what has to be found out."""

    id = fields.UUID(required=True)
    msgid = fields.String(required=True)
    infno = fields.String(required=True)
    task = fields.String(required=True)


class Decision(Schema):
    """What the office found out; the numbers only when it happened."""

    happened = fields.Boolean(required=True)
    why = said(200, required=True)
    mdtrt_id = said(30, least=0, load_default="")
    setl_id = said(30, least=0, load_default="")


class CallState(Schema):
    """Where the call stands now."""

    state = fields.String(required=True)


@blp.route("/v1/insurance-calls")
@guarded("insurance:resolve")
@blp.response(200, OpenCall(many=True))
def calls() -> list[dict[str, Any]]:
    """List calls that a person must decide"""
    return insurance_office.list_calls(current_actor())


@blp.route("/v1/insurance-calls/<uuid:call_id>/decision", methods=["POST"])
@guarded("insurance:resolve")
@blp.arguments(Decision)
@blp.response(200, CallState)
def decide(wish: dict[str, Any], call_id: UUID) -> dict[str, Any]:
    """Say what became of a call"""
    state = insurance_office.decide_call(current_actor(), counterparts(), call_id, **wish)
    return {"state": state}
