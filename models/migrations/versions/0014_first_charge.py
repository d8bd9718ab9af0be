"""The first day on which a stay was charged: the night opens no month before it."""

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    op.add_column("admission", sa.Column("first_charged_on", sa.Date(), nullable=True))
    op.execute(
        "UPDATE admission SET first_charged_on = first.day FROM ("
        "SELECT admission_id, min(occurred_on) AS day FROM charge_line GROUP BY admission_id) first"
        " WHERE admission.id = first.admission_id"
    )
    run((SQL / "0012_first_charge.sql").read_text("utf8"))


def run(statements: str) -> None:
    """Several statements at once, as they stand: SQLAlchemy would read a colon as a parameter."""
    connection = op.get_bind().connection.driver_connection
    if connection is None:
        raise RuntimeError("there is no connection to migrate over")
    connection.execute(statements)
