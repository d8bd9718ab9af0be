"""Stored outpatient balances: old cards, and the accounts that patients have here."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "prepay_account",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("patient_id", sa.UUID(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("card_no", sa.Text(), nullable=True),
        sa.Column("opened_on", sa.Date(), nullable=True),
        sa.Column("last_activity_on", sa.Date(), nullable=False),
        sa.CheckConstraint(
            "source IN ('OWN', 'CENSUS')", name=op.f("ck_prepay_account_source_known")
        ),
        sa.CheckConstraint(
            "(source = 'OWN') = (id = patient_id)",
            name=op.f("ck_prepay_account_own_is_the_patients"),
        ),
        sa.CheckConstraint(
            "source = 'OWN' OR card_no IS NOT NULL",
            name=op.f("ck_prepay_account_card_has_a_number"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_prepay_account_hospital_id")
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_prepay_account_patient_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prepay_account")),
        sa.UniqueConstraint(
            "hospital_id", "card_no", name=op.f("uq_prepay_account_hospital_id_card_no")
        ),
    )
    op.create_index(
        op.f("ix_prepay_account_patient_id"), "prepay_account", ["patient_id"], unique=False
    )
