"""The days that were reconciled with a payment channel, their differences, and the way to the rows."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0033"
down_revision = "0032"

MOMENT = postgresql.TIMESTAMP(timezone=True)
COUNTS = tuple(
    f"{side}_{sort}{unit}"
    for side in ("there", "here")
    for sort in ("payments", "refunds")
    for unit in ("", "_fen")
)


def upgrade() -> None:
    days()
    differences()
    op.create_index(
        "ix_payment_order_of_the_bill",
        "payment_order",
        ["hospital_id", "paid_at"],
        postgresql_where=sa.text("route IN ('MINI_PROGRAM', 'QR', 'PAYMENT_CODE')"),
    )
    op.create_index(
        "ix_refund_leg_of_the_bill",
        "refund_leg",
        ["hospital_id", "paid_at"],
        postgresql_where=sa.text("route = 'WECHAT'"),
    )


def days() -> None:
    op.create_table(
        "reconciled_day",
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("tried_at", MOMENT, nullable=True),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("compared_at", MOMENT, nullable=True),
        sa.Column("bill_sha1", sa.LargeBinary(), nullable=True),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTS),
        sa.CheckConstraint(
            "(state = 'UNKNOWN') = (compared_at IS NULL)",
            name=op.f("ck_reconciled_day_known_was_compared"),
        ),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_reconciled_day_hospital_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reconciled_day")),
        sa.UniqueConstraint(
            "hospital_id", "channel", "day", name=op.f("uq_reconciled_day_hospital_id_channel_day")
        ),
        sa.UniqueConstraint("hospital_id", "id", name=op.f("uq_reconciled_day_hospital_id_id")),
    )


def differences() -> None:
    table = "reconciliation_difference"
    op.create_table(
        table,
        sa.Column("id", sa.UUID(), nullable=False),
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("day_id", sa.UUID(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("there_fen", sa.BigInteger(), nullable=False),
        sa.Column("here_fen", sa.BigInteger(), nullable=False),
        sa.Column("found_at", MOMENT, nullable=False),
        sa.Column("gone_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["hospital_id", "day_id"],
            ["reconciled_day.hospital_id", "reconciled_day.id"],
            name=op.f(f"fk_{table}_hospital_id_day_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint(
            *("hospital_id", "day_id", "kind", "number"),
            name=op.f(f"uq_{table}_hospital_id_day_id_kind_number"),
        ),
    )
    op.create_index(op.f(f"ix_{table}_hospital_id_state"), table, ["hospital_id", "state"])
    op.create_table(
        "row_of_another_day",
        sa.Column("hospital_id", sa.UUID(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("sort", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(
            ["hospital_id"], ["hospital.id"], name=op.f("fk_row_of_another_day_hospital_id")
        ),
        sa.PrimaryKeyConstraint(
            *("hospital_id", "number", "sort", "day"), name=op.f("pk_row_of_another_day")
        ),
    )
    op.create_index(
        op.f("ix_row_of_another_day_hospital_id_day"), "row_of_another_day", ["hospital_id", "day"]
    )
