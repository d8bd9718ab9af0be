"""How a settlement is written on the wire: setlinfo, the undo's negative one, setldetail."""

from decimal import Decimal
from typing import Any

from simulator.insurance.benefits import EMPLOYEES
from simulator.insurance.counter import Counter, Doc
from simulator.insurance.money import ZERO, yuan

NO_RATIO = Decimal("0.0000")
FUND_CODES = {
    "cvlserv_pay": ("320100", "公务员医疗补助基金"),
    "hifes_pay": ("370100", "企业补充医疗保险基金"),
    "hifmi_pay": ("390200", "城乡居民大病医疗保险基金"),
    "hifob_pay": ("330100", "职工大额医疗费用补助基金"),
    "maf_pay": ("610100", "医疗救助基金"),
    "hifdm_pay": ("610200", "优抚对象医疗补助基金"),
    "oth_pay": ("999109", "农村低收入人口医疗补充保险"),
}


def settlement_info(counter: Counter, row: Doc, person: Doc) -> dict[str, Any]:
    """setlinfo of 2303, 2304 and (with other names for two amounts) 5203."""
    amounts = {name: yuan(value) for name, value in row["amounts"].items()}
    info: dict[str, Any] = {
        "mdtrt_id": row["mdtrt_id"],
        "setl_id": row["setl_id"],
        **{name: person[name] for name in ("psn_no", "psn_name", "psn_cert_type", "certno")},
        **{name: person[name] for name in ("gend", "naty", "brdy", "age")},
        **{name: row[name] for name in ("insutype", "psn_type", "cvlserv_flag", "setl_time")},
        **{name: row[name] for name in ("mdtrt_cert_type", "med_type")},
        **amounts,
        "pool_prop_selfpay": NO_RATIO,  # a ratio despite its name, and 0 in every reply seen
        "medins_setl_id": row["msgid"],
        "clr_optins": row["clr_optins"],
        "clr_way": counter.profile.clr_way,
        "clr_type": row["clr_type"],
        "exp_content": "",
    }
    if counter.profile.local_fields:
        info |= _local(row, amounts)
    return info


def undo_info(counter: Counter, row: Doc) -> dict[str, Any]:
    """setlinfo of 2305. Where the profile has its own names, the national ones come as null."""
    amounts: dict[str, Any] = {name: yuan(value) for name, value in row["amounts"].items()}
    info = {
        "mdtrt_id": row["mdtrt_id"],
        "setl_id": row["setl_id"],
        "clr_optins": row["clr_optins"],
        "setl_time": row["setl_time"],
        **amounts,
        "pool_prop_selfpay": NO_RATIO,
        "medins_setl_id": row["msgid"],
        "begndate": row["begndate"],
        "enddate": row["enddate"],
        "mdtrt_cert_no": row["mdtrt_cert_no"],
        "crt_dedc": amounts["act_pay_dedc"],
        "invono": row["invono"],
        "exp_content": "",
    }
    if counter.profile.local_fields:
        info |= _local(row, amounts) | {"psn_part_amt": None, "hosp_part_amt": None}
    return info


def fund_rows(counter: Counter, row: Doc) -> list[dict[str, Any]]:
    """setldetail: the funds, and also the personal account and what the hospital bears."""
    amounts = {name: yuan(value) for name, value in row["amounts"].items()}
    employee = row["insutype"] == EMPLOYEES
    pool = ("310100", "职工基本医疗保险统筹基金")
    if not employee:
        pool = ("390100", "城乡居民基本医疗保险基金")
    named = [(amounts["hifp_pay"], *pool)]
    named += [(amounts[name], *code) for name, code in FUND_CODES.items()]
    rows = [
        _fund(counter.profile.fund_code(code), label, amounts["inscp_scp_amt"], paid)
        for paid, code, label in named
    ]
    account = counter.profile.fund_code("310200")
    rows.append(_fund(account, "个人账户基金", ZERO, amounts["acct_pay"]))
    hospital = counter.profile.hospital_fund
    rows.append(_fund(hospital, "医院负担", ZERO, amounts["hosp_part_amt"]))
    return [one for one in rows if one["fund_payamt"]]


def _fund(code: str, label: str, in_scope: Decimal, paid: Decimal) -> dict[str, Any]:
    return {
        "fund_pay_type": code,
        "inscp_scp_amt": in_scope,
        "crt_payb_lmt_amt": ZERO,
        "fund_payamt": paid,
        "fund_pay_type_name": label,
        "setl_proc_info": "",
    }


def _local(row: Doc, amounts: dict[str, Any]) -> dict[str, Any]:
    return {
        "psn_pay": amounts["psn_part_amt"],
        "cashPayamt": amounts["psn_cash_pay"],
        "ownpay_hosp_part": amounts["hosp_part_amt"],
        "crt_dedc": amounts["act_pay_dedc"],
        "othfund_pay": amounts["oth_pay"],
        "inscp_amt": amounts["inscp_scp_amt"],
        "insu_admdvs": row["insuplc_admdvs"],
    }
