"""A daily bill is read by a plan that is made once, however many months there are."""

from models.migrations.sql_files import run_files

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    run_files("0056_bill_read.sql")
