"""A job that applies a notice waits in the queue of those that ask nobody outside."""

from models.migrations.sql_files import run_files

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    run_files("0050_quick.sql")
