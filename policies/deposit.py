"""The quota of a stay (GZ-17): what may still be collected, on a net basis (D-21)."""

from policies.refusals import Refused


def room_left(quota_fen: int | None, held_fen: int, pending_fen: int) -> int:
    """Fen that may still be collected; open orders count as if paid. Refused QUOTA_NOT_SET without
    a quota.

    Net basis: what was given back may be collected again. Never below zero.
    """
    if quota_fen is None:
        raise Refused("QUOTA_NOT_SET")
    return max(0, quota_fen - held_fen - pending_fen)
