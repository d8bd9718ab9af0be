"""Requests for stored money: from acceptance to payment, with papers, payees and holds."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "refund_request",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("held_from", sa.Text(), nullable=True),
        sa.Column("patient_id", sa.UUID(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("client_key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("asker", sa.Text(), nullable=False),
        sa.Column("asker_name_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("asker_id_no_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("payee_id", sa.UUID(), nullable=True),
        sa.Column("signature_sha256", sa.Text(), nullable=True),
        sa.Column("withdrawal_sha256", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("device_id", sa.UUID(), nullable=True),
        sa.Column("off_hours", sa.Boolean(), nullable=False),
        sa.Column("accepted_by", sa.Text(), nullable=False),
        sa.Column("accepted_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("reviewed_by", sa.Text(), nullable=True),
        sa.Column("reviewed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.Column("confirmed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("rejected_by", sa.Text(), nullable=True),
        sa.Column("appealed_by", sa.Text(), nullable=True),
        sa.Column("paid_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(state = 'HELD') = (held_from IS NOT NULL)", name=op.f("ck_refund_request_held_whole")
        ),
        sa.CheckConstraint(
            "state = 'REJECTED' OR (reviewed_by <> rejected_by AND confirmed_by <> rejected_by)",
            name=op.f("ck_refund_request_appeal_is_decided_by_others"),
        ),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_refund_request_amount_positive")),
        sa.CheckConstraint(
            "confirmed_by <> accepted_by AND confirmed_by <> reviewed_by",
            name=op.f("ck_refund_request_confirmer_is_another"),
        ),
        sa.CheckConstraint(
            "reviewed_by <> accepted_by", name=op.f("ck_refund_request_reviewer_is_another")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_refund_request_hospital_id")
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_refund_request_patient_id")
        ),
        sa.ForeignKeyConstraint(
            ["payee_id"], ["payee.id"], name=op.f("fk_refund_request_payee_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund_request")),
        sa.UniqueConstraint(
            "hospital_id",
            "accepted_by",
            "client_key",
            name=op.f("uq_refund_request_hospital_id_accepted_by_client_key"),
        ),
    )
    op.create_index(
        op.f("ix_refund_request_accepted_by_accepted_at"),
        "refund_request",
        ["accepted_by", "accepted_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_refund_request_hospital_id_state_accepted_at"),
        "refund_request",
        ["hospital_id", "state", "accepted_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_refund_request_patient_id"), "refund_request", ["patient_id"], unique=False
    )
    op.create_table(
        "refund_hold",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("request_id", sa.UUID(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("payee_id", sa.UUID(), nullable=True),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("first_by", sa.Text(), nullable=True),
        sa.Column("first_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("first_why", sa.Text(), nullable=False),
        sa.Column("second_by", sa.Text(), nullable=True),
        sa.Column("second_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("second_why", sa.Text(), nullable=False),
        sa.Column("closed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "code IN ('RISK_HOLD', 'PAYEE_MISMATCH')", name=op.f("ck_refund_hold_code_known")
        ),
        sa.CheckConstraint("second_by <> first_by", name=op.f("ck_refund_hold_two_people")),
        sa.CheckConstraint(
            "second_by IS NULL OR closed_at IS NOT NULL", name=op.f("ck_refund_hold_released_whole")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_refund_hold_hospital_id")
        ),
        sa.ForeignKeyConstraint(["payee_id"], ["payee.id"], name=op.f("fk_refund_hold_payee_id")),
        sa.ForeignKeyConstraint(
            ["request_id"], ["refund_request.id"], name=op.f("fk_refund_hold_request_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund_hold")),
    )
    op.create_index(op.f("ix_refund_hold_request_id"), "refund_hold", ["request_id"], unique=False)
    op.create_index(
        "uq_refund_hold_open",
        "refund_hold",
        ["request_id", "reason"],
        unique=True,
        postgresql_where="closed_at IS NULL",
    )
    op.create_table(
        "refund_request_item",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("request_id", sa.UUID(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("refund_id", sa.UUID(), nullable=False),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_refund_request_item_amount_positive")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["prepay_account.id"], name=op.f("fk_refund_request_item_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_refund_request_item_hospital_id")
        ),
        sa.ForeignKeyConstraint(
            ["refund_id"], ["refund.id"], name=op.f("fk_refund_request_item_refund_id")
        ),
        sa.ForeignKeyConstraint(
            ["request_id"], ["refund_request.id"], name=op.f("fk_refund_request_item_request_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund_request_item")),
        sa.UniqueConstraint("refund_id", name=op.f("uq_refund_request_item_refund_id")),
        sa.UniqueConstraint(
            "request_id",
            "account_id",
            "kind",
            name=op.f("uq_refund_request_item_request_id_account_id_kind"),
        ),
    )
    op.create_index(
        op.f("ix_refund_request_item_account_id"),
        "refund_request_item",
        ["account_id"],
        unique=False,
    )
    op.create_table(
        "refund_request_paper",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("request_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("taken_by", sa.Text(), nullable=False),
        sa.Column("taken_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("checked_by", sa.Text(), nullable=True),
        sa.Column("checked_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "checked_by <> taken_by", name=op.f("ck_refund_request_paper_checker_is_another")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_refund_request_paper_hospital_id")
        ),
        sa.ForeignKeyConstraint(
            ["request_id"], ["refund_request.id"], name=op.f("fk_refund_request_paper_request_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund_request_paper")),
        sa.UniqueConstraint(
            "request_id",
            "kind",
            "sha256",
            name=op.f("uq_refund_request_paper_request_id_kind_sha256"),
        ),
    )
    op.add_column("refund", sa.Column("payee_id", sa.UUID(), nullable=True))
    op.create_foreign_key(op.f("fk_refund_payee_id"), "refund", "payee", ["payee_id"], ["id"])
