"""Stored money in lots, one a top-up: "which top-up is still unused" always has an answer."""

from datetime import datetime
from typing import LiteralString
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, Text, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.db import Base, Moment, new_id, within
from policies.lots import Lot


class LotRow(Base):
    """One lot as stored; `open_lots` reads it as a policies.lots.Lot.

    Only the database's ``ledger_post`` writes it. ``transaction_id`` brought it in; ``parts``
    counts the refunds taken from this row.
    """

    __tablename__ = "lot"
    __table_args__ = (
        CheckConstraint("amount_fen > 0 AND paid_fen >= amount_fen", name="amount_paid"),
        CheckConstraint("spent_fen >= 0 AND refunded_fen >= 0 AND parts >= 0", name="taken"),
        CheckConstraint("spent_fen + refunded_fen <= amount_fen", name="not_overdrawn"),
        Index(None, "account_id"),
        Index(None, "transaction_id"),
        Index(None, "hospital_id", "channel", "channel_transaction"),
        Index(
            "ix_lot_unused_by_age",
            *("hospital_id", "channel", "paid_at", "id"),
            postgresql_where=text("spent_fen + refunded_fen < amount_fen"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    hospital_id: Mapped[UUID]
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    transaction_id: Mapped[UUID] = mapped_column(ForeignKey("ledger_transaction.id"))
    channel: Mapped[str] = mapped_column(Text)
    channel_transaction: Mapped[str | None] = mapped_column(Text)
    order_id: Mapped[UUID | None]
    paid_at: Mapped[datetime] = mapped_column(Moment)
    amount_fen: Mapped[int]
    paid_fen: Mapped[int]
    spent_fen: Mapped[int] = mapped_column(server_default="0")
    refunded_fen: Mapped[int] = mapped_column(server_default="0")
    parts: Mapped[int] = mapped_column(server_default="0")
    last_refund_at: Mapped[datetime | None] = mapped_column(Moment)


class LotUse(Base):
    """What one transaction took from one lot, or brought back to it. Append-only.

    ``kind``: SPEND, REFUND, MOVE (to another account), VOID (its top-up was reversed), RETURN (the
    taking was reversed).
    """

    __tablename__ = "lot_use"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="amount_positive"),
        CheckConstraint("kind IN ('SPEND', 'REFUND', 'MOVE', 'VOID', 'RETURN')", name="kind"),
        Index(None, "lot_id"),
    )

    transaction_id: Mapped[UUID] = mapped_column(
        ForeignKey("ledger_transaction.id"), primary_key=True
    )
    no: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    hospital_id: Mapped[UUID]
    lot_id: Mapped[UUID] = mapped_column(ForeignKey("lot.id"))
    kind: Mapped[str] = mapped_column(Text)
    amount_fen: Mapped[int]


_OPEN: LiteralString = """
    SELECT l.id, l.channel, l.channel_transaction, l.order_id, l.paid_at, l.amount_fen,
           l.amount_fen - l.spent_fen - l.refunded_fen AS remaining_fen, l.paid_fen,
           coalesce(whole.parts, l.parts) AS parts,
           coalesce(whole.last_refund_at, l.last_refund_at) AS last_refund_at
    FROM lot l
    JOIN account a ON a.id = l.account_id
    LEFT JOIN LATERAL (
        SELECT sum(w.parts)::bigint AS parts, max(w.last_refund_at) AS last_refund_at
        FROM lot w
        WHERE w.hospital_id = l.hospital_id AND w.channel = l.channel
          AND w.channel_transaction = l.channel_transaction
    ) whole ON true
    WHERE a.hospital_id = %(hospital_id)s AND a.kind = %(kind)s AND a.owner = %(owner)s
      AND l.spent_fen + l.refunded_fen < l.amount_fen
    ORDER BY l.paid_at, l.id
"""


def open_lots(db: Session, hospital_id: UUID, kind: str, owner: str) -> list[Lot]:
    """The lots of an account that still hold money, oldest payment first."""
    found = within(db, _OPEN, hospital_id=hospital_id, kind=kind, owner=owner)
    return [Lot(**row) for row in found]
