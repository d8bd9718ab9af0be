"""Refund legs say why they go their way, and to whose bank account."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "payee",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("patient_id", sa.UUID(), nullable=False),
        sa.Column("name_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("card_no_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("card_no_index", sa.LargeBinary(), nullable=False),
        sa.Column("bank_name", sa.Text(), nullable=False),
        sa.Column("papers", sa.Boolean(), nullable=False),
        sa.Column("verified_by", sa.Text(), nullable=True),
        sa.Column("verified_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(verified_by IS NULL) = (verified_at IS NULL)",
            name=op.f("ck_payee_verified_whole"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_payee_hospital_id")
        ),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_payee_patient_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payee")),
    )
    op.create_index(op.f("ix_payee_patient_id"), "payee", ["patient_id"])
    op.create_index(
        op.f("ix_payee_hospital_id_card_no_index"), "payee", ["hospital_id", "card_no_index"]
    )
    op.alter_column("refund_leg", "lot_id", existing_type=sa.UUID(), nullable=True)
    op.add_column(
        "refund_leg",
        sa.Column("why", postgresql.JSONB(), server_default="[]", nullable=False),
    )
    op.add_column("refund_leg", sa.Column("payee_id", sa.UUID(), nullable=True))
    op.add_column(
        "refund_leg",
        sa.Column("closes_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
    )
    op.create_foreign_key(
        op.f("fk_refund_leg_payee_id"), "refund_leg", "payee", ["payee_id"], ["id"]
    )
