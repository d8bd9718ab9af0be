"""What a charge line is worth under the price list: the four parts of I5, also when given back."""

from dataclasses import dataclass, fields
from decimal import Decimal
from functools import cache
from pathlib import Path

import yaml

from simulator.insurance.money import ZERO, cents, clamp

NO_CEILING = Decimal("999999")


@dataclass(frozen=True, slots=True)
class Item:
    """An entry of the insurance list: class 01/02/03, first self-paid share, price ceiling."""

    chrgitm_lv: str
    selfpay_prop: Decimal
    pric_uplmt_amt: Decimal = NO_CEILING
    med_chrgitm_type: str = "14"

    @property
    def outside(self) -> bool:
        """Wholly self-paid: class 丙 or a share of 1."""
        return self.chrgitm_lv == "03" or self.selfpay_prop >= 1


@dataclass(frozen=True, slots=True)
class Parts:
    """det = fulamt_ownpay + overlmt + preselfpay + inscp_scp, exactly (I5)."""

    det: Decimal = ZERO
    fulamt_ownpay: Decimal = ZERO
    overlmt: Decimal = ZERO
    preselfpay: Decimal = ZERO
    inscp: Decimal = ZERO

    def __add__(self, other: "Parts") -> "Parts":
        return Parts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Parts)))

    def __neg__(self) -> "Parts":
        return Parts(*(ZERO - getattr(self, f.name) for f in fields(Parts)))


def charged(item: Item, det: Decimal, cnt: Decimal, pric: Decimal) -> Parts:
    """Split a positive line. Yuan; the share is rounded half up, the rest is in scope."""
    if item.outside:
        return Parts(det=det, fulamt_ownpay=det)
    over = min(cents(max(ZERO, pric - item.pric_uplmt_amt) * cnt), det)
    preselfpay = cents((det - over) * item.selfpay_prop)
    return Parts(det, ZERO, over, preselfpay, det - over - preselfpay)


def given_back(item: Item, det: Decimal, cnt: Decimal, pric: Decimal, left: Parts) -> Parts:
    """Split a returned amount (given positive) so that no part of what is ``left`` goes below zero.

    The return that empties the line therefore takes exactly what is left.
    """
    ideal = charged(item, det, cnt, pric)
    if item.outside:
        return -ideal
    over = clamp(ideal.overlmt, det - (left.det - left.overlmt), min(left.overlmt, det))
    rest = det - over
    preselfpay = clamp(ideal.preselfpay, rest - left.inscp, min(left.preselfpay, rest))
    return -Parts(det, ZERO, over, preselfpay, rest - preselfpay)


def find_item(codes: dict[str, dict[str, str]], med_list_codg: str) -> Item:
    """The entry for a national code: seeded, else by the code's head, else outside the list."""
    if seeded := codes.get(med_list_codg):
        return _item(seeded)
    for head, entry in _catalogue().items():
        if med_list_codg.startswith(head):
            return _item(entry)
    return Item("03", Decimal(1))


def _item(entry: dict[str, str]) -> Item:
    return Item(
        entry["chrgitm_lv"],
        Decimal(entry.get("selfpay_prop", "0")),
        Decimal(entry.get("pric_uplmt_amt", "999999")),
        entry.get("med_chrgitm_type", "14"),
    )


@cache
def _catalogue() -> dict[str, dict[str, str]]:
    text = Path(__file__).with_name("catalogue.yaml").read_text("utf8")
    return dict(sorted(yaml.safe_load(text).items(), key=lambda pair: -len(pair[0])))
