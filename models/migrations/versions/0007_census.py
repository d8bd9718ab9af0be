"""The census of old cards: imports, findings, old top-ups, spends and refunds, and the set functions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from models.migrations.sql_files import run_files

revision = "0007"
down_revision = "0006"

FILES = ("0007_census_reading.sql", "0007_census_checks.sql", "0007_census_load.sql")


def upgrade() -> None:
    op.create_table('census_account',
    sa.Column('import_id', sa.UUID(), nullable=False),
    sa.Column('row_no', sa.Integer(), nullable=False),
    sa.Column('hospital_id', sa.UUID(), nullable=False),
    sa.Column('account_id', sa.UUID(), nullable=False),
    sa.Column('balance_fen', sa.BigInteger(), nullable=False),
    sa.Column('content', sa.Numeric(), nullable=False),
    sa.PrimaryKeyConstraint('import_id', 'row_no', name=op.f('pk_census_account'))
    )
    op.create_index(op.f('ix_census_account_account_id'), 'census_account', ['account_id'], unique=False)
    op.create_table('census_holder',
    sa.Column('id', sa.UUID(), nullable=False),
    sa.Column('hospital_id', sa.UUID(), nullable=False),
    sa.Column('import_id', sa.UUID(), nullable=False),
    sa.Column('account_id', sa.UUID(), nullable=False),
    sa.Column('patient_id', sa.UUID(), nullable=False),
    sa.Column('name_sealed', sa.LargeBinary(), nullable=True),
    sa.Column('id_no_sealed', sa.LargeBinary(), nullable=True),
    sa.Column('phone_sealed', sa.LargeBinary(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_census_holder'))
    )
    op.create_index(op.f('ix_census_holder_account_id'), 'census_holder', ['account_id'], unique=False)
    op.create_index(op.f('ix_census_holder_patient_id'), 'census_holder', ['patient_id'], unique=False)
    op.create_table('old_refund',
    sa.Column('import_id', sa.UUID(), nullable=False),
    sa.Column('row_no', sa.Integer(), nullable=False),
    sa.Column('hospital_id', sa.UUID(), nullable=False),
    sa.Column('account_id', sa.UUID(), nullable=False),
    sa.Column('top_up_row_no', sa.Integer(), nullable=True),
    sa.Column('refunded_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('amount_fen', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('amount_fen >= 0', name=op.f('ck_old_refund_amount')),
    sa.PrimaryKeyConstraint('import_id', 'row_no', name=op.f('pk_old_refund'))
    )
    op.create_index(op.f('ix_old_refund_account_id'), 'old_refund', ['account_id'], unique=False)
    op.create_table('old_spend',
    sa.Column('import_id', sa.UUID(), nullable=False),
    sa.Column('row_no', sa.Integer(), nullable=False),
    sa.Column('hospital_id', sa.UUID(), nullable=False),
    sa.Column('account_id', sa.UUID(), nullable=False),
    sa.Column('spent_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('amount_fen', sa.BigInteger(), nullable=False),
    sa.Column('note', sa.Text(), nullable=True),
    sa.CheckConstraint('amount_fen >= 0', name=op.f('ck_old_spend_amount')),
    sa.PrimaryKeyConstraint('import_id', 'row_no', name=op.f('pk_old_spend'))
    )
    op.create_index(op.f('ix_old_spend_account_id'), 'old_spend', ['account_id'], unique=False)
    op.create_table('old_top_up',
    sa.Column('import_id', sa.UUID(), nullable=False),
    sa.Column('row_no', sa.Integer(), nullable=False),
    sa.Column('hospital_id', sa.UUID(), nullable=False),
    sa.Column('account_id', sa.UUID(), nullable=False),
    sa.Column('number', sa.Text(), nullable=False),
    sa.Column('channel', sa.Text(), nullable=False),
    sa.Column('channel_transaction', sa.Text(), nullable=True),
    sa.Column('paid_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('amount_fen', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('amount_fen >= 0', name=op.f('ck_old_top_up_amount')),
    sa.PrimaryKeyConstraint('import_id', 'row_no', name=op.f('pk_old_top_up'))
    )
    op.create_index(op.f('ix_old_top_up_account_id'), 'old_top_up', ['account_id'], unique=False)
    op.create_index(op.f('ix_old_top_up_hospital_id_paid_at'), 'old_top_up', ['hospital_id', 'paid_at'], unique=False)
    op.create_table('census_import',
    sa.Column('id', sa.UUID(), nullable=False),
    sa.Column('hospital_id', sa.UUID(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('digest', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('prepared_by', sa.Text(), nullable=False),
    sa.Column('prepared_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('released_by', sa.Text(), nullable=True),
    sa.Column('released_at', postgresql.TIMESTAMP(timezone=True), nullable=True),
    sa.Column('files', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('report', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.CheckConstraint('released_by IS NULL OR released_by <> prepared_by', name=op.f('ck_census_import_two_people')),
    sa.ForeignKeyConstraint(['hospital_id'], ['hospital.id'], name=op.f('fk_census_import_hospital_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_census_import'))
    )
    op.create_index(op.f('ix_census_import_hospital_id_prepared_at'), 'census_import', ['hospital_id', 'prepared_at'], unique=False)
    op.create_index('uq_census_import_standing', 'census_import', ['hospital_id', 'source'], unique=True, postgresql_where="state = 'IMPORTED'")
    op.create_table('census_finding',
    sa.Column('import_id', sa.UUID(), nullable=False),
    sa.Column('no', sa.Integer(), nullable=False),
    sa.Column('hospital_id', sa.UUID(), nullable=False),
    sa.Column('about', sa.Text(), nullable=False),
    sa.Column('row_no', sa.Integer(), nullable=False),
    sa.Column('field', sa.Text(), nullable=False),
    sa.Column('code', sa.Text(), nullable=False),
    sa.Column('facts', postgresql.JSONB(astext_type=sa.Text()), nullable=True),
    sa.ForeignKeyConstraint(['import_id'], ['census_import.id'], name=op.f('fk_census_finding_import_id')),
    sa.PrimaryKeyConstraint('import_id', 'no', name=op.f('pk_census_finding'))
    )
    run_files(*FILES)
