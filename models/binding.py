"""A WeChat account at this hospital's mini-program, and the patient it proved to be."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.db import Base, Moment, new_id


class WeChatBinding(Base):
    """One openid of one appid. It acts for ``patient_id`` while ``active``; before that for
    nobody."""

    __tablename__ = "wechat_binding"
    __table_args__ = (
        UniqueConstraint("hospital_id", "appid", "openid"),
        CheckConstraint("(patient_id IS NULL) = (bound_at IS NULL)", name="bound_whole"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"))
    appid: Mapped[str] = mapped_column(Text)
    openid: Mapped[str] = mapped_column(Text)
    patient_id: Mapped[UUID | None] = mapped_column(ForeignKey("patient.id"), index=True)
    bound_at: Mapped[datetime | None] = mapped_column(Moment)
    active: Mapped[bool] = mapped_column(default=True)
