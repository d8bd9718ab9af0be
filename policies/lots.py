"""Stored money in lots, and which of it is used first: a pure choice."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from policies.refusals import Refused


@dataclass(frozen=True, slots=True)
class Lot:
    """One top-up that is not used up, or the part of it that was moved here. Money in fen.

    ``amount_fen`` came into this account; ``paid_fen`` is what the payer paid in that one channel
    transaction (WeChat wants it named as the total). ``parts`` and ``last_refund_at`` count the
    refunds of the whole channel transaction, wherever its parts are kept.
    """

    id: UUID
    channel: str
    channel_transaction: str | None
    order_id: UUID | None
    paid_at: datetime
    amount_fen: int
    remaining_fen: int
    paid_fen: int
    parts: int
    last_refund_at: datetime | None


def spend_oldest_first(lots: Sequence[Lot], amount_fen: int) -> list[tuple[Lot, int]]:
    """Take an amount from the oldest lots, so that the youngest keep their way back.

    Raises Refused BALANCE_TOO_LOW when the lots do not hold so much.
    """
    taken = []
    for lot in sorted(lots, key=lambda lot: (lot.paid_at, lot.id)):
        if fen := min(lot.remaining_fen, amount_fen):
            taken.append((lot, fen))
            amount_fen -= fen
    if amount_fen:
        raise Refused("BALANCE_TOO_LOW")
    return taken
