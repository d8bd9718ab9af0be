"""A notice of a channel is kept and queued by one statement."""

from pathlib import Path

from alembic import op

revision = "0016"
down_revision = "0015"

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    run((SQL / "0040_notices.sql").read_text("utf8"))


def run(statements: str) -> None:
    """Several statements at once, as they stand: SQLAlchemy would read a colon as a parameter."""
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("there is no connection to migrate over")
    connection.execute(statements)
