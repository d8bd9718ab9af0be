"""Unreturnable balances, turnover to the treasury, advances and what is claimed back (GZ-8)."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from models.migrations.sql_files import run_files

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "claim_batch",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("budget_year", sa.BigInteger(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("filed_by", sa.Text(), nullable=True),
        sa.Column("filing_no", sa.Text(), nullable=False),
        sa.Column("receipt_no", sa.Text(), nullable=False),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_claim_batch_amount_positive")),
        sa.CheckConstraint(
            "filed_by IS NULL OR filed_by <> made_by", name=op.f("ck_claim_batch_two_people")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_claim_batch_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claim_batch")),
    )
    op.create_index(
        op.f("ix_claim_batch_hospital_id_budget_year"),
        "claim_batch",
        ["hospital_id", "budget_year"],
        unique=False,
    )
    op.create_table(
        "turnover_batch",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("year", sa.BigInteger(), nullable=False),
        sa.Column("as_of", sa.Date(), nullable=False),
        sa.Column("reading", sa.Text(), nullable=False),
        sa.Column("rule_pack", sa.Text(), nullable=False),
        sa.Column("accounts", sa.BigInteger(), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("made_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("approved_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("treasury_receipt_no", sa.Text(), nullable=False),
        sa.Column("paid_on", sa.Date(), nullable=True),
        sa.CheckConstraint(
            "state <> 'RECEIPTED' OR (treasury_receipt_no <> '' AND paid_on IS NOT NULL)",
            name=op.f("ck_turnover_batch_receipted_has_receipt"),
        ),
        sa.CheckConstraint(
            "approved_by IS NULL OR approved_by <> made_by",
            name=op.f("ck_turnover_batch_two_people"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_turnover_batch_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turnover_batch")),
    )
    op.create_index(
        "uq_turnover_batch_year",
        "turnover_batch",
        ["hospital_id", "year"],
        unique=True,
        postgresql_where="state <> 'CANCELLED'",
    )
    op.create_table(
        "unreturnable_filing",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("period", sa.Text(), nullable=False),
        sa.Column("made_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("accounts", sa.BigInteger(), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("filing_no", sa.Text(), nullable=False),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("received_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_unreturnable_filing_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unreturnable_filing")),
        sa.UniqueConstraint(
            "hospital_id", "period", name=op.f("uq_unreturnable_filing_hospital_id_period")
        ),
    )
    op.create_table(
        "contact_attempt",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "result IN ('ANSWERED', 'NO_ANSWER', 'UNDELIVERED', 'WRONG_NUMBER')",
            name=op.f("ck_contact_attempt_result_known"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["prepay_account.id"], name=op.f("fk_contact_attempt_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_contact_attempt_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_attempt")),
        sa.UniqueConstraint("hospital_id", "key", name=op.f("uq_contact_attempt_hospital_id_key")),
    )
    op.create_index(
        op.f("ix_contact_attempt_account_id_at"),
        "contact_attempt",
        ["account_id", "at"],
        unique=False,
    )
    op.create_table(
        "hospital_advance",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("batch_id", sa.UUID(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("paid_on", sa.Date(), nullable=False),
        sa.Column("budget_year", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_hospital_advance_amount_positive")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["prepay_account.id"], name=op.f("fk_hospital_advance_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["turnover_batch.id"], name=op.f("fk_hospital_advance_batch_id")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_hospital_advance_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hospital_advance")),
        sa.UniqueConstraint("hospital_id", "key", name=op.f("uq_hospital_advance_hospital_id_key")),
    )
    op.create_index(
        op.f("ix_hospital_advance_account_id"), "hospital_advance", ["account_id"], unique=False
    )
    op.create_index(
        op.f("ix_hospital_advance_hospital_id_budget_year"),
        "hospital_advance",
        ["hospital_id", "budget_year"],
        unique=False,
    )
    op.create_table(
        "turnover_item",
        sa.Column("batch_id", sa.UUID(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("last_activity_on", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("moved_fen", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("returned_fen", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_turnover_item_amount_positive")),
        sa.CheckConstraint(
            "moved_fen >= 0 AND returned_fen >= 0 AND moved_fen + returned_fen <= amount_fen",
            name=op.f("ck_turnover_item_not_beyond"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["prepay_account.id"], name=op.f("fk_turnover_item_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["turnover_batch.id"], name=op.f("fk_turnover_item_batch_id")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_turnover_item_hospital_id")
        ),
        sa.PrimaryKeyConstraint("batch_id", "account_id", name=op.f("pk_turnover_item")),
    )
    op.create_index(
        op.f("ix_turnover_item_account_id"), "turnover_item", ["account_id"], unique=False
    )
    op.create_index(
        "ix_turnover_item_unfinished",
        "turnover_item",
        ["hospital_id", "batch_id"],
        unique=False,
        postgresql_where="moved_fen + returned_fen < amount_fen",
    )
    op.create_table(
        "unreturnable_filing_item",
        sa.Column("filing_id", sa.UUID(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("last_activity_on", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["prepay_account.id"],
            name=op.f("fk_unreturnable_filing_item_account_id"),
        ),
        sa.ForeignKeyConstraint(
            ["filing_id"],
            ["unreturnable_filing.id"],
            name=op.f("fk_unreturnable_filing_item_filing_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_unreturnable_filing_item_hospital_id")
        ),
        sa.PrimaryKeyConstraint(
            "filing_id", "account_id", name=op.f("pk_unreturnable_filing_item")
        ),
    )
    op.create_table(
        "unreturnable_mark",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("risk_note", sa.Text(), nullable=False),
        sa.Column("found_on", sa.Date(), nullable=False),
        sa.Column("marked_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("marked_by", sa.Text(), nullable=False),
        sa.Column("lifted_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("lifted_by", sa.Text(), nullable=True),
        sa.Column("lifted_why", sa.Text(), nullable=False),
        sa.Column("filing_id", sa.UUID(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["prepay_account.id"], name=op.f("fk_unreturnable_mark_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["filing_id"], ["unreturnable_filing.id"], name=op.f("fk_unreturnable_mark_filing_id")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_unreturnable_mark_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unreturnable_mark")),
    )
    op.create_index(
        op.f("ix_unreturnable_mark_hospital_id_filing_id"),
        "unreturnable_mark",
        ["hospital_id", "filing_id"],
        unique=False,
    )
    op.create_index(
        "uq_unreturnable_mark_live",
        "unreturnable_mark",
        ["account_id"],
        unique=True,
        postgresql_where="lifted_at IS NULL",
    )
    op.create_table(
        "claim_item",
        sa.Column("claim_id", sa.UUID(), nullable=False),
        sa.Column("advance_id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_claim_item_amount_positive")),
        sa.ForeignKeyConstraint(
            ["advance_id"], ["hospital_advance.id"], name=op.f("fk_claim_item_advance_id")
        ),
        sa.ForeignKeyConstraint(
            ["claim_id"], ["claim_batch.id"], name=op.f("fk_claim_item_claim_id")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_claim_item_hospital_id")
        ),
        sa.PrimaryKeyConstraint("claim_id", "advance_id", name=op.f("pk_claim_item")),
    )
    op.create_index(op.f("ix_claim_item_advance_id"), "claim_item", ["advance_id"], unique=False)
    run_files("0020_turnover.sql")
