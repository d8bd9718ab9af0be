"""A question to the insurance platform is held (with what of the stay lies there, and whose it is),
claimed and answered by one statement each; a settlement is shown by one.
"""

from alembic import op

from models.migrations.sql_files import run_files

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    run_files("0052_insurance_calls.sql", "0053_reach.sql")
    op.create_index(op.f("ix_receipt_subject_id"), "receipt", ["subject_id"])
