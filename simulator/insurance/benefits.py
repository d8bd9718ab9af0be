"""Who pays a stay: invented terms on in-scope costs, whole fen, I1 to I4 exact for any lines."""

from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from simulator.insurance.lines import Parts
from simulator.insurance.money import ZERO, cents, yuan

FUNDS = (
    "hifp_pay",
    "cvlserv_pay",
    "hifes_pay",
    "hifmi_pay",
    "hifob_pay",
    "maf_pay",
    "hifdm_pay",
    "oth_pay",
)
EMPLOYEES = "310"


@dataclass(frozen=True, slots=True)
class Insured:
    """What the platform knows about a person that changes who pays."""

    insutype: str
    civil_servant: bool = False
    identities: frozenset[str] = frozenset()
    balance: Decimal = ZERO
    family_balance: Decimal = ZERO
    fixed: dict[str, str] = field(default_factory=dict)
    pays_nothing: bool = False


def split_stay(
    total: Parts, person: Insured, acct_used_flag: str, overlimit_borne: Decimal
) -> dict[str, Decimal]:
    """All amounts in yuan; ``overlimit_borne``: the hospital's share of what is above a ceiling."""
    if person.pays_nothing:
        paid, dedc, borne = dict.fromkeys(FUNDS, ZERO), ZERO, ZERO
    elif person.fixed:
        borne = min(yuan(person.fixed.get("hosp_part_amt")), total.det)
        paid, dedc = _as_seeded(total.det - borne, person.fixed)
    else:
        borne = cents(total.overlmt * overlimit_borne)
        paid, dedc = _by_terms(total.inscp, person)
    fund = sum(paid.values(), ZERO)
    personal = total.det - fund - borne
    own, family = _accounts(personal, total, borne, person, acct_used_flag)
    return paid | {
        "medfee_sumamt": total.det,
        "fulamt_ownpay_amt": total.fulamt_ownpay,
        "overlmt_selfpay": total.overlmt,
        "preselfpay_amt": total.preselfpay,
        "inscp_scp_amt": total.inscp,
        "act_pay_dedc": dedc,
        "fund_pay_sumamt": fund,
        "psn_part_amt": personal,
        "acct_pay": own + family,
        "acct_mulaid_pay": family,
        "psn_cash_pay": personal - own - family,
        "hosp_part_amt": borne,
        "balc": person.balance - own,
    }


def _by_terms(in_scope: Decimal, person: Insured) -> tuple[dict[str, Decimal], Decimal]:
    terms = _terms()[EMPLOYEES if person.insutype == EMPLOYEES else "390"]
    aid = _terms()["medical_aid"]
    free = person.identities & set(aid["deductible_free"])
    dedc = ZERO if free else min(in_scope, yuan(terms["deductible"]))
    pool = cents((in_scope - dedc) * Decimal(terms["pool_ratio"]))
    pool = min(pool, yuan(terms["pool_ceiling"]))
    left = in_scope - pool
    civil = ZERO
    if person.civil_servant:
        civil = cents((left - dedc) * Decimal(terms["civil_servant_ratio"]))
        left -= civil
    over = yuan(terms["pool_ceiling"]) if person.insutype == EMPLOYEES else ZERO
    base = left if not over else max(ZERO, min(left, in_scope - dedc - over))
    above = max(ZERO, base - yuan(terms["large_threshold"]))
    large = cents(above * Decimal(terms["large_ratio"]))
    left -= large
    ratio = max((Decimal(aid["ratios"].get(i, "0")) for i in person.identities), default=ZERO)
    help_ = min(cents(left * ratio), yuan(aid["ceiling"]))
    paid = dict.fromkeys(FUNDS, ZERO) | {
        "hifp_pay": pool,
        "cvlserv_pay": civil,
        "hifob_pay" if person.insutype == EMPLOYEES else "hifmi_pay": large,
        "maf_pay": help_,
    }
    return paid, dedc


def _as_seeded(most: Decimal, fixed: dict[str, str]) -> tuple[dict[str, Decimal], Decimal]:
    """The wanted fund parts, cut in the order of FUNDS where the stay costs less than their sum."""
    paid = {}
    for name in FUNDS:
        paid[name] = min(yuan(fixed.get(name)), most)
        most -= paid[name]
    return paid, yuan(fixed.get("act_pay_dedc"))


def _accounts(
    personal: Decimal, total: Parts, borne: Decimal, person: Insured, flag: str
) -> tuple[Decimal, Decimal]:
    """Own and family account money; accounts pay no class-丙 cost and nothing above a ceiling."""
    if flag not in ("1", "2") or person.insutype != EMPLOYEES:
        return ZERO, ZERO
    covered = max(ZERO, personal - total.fulamt_ownpay - max(ZERO, total.overlmt - borne))
    if "acct_pay" in person.fixed:
        covered = min(personal, yuan(person.fixed["acct_pay"]))
    own = min(covered, person.balance)
    family = min(covered - own, person.family_balance) if flag == "2" else ZERO
    return own, family


@cache
def _terms() -> dict[str, Any]:
    text = Path(__file__).with_name("benefits.yaml").read_text("utf8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found
