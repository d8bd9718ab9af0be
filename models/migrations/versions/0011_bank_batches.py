"""Refunds to bank accounts: batch files out, answers in."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"

MOMENT = postgresql.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "bank_batch",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("built_by", sa.Text(), nullable=False),
        sa.Column("built_at", MOMENT, nullable=False),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.Column("released_at", MOMENT, nullable=True),
        sa.Column("settled_at", MOMENT, nullable=True),
        sa.CheckConstraint(
            "row_count > 0 AND total_fen > 0", name=op.f("ck_bank_batch_not_empty")
        ),
        sa.CheckConstraint(
            "released_by IS NULL OR released_by <> built_by", name=op.f("ck_bank_batch_two_people")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_bank_batch_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_batch")),
    )
    op.create_index(
        op.f("ix_bank_batch_hospital_id_state_built_at"),
        "bank_batch",
        ["hospital_id", "state", "built_at"],
    )
    op.create_table(
        "bank_answer",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("batch_id", sa.UUID(), nullable=False),
        sa.Column("file_hash", sa.LargeBinary(), nullable=False),
        sa.Column("paid_count", sa.BigInteger(), nullable=False),
        sa.Column("rejected_count", sa.BigInteger(), nullable=False),
        sa.Column("taken_by", sa.Text(), nullable=False),
        sa.Column("taken_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_bank_answer_hospital_id")
        ),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["bank_batch.id"], name=op.f("fk_bank_answer_batch_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bank_answer")),
        sa.UniqueConstraint(
            "batch_id", "file_hash", name=op.f("uq_bank_answer_batch_id_file_hash")
        ),
    )
    op.add_column("refund_leg", sa.Column("batch_id", sa.UUID(), nullable=True))
    op.create_foreign_key(
        op.f("fk_refund_leg_batch_id"), "refund_leg", "bank_batch", ["batch_id"], ["id"]
    )
    op.create_index(op.f("ix_refund_leg_batch_id"), "refund_leg", ["batch_id"])
