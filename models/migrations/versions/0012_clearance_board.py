"""The clearance ledger as it stood at any moment (GZ-7)."""

from models.migrations.sql_files import run_files

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    run_files("0030_clearance_board.sql")
