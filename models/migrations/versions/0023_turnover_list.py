"""The list of what may be turned over adds up the few young lots, and may run in parallel."""

from models.migrations.sql_files import run_files

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    run_files("0021_turnover_list.sql")
