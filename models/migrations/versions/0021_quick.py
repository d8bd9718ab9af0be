"""A job that applies a notice waits in the queue of those that ask nobody outside."""

from pathlib import Path

from alembic import op

revision = "0021"
down_revision = "0020"

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    run((SQL / "0050_quick.sql").read_text("utf8"))


def run(statements: str) -> None:
    """Several statements at once, as they stand: SQLAlchemy would read a colon as a parameter."""
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("there is no connection to migrate over")
    connection.execute(statements)
