"""Who stops an order at its channel writes so first: a reversal must not meet a booking."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column(
        "payment_order", sa.Column("given_up_at", sa.TIMESTAMP(timezone=True), nullable=True)
    )
