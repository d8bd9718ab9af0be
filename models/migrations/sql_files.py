"""The SQL files of a migration, run as they stand."""

from pathlib import Path

from alembic import op

_SQL = Path(__file__).parent / "sql"


def run_files(*names: str) -> None:
    """Run these files of ``sql/``, one after the other."""
    for name in names:
        run((_SQL / name).read_text("utf8"))


def run(statements: str) -> None:
    """Several statements at once: SQLAlchemy would read a colon as a parameter."""
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("there is no connection to migrate over")
    connection.execute(statements)
