"""Refund legs to a person's own WeChat; unused payments by age."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("refund_leg", sa.Column("openid", sa.Text(), nullable=True))
    op.add_column("refund_leg", sa.Column("confirm_package", sa.Text(), nullable=True))
    op.create_index(
        "ix_lot_unused_by_age",
        "lot",
        ["hospital_id", "channel", "paid_at", "id"],
        postgresql_where=sa.text("spent_fen + refunded_fen < amount_fen"),
    )
