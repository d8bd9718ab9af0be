"""A batch of charge lines is joined by hashes; a night of bills reads the lines of its day once."""

from pathlib import Path

from alembic import op
from sqlalchemy import text

revision = "0022"
down_revision = "0021"

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    op.drop_constraint(op.f("fk_charge_source_hospital_id"), "charge_source")
    op.execute(text((SQL / "0050_lines.sql").read_text("utf8")))
    op.execute(text((SQL / "0051_night.sql").read_text("utf8")))
