"""Which proofs of devices were used: kept with the money, so that no loss of Redis lets one pass
twice."""

from datetime import datetime

from sqlalchemy import LargeBinary, text
from sqlalchemy.orm import Mapped, mapped_column

from models.db import Base, Moment, Session, at_once


class ProofSeen(Base):
    """One proof that came, whole or not; ``digest`` is over the key's thumbprint and the number.

    A request of a logged-in device notes its proof in the statement that reads its session
    (models/login.py), so that it costs no further round trip.
    """

    __tablename__ = "proof_seen"

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(Moment)


def first_use(digest: bytes) -> bool:
    """Note a proof of somebody without a session; False if it was here before."""
    noted = "INSERT INTO proof_seen VALUES (%s, now()) ON CONFLICT DO NOTHING RETURNING 1"
    return bool(at_once(noted, digest))


def forget() -> None:
    """Drop those that are long past their window (api/proofs.py), by PostgreSQL's clock alone."""
    with Session.begin() as db:
        db.execute(text("DELETE FROM proof_seen WHERE seen_at < now() - interval '5 minutes'"))
