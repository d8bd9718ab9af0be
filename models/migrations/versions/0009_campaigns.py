"""Notice campaigns, public notices, and numbers that are wrong (GZ-7)."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table('notice_campaign',
    sa.Column('id', sa.UUID(), nullable=False),
    sa.Column('hospital_id', sa.UUID(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('least_fen', sa.BigInteger(), nullable=False),
    sa.Column('made_by', sa.Text(), nullable=False),
    sa.Column('made_at', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.CheckConstraint('least_fen > 0', name=op.f('ck_notice_campaign_least_positive')),
    sa.ForeignKeyConstraint(['hospital_id'], ['hospital.id'], name=op.f('fk_notice_campaign_hospital_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notice_campaign'))
    )
    op.create_index(op.f('ix_notice_campaign_hospital_id'), 'notice_campaign', ['hospital_id'], unique=False)
    op.create_table('wrong_number',
    sa.Column('id', sa.UUID(), nullable=False),
    sa.Column('hospital_id', sa.UUID(), nullable=False),
    sa.Column('phone_index', sa.LargeBinary(), nullable=False),
    sa.Column('since', postgresql.TIMESTAMP(timezone=True), nullable=False),
    sa.Column('by', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['hospital_id'], ['hospital.id'], name=op.f('fk_wrong_number_hospital_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_wrong_number')),
    sa.UniqueConstraint('hospital_id', 'phone_index', name=op.f('uq_wrong_number_hospital_id_phone_index'))
    )
    op.create_table('public_notice',
    sa.Column('id', sa.UUID(), nullable=False),
    sa.Column('hospital_id', sa.UUID(), nullable=False),
    sa.Column('campaign_id', sa.UUID(), nullable=False),
    sa.Column('channel', sa.Text(), nullable=False),
    sa.Column('place', sa.Text(), nullable=False),
    sa.Column('from_on', sa.Date(), nullable=False),
    sa.Column('snapshot_sha256', sa.Text(), nullable=False),
    sa.Column('by', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['campaign_id'], ['notice_campaign.id'], name=op.f('fk_public_notice_campaign_id')),
    sa.ForeignKeyConstraint(['hospital_id'], ['hospital.id'], name=op.f('fk_public_notice_hospital_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_public_notice')),
    sa.UniqueConstraint('campaign_id', 'channel', 'place', name=op.f('uq_public_notice_campaign_id_channel_place'))
    )
