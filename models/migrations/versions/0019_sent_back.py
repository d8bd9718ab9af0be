"""A payment that the payee's bank sent back, and the advance that it was."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.add_column("refund_leg", sa.Column("returned_at", sa.TIMESTAMP(timezone=True)))
    op.add_column(
        "bank_answer",
        sa.Column("returned_count", sa.BigInteger(), server_default="0", nullable=False),
    )
    op.add_column(
        "hospital_advance",
        sa.Column("undone_fen", sa.BigInteger(), server_default="0", nullable=False),
    )
    op.add_column("hospital_advance", sa.Column("refund_id", sa.Uuid()))
    op.execute(
        "UPDATE hospital_advance a SET refund_id = g.refund_id FROM refund_leg g"
        " WHERE a.key LIKE 'refund-leg:%' AND split_part(a.key, ':', 2) = g.id::text"
    )
    op.create_foreign_key(
        op.f("fk_hospital_advance_refund_id"), "hospital_advance", "refund", ["refund_id"], ["id"]
    )
    op.create_index(op.f("ix_hospital_advance_refund_id"), "hospital_advance", ["refund_id"])
    op.create_check_constraint(
        op.f("ck_hospital_advance_undone_within"),
        "hospital_advance",
        "undone_fen BETWEEN 0 AND amount_fen",
    )
