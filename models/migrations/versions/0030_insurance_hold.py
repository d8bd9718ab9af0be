"""Whoever holds an insured stay is told with it what of it lies at the platform, and whose it is."""

from models.migrations.sql_files import run_files

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    run_files("0055_insurance_hold.sql")
