"""Whether this process lives (/healthz) and whether it may be given work (/readyz)."""

from pathlib import Path
from typing import Any

import structlog
from alembic.script import ScriptDirectory
from marshmallow import Schema, fields
from sqlalchemy.exc import SQLAlchemyError

from api.guard import public
from api.metrics import queue_age_s
from api.routes import Routes
from api.surroundings import here, settings
from models import durability, schema
from models.db import rows


class Alive(Schema):
    """One word."""

    status = fields.String(required=True)


class Ready(Alive):
    """One word, and one for each thing that was looked at."""

    checks = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


blp = Routes("health", __name__, description="存活与就绪检查")

QUEUE_AGE_LIMIT_S = 300
MIGRATIONS = schema.MIGRATIONS

log = structlog.get_logger("health")


@blp.route("/healthz")
@public("load balancers ask before anybody is logged in", media="*")
@blp.response(200, Alive)
def alive() -> dict[str, str]:
    """Say that the process lives"""
    return {"status": "ok"}


@blp.route("/readyz")
@public("load balancers ask before anybody is logged in", media="*")
@blp.response(200, Ready)
@blp.alt_response(503, schema=Ready)
def ready() -> tuple[dict[str, Any], int]:
    """Say whether this process may be given work

    Without the database, with another schema, or in production with a database that would forget
    after a power cut: 503. Without Redis or with an old queue: 200 and ``degraded``, because money
    still moves.
    """
    checks = {
        "database": _database(),
        "durability": "unknown",
        "migrations": "unknown",
        "queue": "unknown",
    }
    if checks["database"] == "ok":
        off = durability.switched_off()
        checks["durability"] = f"{', '.join(off)} off" if off else "ok"
        checks["migrations"] = _migrations(MIGRATIONS)
        checks["queue"] = "ok" if queue_age_s() < QUEUE_AGE_LIMIT_S else "old"
    checks["redis"] = "ok" if here().memory.answers() else "down"
    forgetful = settings().production and checks["durability"] != "ok"
    dead = forgetful or checks["database"] != "ok" or checks["migrations"] != "ok"
    degraded = checks["redis"] != "ok" or checks["queue"] != "ok"
    status = "not ready" if dead else "degraded" if degraded else "ok"
    return {"status": status, "checks": checks}, 503 if dead else 200


def _database() -> str:
    try:
        rows("SELECT 1")
    except SQLAlchemyError as down:
        log.warning("database_down", error=type(down).__name__)
        return "down"
    return "ok"


def _migrations(folder: Path) -> str:
    wanted = set(ScriptDirectory(str(folder)).get_heads())
    if not rows("SELECT to_regclass('alembic_version') AS t")[0]["t"]:
        return "none" if wanted else "ok"
    applied = {row["version_num"] for row in rows("SELECT version_num FROM alembic_version")}
    return "ok" if applied == wanted else "behind"
