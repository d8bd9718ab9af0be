"""The days that were reconciled with WeChat Pay, for finance and supervisors."""

from datetime import timedelta
from typing import Any

from marshmallow import Schema, fields

from api.fields import on_day
from api.guard import current_actor, guarded
from api.routes import Routes
from api.surroundings import clock
from config import today
from journeys import reconciliation

blp = Routes("reconciliation", __name__, description="微信对账")

SHOWN = timedelta(days=31)
"""So many days, where the question does not say since when."""


class ReconciledSpan(Schema):
    """Which days, in Shanghai; the last month if not said, the newest 100 at most."""

    since = on_day(load_default=None)
    until = on_day(load_default=None)


class DifferenceOut(Schema):
    """What the bill counts and what we count. ``WAITING``: the next day's bill may have it."""

    kind = fields.String(required=True)
    number = fields.String(required=True, metadata={"description": "商户单号，或哪一项合计"})
    state = fields.String(required=True, metadata={"description": "WAITING、OPEN、GONE"})
    there_fen = fields.Integer(required=True, metadata={"description": "微信账单，分"})
    here_fen = fields.Integer(required=True, metadata={"description": "本院，分"})
    found_at = fields.AwareDateTime(required=True)
    gone_at = fields.AwareDateTime(required=True, allow_none=True)


class ReconciledDayOut(Schema):
    """One day; ``UNKNOWN``: no bill yet, and ``answer`` says why."""

    day = fields.Date(required=True)
    channel = fields.String(required=True)
    state = fields.String(required=True, metadata={"description": "UNKNOWN、LEVEL、DIFFERS"})
    answer = fields.String(required=True)
    compared_at = fields.AwareDateTime(required=True, allow_none=True)
    there_payments = fields.Integer(required=True)
    there_payments_fen = fields.Integer(required=True)
    there_refunds = fields.Integer(required=True)
    there_refunds_fen = fields.Integer(required=True)
    here_payments = fields.Integer(required=True)
    here_payments_fen = fields.Integer(required=True)
    here_refunds = fields.Integer(required=True)
    here_refunds_fen = fields.Integer(required=True)
    differences_total = fields.Integer(required=True, metadata={"description": "OPEN 的笔数"})
    differences = fields.List(fields.Nested(DifferenceOut), required=True)


@blp.route("/v1/reconciliation/days")
@guarded("ledger:read")
@blp.arguments(ReconciledSpan, location="query")
@blp.response(200, ReconciledDayOut(many=True))
def days(span: dict[str, Any]) -> list[dict[str, Any]]:
    """List the days reconciled with WeChat Pay and their differences"""
    until = span["until"] or today(clock()())
    return reconciliation.list_days(current_actor(), span["since"] or until - SHOWN, until)
