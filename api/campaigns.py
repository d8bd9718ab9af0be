"""Notices to holders of stored money: campaigns, public notices, wrong numbers (GZ-7)."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, fields, validate

from api.fields import KeyHeader, fen, on_day, said, sha256
from api.guard import current_actor, guarded
from api.routes import Routes
from api.surroundings import counterparts
from journeys import campaigns
from models.message import MessageState
from policies.campaign import PERSONAL, NoticeChannel

blp = Routes("campaigns", __name__, description="清退通知")


class CampaignIn(Schema):
    """A name, and from which balance on a holder is told in person."""

    name = said(60, required=True)
    least_fen = fen(least=1, load_default=1)


class PublicNoticeIn(Schema):
    """Where the notice stands, since when, and the hash of what it shows."""

    channel = fields.Enum(
        NoticeChannel,
        by_value=True,
        required=True,
        validate=validate.NoneOf(list(PERSONAL)),
    )
    place = said(200, required=True)
    from_on = on_day(required=True)
    snapshot_sha256 = sha256(required=True)


class Why(Schema):
    """Why it is stopped."""

    why = said(200, required=True)


class Told(Schema):
    """How many people's message stands where."""

    state = fields.String(required=True)
    route = fields.String(required=True)
    people = fields.Integer(required=True)


class CampaignOut(Schema):
    """A campaign: its channels so far and what became of the messages."""

    id = fields.UUID(required=True)
    state = fields.String(required=True)
    name = fields.String(required=True)
    least_fen = fields.Integer(required=True)
    made_by = fields.String(required=True)
    hotline = fields.String(required=True)
    channels = fields.List(fields.String(), required=True)
    told = fields.List(fields.Nested(Told), required=True)


class Page(Schema):
    """In which state, and the last patient of the page before."""

    state = fields.String(load_default=None, validate=validate.OneOf(list(MessageState)))
    after = fields.UUID(load_default=None)


class Person(Schema):
    """What became of one person's message."""

    patient_id = fields.UUID(required=True)
    state = fields.String(required=True)
    route = fields.String(required=True)
    answer = fields.String(required=True)
    created_at = fields.AwareDateTime(required=True)


class Phone(Schema):
    """A mobile number."""

    phone = fields.String(required=True, validate=validate.Regexp(r"^1[3-9]\d{9}\Z"))


class Stopped(Schema):
    """Nothing goes to that number again."""

    stopped = fields.Boolean(required=True)


@blp.route("/v1/campaigns")
@guarded("clearance:read")
@blp.response(200, CampaignOut(many=True))
def all_() -> list[dict[str, Any]]:
    """List the campaigns"""
    return campaigns.campaigns(current_actor())


@blp.route("/v1/campaigns", methods=["POST"])
@guarded("clearance:make")
@blp.arguments(KeyHeader, location="headers")
@blp.arguments(CampaignIn)
@blp.response(200, CampaignOut)
def draft(headers: dict[str, Any], wish: dict[str, Any]) -> dict[str, Any]:
    """Draft a campaign"""
    key = headers["idempotency_key"]
    return campaigns.draft(current_actor(), counterparts(), key, **wish)


@blp.route("/v1/campaigns/<uuid:campaign_id>")
@guarded("clearance:read")
@blp.response(200, CampaignOut)
def look(campaign_id: UUID) -> dict[str, Any]:
    """Look at a campaign"""
    return campaigns.view(current_actor(), campaign_id)


@blp.route("/v1/campaigns/<uuid:campaign_id>/people")
@guarded("clearance:read")
@blp.arguments(Page, location="query")
@blp.response(200, Person(many=True))
def people(page: dict[str, Any], campaign_id: UUID) -> list[dict[str, Any]]:
    """List what became of each person's message"""
    return campaigns.people(current_actor(), campaign_id, **page)


@blp.route("/v1/campaigns/<uuid:campaign_id>/public-notices", methods=["POST"])
@guarded("clearance:make")
@blp.arguments(PublicNoticeIn)
@blp.response(200, CampaignOut)
def publish(wish: dict[str, Any], campaign_id: UUID) -> dict[str, Any]:
    """Write down a public notice"""
    return campaigns.publish(current_actor(), campaign_id, **wish)


@blp.route("/v1/campaigns/<uuid:campaign_id>/send", methods=["POST"])
@guarded("clearance:approve")
@blp.response(200, CampaignOut)
def send(campaign_id: UUID) -> dict[str, Any]:
    """Send a campaign"""
    return campaigns.send(current_actor(), counterparts(), campaign_id)


@blp.route("/v1/campaigns/<uuid:campaign_id>/stop", methods=["POST"])
@guarded("clearance:make", "clearance:approve")
@blp.arguments(Why)
@blp.response(200, CampaignOut)
def stop(wish: dict[str, Any], campaign_id: UUID) -> dict[str, Any]:
    """Stop a campaign"""
    return campaigns.stop(current_actor(), counterparts(), campaign_id, **wish)


@blp.route("/v1/campaigns/<uuid:campaign_id>/complete", methods=["POST"])
@guarded("clearance:make")
@blp.response(200, CampaignOut)
def complete(campaign_id: UUID) -> dict[str, Any]:
    """Mark a campaign as complete"""
    return campaigns.complete(current_actor(), counterparts(), campaign_id)


@blp.route("/v1/wrong-numbers", methods=["POST"])
@guarded("holder:contact")
@blp.arguments(Phone)
@blp.response(200, Stopped)
def wrong_number(wish: dict[str, Any]) -> dict[str, Any]:
    """Stop messages to a wrong number"""
    return campaigns.wrong_number(current_actor(), counterparts(), wish["phone"])
