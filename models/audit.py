"""The audit trail: who did what to whom and when, each row chained by hash to the one before it in
its hospital."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, Text, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, rows


class AuditEntry(Base):
    """One row; written only by the SQL function ``audit_append``, changed by nobody (a trigger
    refuses)."""

    __tablename__ = "audit_entry"

    hospital_id: Mapped[UUID] = mapped_column(ForeignKey("hospital.id"), primary_key=True)
    no: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(Moment)
    by: Mapped[str] = mapped_column(Text)
    what: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    facts: Mapped[dict[str, Any]]
    prev_hash: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


_APPEND = text("SELECT audit_append(:hospital_id, :at, :by, :what, :subject, :facts)").bindparams(
    bindparam("facts", type_=JSONB)
)


def audit(
    db: Session,
    hospital_id: UUID,
    by: str,
    what: str,
    subject: str,
    facts: dict[str, Any] | None = None,
    *,
    at: datetime,
) -> int:
    """Append one row in the caller's transaction and return its number; no personal data in
    ``facts``.

    Rows of one hospital queue behind each other until commit, so this is a transaction's last
    statement.
    """
    values = {"hospital_id": hospital_id, "at": at, "by": by, "what": what, "subject": subject}
    return int(db.scalar(_APPEND, values | {"facts": facts or {}}) or 0)


def head(hospital_id: UUID) -> tuple[int, str]:
    """Number and hash (hex) of the newest row: kept outside, it also betrays a cut-off tail. (0,
    "") if none."""
    found = rows(
        "SELECT no, encode(hash, 'hex') AS hash FROM audit_entry"
        " WHERE hospital_id = :id ORDER BY no DESC LIMIT 1",
        id=hospital_id,
    )
    return (found[0]["no"], found[0]["hash"]) if found else (0, "")


def verify(hospital_id: UUID, *anchors: tuple[int, str]) -> int | None:
    """The number of the first row that is changed, missing or out of order; None when the chain is
    whole.

    ``anchors`` are earlier heads, kept outside. With them, rows cut off the end are found too; a
    trail written anew is named by the first anchor that it contradicts.
    """
    bad: int | None = rows("SELECT audit_first_broken(:id) AS no", id=hospital_id)[0]["no"]
    kept = [anchor for anchor in anchors if anchor[0]]
    if bad is not None or not kept:
        return bad
    contradicted: int | None = rows(
        "SELECT min(a.no) AS no FROM unnest(cast(:numbers AS bigint[]), cast(:hashes AS text[]))"
        " AS a (no, hash) WHERE NOT EXISTS (SELECT FROM audit_entry e"
        " WHERE e.hospital_id = :id AND e.no = a.no AND encode(e.hash, 'hex') = a.hash)",
        id=hospital_id,
        numbers=[no for no, _ in kept],
        hashes=[digest for _, digest in kept],
    )[0]["no"]
    if contradicted is None:
        return None
    return min(contradicted, head(hospital_id)[0] + 1)


def entries(hospital_id: UUID, after: int, limit: int) -> list[dict[str, Any]]:
    """Rows after a number, in order."""
    return rows(
        'SELECT no, at, "by", what, subject, facts FROM audit_entry'
        " WHERE hospital_id = :id AND no > :after ORDER BY no LIMIT :limit",
        id=hospital_id,
        after=after,
        limit=limit,
    )
