"""A late charge also makes the next version of the bills whose running totals it changes."""

from models.migrations.sql_files import run_files

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    run_files("0058_running_totals.sql")
