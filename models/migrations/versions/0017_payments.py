"""Money in is booked, receipted and said by one statement."""

from models.migrations.sql_files import run_files

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    run_files("0041_words.sql", "0042_payments.sql")
