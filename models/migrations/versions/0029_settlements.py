"""A stay and its settlement are held by one statement and written down by one."""

from models.migrations.sql_files import run_files

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    run_files("0054_settlements.sql")
