"""Who pays what of one stay, in fen, checked against the platform's own invariants before any money
moves.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

from payments.insurance.codec import Unreadable, number
from payments.insurance.profile import FundCodes

_HEAD = {
    "total": ("medfee_sumamt",),
    "own_expense": ("fulamt_ownpay_amt",),
    "over_limit": ("overlmt_selfpay",),
    "first_share": ("preselfpay_amt",),
    "in_scope": ("inscp_scp_amt",),
    "deductible": ("act_pay_dedc",),
    "basic": ("hifp_pay",),
    "critical": ("hifmi_pay", "hifob_pay"),
    "aid": ("maf_pay",),
    "civil": ("cvlserv_pay",),
    "supplementary": ("hifes_pay",),
    "disabled": ("hifdm_pay",),
    "other": ("oth_pay",),
    "funds": ("fund_pay_sumamt",),
    "personal": ("psn_part_amt",),
    "account": ("acct_pay",),
    "account_shared": ("acct_mulaid_pay",),
    "cash": ("psn_cash_pay",),
    "hospital": ("hosp_part_amt",),
    "balance": ("balc",),
}
_FUNDS = {
    "BASIC": "basic",
    "CRITICAL": "critical",
    "AID": "aid",
    "CIVIL": "civil",
    "SUPPLEMENTARY": "supplementary",
    "DISABLED": "disabled",
    "OTHER": "other",
}
_LINE_PARTS = ("fulamt_ownpay_amt", "overlmt_amt", "preselfpay_amt", "inscp_scp_amt")


class AmountsDisagree(Exception):
    """The platform's amounts contradict each other; nothing may be paid or returned on them."""

    def __init__(self, invariant: str, left_fen: int, right_fen: int) -> None:
        super().__init__(f"{invariant}: {left_fen} against {right_fen} fen")
        self.invariant, self.left_fen, self.right_fen = invariant, left_fen, right_fen


@dataclass(frozen=True, slots=True)
class SettlementAmounts:
    """The amounts of a trial, a settlement or an undo (then negative), in fen. Made by ``read``,
    which checks them.
    """

    total: int
    own_expense: int  # fulamt_ownpay_amt: outside the list
    over_limit: int  # overlmt_selfpay: above the price ceiling
    first_share: int  # preselfpay_amt
    in_scope: int  # inscp_scp_amt
    deductible: int  # act_pay_dedc, inside in_scope
    basic: int  # hifp_pay
    critical: int  # hifmi_pay + hifob_pay
    aid: int  # maf_pay
    civil: int  # cvlserv_pay
    supplementary: int  # hifes_pay
    disabled: int  # hifdm_pay
    other: int  # oth_pay
    funds: int  # fund_pay_sumamt
    personal: int  # psn_part_amt
    account: int  # acct_pay
    account_shared: int  # acct_mulaid_pay, inside account
    cash: int  # psn_cash_pay
    hospital: int  # hosp_part_amt
    balance: int  # of the personal account afterwards
    fund_rows: tuple[tuple[str, int], ...] = ()  # payer -> fen by setldetail
    setl_id: str = ""
    lines_disagree: bool = False  # I6 fails against the 2301 replies; a warning

    @property
    def parts(self) -> tuple[int, int, int, int]:
        """The four parts of the total (I4), in the order of the wire."""
        return self.own_expense, self.over_limit, self.first_share, self.in_scope

    @property
    def funds_misplaced(self) -> bool:
        """I2 fails: a province fills the fund fields otherwise; total and setldetail are right."""
        split: int = sum(getattr(self, name) for name in _FUNDS.values())
        return split != self.funds

    def payer_lines(self) -> list[tuple[str, int]]:
        """(payer, fen) for every payer with money, summing exactly to the total (CQ-3.2, CQ-5.2).

        BASIC, CRITICAL, AID, CIVIL, SUPPLEMENTARY, DISABLED, OTHER, ACCOUNT, HOSPITAL, CASH.
        """
        funds = (
            list(self.fund_rows)
            if self.funds_misplaced
            else [(payer, getattr(self, name)) for payer, name in _FUNDS.items()]
        )
        rest = [("ACCOUNT", self.account), ("HOSPITAL", self.hospital), ("CASH", self.cash)]
        return [(payer, amount) for payer, amount in funds + rest if amount]

    def negated(self) -> "SettlementAmounts":
        """What an undo of exactly this settlement must say (I8)."""
        changed: dict[str, Any] = {
            name: -getattr(self, name) for name in _HEAD if name != "balance"
        }
        rows = tuple((payer, -amount) for payer, amount in self.fund_rows)
        return replace(self, fund_rows=rows, **changed)

    def to_json(self) -> dict[str, Any]:
        """For a JSON column."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "SettlementAmounts":
        """Back from a JSON column."""
        rows = tuple((payer, amount) for payer, amount in stored["fund_rows"])
        return cls(**dict(stored) | {"fund_rows": rows})


def read(
    setlinfo: Mapping[str, Any], setldetail: Iterable[Mapping[str, Any]], codes: FundCodes
) -> SettlementAmounts:
    """The amounts of a parsed reply, with I1, I3, I4 and I7 checked hard.

    Raises AmountsDisagree naming the invariant; Unreadable for a number that is none.
    """
    head: dict[str, Any] = {
        name: sum(fen(setlinfo.get(key)) for key in keys) for name, keys in _HEAD.items()
    }
    rows: dict[str, int] = {}
    for row in setldetail:
        code = str(row.get("fund_pay_type") or "")
        if codes.is_fund(code):
            payer = codes.payer(code)
            rows[payer] = rows.get(payer, 0) + fen(row.get("fund_payamt"))
    found = SettlementAmounts(
        **head, fund_rows=tuple(rows.items()), setl_id=str(setlinfo.get("setl_id") or "")
    )
    check(found)
    return found


def check(of: SettlementAmounts) -> None:
    """I1, I3, I4, I7; raises AmountsDisagree."""
    _equal("I1", of.total, of.funds + of.personal + of.hospital)
    _equal("I3", of.personal, of.account + of.cash)
    _equal("I4", of.total, sum(of.parts))
    _equal("I7", of.funds, sum(amount for _, amount in of.fund_rows))


def check_lines(lines: Iterable[Mapping[str, Any]]) -> int:
    """I5 on every line of a 2301 reply; the sum of the lines in fen. Raises AmountsDisagree."""
    total = 0
    for line in lines:
        whole = fen(line.get("det_item_fee_sumamt"))
        _equal("I5", whole, sum(fen(line.get(part)) for part in _LINE_PARTS))
        total += whole
    return total


def check_sums(lines: Iterable[Mapping[str, Any]], of: SettlementAmounts) -> None:
    """I6: the line fields add up to the head fields and the lines to the total. Raises
    AmountsDisagree.
    """
    rows = list(lines)
    for part, head in zip(_LINE_PARTS, of.parts, strict=True):
        _equal("I6", sum(fen(row.get(part)) for row in rows), head)
    _equal("I6", sum(fen(row.get("det_item_fee_sumamt")) for row in rows), of.total)


def check_undo(settled: SettlementAmounts, undo: SettlementAmounts) -> None:
    """I8: every amount of the undo is the settlement's, negative. The balance and setl_id may
    differ.
    """
    expected = settled.negated()
    for name in _HEAD:
        if name != "balance":
            _equal("I8", getattr(expected, name), getattr(undo, name))


def fen(yuan: Any) -> int:
    """Yuan of the wire in whole fen; Unreadable when a fraction of a fen is left."""
    exact = number(yuan) * Decimal(100)
    if exact != exact.to_integral_value():
        raise Unreadable("an amount is not whole fen")
    return int(exact)


def yuan(amount_fen: int) -> Decimal:
    """Whole fen as the yuan of the wire, two decimals."""
    return Decimal(amount_fen).scaleb(-2)


def _equal(invariant: str, left_fen: int, right_fen: int) -> None:
    if left_fen != right_fen:
        raise AmountsDisagree(invariant, left_fen, right_fen)
