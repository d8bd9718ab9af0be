"""A patient's consent that a relative may see the bill or pay it: what text, for whom, how long,
withdrawn when."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.db import Base, Moment, new_id


class Consent(Base):
    """Given by ``patient_id``, redeemed once by the WeChat account ``binding_id``; never deleted.

    ``paper``: where the signed sheet is filed, when staff recorded it for a patient without a
    phone.
    """

    __tablename__ = "consent"
    __table_args__ = (
        UniqueConstraint("hospital_id", "code_hash"),
        Index(None, "patient_id"),
        Index(None, "binding_id"),
        CheckConstraint("scopes <@ ARRAY['VIEW_BILL', 'PAY']", name="scopes_known"),
        CheckConstraint("cardinality(scopes) > 0", name="scopes_some"),
        CheckConstraint("(binding_id IS NULL) = (redeemed_at IS NULL)", name="redeemed_whole"),
        CheckConstraint("ends_at > given_at", name="ends_later"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    patient_id: Mapped[UUID] = mapped_column(ForeignKey("patient.id"))
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    relation: Mapped[str] = mapped_column(Text)
    text_version: Mapped[str] = mapped_column(Text)
    given_at: Mapped[datetime] = mapped_column(Moment)
    given_by: Mapped[str] = mapped_column(Text)
    paper: Mapped[str] = mapped_column(Text, default="")
    ends_at: Mapped[datetime] = mapped_column(Moment)
    code_hash: Mapped[bytes] = mapped_column(LargeBinary)
    code_expires_at: Mapped[datetime] = mapped_column(Moment)
    binding_id: Mapped[UUID | None] = mapped_column(ForeignKey("wechat_binding.id"))
    redeemed_at: Mapped[datetime | None] = mapped_column(Moment)
    withdrawn_at: Mapped[datetime | None] = mapped_column(Moment)
    withdrawn_by: Mapped[str] = mapped_column(Text, default="")
