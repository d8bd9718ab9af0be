"""Charge lines of a stay: upload 2301 and withdrawal 2302."""

from decimal import Decimal
from typing import Any

from simulator.insurance import lines
from simulator.insurance.counter import Counter, Doc, Done
from simulator.insurance.lines import Parts
from simulator.insurance.money import CENT, ZERO, cents, yuan
from simulator.insurance.refusals import Declined

MOST_LINES = 100
ALL_LINES = "0000"


def upload(counter: Counter, given: Doc) -> Done:
    """2301: takes up to 100 lines, all or none; answers what each is worth under the price list."""
    rows = given["feedetail"]
    if len(rows) > MOST_LINES:
        raise Declined(f"单次上传费用明细不能超过{MOST_LINES}条")
    visit = counter.visit(rows[0]["mdtrt_id"], rows[0]["psn_no"])
    must_be_open(visit)
    fees = counter.get("fees", visit["mdtrt_id"]) or {}
    items = {doc["med_list_codg"]: doc for doc in counter.all("catalogue")}
    answer = []
    for row in rows:
        sn = _checked_number(row, visit, fees)
        item = lines.find_item(items, row["med_list_codg"])
        parts = _worth(row, fees, item)
        fees[sn] = _kept(row, parts)
        answer.append(_shown(sn, row, parts, item))
    counter.put("fees", visit["mdtrt_id"], fees)
    return Done({"result": answer}, about={"mdtrt_id": visit["mdtrt_id"]})


def withdraw(counter: Counter, given: Doc) -> Done:
    """2302: takes one unsettled line away, or with "0000" all of them."""
    asked = given["data"]
    visit = counter.visit(asked["mdtrt_id"], asked["psn_no"])
    fees = counter.get("fees", visit["mdtrt_id"]) or {}
    sn = asked["feedetl_sn"]
    if sn != ALL_LINES and sn not in fees:
        raise Declined(f"未查询到费用明细，费用明细流水号【{sn}】")
    wanted = list(fees) if sn == ALL_LINES else [sn]
    if visit["settled"] or (sn != ALL_LINES and fees[sn]["setl_id"]):
        raise Declined("费用明细已结算，不能撤销")
    must_be_open(visit)
    if any(line["init_feedetl_sn"] == sn for line in fees.values()):
        raise Declined(f"该明细已有退费明细，不能撤销，费用明细流水号【{sn}】")
    kept = {key: line for key, line in fees.items() if key not in wanted or line["setl_id"]}
    counter.put("fees", visit["mdtrt_id"], kept)
    return Done()


def unsettled(counter: Counter, mdtrt_id: str) -> dict[str, Doc]:
    """The lines of a stay that no settlement holds yet, by serial number."""
    fees = counter.get("fees", mdtrt_id) or {}
    return {sn: line for sn, line in fees.items() if not line["setl_id"]}


def total_of(fees: dict[str, Doc]) -> Parts:
    """The four parts of all these lines together (I6)."""
    return sum((_parts(line) for line in fees.values()), Parts())


def must_be_open(visit: Doc) -> None:
    """Declined unless charges may still come or go: the patient is in and the stay not settled."""
    if visit["settled"]:
        raise Declined("该就诊已结算，不能上传或撤销费用明细")
    if visit["state"] != "IN":
        raise Declined("该就诊已办理出院，不能上传或撤销费用明细")


def _checked_number(row: Doc, visit: Doc, fees: dict[str, Doc]) -> str:
    """The line's serial number, when the line as such is in order."""
    sn = str(row["feedetl_sn"])
    where = f"，费用明细流水号【{sn}】"
    if row["mdtrt_id"] != visit["mdtrt_id"] or row["psn_no"] != visit["psn_no"]:
        raise Declined(f"同一批费用明细应属于同一次就诊{where}")
    if len(sn) > 15 or not sn.strip("0"):
        raise Declined(f"费用明细流水号应为不超过15位的数字且不为0{where}")
    if sn in fees:
        raise Declined(f"费用明细流水号重复{where}")
    if row["med_type"] != visit["med_type"]:
        raise Declined(f"医疗类别与入院登记不一致{where}")
    if row["fee_ocur_time"][:10] < visit["begntime"][:10]:
        raise Declined(f"费用发生时间不能早于入院时间{where}")
    if row["cnt"] == 0 or row["pric"] < 0:
        raise Declined(f"数量不能为0，单价不能为负{where}")
    det = cents(row["det_item_fee_sumamt"])
    if abs(cents(row["cnt"] * row["pric"]) - det) > CENT or det * row["cnt"] < 0:
        raise Declined(f"明细项目费用总额与数量乘以单价不一致{where}")
    if (row["cnt"] < 0) != bool(row["init_feedetl_sn"]):
        raise Declined(f"负数量明细应填写原费用流水号，正数量明细不应填写{where}")
    return sn


def _worth(row: Doc, fees: dict[str, Doc], item: lines.Item) -> Parts:
    det, cnt, pric = cents(row["det_item_fee_sumamt"]), row["cnt"], row["pric"]
    if cnt > 0:
        return lines.charged(item, det, cnt, pric)
    where = f"，费用明细流水号【{row['feedetl_sn']}】"
    first = fees.get(row["init_feedetl_sn"])
    if first is None or first["init_feedetl_sn"] or first["setl_id"]:
        raise Declined(f"未查询到可退的原费用明细{where}")
    if first["med_list_codg"] != row["med_list_codg"]:
        raise Declined(f"退费明细的医疗目录编码与原明细不一致{where}")
    family = [first]
    family += [line for line in fees.values() if line["init_feedetl_sn"] == row["init_feedetl_sn"]]
    left = sum((_parts(line) for line in family), Parts())
    left_cnt = sum((Decimal(line["cnt"]) for line in family), ZERO)
    if -cnt > left_cnt or -det > left.det:
        raise Declined(f"退费数量或金额超过原明细{where}")
    return lines.given_back(item, -det, -cnt, pric, left)


def _parts(line: Doc) -> Parts:
    return Parts(*(yuan(value) for value in line["parts"]))


def _kept(row: Doc, parts: Parts) -> Doc:
    return {
        "med_list_codg": row["med_list_codg"],
        "init_feedetl_sn": row["init_feedetl_sn"],
        "cnt": str(row["cnt"]),
        "parts": [
            str(value)
            for value in (
                parts.det,
                parts.fulamt_ownpay,
                parts.overlmt,
                parts.preselfpay,
                parts.inscp,
            )
        ],
        "setl_id": "",
    }


def _shown(sn: str, row: Doc, parts: Parts, item: lines.Item) -> dict[str, Any]:
    return {
        "feedetl_sn": sn,
        "det_item_fee_sumamt": parts.det,
        "cnt": row["cnt"],
        "pric": row["pric"],
        "pric_uplmt_amt": item.pric_uplmt_amt,
        "selfpay_prop": Decimal(1) if item.outside else item.selfpay_prop,
        "fulamt_ownpay_amt": parts.fulamt_ownpay,
        "overlmt_amt": parts.overlmt,
        "preselfpay_amt": parts.preselfpay,
        "inscp_scp_amt": parts.inscp,
        "chrgitm_lv": item.chrgitm_lv,
        "med_chrgitm_type": item.med_chrgitm_type,
        "bas_medn_flag": "0",
        "hi_nego_drug_flag": "0",
        "chld_medc_flag": "0",
        "list_sp_item_flag": "0",
        "lmt_used_flag": "0",
        "drt_reim_flag": "0",
        "memo": "",
        "exp_content": "",
    }
