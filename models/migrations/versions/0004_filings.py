"""Filings, their publications, patients' consents, and what kind of money was taken."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "prepay_filing",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("scenes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("groups", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("top_up_limit_fen", sa.BigInteger(), nullable=True),
        sa.Column("balance_limit_fen", sa.BigInteger(), nullable=True),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.Column("drafted_by", sa.Text(), nullable=False),
        sa.Column("drafted_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("checked_by", sa.Text(), nullable=True),
        sa.Column("submitted_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("approved_on", sa.Date(), nullable=True),
        sa.Column("expires_on", sa.Date(), nullable=True),
        sa.Column("document_no", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state <> 'APPROVED' OR (approved_on IS NOT NULL AND document_no IS NOT NULL)",
            name=op.f("ck_prepay_filing_approved_whole"),
        ),
        sa.CheckConstraint(
            "checked_by IS NULL OR checked_by <> drafted_by",
            name=op.f("ck_prepay_filing_two_people"),
        ),
        sa.CheckConstraint("expires_on >= approved_on", name=op.f("ck_prepay_filing_ends_later")),
        sa.CheckConstraint(
            "top_up_limit_fen > 0 AND balance_limit_fen > 0",
            name=op.f("ck_prepay_filing_limits_positive"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_prepay_filing_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prepay_filing")),
    )
    op.create_index(
        op.f("ix_prepay_filing_hospital_id_state"),
        "prepay_filing",
        ["hospital_id", "state"],
        unique=False,
    )
    op.create_table(
        "publication",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("filing_id", sa.UUID(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("to_on", sa.Date(), nullable=True),
        sa.Column("snapshot_sha256", sa.Text(), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("recorded_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "channel IN ('WEBSITE', 'MINI_PROGRAM', 'SCREEN', 'OTHER')",
            name=op.f("ck_publication_known"),
        ),
        sa.CheckConstraint("to_on >= from_on", name=op.f("ck_publication_ends_later")),
        sa.ForeignKeyConstraint(
            ["filing_id"], ["prepay_filing.id"], name=op.f("fk_publication_filing_id")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_publication_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_publication")),
    )
    op.create_index(op.f("ix_publication_filing_id"), "publication", ["filing_id"], unique=False)
    op.create_table(
        "prepay_consent",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("patient_id", sa.UUID(), nullable=False),
        sa.Column("text_version", sa.Text(), nullable=False),
        sa.Column("given_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("device_id", sa.UUID(), nullable=True),
        sa.Column("signer", sa.Text(), nullable=False),
        sa.Column("signature_sha256", sa.Text(), nullable=True),
        sa.Column("witness", sa.Text(), nullable=True),
        sa.Column("withdrawn_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("withdrawn_by", sa.Text(), nullable=True),
        sa.Column("refund_id", sa.UUID(), nullable=True),
        sa.CheckConstraint(
            "signer IN ('PATIENT', 'GUARDIAN', 'RELATIVE')",
            name=op.f("ck_prepay_consent_signer_known"),
        ),
        sa.CheckConstraint(
            "(signature_sha256 IS NULL) = (witness IS NULL)",
            name=op.f("ck_prepay_consent_seen_or_own_phone"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_prepay_consent_hospital_id")
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_prepay_consent_patient_id")
        ),
        sa.ForeignKeyConstraint(
            ["refund_id"], ["refund.id"], name=op.f("fk_prepay_consent_refund_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prepay_consent")),
    )
    op.create_index(
        "uq_prepay_consent_live",
        "prepay_consent",
        ["patient_id"],
        unique=True,
        postgresql_where=sa.text("withdrawn_at IS NULL"),
    )
    op.create_table(
        "classification",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("patient_id", sa.UUID(), nullable=True),
        sa.Column("subject_id", sa.UUID(), nullable=True),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("order_ids", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("proof", sa.Text(), nullable=False),
        sa.Column("invoice_no", sa.Text(), nullable=False),
        sa.Column("invoiced_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("rules", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("filing_id", sa.UUID(), nullable=True),
        sa.Column("consent_id", sa.UUID(), nullable=True),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("client_key", sa.Text(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_classification_amount_positive")),
        sa.ForeignKeyConstraint(
            ["consent_id"], ["prepay_consent.id"], name=op.f("fk_classification_consent_id")
        ),
        sa.ForeignKeyConstraint(
            ["filing_id"], ["prepay_filing.id"], name=op.f("fk_classification_filing_id")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_classification_hospital_id")
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_classification_patient_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_classification")),
        sa.UniqueConstraint(
            "hospital_id",
            "asked_by",
            "client_key",
            name=op.f("uq_classification_hospital_id_asked_by_client_key"),
        ),
    )
    op.create_index(
        op.f("ix_classification_subject_id"), "classification", ["subject_id"], unique=False
    )
    op.create_index(
        "ix_classification_without_invoice",
        "classification",
        ["hospital_id", "at"],
        unique=False,
        postgresql_where=sa.text("answer = 'ORDINARY_PAYMENT_PENDING_INVOICE' AND invoice_no = ''"),
    )
