"""Charge lines never move from one partition to another."""

from models.migrations.sql_files import run_files

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    run_files("0059_charge_months.sql")
