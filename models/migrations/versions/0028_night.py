"""A charge line carries the hash of what a list shows of it; bills are told where they are made."""

from models.migrations.sql_files import run_files

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    run_files("0053_line_hash.sql", "0054_told_bills.sql")
