"""How Alembic reaches the database: the caller's URL or DATABASE_URL, one transaction, one at a
time.
"""

import os

from alembic import context
from sqlalchemy import create_engine, pool, text

from models import schema
from models.db import Base

ADVISORY_LOCK = 74_290_001


def ours(_object: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
    """Whether a comparison may look at it: not at the queue's tables, not at partitions."""
    is_foreign = bool(name) and str(name).startswith(("procrastinate_", "charge_line_"))
    return not (kind == "table" and is_foreign)


def migrate() -> None:
    """Run what was asked for."""
    schema.import_all()
    given = context.config.attributes.get("url") or os.environ["DATABASE_URL"]
    url = given.replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.begin() as db:
        db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
        context.configure(connection=db, target_metadata=Base.metadata, include_object=ours)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


migrate()
