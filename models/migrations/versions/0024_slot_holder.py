"""Who holds a slot of a channel's pace: a holder that lives says so again and again."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    op.add_column("failure_slot", sa.Column("holder", sa.Uuid(), nullable=True))
    run((SQL / "0043_pace.sql").read_text("utf8"))


def run(statements: str) -> None:
    """Several statements at once, as they stand: SQLAlchemy would read a colon as a parameter."""
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("there is no connection to migrate over")
    connection.execute(statements)
