"""The census of old cards, to look at: each dump that was checked or imported, and what was found.

Dumps are too large for HTTP: they come in by ``flask --app wsgi census`` (docs/census.md).
"""

from typing import Any
from uuid import UUID

from flask import Response
from marshmallow import Schema, fields, validate

from api.fields import file_form
from api.guard import current_actor, guarded
from api.routes import Routes, as_sheet
from journeys import census

blp = Routes("census", __name__, description="旧卡清查")


class DumpFile(Schema):
    """One file or sheet of a dump."""

    table = fields.String(required=True)
    file = fields.String(required=True)
    sheet = fields.String(required=True)
    bytes = fields.Integer(required=True)
    digest = fields.String(required=True)


class Band(Schema):
    """The accounts with money of one channel, age band or contact quality."""

    name = fields.String(required=True)
    accounts = fields.Integer(required=True)
    fen = fields.Integer(required=True)


class Totals(Schema):
    """What the dump holds."""

    accounts = fields.Integer(required=True)
    accounts_with_money = fields.Integer(required=True)
    balance_fen = fields.Integer(required=True)
    holders = fields.Integer(required=True)
    top_ups = fields.Integer(required=True)
    top_up_fen = fields.Integer(required=True)
    spends = fields.Integer(required=True)
    spent_fen = fields.Integer(required=True)
    refunds = fields.Integer(required=True)
    refunded_fen = fields.Integer(required=True)
    by_channel = fields.List(fields.Nested(Band), required=True)
    by_age = fields.List(fields.Nested(Band), required=True)
    by_contact = fields.List(fields.Nested(Band), required=True)


class Report(Schema):
    """Rows read of each table, findings by code, and how the dump stands to what is here.

    ``standing``: NEW, SAME, REPLACE, or MOVED: money moved since the import that it would replace.
    """

    rows = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    standing = fields.String(required=True)
    blocked = fields.Boolean(required=True)
    findings = fields.Dict(keys=fields.String(), values=fields.Integer(), required=True)
    totals = fields.Nested(Totals, required=True)


class CensusImportOut(Schema):
    """One dump. ``state``: CHECKED, REFUSED, IMPORTED, UNCHANGED, REPLACED."""

    id = fields.UUID(required=True)
    source = fields.String(required=True)
    state = fields.String(required=True)
    prepared_by = fields.String(required=True)
    prepared_at = fields.AwareDateTime(required=True)
    released_by = fields.String(required=True, allow_none=True)
    released_at = fields.AwareDateTime(required=True, allow_none=True)
    files = fields.List(fields.Nested(DumpFile), required=True)
    report = fields.Nested(Report, required=True)


class After(Schema):
    """Which findings: those after number ``after``, at most ``limit``."""

    after = fields.Integer(load_default=0, validate=validate.Range(0, 2**31 - 1))
    limit = fields.Integer(load_default=100, validate=validate.Range(1, 500))


class FindingOut(Schema):
    """One finding. ``row``: line of the file, 1 is the heading; ``blocks``: nothing is imported."""

    no = fields.Integer(required=True)
    table = fields.String(required=True)
    row = fields.Integer(required=True)
    field = fields.String(required=True)
    code = fields.String(required=True)
    blocks = fields.Boolean(required=True)
    say = fields.String(required=True)
    facts = fields.Dict(required=True)


class Form(Schema):
    """As which kind of file."""

    form = file_form()


@blp.route("/v1/census-imports")
@guarded("ledger:read")
@blp.response(200, CensusImportOut(many=True))
def listed() -> list[dict[str, Any]]:
    """List the dumps of old card systems"""
    return census.imports(current_actor())


@blp.route("/v1/census-imports/<uuid:import_id>")
@guarded("ledger:read")
@blp.response(200, CensusImportOut)
def one(import_id: UUID) -> dict[str, Any]:
    """Look at one dump and its report"""
    return census.one_import(current_actor(), import_id)


@blp.route("/v1/census-imports/<uuid:import_id>/findings")
@guarded("ledger:read")
@blp.arguments(After, location="query")
@blp.response(200, FindingOut(many=True))
def found(page: dict[str, int], import_id: UUID) -> list[dict[str, Any]]:
    """Read what was found in a dump, row by row"""
    return census.findings(current_actor(), import_id, **page)


@blp.route("/v1/census-imports/<uuid:import_id>/findings/export")
@guarded("ledger:read")
@blp.arguments(Form, location="query")
@blp.sheet
def export(wish: dict[str, str], import_id: UUID) -> Response:
    """Take what was found in a dump as a table, the first 50,000 findings"""
    content = census.export_findings(current_actor(), import_id, wish["form"])
    return as_sheet(content, f"census-findings.{wish['form']}")
