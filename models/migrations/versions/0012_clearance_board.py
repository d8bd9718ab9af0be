"""The clearance ledger as it stood at any moment (GZ-7)."""

from pathlib import Path

from alembic import op
from sqlalchemy import text

revision = "0012"
down_revision = "0011"

SQL = Path(__file__).parents[1] / "sql"


def upgrade() -> None:
    op.execute(text((SQL / "0030_clearance_board.sql").read_text("utf8")))
