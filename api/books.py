"""The hospital's books, for finance and supervisors."""

from typing import Any

from marshmallow import Schema, fields

from api.guard import current_actor, guarded
from api.routes import Routes
from journeys import books

blp = Routes("books", __name__, description="账务")


class Balance(Schema):
    """One kind of account; debit positive."""

    kind = fields.String(required=True)
    accounts = fields.Integer(required=True)
    balance_fen = fields.Integer(required=True)


class FindingOut(Schema):
    """Something that does not agree."""

    code = fields.String(required=True)
    subject = fields.UUID(required=True)
    expected_fen = fields.Integer(required=True)
    found_fen = fields.Integer(required=True)


@blp.route("/v1/ledger/balances")
@guarded("ledger:read")
@blp.response(200, Balance(many=True))
def balances() -> list[dict[str, Any]]:
    """Read the balances by kind of account"""
    return books.balances(current_actor())


@blp.route("/v1/ledger/proof")
@guarded("ledger:read")
@blp.response(200, FindingOut(many=True))
def proof() -> list[dict[str, Any]]:
    """Prove the ledger now"""
    return books.proof(current_actor())
