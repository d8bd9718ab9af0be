"""I1 to I8: what holds for every settlement, and what the captured amounts of the reference say."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.insurance import amounts, codec
from payments.insurance.amounts import AmountsDisagree, SettlementAmounts
from payments.insurance.codec import Unreadable
from payments.insurance.profile import load

GUIZHOU, CHONGQING = load("csb-guizhou").funds, load("tif-chongqing").funds
FUND_FIELDS = {
    "hifp_pay": ("390100", "basic"),
    "hifmi_pay": ("390200", "critical"),
    "hifob_pay": ("330101", "critical"),
    "maf_pay": ("610100", "aid"),
    "cvlserv_pay": ("320100", "civil"),
    "hifes_pay": ("370100", "supplementary"),
    "hifdm_pay": ("610200", "disabled"),
    "oth_pay": ("999109", "other"),
}
fen = st.integers(min_value=0, max_value=50_000_00)


def said(yuan_fen: int) -> str:
    return str(Decimal(yuan_fen).scaleb(-2))


@st.composite
def replies(draw: st.DrawFn) -> dict[str, Any]:
    """A reply as a platform that follows the rules would write it, with its 2301 lines."""
    funds = {name: draw(fen) for name in FUND_FIELDS}
    account, cash, hospital = draw(fen), draw(fen), draw(fen)
    fund, person = sum(funds.values()), account + cash
    total = fund + person + hospital
    cuts = sorted(draw(st.lists(st.integers(0, total), min_size=3, max_size=3)))
    parts = [cuts[0], cuts[1] - cuts[0], cuts[2] - cuts[1], total - cuts[2]]
    names = ("fulamt_ownpay_amt", "overlmt_selfpay", "preselfpay_amt", "inscp_scp_amt")
    head = {
        name: said(amount) for name, amount in [*funds.items(), *zip(names, parts, strict=True)]
    }
    head |= {
        "medfee_sumamt": said(total),
        "fund_pay_sumamt": said(fund),
        "psn_part_amt": said(person),
        "acct_pay": said(account),
        "psn_cash_pay": said(cash),
        "hosp_part_amt": said(hospital),
        "setl_id": "S1",
    }
    detail = [
        {"fund_pay_type": FUND_FIELDS[name][0], "fund_payamt": said(amount)}
        for name, amount in funds.items()
        if amount
    ]
    detail.append({"fund_pay_type": "310201", "fund_payamt": said(account)})
    detail.append({"fund_pay_type": "999996", "fund_payamt": said(hospital)})
    line_names = ("fulamt_ownpay_amt", "overlmt_amt", "preselfpay_amt", "inscp_scp_amt")
    lines = [
        {"det_item_fee_sumamt": said(part)}
        | {each: said(part if each == name else 0) for each in line_names}
        for name, part in zip(line_names, parts, strict=True)
    ]
    return {"setlinfo": head, "setldetail": detail, "lines": lines}


def read(reply: dict[str, Any], codes=CHONGQING) -> SettlementAmounts:
    found = codec.parse("2304", reply)
    return amounts.read(found["setlinfo"], found["setldetail"], codes)


@given(replies())
def test_a_right_reply_passes_and_its_payers_sum_to_the_total(reply: dict[str, Any]) -> None:
    of = read(reply)
    assert of.total == of.funds + of.personal + of.hospital  # I1
    assert not of.funds_misplaced  # I2
    assert of.personal == of.account + of.cash  # I3
    assert of.total == sum(of.parts)  # I4
    assert amounts.check_lines(reply["lines"]) == of.total  # I5
    amounts.check_sums(reply["lines"], of)  # I6
    assert sum(amount for _, amount in of.fund_rows) == of.funds  # I7
    amounts.check_undo(of, of.negated())  # I8
    assert sum(amount for _, amount in of.payer_lines()) == of.total
    assert SettlementAmounts.from_json(of.to_json()) == of


@given(replies(), st.integers(1, 10_000))
def test_each_broken_invariant_is_named(reply: dict[str, Any], off: int) -> None:
    of = read(reply)
    broken = {
        "I1": replace(of, hospital=of.hospital + off),
        "I3": replace(of, account=of.account + off),
        "I4": replace(of, in_scope=of.in_scope + off),
        "I7": replace(of, fund_rows=(*of.fund_rows, ("OTHER", off))),
    }
    for invariant, wrong in broken.items():
        with pytest.raises(AmountsDisagree) as disagreement:
            amounts.check(wrong)
        assert disagreement.value.invariant == invariant
    with pytest.raises(AmountsDisagree, match="I8"):
        amounts.check_undo(of, replace(of.negated(), cash=-of.cash - off))


@given(replies(), st.integers(1, 10_000))
def test_wrong_lines_are_seen(reply: dict[str, Any], off: int) -> None:
    of, lines = read(reply), reply["lines"]
    short = [lines[0] | {"inscp_scp_amt": said(off)}, *lines[1:]]
    with pytest.raises(AmountsDisagree, match="I5"):
        amounts.check_lines(short)
    with pytest.raises(AmountsDisagree, match="I6"):
        amounts.check_sums(short, of)


@given(replies())
def test_misplaced_funds_are_a_warning_and_setldetail_names_the_payers(
    reply: dict[str, Any],
) -> None:
    of = read(reply)
    moved = replace(of, basic=of.basic + 1)
    assert moved.funds_misplaced
    assert sum(amount for _, amount in moved.payer_lines()) == moved.total
    assert dict(moved.payer_lines()).get("BASIC", 0) == of.basic


@given(replies())
def test_an_undo_reads_as_the_negative(reply: dict[str, Any]) -> None:
    head = {
        name: text if name == "setl_id" else said(-amounts.fen(text))
        for name, text in reply["setlinfo"].items()
    }
    detail = [
        row | {"fund_payamt": said(-amounts.fen(row["fund_payamt"]))} for row in reply["setldetail"]
    ]
    amounts.check_undo(read(reply), read({"setlinfo": head, "setldetail": detail}))


def captured_2304() -> dict[str, Any]:
    """The amounts of the Chongqing 2304 that the reference quotes."""
    head = {
        "medfee_sumamt": "23442.46",
        "fulamt_ownpay_amt": "2533.97",
        "overlmt_selfpay": "1396.89",
        "preselfpay_amt": "703.44",
        "inscp_scp_amt": "18808.16",
        "fund_pay_sumamt": "18785.39",
        "hifob_pay": "18785.39",
        "psn_part_amt": "4152.06",
        "acct_pay": "170.04",
        "psn_cash_pay": "3982.02",
        "hosp_part_amt": "505.01",
    }
    detail = [
        {"fund_pay_type": "330101", "fund_payamt": "18785.39"},
        {"fund_pay_type": "999996", "fund_payamt": "505.01"},
        {"fund_pay_type": "310201", "fund_payamt": "170.04"},
    ]
    return {"setlinfo": head, "setldetail": detail}


def test_the_captured_settlement_of_chongqing() -> None:
    of = read(captured_2304())
    assert of.payer_lines() == [
        ("CRITICAL", 1_878_539),
        ("ACCOUNT", 17_004),
        ("HOSPITAL", 50_501),
        ("CASH", 398_202),
    ]


def test_the_captured_undo_of_chongqing_hides_two_amounts_under_other_names() -> None:
    head = {
        "medfee_sumamt": "-3379.26",
        "fulamt_ownpay_amt": "-956.34",
        "overlmt_selfpay": "-186.31",
        "preselfpay_amt": "-197.22",
        "inscp_scp_amt": "-2039.39",
        "fund_pay_sumamt": "-2039.39",
        "hifp_pay": "-2039.39",
        "psn_part_amt": None,
        "psn_pay": "-1307.01",
        "psn_cash_pay": "-1307.01",
        "hosp_part_amt": None,
        "ownpay_hosp_part": "-32.86",
    }
    found = codec.parse(
        "2305",
        {"setlinfo": head, "setldetail": [{"fund_pay_type": "390101", "fund_payamt": "-2039.39"}]},
    )
    of = amounts.read(found["setlinfo"], found["setldetail"], CHONGQING)
    assert (of.personal, of.hospital, of.total) == (-130_701, -3_286, -337_926)


def test_999997_is_a_fund_in_one_province_and_the_hospital_in_another() -> None:
    assert GUIZHOU.is_fund("999997") and not CHONGQING.is_fund("999997")
    assert not GUIZHOU.is_fund("999996") and not GUIZHOU.is_fund("310201")
    assert GUIZHOU.is_fund("999109") and GUIZHOU.payer("999109") == "OTHER"
    assert GUIZHOU.payer("330101") == "CRITICAL"


def test_a_fraction_of_a_fen_is_not_money() -> None:
    with pytest.raises(Unreadable):
        amounts.fen("1.005")


def test_the_payers_of_a_chongqing_stay() -> None:
    head = {
        "medfee_sumamt": "12000.00",
        "inscp_scp_amt": "12000.00",
        "hifp_pay": "7000.00",
        "hifmi_pay": "1500.00",
        "maf_pay": "2200.00",
        "fund_pay_sumamt": "10700.00",
        "psn_part_amt": "1300.00",
        "psn_cash_pay": "1300.00",
    }
    detail = [
        {"fund_pay_type": "390100", "fund_payamt": "7000.00"},
        {"fund_pay_type": "390200", "fund_payamt": "1500.00"},
        {"fund_pay_type": "610100", "fund_payamt": "2200.00"},
    ]
    assert read({"setlinfo": head, "setldetail": detail}).payer_lines() == [
        ("BASIC", 700_000),
        ("CRITICAL", 150_000),
        ("AID", 220_000),
        ("CASH", 130_000),
    ]
