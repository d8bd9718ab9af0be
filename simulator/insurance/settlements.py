"""Settlement of a stay: trial 2303, settlement 2304, undo 2305 and the look at one, 5203."""

from decimal import Decimal
from typing import Any

from simulator.insurance import fees
from simulator.insurance.benefits import EMPLOYEES, FUNDS, Insured, split_stay
from simulator.insurance.counter import Counter, Doc, Done, wall
from simulator.insurance.money import ZERO, cents, yuan
from simulator.insurance.persons import base_of, valid_identities
from simulator.insurance.refusals import Declined
from simulator.insurance.wording import fund_rows, settlement_info, undo_info

HEADS = {
    "fulamt_ownpay_amt": "fulamt_ownpay",
    "overlmt_selfpay": "overlmt",
    "preselfpay_amt": "preselfpay",
    "inscp_scp_amt": "inscp",
}
NEGATED = (
    *FUNDS,
    "medfee_sumamt",
    *HEADS,
    "act_pay_dedc",
    "fund_pay_sumamt",
    "psn_part_amt",
    "acct_pay",
    "acct_mulaid_pay",
    "psn_cash_pay",
    "hosp_part_amt",
)

# A settlement is ACTIVE, UNDONE by 2305 (which adds a row of negative amounts) or ANNULLED by 2601
# (as if it had never been). A negative row is ACTIVE or ANNULLED and names what it undoes.


def trial(counter: Counter, given: Doc) -> Done:
    """2303: what 2304 would answer; nothing is kept."""
    visit, amounts = _reckon(counter, given["data"])
    if counter.profile.trial_needs_discharge and visit["state"] != "OUT":
        raise Declined("在院状态不允许预结算")
    return Done(_answer(counter, _row(counter, visit, given["data"], amounts, "")))


def settle(counter: Counter, given: Doc) -> Done:
    """2304: settles the unsettled lines, once; answers setl_id. Interim with mid_setl_flag 1."""
    asked = given["data"]
    visit, amounts = _reckon(counter, asked)
    interim = asked["mid_setl_flag"] == "1"
    if interim and visit["state"] != "IN":
        raise Declined("已办理出院，不能中途结算")
    if not interim and visit["state"] != "OUT":
        raise Declined("在院状态不允许结算")
    setl_id = f"{counter.profile.area}S{counter.number('settlement'):013d}"
    row = _row(counter, visit, asked, amounts, setl_id)
    about = {"mdtrt_id": visit["mdtrt_id"], "setl_id": setl_id}
    fault = counter.world.faults.take("insurance", "2304", ("one_sided",))
    if fault and fault.options.get("side") == "hospital":
        # The answer leaves, and the platform keeps nothing: the hospital believes in it alone.
        return Done(_answer(counter, row))
    counter.put("settlement", setl_id, row)
    _mark_lines(counter, visit["mdtrt_id"], "", setl_id)
    counter.keep_visit(visit | {"settled": "" if interim else setl_id})
    _move_balance(counter, row, -1)
    return Done(_answer(counter, row), about=about, unanswered=fault is not None)


def undo(counter: Counter, given: Doc) -> Done:
    """2305: takes a settlement back and answers every amount negative; its lines are open again."""
    asked = given["data"]
    visit = counter.visit(asked["mdtrt_id"], asked["psn_no"])
    row = _settlement(counter, asked["setl_id"], visit)
    if row["state"] != "ACTIVE":
        raise Declined("该结算记录已撤销，不能重复撤销")
    if _live(counter, visit["mdtrt_id"])[-1]["setl_id"] != row["setl_id"]:
        raise Declined("请按结算先后倒序撤销")
    _release(counter, visit, row)
    counter.put("settlement", row["setl_id"], row | {"state": "UNDONE"})
    setl_id = f"{counter.profile.area}R{counter.number('settlement'):013d}"
    negative = row | {
        "setl_id": setl_id,
        "undoes": row["setl_id"],
        "msgid": counter.message.msgid,
        "setl_time": wall(counter.now),
        "state": "ACTIVE",
        "amounts": {name: str(_negated(name, yuan(v))) for name, v in row["amounts"].items()},
    }
    negative["amounts"]["balc"] = str(_balance_after(counter, row))
    counter.put("settlement", setl_id, negative)
    output = {
        "setlinfo": undo_info(counter, negative),
        "setldetail": fund_rows(counter, negative),
    }
    return Done(output, about={"mdtrt_id": visit["mdtrt_id"], "setl_id": setl_id})


def look(counter: Counter, given: Doc) -> Done:
    """5203: one settlement by its setl_id, which is mandatory: a lost one cannot be asked for."""
    asked = given["data"]
    counter.person(asked["psn_no"])
    row = counter.get("settlement", asked["setl_id"])
    if (
        row is None
        or row["state"] == "ANNULLED"
        or (row["psn_no"], row["mdtrt_id"]) != (asked["psn_no"], asked["mdtrt_id"])
    ):
        raise Declined("未查询到结算信息")
    info = settlement_info(counter, row, _person(counter, row))
    info["psn_pay"], info["cash_payamt"] = info.pop("psn_part_amt"), info.pop("psn_cash_pay")
    info |= {
        "refd_setl_flag": "0" if row["state"] == "ACTIVE" and not row["undoes"] else "1",
        "pay_loc": "2",
        "fixmedins_code": counter.here["fixmedins_code"],
        "fixmedins_name": counter.here["fixmedins_name"],
        "begndate": row["begndate"],
        "enddate": row["enddate"],
        "year": row["setl_time"][:4],
    }
    return Done({"setlinfo": info, "setldetail": fund_rows(counter, row)})


def annul(counter: Counter, setl_id: str) -> None:
    """2601 of a 2304 or 2305: as if it had never been; Declined when something was built on it."""
    row = counter.get("settlement", setl_id) or {}
    visit = counter.get("visit", row.get("mdtrt_id", "")) or {}
    if row.get("state") != "ACTIVE":
        raise Declined("原交易已撤销，不能冲正")
    live = _live(counter, visit["mdtrt_id"])
    if not row["undoes"]:
        if live[-1]["setl_id"] != setl_id:
            raise Declined("原交易之后已有其他结算，不能冲正")
        _release(counter, visit, row)
    else:
        first = counter.get("settlement", row["undoes"]) or {}
        lines = set(fees.unsettled(counter, visit["mdtrt_id"]))
        if visit["settled"] or lines != set(first["lines"]) or visit["state"] != first["left_in"]:
            raise Declined("原交易之后就诊已有变化，不能冲正")
        counter.put("settlement", first["setl_id"], first | {"state": "ACTIVE"})
        _mark_lines(counter, visit["mdtrt_id"], "", first["setl_id"])
        interim = first["mid_setl_flag"] == "1"
        counter.keep_visit(visit | {"settled": "" if interim else first["setl_id"]})
        _move_balance(counter, first, -1)
    counter.put("settlement", setl_id, row | {"state": "ANNULLED"})


def _reckon(counter: Counter, asked: Doc) -> tuple[Doc, dict[str, Decimal]]:
    """The visit and who would pay what of its unsettled lines; Declined when it is not ready."""
    visit = counter.visit(asked["mdtrt_id"], asked["psn_no"])
    person = counter.person(asked["psn_no"])
    if visit["settled"]:
        raise Declined("该笔记录已结算")
    if asked["insutype"] != visit["insutype"]:
        raise Declined("险种类型(insutype)与入院登记不一致")
    if (asked["certno"], asked["psn_name"]) != (person["certno"], person["psn_name"]):
        raise Declined("证件号码或姓名与人员信息不一致")
    if asked["insuplc_admdvs"] != counter.message.insuplc_admdvs:
        raise Declined("参保地医保区划(insuplc_admdvs)与人员参保信息不一致")
    if asked["mdtrtarea_admvs"] != counter.profile.area:
        raise Declined("就医地医保区划(mdtrtarea_admvs)与定点医药机构不一致")
    lines = fees.unsettled(counter, visit["mdtrt_id"])
    total = fees.total_of(lines)
    if not lines:
        raise Declined("没有待结算的费用明细")
    if cents(asked["medfee_sumamt"]) != total.det:
        raise Declined("结算费用明细总额与结算信息医疗费总额不一致")
    for name, part in HEADS.items():
        if asked[name] and asked[name] != getattr(total, part):
            raise Declined(f"{name}与费用明细合计不一致")
    zero = bool(person["suspended"]) or _takes_zero(counter)
    insured = Insured(
        visit["insutype"],
        visit["cvlserv_flag"] == "1",
        valid_identities(person, visit["begntime"]),
        yuan(person["balc"]),
        yuan(person["mulaid_balc"]),
        person["fixed"],
        zero,
    )
    flag = asked["acct_used_flag"] or "0"
    return visit, split_stay(total, insured, flag, counter.profile.overlimit_borne)


def _takes_zero(counter: Counter) -> bool:
    fault = counter.world.faults.take("insurance", counter.message.infno, ("fund_zero",))
    return fault is not None


def _row(
    counter: Counter, visit: Doc, asked: Doc, amounts: dict[str, Decimal], setl_id: str
) -> Doc:
    """The settlement as the platform keeps it."""
    return {
        "setl_id": setl_id,
        "undoes": "",
        "state": "ACTIVE",
        "msgid": counter.message.msgid,
        "setl_time": wall(counter.now),
        "lines": sorted(fees.unsettled(counter, visit["mdtrt_id"])),
        "left_in": visit["state"],
        "invono": asked.get("invono", ""),
        "mid_setl_flag": asked["mid_setl_flag"],
        "begndate": visit["begntime"][:10],
        "enddate": (visit["endtime"] or wall(counter.now))[:10],
        "clr_optins": counter.profile.area,
        "clr_type": "21",
        "amounts": {name: str(value) for name, value in amounts.items()},
    } | {
        name: visit[name]
        for name in (
            "mdtrt_id",
            "psn_no",
            "insutype",
            "psn_type",
            "cvlserv_flag",
            "mdtrt_cert_type",
            "mdtrt_cert_no",
            "med_type",
            "insuplc_admdvs",
        )
    }


def _answer(counter: Counter, row: Doc) -> dict[str, Any]:
    info = settlement_info(counter, row, _person(counter, row))
    if counter.message.infno == "2303":
        del info["setl_id"]
    return {"setlinfo": info, "setldetail": fund_rows(counter, row)}


def _settlement(counter: Counter, setl_id: str, visit: Doc) -> Doc:
    row = counter.get("settlement", setl_id)
    if row is None or row["undoes"] or row["mdtrt_id"] != visit["mdtrt_id"]:
        raise Declined(f"未查询到结算信息，结算ID【{setl_id}】")
    return row


def _live(counter: Counter, mdtrt_id: str) -> list[Doc]:
    """The settlements of a visit that stand, oldest first."""
    return [
        row
        for row in counter.all("settlement")
        if row["mdtrt_id"] == mdtrt_id and row["state"] == "ACTIVE" and not row["undoes"]
    ]


def _release(counter: Counter, visit: Doc, row: Doc) -> None:
    _mark_lines(counter, visit["mdtrt_id"], row["setl_id"], "")
    counter.keep_visit(visit | {"settled": ""})
    _move_balance(counter, row, 1)


def _mark_lines(counter: Counter, mdtrt_id: str, old: str, new: str) -> None:
    kept = counter.get("fees", mdtrt_id) or {}
    for line in kept.values():
        if line["setl_id"] == old:
            line["setl_id"] = new
    counter.put("fees", mdtrt_id, kept)


def _move_balance(counter: Counter, row: Doc, sign: int) -> None:
    """Take what the accounts paid from them, or give it back."""
    person = counter.get("person", row["psn_no"]) or {}
    family = yuan(row["amounts"]["acct_mulaid_pay"])
    own = yuan(row["amounts"]["acct_pay"]) - family
    person["balc"] = str(yuan(person["balc"]) + sign * own)
    person["mulaid_balc"] = str(yuan(person["mulaid_balc"]) + sign * family)
    counter.put("person", row["psn_no"], person)


def _balance_after(counter: Counter, row: Doc) -> Decimal:
    person = _person(counter, row)
    return yuan(person["balc"]) if row["insutype"] == EMPLOYEES else ZERO


def _person(counter: Counter, row: Doc) -> Doc:
    person = counter.get("person", row["psn_no"]) or {}
    return person | base_of(counter, person)


def _negated(name: str, value: Decimal) -> Decimal:
    return ZERO - value if name in NEGATED else value
