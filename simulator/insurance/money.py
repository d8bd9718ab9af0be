"""Yuan on the insurance wire: Decimal with two places, rounded half up, never a float."""

from decimal import ROUND_HALF_UP, Decimal

ZERO = Decimal("0.00")
CENT = Decimal("0.01")


def cents(amount: Decimal) -> Decimal:
    """Round half up (away from zero) to whole fen, as the platform does."""
    return amount.quantize(CENT, ROUND_HALF_UP) + ZERO  # + ZERO turns -0.00 into 0.00


def yuan(text: str | Decimal | None) -> Decimal:
    """A stored amount back as Decimal; nothing stored is zero."""
    return cents(Decimal(text or 0))


def clamp(value: Decimal, low: Decimal, high: Decimal) -> Decimal:
    """The value nearest to ``value`` between ``low`` and ``high``."""
    return min(max(value, low), high)
