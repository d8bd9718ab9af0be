"""Routes that fail in every way, and one for each way in: to test the edge itself."""

from typing import Any

import sqlalchemy.exc
from marshmallow import Schema, fields
from sqlalchemy import text

from api.fields import fen
from api.guard import MIB, current_actor, guarded, public
from api.routes import Routes
from journeys.patient_scope import stay_for
from models.db import Session
from models.machine import ForbiddenMove
from policies import outcome, refusals

blp = Routes("probe", __name__)


class Line(Schema):
    amount_fen = fen(required=True)


class Order(Schema):
    lines = fields.List(fields.Nested(Line), required=True)


class Crash(Exception):
    """Carries what must never be seen outside."""


def database_hangs_up() -> None:
    with Session.begin() as db:
        db.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


def _raise(error: Exception) -> None:
    raise error


FAILURES = {
    "refused": lambda: _raise(refusals.Refused("DEPOSIT_CAP_EXCEEDED", room_fen=123405)),
    "not_found": lambda: _raise(refusals.NotFound("ADMISSION_UNKNOWN")),
    "conflict": lambda: _raise(refusals.Conflict("IDEMPOTENCY_CONFLICT")),
    "forbidden": lambda: _raise(refusals.Forbidden("PERMISSION_MISSING")),
    "unauthenticated": lambda: _raise(refusals.Unauthenticated("NOT_LOGGED_IN")),
    "busy": lambda: _raise(refusals.Busy("WECHAT_AWAY")),
    "move": lambda: _raise(ForbiddenMove("Admission", "SETTLED", "SLIP")),
    "no_answer": lambda: _raise(outcome.NoAnswer("13812345678")),
    "not_now": lambda: _raise(outcome.NotNow("X")),
    "declined": lambda: _raise(outcome.Declined("40029", "张小丰")),
    "pool": lambda: _raise(sqlalchemy.exc.TimeoutError("QueuePool limit")),
    "database": database_hangs_up,
    "crash": lambda: _raise(Crash("张小丰 990101197503090013 13812345678")),
    "unworded": lambda: _raise(refusals.Refused("NOBODY_WROTE_THIS")),
}


@blp.route("/probe/fail/<how>", methods=["GET"])
@public("tests")
@blp.response(204)
def fail(how: str) -> None:
    """Fail"""
    FAILURES[how]()


@blp.route("/probe/orders", methods=["POST"])
@public("tests", body_limit=MIB)
@blp.arguments(Order)
@blp.response(200, Order)
def order(wish: dict[str, Any]) -> dict[str, Any]:
    """Order"""
    return wish


@blp.route("/probe/his", methods=["GET", "POST"])
@guarded("his:report", body_limit=4 * MIB)
@blp.response(200)
def his() -> dict[str, Any]:
    """Report"""
    actor = current_actor()
    return {"name": actor.name, "channel": actor.channel, "hospital_id": str(actor.hospital_id)}


@blp.route("/probe/stays/<uuid:stay_id>", methods=["GET"])
@guarded("ward:read", "hospital:read")
@blp.response(200)
def stay(stay_id: Any) -> dict[str, str]:
    """See a stay"""
    with Session() as db:
        return {"ward": stay_for(db, current_actor(), stay_id, "VIEW").ward}
