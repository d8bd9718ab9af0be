"""The pace at which a channel is asked, kept by all processes together."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"

MOMENT = postgresql.TIMESTAMP(timezone=True)
NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    op.create_table(
        "channel_pace",
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("next_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("next_old_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("held_until", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_channel_pace_hospital_id")
        ),
        sa.PrimaryKeyConstraint("hospital_id", "channel", name=op.f("pk_channel_pace")),
    )
    op.create_table(
        "failure_slot",
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("free_at", MOMENT, server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_failure_slot_hospital_id")
        ),
        sa.PrimaryKeyConstraint("hospital_id", "channel", "no", name=op.f("pk_failure_slot")),
    )
