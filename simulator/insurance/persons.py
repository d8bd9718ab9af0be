"""Insured people: seeding them, and the transactions 9001, 1101 and 2001 that look at them."""

from datetime import date
from decimal import Decimal
from typing import Any

from simulator.insurance.benefits import EMPLOYEES, FUNDS
from simulator.insurance.counter import Counter, Doc, Done, next_number
from simulator.insurance.money import yuan
from simulator.insurance.refusals import Declined
from simulator.world import World

ACTIVE = "1"
SEED_KEYS = {
    "certno",
    "name",
    "psn_cert_type",
    "gend",
    "brdy",
    "insutype",
    "insuinfo",
    "idetinfo",
    "balc",
    "mulaid_balc",
    "fixed",
    "suspended",
}
FIXED_KEYS = {*FUNDS, "hosp_part_amt", "acct_pay", "act_pay_dedc"}
FUND_OF = {"310": ("310100", "330100"), "390": ("390100", "390200")}


class BadSeed(ValueError):
    """The seed has a key that means nothing here, or lacks one."""


def seed_person(world: World, code: str, area: str, seed: Doc) -> Doc:
    """Make a person known to the platform, or change one; the same certno keeps its psn_no."""
    if unknown := set(seed) - SEED_KEYS | set(seed.get("fixed") or {}) - FIXED_KEYS:
        raise BadSeed(f"unknown keys {sorted(unknown)}")
    if not seed.get("certno") or not seed.get("name"):
        raise BadSeed("certno and name are needed")
    certno = str(seed["certno"])
    with world.store.transaction():
        index = f"{code}/{certno}"
        known = world.store.get("insurance.certno", index)
        if known is None:
            known = {"psn_no": f"{area}{next_number(world, code, 'person'):014d}"}
            world.store.put("insurance.certno", index, known)
        psn_no = known["psn_no"]
        before = world.store.get("insurance.person", f"{code}/{psn_no}") or {"admitted": ""}
        person = {"psn_no": psn_no, "admitted": before["admitted"]} | _described(seed, area)
        world.store.put("insurance.person", f"{code}/{psn_no}", person)
    return person


def sign_in(counter: Counter, given: Doc) -> Done:
    """9001: a sign number for this operator, good for the rest of the day."""
    operator = given["signIn"]["opter_no"]
    if operator != counter.message.opter:
        raise Declined("操作员编号(opter_no)与经办人(opter)不一致")
    today = counter.now.date().isoformat()
    sign_no = f"{counter.profile.area}{counter.now:%Y%m%d%H%M%S}{counter.number('sign'):010d}"
    counter.put("sign", sign_no, {"opter": operator, "day": today})
    return Done({"signinoutb": {"sign_time": today, "sign_no": sign_no}})


def check_signed_in(counter: Counter) -> None:
    """Declined unless sign_no is this operator's and of today, where the profile asks for one."""
    sign_no = counter.message.sign_no
    if not sign_no and not counter.profile.sign_required:
        return
    signed = counter.get("sign", sign_no) if sign_no else None
    today = counter.now.date().isoformat()
    if signed is None or signed != {"opter": counter.message.opter, "day": today}:
        raise Declined("签到编号(sign_no)无效或已过期，请重新签到")


def read_person(counter: Counter, given: Doc) -> Done:
    """1101: who this is, with all insurance rows (also paused) and all identities (also ended)."""
    asked = given["data"]
    known = counter.get("certno", asked["certno"])
    person = counter.get("person", known["psn_no"]) if known else None
    if person is None or person["psn_cert_type"] != asked["psn_cert_type"]:
        raise Declined("未查询到参保人员信息")
    if asked["mdtrt_cert_type"] == "02" and asked["mdtrt_cert_no"] != asked["certno"]:
        raise Declined("就诊凭证编号(mdtrt_cert_no)与证件号码不一致")
    if person["psn_name"] != asked["psn_name"]:
        raise Declined("人员姓名与证件号码不一致")
    rows = [row | {"balc": _balance(person, row["insutype"])} for row in person["insuinfo"]]
    return Done(
        {
            "baseinfo": base_of(counter, person) | {"exp_content": ""},
            "insuinfo": rows,
            "idetinfo": person["idetinfo"],
        }
    )


def check_benefits(counter: Counter, given: Doc) -> Done:
    """2001: for each fund, whether this person may draw on it for such a visit, and if not why."""
    asked = given["data"]
    person = counter.person(asked["psn_no"])
    if asked["fixmedins_code"] != counter.here["fixmedins_code"]:
        raise Declined("定点医药机构编号(fixmedins_code)与签约机构不一致")
    row = insurance_row(counter, person, asked["insutype"])
    reason = person["suspended"]
    if row["psn_insu_stas"] != ACTIVE:
        reason = "人员参保状态异常，不享受待遇"
    answer = [
        {
            "psn_no": person["psn_no"],
            "trt_chk_type": "1",
            "fund_pay_type": counter.profile.fund_code(fund),
            "trt_enjymnt_flag": "0" if reason else "1",
            "begndate": asked["begntime"][:10],
            "enddate": "",
            "trt_chk_rslt": reason,
            "exp_content": "",
        }
        for fund in FUND_OF.get(asked["insutype"], (f"{asked['insutype']}100",))
    ]
    return Done({"trtinfo": answer})


def insurance_row(counter: Counter, person: Doc, insutype: str) -> Doc:
    """The insurance of this kind at the place that the request names; else Declined."""
    for row in person["insuinfo"]:
        place = counter.message.insuplc_admdvs
        if row["insutype"] == insutype and row["insuplc_admdvs"] == place:
            return dict(row)
    raise Declined(f"人员无该险种的参保信息，险种类型【{insutype}】")


def base_of(counter: Counter, person: Doc) -> Doc:
    """Who the person is, as 1101, 2304, 5203 and 5303 show it."""
    born = date.fromisoformat(person["brdy"])
    today = counter.now.date()
    years = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    return {
        "psn_no": person["psn_no"],
        "psn_cert_type": person["psn_cert_type"],
        "certno": person["certno"],
        "psn_name": person["psn_name"],
        "gend": person["gend"],
        "naty": "01",
        "brdy": person["brdy"],
        "age": Decimal(f"{years}.0"),
    }


def valid_identities(person: Doc, at: str) -> frozenset[str]:
    """The identity types in force at a wall-clock moment."""
    return frozenset(
        row["psn_idet_type"]
        for row in person["idetinfo"]
        if row["begntime"] <= at and (not row["endtime"] or at <= row["endtime"])
    )


def _balance(person: Doc, insutype: str) -> Any:
    return yuan(person["balc"] if insutype == EMPLOYEES else "0")


def _described(seed: Doc, area: str) -> Doc:
    certno = str(seed["certno"])
    rows = seed.get("insuinfo") or [{"insutype": seed.get("insutype", "390")}]
    return {
        "certno": certno,
        "psn_name": seed["name"],
        "psn_cert_type": seed.get("psn_cert_type", "01"),
        "gend": seed.get("gend") or ("1" if certno[16:17] in "13579" else "2"),
        "brdy": seed.get("brdy") or f"{certno[6:10]}-{certno[10:12]}-{certno[12:14]}",
        "insuinfo": [_insured(row, area) for row in rows],
        "idetinfo": [_identity(row) for row in seed.get("idetinfo") or []],
        "balc": str(yuan(seed.get("balc"))),
        "mulaid_balc": str(yuan(seed.get("mulaid_balc"))),
        "fixed": {name: str(yuan(value)) for name, value in (seed.get("fixed") or {}).items()},
        "suspended": seed.get("suspended") or "",
    }


def _insured(row: Doc, area: str) -> Doc:
    usual = {
        "psn_type": "11" if row["insutype"] == EMPLOYEES else "15",
        "psn_insu_stas": ACTIVE,
        "psn_insu_date": "2020-01-01",
        "paus_insu_date": "",
        "cvlserv_flag": "0",
        "insuplc_admdvs": area,
        "emp_name": "",
    }
    return usual | row


def _identity(row: Doc) -> Doc:
    usual = {"psn_type_lv": "", "memo": "", "begntime": "2020-01-01 00:00:00", "endtime": ""}
    return usual | row
