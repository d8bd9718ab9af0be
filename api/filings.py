"""Filings of exceptions for outpatient prepayment, their publication, and what everybody may see
(GZ-6)."""

from typing import Any
from uuid import UUID

from marshmallow import Schema, fields, validate

from api.fields import KeyHeader, fen, on_day, said, sha256
from api.guard import current_actor, guarded, public
from api.routes import Routes
from api.surroundings import clock, counterparts
from journeys import filings
from journeys.filings import Wanted
from policies.filed_exception import Scene

blp = Routes("filings", __name__, description="门诊预交金备案与公示（第六条）")

HOME = "/v1/outpatient-prepay/filings"


class GroupIn(Schema):
    """A group that may store money; ELDERLY without an age gets the law's."""

    code = fields.String(required=True, validate=validate.Regexp(r"^[A-Z][A-Z_]{1,39}\Z"))
    name = said(40, required=True)
    min_age = fields.Integer(strict=True, load_default=None, validate=validate.Range(1, 120))


class Draft(Schema):
    """What the filing covers. Limits in fen: of one top-up, and of what an account may hold."""

    scenes = fields.List(fields.Enum(Scene, by_value=True), load_default=list)
    groups = fields.List(
        fields.Nested(GroupIn), load_default=list, validate=validate.Length(max=20)
    )
    top_up_limit_fen = fen(least=1, load_default=None, allow_none=True)
    balance_limit_fen = fen(least=1, load_default=None, allow_none=True)
    authority = said(80, required=True)


class Answered(Schema):
    """What the health department answered, and by which document."""

    approved = fields.Boolean(required=True)
    document_no = said(80, required=True)
    approved_on = on_day(required=True)
    expires_on = on_day(load_default=None, allow_none=True)


class Reason(Schema):
    """Why it is given up."""

    reason = said(200, required=True)


class PublicationIn(Schema):
    """Where it is shown, from when on, and the hash of the page or photograph that was kept."""

    channel = fields.String(
        required=True, validate=validate.OneOf(["WEBSITE", "MINI_PROGRAM", "SCREEN", "OTHER"])
    )
    place = said(300, required=True)
    from_on = on_day(required=True)
    to_on = on_day(load_default=None, allow_none=True)
    snapshot_sha256 = sha256(required=True)


class LastDay(Schema):
    """The last day on which it was to be seen."""

    to_on = on_day(required=True)


class PublicationOut(Schema):
    """One place where the filing is shown."""

    id = fields.UUID(required=True)
    channel = fields.String(required=True)
    place = fields.String(required=True)
    from_on = fields.Date(required=True)
    to_on = fields.Date(required=True, allow_none=True)
    snapshot_sha256 = fields.String(required=True)


class GroupOut(Schema):
    """A group that the filing lists."""

    code = fields.String(required=True)
    name = fields.String(required=True)
    min_age = fields.Integer(required=True, allow_none=True)


class PublicFiling(Schema):
    """A filing as everybody may see it."""

    id = fields.UUID(required=True)
    scenes = fields.List(fields.String(), required=True)
    groups = fields.List(fields.Nested(GroupOut), required=True)
    top_up_limit_fen = fields.Integer(required=True, allow_none=True)
    balance_limit_fen = fields.Integer(required=True, allow_none=True)
    authority = fields.String(required=True)
    document_no = fields.String(required=True, allow_none=True)
    approved_on = fields.Date(required=True, allow_none=True)
    expires_on = fields.Date(required=True, allow_none=True)
    publications = fields.List(fields.Nested(PublicationOut), required=True)


class FilingOut(PublicFiling):
    """A filing with its way through the house."""

    state = fields.String(required=True)
    drafted_by = fields.String(required=True)
    drafted_at = fields.AwareDateTime(required=True)
    checked_by = fields.String(required=True, allow_none=True)
    submitted_at = fields.AwareDateTime(required=True, allow_none=True)


class Shown(Schema):
    """What holds today."""

    hospital = fields.String(required=True)
    day = fields.Date(required=True)
    filings = fields.List(fields.Nested(PublicFiling), required=True)


class Duty(Schema):
    """Something still owed to the public."""

    code = fields.String(required=True)
    filing_id = fields.UUID(required=True)
    channel = fields.String(required=True)
    clause = fields.String(required=True)
    say = fields.String(required=True)
    next = fields.String(required=True)


@blp.route("/v1/hospitals/<code>/outpatient-prepay/filings")
@public("the law wants approved filings shown to everybody")
@blp.response(200, Shown)
@blp.alt_response(404, "Problem")
def shown(code: str) -> dict[str, Any]:
    """Read a hospital's approved filings"""
    return filings.public_filings(code, clock()())


@blp.route(HOME)
@guarded("hospital:read", "kpi:read")
@blp.response(200, FilingOut(many=True))
def list_all() -> list[dict[str, Any]]:
    """List filings"""
    return filings.list_filings(current_actor())


@blp.route(HOME, methods=["POST"])
@guarded("filing:draft")
@blp.arguments(KeyHeader, location="headers")
@blp.arguments(Draft)
@blp.response(200, FilingOut)
def draft(headers: dict[str, Any], wish: dict[str, Any]) -> dict[str, Any]:
    """Draft a filing"""
    wanted = Wanted(**wish | {"scenes": frozenset(wish["scenes"])})
    key = headers["idempotency_key"]
    return filings.draft_filing(current_actor(), counterparts(), wanted, key)


@blp.route(f"{HOME}/<uuid:filing_id>/submission", methods=["PUT"])
@guarded("filing:approve")
@blp.response(200, FilingOut)
def submit(filing_id: UUID) -> dict[str, Any]:
    """Agree to a filing and submit it"""
    return filings.submit_filing(current_actor(), counterparts(), filing_id)


@blp.route(f"{HOME}/<uuid:filing_id>/answer", methods=["PUT"])
@guarded("filing:approve")
@blp.arguments(Answered)
@blp.response(200, FilingOut)
def answer(told: dict[str, Any], filing_id: UUID) -> dict[str, Any]:
    """Record the health department's answer"""
    return filings.record_answer(current_actor(), counterparts(), filing_id, **told)


@blp.route(f"{HOME}/<uuid:filing_id>/withdrawal", methods=["PUT"])
@guarded("filing:approve")
@blp.arguments(Reason)
@blp.response(200, FilingOut)
def withdraw(told: dict[str, Any], filing_id: UUID) -> dict[str, Any]:
    """Give a filing up"""
    return filings.withdraw_filing(current_actor(), counterparts(), filing_id, **told)


@blp.route(f"{HOME}/<uuid:filing_id>/publications", methods=["POST"])
@guarded("filing:draft")
@blp.arguments(PublicationIn)
@blp.response(200, FilingOut)
def publish(told: dict[str, Any], filing_id: UUID) -> dict[str, Any]:
    """Record a publication"""
    return filings.publish(current_actor(), counterparts(), filing_id, **told)


@blp.route(f"{HOME}/<uuid:filing_id>/publications/<uuid:publication_id>", methods=["PUT"])
@guarded("filing:draft")
@blp.arguments(LastDay)
@blp.response(200, FilingOut)
def end(told: dict[str, Any], filing_id: UUID, publication_id: UUID) -> dict[str, Any]:
    """Record the end of a publication"""
    return filings.end_publication(
        current_actor(), counterparts(), filing_id, publication_id, told["to_on"]
    )


@blp.route("/v1/outpatient-prepay/duties")
@guarded("hospital:read", "kpi:read")
@blp.response(200, Duty(many=True))
def duties() -> list[dict[str, Any]]:
    """List what is still owed to the public"""
    return filings.list_duties(current_actor(), clock()())
