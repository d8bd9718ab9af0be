"""Courses, group contracts and other money paid ahead, and their uses."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "paid_ahead",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("patient_id", sa.UUID(), nullable=True),
        sa.Column("employer", sa.Text(), nullable=True),
        sa.Column("course", sa.Text(), nullable=True),
        sa.Column("units", sa.BigInteger(), nullable=False),
        sa.Column("price_fen", sa.BigInteger(), nullable=False),
        sa.Column("proof", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("opened_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("client_key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("stopped_by", sa.Text(), nullable=True),
        sa.Column("refund_id", sa.UUID(), nullable=True),
        sa.Column("repaid_by", sa.Text(), nullable=True),
        sa.Column("repaid_slip", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(employer IS NULL) = (code <> 'GROUP_EXAM')",
            name=op.f("ck_paid_ahead_group_has_employer"),
        ),
        sa.CheckConstraint(
            "(patient_id IS NULL) = (code = 'GROUP_EXAM')",
            name=op.f("ck_paid_ahead_else_a_patient"),
        ),
        sa.CheckConstraint(
            "code <> 'OTHER' OR state IN ('TO_APPROVE', 'REFUSED') OR approved_by IS NOT NULL",
            name=op.f("ck_paid_ahead_other_is_approved"),
        ),
        sa.CheckConstraint("approved_by <> opened_by", name=op.f("ck_paid_ahead_two_people")),
        sa.CheckConstraint(
            "price_fen > 0 AND units >= 0 AND price_fen >= units", name=op.f("ck_paid_ahead_price")
        ),
        sa.CheckConstraint("repaid_by <> stopped_by", name=op.f("ck_paid_ahead_two_people_repay")),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_paid_ahead_hospital_id")
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_paid_ahead_patient_id")
        ),
        sa.ForeignKeyConstraint(["refund_id"], ["refund.id"], name=op.f("fk_paid_ahead_refund_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_paid_ahead")),
        sa.UniqueConstraint(
            "hospital_id",
            "opened_by",
            "client_key",
            name=op.f("uq_paid_ahead_hospital_id_opened_by_client_key"),
        ),
    )
    op.create_index(
        op.f("ix_paid_ahead_hospital_id_code_state"),
        "paid_ahead",
        ["hospital_id", "code", "state"],
        unique=False,
    )
    op.create_index(op.f("ix_paid_ahead_patient_id"), "paid_ahead", ["patient_id"], unique=False)
    op.create_table(
        "paid_ahead_use",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("plan_id", sa.UUID(), nullable=False),
        sa.Column("use_no", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("undone_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("undone_by", sa.Text(), nullable=True),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_paid_ahead_use_amount_positive")),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_paid_ahead_use_hospital_id")
        ),
        sa.ForeignKeyConstraint(
            ["plan_id"], ["paid_ahead.id"], name=op.f("fk_paid_ahead_use_plan_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_paid_ahead_use")),
    )
    op.create_index(
        "uq_paid_ahead_use_live",
        "paid_ahead_use",
        ["plan_id", "use_no"],
        unique=True,
        postgresql_where=sa.text("undone_at IS NULL"),
    )
