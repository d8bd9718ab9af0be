"""The hospital's settings with their history, and what is missing before it may open (GZ-4)."""

from typing import Any

from marshmallow import Schema, fields

from api.fields import said
from api.guard import current_actor, guarded
from api.routes import Routes
from api.surroundings import clock
from journeys import settings

blp = Routes("settings", __name__, description="医院设置与开业前检查（第四条）")


class Change(Schema):
    """Who changed a setting, when, from what to what."""

    old = fields.String(required=True, allow_none=True)
    new = fields.String(required=True)
    by = fields.String(required=True)
    at = fields.AwareDateTime(required=True)


class SettingOut(Schema):
    """One setting."""

    key = fields.String(required=True)
    says = fields.String(required=True)
    clause = fields.String(required=True)
    required = fields.Boolean(required=True)
    value = fields.String(required=True, allow_none=True)
    changes = fields.List(fields.Nested(Change), required=True)


class Value(Schema):
    """The new value, as text."""

    value = said(200, least=0, required=True)


class GapOut(Schema):
    """Something missing, and what to do."""

    code = fields.String(required=True)
    key = fields.String(required=True)
    clause = fields.String(required=True)
    say = fields.String(required=True)
    next = fields.String(required=True)


class Readiness(Schema):
    """Whether the hospital may open, and what is missing."""

    ready = fields.Boolean(required=True)
    gaps = fields.List(fields.Nested(GapOut), required=True)


@blp.route("/v1/readiness", methods=["GET"])
@guarded("settings:change", "audit:read")
@blp.response(200, Readiness)
def readiness() -> dict[str, Any]:
    """Check what is missing before the hospital may open"""
    gaps = settings.readiness(current_actor().hospital_id)
    return {"ready": not gaps, "gaps": gaps}


@blp.route("/v1/settings", methods=["GET"])
@guarded("settings:change", "audit:read")
@blp.response(200, SettingOut(many=True))
def list_settings() -> list[dict[str, Any]]:
    """List the settings and who changed them"""
    return settings.settings_of(current_actor())


@blp.route("/v1/settings/<key>", methods=["PUT"])
@guarded("settings:change")
@blp.arguments(Value)
@blp.response(204)
def change(asked: dict[str, str], key: str) -> None:
    """Change a setting"""
    settings.change_setting(current_actor(), key, asked["value"], clock())
