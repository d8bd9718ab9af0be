"""A notice of a channel is kept and queued by one statement."""

from models.migrations.sql_files import run_files

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    run_files("0040_notices.sql")
