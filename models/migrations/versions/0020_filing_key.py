"""A filing is drafted once for each key."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.add_column("prepay_filing", sa.Column("client_key", sa.Text()))
    op.add_column("prepay_filing", sa.Column("request_hash", sa.Text()))
    op.execute("UPDATE prepay_filing SET client_key = 'before:' || id, request_hash = ''")
    for column in ("client_key", "request_hash"):
        op.alter_column("prepay_filing", column, nullable=False)
    op.create_unique_constraint(
        op.f("uq_prepay_filing_hospital_id_drafted_by_client_key"),
        "prepay_filing",
        ["hospital_id", "drafted_by", "client_key"],
    )
