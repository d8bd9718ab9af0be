"""Files for the bank: made by one, released by another, answered by the bank (GZ-7)."""

from base64 import b64decode
from binascii import Error
from typing import Any
from uuid import UUID

from flask import Response
from marshmallow import Schema, ValidationError, fields, validate

from api.fields import file_form
from api.guard import MIB, current_actor, guarded
from api.routes import Routes, as_sheet
from api.surroundings import clock
from journeys import bank_batches
from models.bank_batch import BatchState

blp = Routes("bank_batches", __name__, description="银行批量退款")

HOME = "/v1/bank-batches"
ONE = f"{HOME}/<uuid:bank_batch_id>"


class Batch(Schema):
    """A file: how many, how much, who made and who released it."""

    id = fields.UUID(required=True)
    number = fields.String(required=True)
    state = fields.String(required=True)
    row_count = fields.Integer(required=True)
    total_fen = fields.Integer(required=True)
    built_by = fields.String(required=True)
    built_at = fields.AwareDateTime(required=True)
    released_by = fields.String(required=True, allow_none=True)
    released_at = fields.AwareDateTime(required=True, allow_none=True)
    settled_at = fields.AwareDateTime(required=True, allow_none=True)


class BatchRow(Schema):
    """One payment of a file; of the card only its last four figures."""

    leg_id = fields.UUID(required=True)
    refund_id = fields.UUID(required=True)
    amount_fen = fields.Integer(required=True)
    card = fields.String(required=True)
    bank_name = fields.String(required=True)
    state = fields.String(required=True)
    answer = fields.String(required=True)


class BatchOut(Batch):
    """A file with its rows."""

    rows = fields.List(fields.Nested(BatchRow), required=True)


class BatchQuery(Schema):
    """Which files."""

    state = fields.String(load_default=None, validate=validate.OneOf(list(BatchState)))


class FileQuery(Schema):
    """In which form."""

    format = file_form()


class Content(fields.Field[bytes]):
    """A file as base64."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **_: Any) -> bytes:
        try:
            return b64decode(value, validate=True)
        except (Error, TypeError, ValueError):
            raise ValidationError("Not base64.") from None


class AnswerIn(Schema):
    """The bank's answer file, CSV or XLSX."""

    file = Content(required=True, metadata={"type": "string", "format": "byte"})


@blp.route(HOME, methods=["POST"])
@guarded("refund:request")
@blp.response(201, Batch)
def build() -> dict[str, Any]:
    """Make a file of all refunds that wait for the bank"""
    return bank_batches.build_batch(current_actor(), clock())


@blp.route(HOME)
@guarded("refund:request", "refund:check")
@blp.arguments(BatchQuery, location="query")
@blp.response(200, Batch(many=True))
def files(query: dict[str, Any]) -> list[dict[str, Any]]:
    """List the files for the bank"""
    return bank_batches.list_batches(current_actor(), query["state"])


@blp.route(ONE)
@guarded("refund:request", "refund:check")
@blp.response(200, BatchOut)
def look(bank_batch_id: UUID) -> dict[str, Any]:
    """Look at a file for the bank"""
    return bank_batches.view_batch(current_actor(), bank_batch_id)


@blp.route(f"{ONE}/withdraw", methods=["POST"])
@guarded("refund:request", "refund:check")
@blp.response(200, Batch)
def withdraw(bank_batch_id: UUID) -> dict[str, Any]:
    """Give up a file that was not released"""
    return bank_batches.withdraw_batch(current_actor(), bank_batch_id, clock())


@blp.route(f"{ONE}/release", methods=["POST"])
@guarded("refund:check")
@blp.response(200, Batch)
def release(bank_batch_id: UUID) -> dict[str, Any]:
    """Release a file to the bank as the second person"""
    return bank_batches.release_batch(current_actor(), bank_batch_id, clock())


@blp.route(f"{ONE}/file")
@guarded("refund:request", "refund:check")
@blp.arguments(FileQuery, location="query")
@blp.sheet
def download(query: dict[str, Any], bank_batch_id: UUID) -> Response:
    """Take out a released file"""
    actor, form = current_actor(), query["format"]
    name, content = bank_batches.batch_file(actor, bank_batch_id, form, clock())
    return as_sheet(content, name)


@blp.route(f"{ONE}/answers", methods=["POST"])
@guarded("refund:request", body_limit=16 * MIB)
@blp.arguments(AnswerIn)
@blp.response(200, BatchOut)
def answer(wish: dict[str, Any], bank_batch_id: UUID) -> dict[str, Any]:
    """Take in the bank's answer file"""
    return bank_batches.take_answer(current_actor(), bank_batch_id, wish["file"], clock())
