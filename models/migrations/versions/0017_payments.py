"""Money in is booked, receipted and said by one statement."""

from pathlib import Path

from alembic import op

revision = "0017"
down_revision = "0016"

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    for file in ("0041_words.sql", "0042_payments.sql"):
        run((SQL / file).read_text("utf8"))


def run(statements: str) -> None:
    """Several statements at once, as they stand: SQLAlchemy would read a colon as a parameter."""
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("there is no connection to migrate over")
    connection.execute(statements)
