"""A notice's raw bytes and the headers that prove them are kept; refused ones are in the trail."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from models.migrations.sql_files import run_files

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    op.add_column("channel_notice", sa.Column("body", sa.LargeBinary()))
    op.add_column("channel_notice", sa.Column("proof", postgresql.JSONB()))
    op.create_table(
        "refused_notice",
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("hour", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("hospital_id", "reason", name=op.f("pk_refused_notice")),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_refused_notice_hospital_id")
        ),
    )
    run_files("0057_notice_bytes.sql")
