"""What the used part of a course or contract costs: by plan price (GZ-9). What comes back is the
money that no use has spent, and the ledger knows it.
"""


def used_fen(price_fen: int, units: int, used: int) -> int:
    """The price of the first ``used`` of ``units`` equal parts, rounded down for the payer.

    Whole and nothing are exact, and the parts add up to the whole.
    """
    if not 0 <= used <= units or units < 1 or price_fen < 0:
        raise ValueError(f"{used} of {units} at {price_fen} fen")
    return price_fen * used // units


def next_unit_fen(price_fen: int, units: int, used: int) -> int:
    """What the next part costs when ``used`` parts are used already."""
    return used_fen(price_fen, units, used + 1) - used_fen(price_fen, units, used)
