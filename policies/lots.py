"""Which stored money is used first, and which way a refund goes back: pure choices over lots."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from policies.refusals import Refused

WECHAT_AGE = timedelta(days=365) - timedelta(minutes=15)
"""WeChat Pay refunds within 365 days of the payment; the request gets 15 minutes to arrive."""

WECHAT_PARTS = 50
"""WeChat Pay pays one payment back in at most this many parts."""


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
    taken, missing = _fill(sorted(lots, key=lambda lot: (lot.paid_at, lot.id)), amount_fen)
    if missing:
        raise Refused("BALANCE_TOO_LOW")
    return taken


def plan_original_route(
    lots: Sequence[Lot], amount_fen: int, now: datetime
) -> tuple[list[tuple[Lot, int]], int]:
    """The fewest legs along the original routes, and the rest in fen that none of them can carry.

    WeChat lots go back to WeChat while the channel takes them; cash and card lots go to the window.
    There is a rest only when every lot that can go back is planned in full: it then stands in lots
    that are too old or in too many parts, and is paid by another route. Raises Refused
    BALANCE_TOO_LOW when the lots do not hold so much.
    """
    if sum(lot.remaining_fen for lot in lots) < amount_fen:
        raise Refused("BALANCE_TOO_LOW")
    largest_first = sorted(lots, key=lambda lot: (-lot.remaining_fen, lot.paid_at, lot.id))
    legs_of: Counter[tuple[str, str | None]] = Counter()
    able = []
    for lot in largest_first:
        # Counted by channel too: a cash slip may carry the number of some WeChat payment.
        payment = (lot.channel, lot.channel_transaction)
        if _goes_back(lot, legs_of[payment], now):
            legs_of[payment] += 1
            able.append(lot)
    return _fill(able, amount_fen)


def _goes_back(lot: Lot, legs_already: int, now: datetime) -> bool:
    if lot.channel != "WECHAT":
        return True
    return (
        lot.channel_transaction is not None
        and now < lot.paid_at + WECHAT_AGE
        and lot.parts + legs_already < WECHAT_PARTS
    )


def _fill(lots: Sequence[Lot], amount_fen: int) -> tuple[list[tuple[Lot, int]], int]:
    """Take from the lots in this order; what they could not give comes back as the second."""
    taken = []
    for lot in lots:
        if fen := min(lot.remaining_fen, amount_fen):
            taken.append((lot, fen))
            amount_fen -= fen
    return taken, amount_fen
