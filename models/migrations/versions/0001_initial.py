"""The first schema: the queue's tables, ours, then the functions and triggers of sql/."""

import procrastinate.schema
import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from models.migrations.sql_files import run, run_files

revision = "0001"
down_revision = None

FILES = ("0001_ledger.sql", "0003_audit.sql", "0010_charges.sql", "0011_daily_bill.sql")


def upgrade() -> None:
    run(procrastinate.schema.SchemaManager.get_schema())
    op.execute("CREATE SEQUENCE charge_line_seq")
    op.execute("CREATE SEQUENCE insurance_message_number MINVALUE 0 MAXVALUE 9999 CYCLE")
    op.create_table(
        "hospital",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("institution_type", sa.Text(), nullable=False),
        sa.Column("opted_in", sa.Boolean(), nullable=False),
        sa.Column("level", sa.Text(), nullable=False),
        sa.Column("county_code", sa.Text(), nullable=False),
        sa.Column("rule_packs", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hospital")),
        sa.UniqueConstraint("code", name=op.f("uq_hospital_code")),
    )
    op.create_table(
        "ledger_transaction",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("reverses", sa.UUID(), nullable=True),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["reverses"], ["ledger_transaction.id"], name=op.f("fk_ledger_transaction_reverses")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_transaction")),
        sa.UniqueConstraint(
            "hospital_id", "key", name=op.f("uq_ledger_transaction_hospital_id_key")
        ),
        sa.UniqueConstraint("reverses", name=op.f("uq_ledger_transaction_reverses")),
    )
    op.create_index(
        op.f("ix_ledger_transaction_hospital_id_at"),
        "ledger_transaction",
        ["hospital_id", "at"],
        unique=False,
    )
    op.create_table(
        "state_move",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("machine", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.UUID(), nullable=False),
        sa.Column("here", sa.Text(), nullable=True),
        sa.Column("there", sa.Text(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_state_move")),
    )
    op.create_index(
        op.f("ix_state_move_entity_id_at"), "state_move", ["entity_id", "at"], unique=False
    )
    op.create_table(
        "wechat_token",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("appid", sa.Text(), nullable=False),
        sa.Column("token_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wechat_token")),
        sa.UniqueConstraint("appid", name=op.f("uq_wechat_token_appid")),
    )
    op.create_table(
        "account",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("balance_fen", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "keeps_lots",
            sa.Boolean(),
            sa.Computed(
                "kind IN ('OUTPATIENT_PREPAY', 'INPATIENT_DEPOSIT', 'COURSE_PREPAY', 'VISIT_PAYMENT', 'TREASURY_TURNED_OVER')",
                persisted=True,
            ),
            nullable=False,
        ),
        sa.CheckConstraint(
            "NOT (kind IN ('OUTPATIENT_PREPAY', 'INPATIENT_DEPOSIT', 'COURSE_PREPAY', 'VISIT_PAYMENT', 'TREASURY_TURNED_OVER', 'REFUND_IN_TRANSIT')) OR balance_fen <= 0",
            name=op.f("ck_account_owes"),
        ),
        sa.CheckConstraint(
            "NOT (kind IN ('PATIENT_RECEIVABLE', 'TREASURY_HELD', 'HOSPITAL_ADVANCE')) OR balance_fen >= 0",
            name=op.f("ck_account_is_owed"),
        ),
        sa.CheckConstraint(
            "kind IN ('CASH', 'FUND_RECEIVABLE', 'PATIENT_RECEIVABLE', 'OUTPATIENT_PREPAY', 'INPATIENT_DEPOSIT', 'COURSE_PREPAY', 'VISIT_PAYMENT', 'TREASURY_TURNED_OVER', 'TREASURY_HELD', 'HOSPITAL_ADVANCE', 'REVENUE', 'REFUND_IN_TRANSIT', 'SUSPENSE')",
            name=op.f("ck_account_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_account_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint(
            "hospital_id", "kind", "owner", name=op.f("uq_account_hospital_id_kind_owner")
        ),
    )
    op.create_table(
        "audit_entry",
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("prev_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_audit_entry_hospital_id")
        ),
        sa.PrimaryKeyConstraint("hospital_id", "no", name=op.f("pk_audit_entry")),
    )
    op.create_table(
        "channel_notice",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("body_sha256", sa.Text(), nullable=False),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("received_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("applied_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_channel_notice_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel_notice")),
        sa.UniqueConstraint(
            "hospital_id", "event", name=op.f("uq_channel_notice_hospital_id_event")
        ),
    )
    op.create_index(
        op.f("ix_channel_notice_hospital_id_applied_at"),
        "channel_notice",
        ["hospital_id", "applied_at"],
        unique=False,
    )
    op.create_table(
        "charge_source",
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("source_line_id", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("occurred_on", sa.Date(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_charge_source_hospital_id")
        ),
        sa.PrimaryKeyConstraint("hospital_id", "source_line_id", name=op.f("pk_charge_source")),
    )
    op.create_table(
        "device",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ward", sa.Text(), nullable=False),
        sa.Column("window", sa.Text(), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=True),
        sa.Column("code_expires_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("jwk", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("thumbprint", sa.Text(), nullable=True),
        sa.Column("enrolled_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("revoked_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('HANDHELD', 'DESK')", name=op.f("ck_device_kind_known")),
        sa.CheckConstraint(
            "(jwk IS NULL) = (thumbprint IS NULL)", name=op.f("ck_device_key_whole")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_device_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_device")),
        sa.UniqueConstraint(
            "hospital_id", "code_hash", name=op.f("uq_device_hospital_id_code_hash")
        ),
        sa.UniqueConstraint(
            "hospital_id", "thumbprint", name=op.f("uq_device_hospital_id_thumbprint")
        ),
    )
    op.create_table(
        "his_event",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("source_event_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("received_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_his_event_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_his_event")),
        sa.UniqueConstraint(
            "hospital_id", "source_event_id", name=op.f("uq_his_event_hospital_id_source_event_id")
        ),
    )
    op.create_table(
        "his_key",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("secret_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("made_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("retired_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_his_key_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_his_key")),
        sa.UniqueConstraint("hospital_id", "key_id", name=op.f("uq_his_key_hospital_id_key_id")),
    )
    op.create_table(
        "insurance_sign_in",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("sign_no", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_insurance_sign_in_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_insurance_sign_in")),
        sa.UniqueConstraint(
            "hospital_id",
            "operator",
            "day",
            name=op.f("uq_insurance_sign_in_hospital_id_operator_day"),
        ),
    )
    op.create_table(
        "login_guess",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("staff_no_hash", sa.LargeBinary(), nullable=False),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("last_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_login_guess_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_guess")),
        sa.UniqueConstraint(
            "hospital_id", "staff_no_hash", name=op.f("uq_login_guess_hospital_id_staff_no_hash")
        ),
    )
    op.create_table(
        "patient",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("his_patient_no", sa.Text(), nullable=False),
        sa.Column("name_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("id_no_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("id_no_index", sa.LargeBinary(), nullable=True),
        sa.Column("phone_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("phone_index", sa.LargeBinary(), nullable=True),
        sa.Column("born_on", sa.Date(), nullable=True),
        sa.Column("sex", sa.Text(), nullable=False),
        sa.Column("id_type", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_patient_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patient")),
        sa.UniqueConstraint(
            "hospital_id", "his_patient_no", name=op.f("uq_patient_hospital_id_his_patient_no")
        ),
    )
    op.create_index(
        op.f("ix_patient_hospital_id_id_no_index"),
        "patient",
        ["hospital_id", "id_no_index"],
        unique=False,
    )
    op.create_index(
        op.f("ix_patient_hospital_id_phone_index"),
        "patient",
        ["hospital_id", "phone_index"],
        unique=False,
    )
    op.create_table(
        "receipt",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.UUID(), nullable=False),
        sa.Column("issued_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_receipt_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipt")),
        sa.UniqueConstraint(
            "hospital_id", "kind", "subject_id", name=op.f("uq_receipt_hospital_id_kind_subject_id")
        ),
        sa.UniqueConstraint("hospital_id", "number", name=op.f("uq_receipt_hospital_id_number")),
    )
    op.create_table(
        "receipt_counter",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("year", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_receipt_counter_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipt_counter")),
        sa.UniqueConstraint(
            "hospital_id", "year", name=op.f("uq_receipt_counter_hospital_id_year")
        ),
    )
    op.create_table(
        "setting",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_setting_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_setting")),
        sa.UniqueConstraint("hospital_id", "key", name=op.f("uq_setting_hospital_id_key")),
    )
    op.create_table(
        "setting_change",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("old", sa.Text(), nullable=True),
        sa.Column("new", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_setting_change_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_setting_change")),
    )
    op.create_index(
        op.f("ix_setting_change_hospital_id_at"),
        "setting_change",
        ["hospital_id", "at"],
        unique=False,
    )
    op.create_table(
        "staff",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("staff_no", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("password_due_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("disabled_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_staff_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff")),
        sa.UniqueConstraint("hospital_id", "staff_no", name=op.f("uq_staff_hospital_id_staff_no")),
    )
    op.create_table(
        "subscription_account",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("openid", sa.Text(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("accepts", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "accepts >= 0", name=op.f("ck_subscription_account_accepts_not_negative")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_subscription_account_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription_account")),
        sa.UniqueConstraint(
            "hospital_id",
            "openid",
            "template",
            name=op.f("uq_subscription_account_hospital_id_openid_template"),
        ),
    )
    op.create_table(
        "work_item",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("opened_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("due_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("closed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_work_item_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_work_item")),
    )
    op.create_index(
        op.f("ix_work_item_hospital_id_closed_at_due_at"),
        "work_item",
        ["hospital_id", "closed_at", "due_at"],
        unique=False,
    )
    op.create_index(
        "uq_work_item_open",
        "work_item",
        ["hospital_id", "kind", "subject"],
        unique=True,
        postgresql_where="closed_at IS NULL",
    )
    op.create_table(
        "workday_override",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("works", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_workday_override_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workday_override")),
        sa.UniqueConstraint("hospital_id", "day", name=op.f("uq_workday_override_hospital_id_day")),
    )
    op.create_table(
        "admission",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("patient_id", sa.UUID(), nullable=False),
        sa.Column("inpatient_no", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ward", sa.Text(), nullable=False),
        sa.Column("ward_name", sa.Text(), nullable=False),
        sa.Column("department_code", sa.Text(), nullable=False),
        sa.Column("department_name", sa.Text(), nullable=False),
        sa.Column("bed", sa.Text(), nullable=False),
        sa.Column("doctor_code", sa.Text(), nullable=False),
        sa.Column("doctor_name", sa.Text(), nullable=False),
        sa.Column("diagnosis_code", sa.Text(), nullable=False),
        sa.Column("diagnosis_name", sa.Text(), nullable=False),
        sa.Column("admitted_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("ordered_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("left_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("leaving_way", sa.Text(), nullable=False),
        sa.Column("quota_fen", sa.BigInteger(), nullable=True),
        sa.Column("identities", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("quota_fen >= 0", name=op.f("ck_admission_quota_not_negative")),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_admission_hospital_id")
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_admission_patient_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_admission")),
        sa.UniqueConstraint(
            "hospital_id", "inpatient_no", name=op.f("uq_admission_hospital_id_inpatient_no")
        ),
    )
    op.create_index(
        op.f("ix_admission_hospital_id_ward_state"),
        "admission",
        ["hospital_id", "ward", "state"],
        unique=False,
    )
    op.create_index(op.f("ix_admission_patient_id"), "admission", ["patient_id"], unique=False)
    op.create_table(
        "ledger_line",
        sa.Column("transaction_id", sa.UUID(), nullable=False),
        sa.Column("no", sa.SmallInteger(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_fen <> 0", name=op.f("ck_ledger_line_amount_not_zero")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_ledger_line_account_id")
        ),
        sa.ForeignKeyConstraint(
            ["transaction_id"],
            ["ledger_transaction.id"],
            name=op.f("fk_ledger_line_transaction_id"),
        ),
        sa.PrimaryKeyConstraint("transaction_id", "no", name=op.f("pk_ledger_line")),
    )
    op.create_index(
        op.f("ix_ledger_line_account_id_transaction_id"),
        "ledger_line",
        ["account_id", "transaction_id"],
        unique=False,
    )
    op.create_table(
        "lot",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("account_id", sa.UUID(), nullable=False),
        sa.Column("transaction_id", sa.UUID(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("channel_transaction", sa.Text(), nullable=True),
        sa.Column("order_id", sa.UUID(), nullable=True),
        sa.Column("paid_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("paid_fen", sa.BigInteger(), nullable=False),
        sa.Column("spent_fen", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("refunded_fen", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("parts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_refund_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "amount_fen > 0 AND paid_fen >= amount_fen", name=op.f("ck_lot_amount_paid")
        ),
        sa.CheckConstraint(
            "spent_fen + refunded_fen <= amount_fen", name=op.f("ck_lot_not_overdrawn")
        ),
        sa.CheckConstraint(
            "spent_fen >= 0 AND refunded_fen >= 0 AND parts >= 0", name=op.f("ck_lot_taken")
        ),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_lot_account_id")),
        sa.ForeignKeyConstraint(
            ["transaction_id"], ["ledger_transaction.id"], name=op.f("fk_lot_transaction_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lot")),
    )
    op.create_index(op.f("ix_lot_account_id"), "lot", ["account_id"], unique=False)
    op.create_index(
        op.f("ix_lot_hospital_id_channel_channel_transaction"),
        "lot",
        ["hospital_id", "channel", "channel_transaction"],
        unique=False,
    )
    op.create_index(op.f("ix_lot_transaction_id"), "lot", ["transaction_id"], unique=False)
    op.create_table(
        "message",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("patient_id", sa.UUID(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("values", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("next_try_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("claimed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("serial_no", sa.Text(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "state <> 'SENDING' OR claimed_at IS NOT NULL", name=op.f("ck_message_sending_claimed")
        ),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_message_attempts_not_negative")),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_message_hospital_id")
        ),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_message_patient_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
        sa.UniqueConstraint("hospital_id", "key", name=op.f("uq_message_hospital_id_key")),
    )
    op.create_index(
        op.f("ix_message_hospital_id_serial_no"),
        "message",
        ["hospital_id", "serial_no"],
        unique=False,
    )
    op.create_index(
        op.f("ix_message_hospital_id_state_next_try_at"),
        "message",
        ["hospital_id", "state", "next_try_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_message_patient_id_created_at"),
        "message",
        ["patient_id", "created_at"],
        unique=False,
    )
    op.create_table(
        "payment_order",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.UUID(), nullable=False),
        sa.Column("patient_id", sa.UUID(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("client_key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("step_channel", sa.Text(), nullable=False),
        sa.Column("device_id", sa.UUID(), nullable=True),
        sa.Column("payer_openid", sa.Text(), nullable=True),
        sa.Column("slip_no", sa.Text(), nullable=True),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("asked_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("shown", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("channel_transaction", sa.Text(), nullable=True),
        sa.Column("paid_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "state <> 'PAID' OR paid_at IS NOT NULL", name=op.f("ck_payment_order_paid_has_moment")
        ),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_payment_order_amount_positive")),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_payment_order_hospital_id")
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_payment_order_patient_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_payment_order")),
        sa.UniqueConstraint(
            "hospital_id",
            "asked_by",
            "client_key",
            name=op.f("uq_payment_order_hospital_id_asked_by_client_key"),
        ),
    )
    op.create_index(
        op.f("ix_payment_order_hospital_id_state_created_at"),
        "payment_order",
        ["hospital_id", "state", "created_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_payment_order_hospital_id_subject_id_state"),
        "payment_order",
        ["hospital_id", "subject_id", "state"],
        unique=False,
    )
    op.create_table(
        "receipt_print",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("receipt_id", sa.UUID(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_receipt_print_hospital_id")
        ),
        sa.ForeignKeyConstraint(
            ["receipt_id"], ["receipt.id"], name=op.f("fk_receipt_print_receipt_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipt_print")),
    )
    op.create_index(
        op.f("ix_receipt_print_receipt_id_at"), "receipt_print", ["receipt_id", "at"], unique=False
    )
    op.create_table(
        "refund",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("account_kind", sa.Text(), nullable=False),
        sa.Column("account_owner", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.UUID(), nullable=False),
        sa.Column("patient_id", sa.UUID(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("checked_by", sa.Text(), nullable=True),
        sa.Column("checked_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("paid_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("note", sa.Text(), nullable=False),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_refund_amount_positive")),
        sa.CheckConstraint(
            "checked_by IS NULL OR checked_by <> requested_by", name=op.f("ck_refund_two_people")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_refund_hospital_id")
        ),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_refund_patient_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund")),
        sa.UniqueConstraint("hospital_id", "key", name=op.f("uq_refund_hospital_id_key")),
    )
    op.create_index(
        op.f("ix_refund_hospital_id_state_requested_at"),
        "refund",
        ["hospital_id", "state", "requested_at"],
        unique=False,
    )
    op.create_index(op.f("ix_refund_subject_id"), "refund", ["subject_id"], unique=False)
    op.create_table(
        "staff_role",
        sa.Column("staff_id", sa.UUID(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_staff_role_hospital_id")
        ),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_staff_role_staff_id")),
        sa.PrimaryKeyConstraint("staff_id", "role", name=op.f("pk_staff_role")),
    )
    op.create_table(
        "staff_ward",
        sa.Column("staff_id", sa.UUID(), nullable=False),
        sa.Column("ward", sa.Text(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_staff_ward_hospital_id")
        ),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_staff_ward_staff_id")),
        sa.PrimaryKeyConstraint("staff_id", "ward", name=op.f("pk_staff_ward")),
    )
    op.create_table(
        "visit",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("patient_id", sa.UUID(), nullable=False),
        sa.Column("visit_no", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("content_hash", sa.Text(), nullable=False),
        sa.Column("opened_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("order_id", sa.UUID(), nullable=True),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_visit_hospital_id")
        ),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_visit_patient_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visit")),
        sa.UniqueConstraint("hospital_id", "visit_no", name=op.f("uq_visit_hospital_id_visit_no")),
    )
    op.create_table(
        "wechat_binding",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("appid", sa.Text(), nullable=False),
        sa.Column("openid", sa.Text(), nullable=False),
        sa.Column("patient_id", sa.UUID(), nullable=True),
        sa.Column("bound_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "(patient_id IS NULL) = (bound_at IS NULL)", name=op.f("ck_wechat_binding_bound_whole")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_wechat_binding_hospital_id")
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_wechat_binding_patient_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wechat_binding")),
        sa.UniqueConstraint(
            "hospital_id",
            "appid",
            "openid",
            name=op.f("uq_wechat_binding_hospital_id_appid_openid"),
        ),
    )
    op.create_index(
        op.f("ix_wechat_binding_patient_id"), "wechat_binding", ["patient_id"], unique=False
    )
    op.create_table(
        "admission_step",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("admission_id", sa.UUID(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("device_id", sa.UUID(), nullable=True),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["admission_id"], ["admission.id"], name=op.f("fk_admission_step_admission_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_admission_step")),
    )
    op.create_index(
        op.f("ix_admission_step_admission_id_at"),
        "admission_step",
        ["admission_id", "at"],
        unique=False,
    )
    op.create_table(
        "bill_question",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("admission_id", sa.UUID(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("line_seq", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("asked_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("answered_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("answered_by", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(answered_at IS NULL) = (answered_by IS NULL)",
            name=op.f("ck_bill_question_answered_by_somebody"),
        ),
        sa.ForeignKeyConstraint(
            ["admission_id"], ["admission.id"], name=op.f("fk_bill_question_admission_id")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_bill_question_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bill_question")),
    )
    op.create_index(
        op.f("ix_bill_question_hospital_id_answered_at"),
        "bill_question",
        ["hospital_id", "answered_at"],
        unique=False,
    )
    op.create_index(
        "uq_bill_question_open",
        "bill_question",
        ["admission_id", "line_seq", "asked_by"],
        unique=True,
        postgresql_where="answered_at IS NULL",
    )
    op.create_table(
        "charge_line",
        sa.Column("occurred_on", sa.Date(), nullable=False),
        sa.Column(
            "seq",
            sa.BigInteger(),
            server_default=sa.text("nextval('charge_line_seq')"),
            nullable=False,
        ),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("admission_id", sa.UUID(), nullable=False),
        sa.Column("source_line_id", sa.Text(), nullable=False),
        sa.Column("occurred_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("item_name", sa.Text(), nullable=False),
        sa.Column("specification", sa.Text(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Numeric(precision=16, scale=4), nullable=False),
        sa.Column("unit_price", sa.Numeric(precision=16, scale=6), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("insurance_level", sa.Text(), nullable=False),
        sa.Column("self_pay_ratio", sa.Numeric(precision=5, scale=4), nullable=True),
        sa.Column("national_code", sa.Text(), nullable=False),
        sa.Column("hospital_code", sa.Text(), nullable=False),
        sa.Column("department_code", sa.Text(), nullable=False),
        sa.Column("department_name", sa.Text(), nullable=False),
        sa.Column("doctor_code", sa.Text(), nullable=False),
        sa.Column("doctor_name", sa.Text(), nullable=False),
        sa.Column("reverses", sa.Text(), nullable=True),
        sa.Column("source_event_id", sa.Text(), nullable=False),
        sa.Column("received_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "occurred_on = (occurred_at AT TIME ZONE 'Asia/Shanghai')::date",
            name=op.f("ck_charge_line_shanghai_day"),
        ),
        sa.CheckConstraint(
            "(reverses IS NULL) = (quantity > 0)",
            name=op.f("ck_charge_line_only_reversals_are_negative"),
        ),
        sa.CheckConstraint(
            "sign(amount_fen) IN (0, sign(quantity))", name=op.f("ck_charge_line_sign_of_quantity")
        ),
        sa.ForeignKeyConstraint(
            ["admission_id"], ["admission.id"], name=op.f("fk_charge_line_admission_id")
        ),
        sa.PrimaryKeyConstraint("occurred_on", "seq", name=op.f("pk_charge_line")),
        postgresql_partition_by="RANGE (occurred_on)",
    )
    op.create_index(
        op.f("ix_charge_line_admission_id_occurred_on_seq"),
        "charge_line",
        ["admission_id", "occurred_on", "seq"],
        unique=False,
    )
    op.create_index(
        op.f("ix_charge_line_hospital_id_occurred_on"),
        "charge_line",
        ["hospital_id", "occurred_on"],
        unique=False,
    )
    op.create_table(
        "consent",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("patient_id", sa.UUID(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("relation", sa.Text(), nullable=False),
        sa.Column("text_version", sa.Text(), nullable=False),
        sa.Column("given_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("given_by", sa.Text(), nullable=False),
        sa.Column("paper", sa.Text(), nullable=False),
        sa.Column("ends_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("code_expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("binding_id", sa.UUID(), nullable=True),
        sa.Column("redeemed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("withdrawn_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("withdrawn_by", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "scopes <@ ARRAY['VIEW_BILL', 'PAY']", name=op.f("ck_consent_scopes_known")
        ),
        sa.CheckConstraint(
            "(binding_id IS NULL) = (redeemed_at IS NULL)", name=op.f("ck_consent_redeemed_whole")
        ),
        sa.CheckConstraint("cardinality(scopes) > 0", name=op.f("ck_consent_scopes_some")),
        sa.CheckConstraint("ends_at > given_at", name=op.f("ck_consent_ends_later")),
        sa.ForeignKeyConstraint(
            ["binding_id"], ["wechat_binding.id"], name=op.f("fk_consent_binding_id")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_consent_hospital_id")
        ),
        sa.ForeignKeyConstraint(["patient_id"], ["patient.id"], name=op.f("fk_consent_patient_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent")),
        sa.UniqueConstraint(
            "hospital_id", "code_hash", name=op.f("uq_consent_hospital_id_code_hash")
        ),
    )
    op.create_index(op.f("ix_consent_binding_id"), "consent", ["binding_id"], unique=False)
    op.create_index(op.f("ix_consent_patient_id"), "consent", ["patient_id"], unique=False)
    op.create_table(
        "daily_bill",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("admission_id", sa.UUID(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("line_seqs", postgresql.ARRAY(sa.BIGINT()), nullable=False),
        sa.Column("added_seqs", postgresql.ARRAY(sa.BIGINT()), nullable=False),
        sa.Column("line_count", sa.BigInteger(), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("running_total_fen", sa.BigInteger(), nullable=False),
        sa.Column("deposit_held_fen", sa.BigInteger(), nullable=False),
        sa.Column("estimated_personal_fen", sa.BigInteger(), nullable=True),
        sa.Column("items_hash", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("opened_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("opened_by", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "added_seqs <@ line_seqs", name=op.f("ck_daily_bill_added_lines_listed")
        ),
        sa.CheckConstraint(
            "line_count = cardinality(line_seqs)", name=op.f("ck_daily_bill_every_line_listed")
        ),
        sa.CheckConstraint("version > 0", name=op.f("ck_daily_bill_version_counts_from_one")),
        sa.ForeignKeyConstraint(
            ["admission_id"], ["admission.id"], name=op.f("fk_daily_bill_admission_id")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_daily_bill_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_daily_bill")),
        sa.UniqueConstraint(
            "hospital_id",
            "admission_id",
            "day",
            "version",
            name=op.f("uq_daily_bill_hospital_id_admission_id_day_version"),
        ),
    )
    op.create_index(
        op.f("ix_daily_bill_hospital_id_day"), "daily_bill", ["hospital_id", "day"], unique=False
    )
    op.create_table(
        "document",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("admission_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("taken_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("taken_by", sa.Text(), nullable=False),
        sa.Column("returned_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("returned_by", sa.Text(), nullable=True),
        sa.Column("signature_sha256", sa.Text(), nullable=True),
        sa.CheckConstraint("form = 'COPY'", name=op.f("ck_document_copies_only")),
        sa.ForeignKeyConstraint(
            ["admission_id"], ["admission.id"], name=op.f("fk_document_admission_id")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_document_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_document")),
        sa.UniqueConstraint("admission_id", "kind", name=op.f("uq_document_admission_id_kind")),
    )
    op.create_table(
        "insurance_encounter",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("admission_id", sa.UUID(), nullable=False),
        sa.Column("patient_id", sa.UUID(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("psn_no_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("insutype", sa.Text(), nullable=False),
        sa.Column("psn_type", sa.Text(), nullable=False),
        sa.Column("insuplc_admdvs", sa.Text(), nullable=False),
        sa.Column("med_type", sa.Text(), nullable=False),
        sa.Column("mdtrt_id", sa.Text(), nullable=True),
        sa.Column("setl_id", sa.Text(), nullable=True),
        sa.Column("fee_serial", sa.BigInteger(), nullable=False),
        sa.Column(
            "trial", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.Column(
            "settlement", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.CheckConstraint(
            "(state = 'SETTLED') = (setl_id IS NOT NULL AND settlement IS NOT NULL)",
            name=op.f("ck_insurance_encounter_settled_has_amounts"),
        ),
        sa.CheckConstraint(
            "state NOT IN ('REGISTERED', 'DISCHARGED', 'SETTLED') OR mdtrt_id <> ''",
            name=op.f("ck_insurance_encounter_registered_has_number"),
        ),
        sa.CheckConstraint(
            "fee_serial >= 0", name=op.f("ck_insurance_encounter_fee_serial_not_negative")
        ),
        sa.ForeignKeyConstraint(
            ["admission_id"], ["admission.id"], name=op.f("fk_insurance_encounter_admission_id")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_insurance_encounter_hospital_id")
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_insurance_encounter_patient_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_insurance_encounter")),
        sa.UniqueConstraint(
            "hospital_id", "mdtrt_id", name=op.f("uq_insurance_encounter_hospital_id_mdtrt_id")
        ),
    )
    op.create_index(
        op.f("ix_insurance_encounter_admission_id"),
        "insurance_encounter",
        ["admission_id"],
        unique=False,
    )
    op.create_index(
        "uq_insurance_encounter_active",
        "insurance_encounter",
        ["hospital_id", "admission_id"],
        unique=True,
        postgresql_where=sa.text("state <> 'CANCELLED'"),
    )
    op.create_table(
        "login_session",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("staff_id", sa.UUID(), nullable=True),
        sa.Column("binding_id", sa.UUID(), nullable=True),
        sa.Column("device_id", sa.UUID(), nullable=True),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("ends_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("refresh_hash", sa.LargeBinary(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary(), nullable=False),
        sa.Column("refreshed_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("revoked_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("revoked_why", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "(staff_id IS NULL) = (device_id IS NULL)",
            name=op.f("ck_login_session_staff_on_device"),
        ),
        sa.CheckConstraint(
            "num_nonnulls(staff_id, binding_id) = 1", name=op.f("ck_login_session_one_owner")
        ),
        sa.ForeignKeyConstraint(
            ["binding_id"], ["wechat_binding.id"], name=op.f("fk_login_session_binding_id")
        ),
        sa.ForeignKeyConstraint(
            ["device_id"], ["device.id"], name=op.f("fk_login_session_device_id")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_login_session_hospital_id")
        ),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_login_session_staff_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_session")),
    )
    op.create_index(
        op.f("ix_login_session_binding_id"), "login_session", ["binding_id"], unique=False
    )
    op.create_index(
        op.f("ix_login_session_device_id"), "login_session", ["device_id"], unique=False
    )
    op.create_index(op.f("ix_login_session_staff_id"), "login_session", ["staff_id"], unique=False)
    op.create_table(
        "lot_use",
        sa.Column("transaction_id", sa.UUID(), nullable=False),
        sa.Column("no", sa.SmallInteger(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("lot_id", sa.UUID(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('SPEND', 'REFUND', 'MOVE', 'VOID', 'RETURN')", name=op.f("ck_lot_use_kind")
        ),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_lot_use_amount_positive")),
        sa.ForeignKeyConstraint(["lot_id"], ["lot.id"], name=op.f("fk_lot_use_lot_id")),
        sa.ForeignKeyConstraint(
            ["transaction_id"], ["ledger_transaction.id"], name=op.f("fk_lot_use_transaction_id")
        ),
        sa.PrimaryKeyConstraint("transaction_id", "no", name=op.f("pk_lot_use")),
    )
    op.create_index(op.f("ix_lot_use_lot_id"), "lot_use", ["lot_id"], unique=False)
    op.create_table(
        "prepay_transfer",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("patient_id", sa.UUID(), nullable=False),
        sa.Column("admission_id", sa.UUID(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("client_key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("text_version", sa.Text(), nullable=False),
        sa.Column("signature_sha256", sa.Text(), nullable=True),
        sa.Column("transaction_id", sa.UUID(), nullable=False),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_prepay_transfer_amount_positive")),
        sa.ForeignKeyConstraint(
            ["admission_id"], ["admission.id"], name=op.f("fk_prepay_transfer_admission_id")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_prepay_transfer_hospital_id")
        ),
        sa.ForeignKeyConstraint(
            ["patient_id"], ["patient.id"], name=op.f("fk_prepay_transfer_patient_id")
        ),
        sa.ForeignKeyConstraint(
            ["transaction_id"],
            ["ledger_transaction.id"],
            name=op.f("fk_prepay_transfer_transaction_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prepay_transfer")),
        sa.UniqueConstraint(
            "hospital_id",
            "asked_by",
            "client_key",
            name=op.f("uq_prepay_transfer_hospital_id_asked_by_client_key"),
        ),
    )
    op.create_index(
        op.f("ix_prepay_transfer_admission_id"), "prepay_transfer", ["admission_id"], unique=False
    )
    op.create_table(
        "print_job",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("message_id", sa.UUID(), nullable=False),
        sa.Column("admission_id", sa.UUID(), nullable=False),
        sa.Column("ward", sa.Text(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("printed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("printed_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["admission_id"], ["admission.id"], name=op.f("fk_print_job_admission_id")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_print_job_hospital_id")
        ),
        sa.ForeignKeyConstraint(
            ["message_id"], ["message.id"], name=op.f("fk_print_job_message_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_print_job")),
        sa.UniqueConstraint(
            "hospital_id", "message_id", name=op.f("uq_print_job_hospital_id_message_id")
        ),
    )
    op.create_index(
        op.f("ix_print_job_hospital_id_ward_printed_at"),
        "print_job",
        ["hospital_id", "ward", "printed_at"],
        unique=False,
    )
    op.create_table(
        "refund_leg",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("refund_id", sa.UUID(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("lot_id", sa.UUID(), nullable=False),
        sa.Column("channel_transaction", sa.Text(), nullable=True),
        sa.Column("order_total_fen", sa.BigInteger(), nullable=False),
        sa.Column("next_try_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("asked_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("channel_refund", sa.Text(), nullable=True),
        sa.Column("paid_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("paid_by", sa.Text(), nullable=True),
        sa.Column("proof", sa.Text(), nullable=True),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_refund_leg_amount_positive")),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_refund_leg_hospital_id")
        ),
        sa.ForeignKeyConstraint(["refund_id"], ["refund.id"], name=op.f("fk_refund_leg_refund_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refund_leg")),
    )
    op.create_index(
        op.f("ix_refund_leg_hospital_id_state_next_try_at"),
        "refund_leg",
        ["hospital_id", "state", "next_try_at"],
        unique=False,
    )
    op.create_index(op.f("ix_refund_leg_refund_id"), "refund_leg", ["refund_id"], unique=False)
    op.create_table(
        "settlement",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("admission_id", sa.UUID(), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("total_fen", sa.BigInteger(), nullable=False),
        sa.Column("insured", sa.Boolean(), nullable=False),
        sa.Column("trial", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("trial_digest", sa.Text(), nullable=False),
        sa.Column("aid_estimate_fen", sa.BigInteger(), nullable=True),
        sa.Column("amounts", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("personal_fen", sa.BigInteger(), nullable=True),
        sa.Column("applied_fen", sa.BigInteger(), nullable=False),
        sa.Column("booking", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.Column("confirmed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("signature_sha256", sa.Text(), nullable=True),
        sa.Column("closed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("rule_pack", sa.Text(), nullable=False),
        sa.CheckConstraint("total_fen >= 0", name=op.f("ck_settlement_total_not_negative")),
        sa.ForeignKeyConstraint(
            ["admission_id"], ["admission.id"], name=op.f("fk_settlement_admission_id")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_settlement_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_settlement")),
        sa.UniqueConstraint(
            "hospital_id",
            "admission_id",
            "round",
            name=op.f("uq_settlement_hospital_id_admission_id_round"),
        ),
    )
    op.create_index(
        op.f("ix_settlement_hospital_id_state"),
        "settlement",
        ["hospital_id", "state"],
        unique=False,
    )
    op.create_index(
        "uq_settlement_alive",
        "settlement",
        ["admission_id"],
        unique=True,
        postgresql_where="state <> 'UNDONE'",
    )
    op.create_table(
        "settlement_delay",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("admission_id", sa.UUID(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["admission_id"], ["admission.id"], name=op.f("fk_settlement_delay_admission_id")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_settlement_delay_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_settlement_delay")),
    )
    op.create_index(
        op.f("ix_settlement_delay_admission_id_at"),
        "settlement_delay",
        ["admission_id", "at"],
        unique=False,
    )
    op.create_table(
        "unbilled_day",
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("admission_id", sa.UUID(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("since", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["admission_id"], ["admission.id"], name=op.f("fk_unbilled_day_admission_id")
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_unbilled_day_hospital_id")
        ),
        sa.PrimaryKeyConstraint("hospital_id", "admission_id", "day", name=op.f("pk_unbilled_day")),
    )
    op.create_table(
        "visit_item",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("visit_id", sa.UUID(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("order_no", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("refund_id", sa.UUID(), nullable=True),
        sa.CheckConstraint("amount_fen > 0", name=op.f("ck_visit_item_amount_positive")),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_visit_item_hospital_id")
        ),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_visit_item_visit_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visit_item")),
        sa.UniqueConstraint("visit_id", "order_no", name=op.f("uq_visit_item_visit_id_order_no")),
    )
    op.create_table(
        "aid_claim",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("settlement_id", sa.UUID(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("asked_fen", sa.BigInteger(), nullable=False),
        sa.Column("expected_fen", sa.BigInteger(), nullable=False),
        sa.Column("approved_fen", sa.BigInteger(), nullable=True),
        sa.Column("asked_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("decided_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("approved_fen >= 0", name=op.f("ck_aid_claim_approved_not_negative")),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_aid_claim_hospital_id")
        ),
        sa.ForeignKeyConstraint(
            ["settlement_id"], ["settlement.id"], name=op.f("fk_aid_claim_settlement_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_aid_claim")),
        sa.UniqueConstraint("settlement_id", name=op.f("uq_aid_claim_settlement_id")),
    )
    op.create_index(
        op.f("ix_aid_claim_hospital_id_state"), "aid_claim", ["hospital_id", "state"], unique=False
    )
    op.create_table(
        "insurance_call",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("encounter_id", sa.UUID(), nullable=True),
        sa.Column("about_id", sa.UUID(), nullable=True),
        sa.Column("infno", sa.Text(), nullable=False),
        sa.Column("msgid", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("holds", sa.Boolean(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("asked_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("answered_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("settled_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("quiet_until", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("refmsgid", sa.Text(), nullable=False),
        sa.Column("err_msg", sa.Text(), nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint(
            "(state = 'HUMAN') = (task <> '')", name=op.f("ck_insurance_call_human_has_a_task")
        ),
        sa.ForeignKeyConstraint(
            ["about_id"], ["insurance_call.id"], name=op.f("fk_insurance_call_about_id")
        ),
        sa.ForeignKeyConstraint(
            ["encounter_id"],
            ["insurance_encounter.id"],
            name=op.f("fk_insurance_call_encounter_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_insurance_call_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_insurance_call")),
        sa.UniqueConstraint(
            "hospital_id", "msgid", name=op.f("uq_insurance_call_hospital_id_msgid")
        ),
    )
    op.create_index(
        op.f("ix_insurance_call_encounter_id"), "insurance_call", ["encounter_id"], unique=False
    )
    op.create_index(
        "ix_insurance_call_settled",
        "insurance_call",
        ["hospital_id", "infno", "settled_at"],
        unique=False,
    )
    op.create_index(
        "ix_insurance_call_unsettled",
        "insurance_call",
        ["hospital_id", "asked_at"],
        unique=False,
        postgresql_where=sa.text("state IN ('ASKED', 'UNKNOWN', 'HUMAN')"),
    )
    op.create_index(
        "uq_insurance_call_about",
        "insurance_call",
        ["about_id"],
        unique=True,
        postgresql_where=sa.text("state = 'ASKED'"),
    )
    op.create_index(
        "uq_insurance_call_open",
        "insurance_call",
        ["encounter_id"],
        unique=True,
        postgresql_where=sa.text("holds AND state IN ('ASKED', 'UNKNOWN', 'HUMAN')"),
    )
    op.create_table(
        "insurance_uploaded_fee",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("encounter_id", sa.UUID(), nullable=False),
        sa.Column("call_id", sa.UUID(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("feedetl_sn", sa.BigInteger(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("verdict", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.CheckConstraint(
            "state IN ('CLAIMED', 'UPLOADED', 'WITHDRAWN')",
            name=op.f("ck_insurance_uploaded_fee_state_known"),
        ),
        sa.CheckConstraint(
            "feedetl_sn > 0", name=op.f("ck_insurance_uploaded_fee_serial_positive")
        ),
        sa.ForeignKeyConstraint(
            ["call_id"], ["insurance_call.id"], name=op.f("fk_insurance_uploaded_fee_call_id")
        ),
        sa.ForeignKeyConstraint(
            ["encounter_id"],
            ["insurance_encounter.id"],
            name=op.f("fk_insurance_uploaded_fee_encounter_id"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_insurance_uploaded_fee_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_insurance_uploaded_fee")),
        sa.UniqueConstraint(
            "hospital_id",
            "encounter_id",
            "feedetl_sn",
            name=op.f("uq_insurance_uploaded_fee_hospital_id_encounter_id_feedetl_sn"),
        ),
    )
    op.create_index(
        op.f("ix_insurance_uploaded_fee_call_id"),
        "insurance_uploaded_fee",
        ["call_id"],
        unique=False,
    )
    op.create_index(
        "uq_insurance_uploaded_fee_line",
        "insurance_uploaded_fee",
        ["encounter_id", "line"],
        unique=True,
        postgresql_where=sa.text("state <> 'WITHDRAWN'"),
    )
    run_files(*FILES)
