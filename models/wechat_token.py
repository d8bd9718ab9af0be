"""The access token of a mini-program: one for all processes, or they would void each other's."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import LargeBinary, Text, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id
from models.sealing import Sealed


class WeChatToken(Base):
    """The token of one appid, sealed: it can do all that the hospital can do there."""

    __tablename__ = "wechat_token"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    appid: Mapped[str] = mapped_column(Text, unique=True)
    token_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime | None] = mapped_column(Moment)

    token = Sealed()

    @classmethod
    def good_until(cls, db: Session, appid: str, moment: datetime) -> str:
        """The token, if it lives beyond this moment; else empty."""
        row = db.scalar(select(cls).where(cls.appid == appid, cls.expires_at > moment))
        return row.token if row else ""

    @classmethod
    def keep(cls, db: Session, appid: str, token: str, expires_at: datetime) -> None:
        """Store what WeChat just gave, under the row's lock."""
        db.execute(insert(cls).values(id=new_id(), appid=appid).on_conflict_do_nothing())
        row = db.scalars(select(cls).where(cls.appid == appid).with_for_update()).one()
        row.token, row.expires_at = token, expires_at
