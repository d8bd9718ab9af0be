"""A campaign is drafted once for each key."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.add_column("notice_campaign", sa.Column("client_key", sa.Text()))
    op.execute("UPDATE notice_campaign SET client_key = 'before:' || id")
    op.alter_column("notice_campaign", "client_key", nullable=False)
    op.create_unique_constraint(
        op.f("uq_notice_campaign_hospital_id_made_by_client_key"),
        "notice_campaign",
        ["hospital_id", "made_by", "client_key"],
    )
