"""The first day on which a stay was charged: the night opens no month before it."""

import sqlalchemy as sa
from alembic import op

from models.migrations.sql_files import run_files

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("admission", sa.Column("first_charged_on", sa.Date(), nullable=True))
    op.execute(
        "UPDATE admission SET first_charged_on = first.day FROM ("
        "SELECT admission_id, min(occurred_on) AS day FROM charge_line GROUP BY admission_id) first"
        " WHERE admission.id = first.admission_id"
    )
    run_files("0012_first_charge.sql")
