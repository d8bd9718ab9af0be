"""Fen for the eye: whole fen in, yuan text out, and never a float."""

from decimal import Decimal, InvalidOperation

from policies.refusals import Refused


def yuan(fen: int) -> str:
    """123450 → "1234.50"; negative amounts carry a minus sign."""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def fen(yuan_text: str) -> int:
    """ "1234.50" → 123450. Refused AMOUNT_NOT_WHOLE_FEN for anything that is not a whole number of
    fen.
    """
    try:
        exact = Decimal(yuan_text) * 100
    except InvalidOperation:
        raise Refused("AMOUNT_NOT_WHOLE_FEN") from None
    if not exact.is_finite() or exact != exact.to_integral_value():
        raise Refused("AMOUNT_NOT_WHOLE_FEN")
    return int(exact)
