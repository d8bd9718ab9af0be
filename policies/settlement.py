"""Who pays what of one stay (GZ-10, CQ-3.2, CQ-5.2): the payers' shares, the personal rest, and
what the deposit covers of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from policies.refusals import Refused


@dataclass(frozen=True, slots=True)
class Share:
    """One payer's part in fen. PENDING: expected, not decided; neither patient nor deposit pays it
    meanwhile.
    """

    payer: str
    amount_fen: int
    state: Literal["FINAL", "PENDING"] = "FINAL"


@dataclass(frozen=True, slots=True)
class Split:
    """All of a bill: shares + personal = total; applied + due = personal; applied + rest = held."""

    total_fen: int
    shares: tuple[Share, ...]
    personal_fen: int
    applied_fen: int
    due_fen: int
    rest_fen: int


def split(total_fen: int, shares: Sequence[Share], deposit_fen: int) -> Split:
    """The deposit pays the personal share and nothing else (GZ-10); a delayed payer is never
    covered by it.

    What no payer takes is the patient's. Refused SHARES_EXCEED_TOTAL when the payers take more than
    there is; negative shares or deposits are a programming error.
    """
    if total_fen < 0 or deposit_fen < 0 or any(share.amount_fen < 0 for share in shares):
        raise ValueError("amounts of a bill are never negative")
    personal = total_fen - sum(share.amount_fen for share in shares)
    if personal < 0:
        raise Refused("SHARES_EXCEED_TOTAL")
    applied = min(deposit_fen, personal)
    return Split(
        total_fen=total_fen,
        shares=tuple(share for share in shares if share.amount_fen),
        personal_fen=personal,
        applied_fen=applied,
        due_fen=personal - applied,
        rest_fen=deposit_fen - applied,
    )
