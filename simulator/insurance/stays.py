"""The stay: admission 2401, change 2403, discharge 2402, their undoing 2404 and 2405, and 5303."""

from simulator.insurance.counter import Counter, Doc, Done
from simulator.insurance.persons import ACTIVE, base_of, insurance_row
from simulator.insurance.refusals import Declined

# A visit is IN, then OUT; CANCELLED by 2404. ``settled`` names the settlement that closed it.
ADMISSION_FACTS = (
    "begntime",
    "med_type",
    "medrcdno",
    "chfpdr_name",
    "adm_dept_codg",
    "adm_dept_name",
    "adm_bed",
    "dscg_maindiag_code",
    "dscg_maindiag_name",
)


def admit(counter: Counter, given: Doc) -> Done:
    """2401: registers a stay; answers its mdtrt_id."""
    asked = given["mdtrtinfo"]
    person = counter.person(asked["psn_no"])
    row = insurance_row(counter, person, asked["insutype"])
    if row["psn_insu_stas"] != ACTIVE:
        raise Declined("人员参保状态异常，不能办理入院")
    if asked["insuplc_admdvs"] != counter.message.insuplc_admdvs:
        raise Declined("参保地医保区划(insuplc_admdvs)与人员参保信息不一致")
    if asked["mdtrtarea_admvs"] != counter.profile.area:
        raise Declined("就医地医保区划(mdtrtarea_admvs)与定点医药机构不一致")
    if asked["certno"] != person["certno"]:
        raise Declined("证件号码与人员信息不一致")
    if person["admitted"]:
        raise Declined("该人员已在院，不能重复办理入院")
    if asked["begntime"] > counter.now.strftime("%Y-%m-%d 23:59:59"):
        raise Declined("入院时间不能晚于当前日期")
    _check_diagnoses(given["diseinfo"], asked["psn_no"], "")
    mdtrt_id = f"{counter.profile.area}G{counter.number('visit'):013d}"
    visit = {name: asked[name] for name in ADMISSION_FACTS} | {
        "mdtrt_id": mdtrt_id,
        "psn_no": person["psn_no"],
        "insutype": asked["insutype"],
        "insuplc_admdvs": asked["insuplc_admdvs"],
        "mdtrt_cert_type": asked["mdtrt_cert_type"],
        "mdtrt_cert_no": asked["mdtrt_cert_no"],
        "ipt_otp_no": asked["ipt_no"],
        "psn_type": row["psn_type"],
        "cvlserv_flag": row["cvlserv_flag"],
        "diseinfo": {str(one["diag_srt_no"]): one["diag_code"] for one in given["diseinfo"]},
        "state": "IN",
        "settled": "",
        "endtime": "",
    }
    counter.keep_visit(visit)
    _person_is_in(counter, person, mdtrt_id)
    return Done({"result": {"mdtrt_id": mdtrt_id, "exp_content": ""}}, about={"mdtrt_id": mdtrt_id})


def change(counter: Counter, given: Doc) -> Done:
    """2403: changes the admission's facts; a diagnosis of the same diag_srt_no is replaced."""
    asked = given["adminfo"]
    visit = counter.visit(asked["mdtrt_id"], asked["psn_no"])
    _must_be_in(visit, "不能变更住院信息")
    if given["diseinfo"]:
        for one in given["diseinfo"]:
            _check_owner(one, visit["psn_no"], visit["mdtrt_id"])
    visit |= {name: asked[name] for name in ADMISSION_FACTS}
    visit["ipt_otp_no"] = asked["ipt_otp_no"]
    visit["diseinfo"] |= {str(one["diag_srt_no"]): one["diag_code"] for one in given["diseinfo"]}
    counter.keep_visit(visit)
    return Done()


def cancel(counter: Counter, given: Doc) -> Done:
    """2404: takes the admission back; nothing may lie on it any more."""
    asked = given["data"]
    cancel_visit(counter, counter.visit(asked["mdtrt_id"], asked["psn_no"]))
    return Done()


def cancel_visit(counter: Counter, visit: Doc) -> None:
    """End a visit as if it had never been; Declined while it has charges or is discharged."""
    _must_be_in(visit, "不能撤销入院")
    if counter.get("fees", visit["mdtrt_id"]):
        raise Declined("存在未撤销的费用明细，不能撤销入院")
    visit["state"] = "CANCELLED"
    counter.keep_visit(visit)
    _person_is_in(counter, counter.person(visit["psn_no"]), "")


def discharge(counter: Counter, given: Doc) -> Done:
    """2402: the patient leaves; settlement may follow."""
    asked = given["dscginfo"]
    visit = counter.visit(asked["mdtrt_id"], asked["psn_no"])
    _must_be_in(visit, "不能重复办理出院")
    if asked["insutype"] != visit["insutype"]:
        raise Declined("险种类型(insutype)与入院登记不一致")
    if not visit["begntime"] <= asked["endtime"] <= counter.now.strftime("%Y-%m-%d 23:59:59"):
        raise Declined("出院时间不能早于入院时间或晚于当前日期")
    if asked["dscg_way"] == "5" and not asked["die_date"]:
        raise Declined("离院方式为死亡时，死亡日期(die_date)不能为空")
    _check_diagnoses(given["diseinfo"], visit["psn_no"], visit["mdtrt_id"])
    visit |= {"state": "OUT", "endtime": asked["endtime"], "dscg_way": asked["dscg_way"]}
    counter.keep_visit(visit)
    _person_is_in(counter, counter.person(visit["psn_no"]), "")
    return Done()


def take_back_discharge(counter: Counter, given: Doc) -> Done:
    """2405: the patient is in again; not while the stay is settled."""
    asked = given["data"]
    visit = counter.visit(asked["mdtrt_id"], asked["psn_no"])
    if visit["settled"]:
        raise Declined("该就诊已结算，请先撤销结算")
    if visit["state"] != "OUT":
        raise Declined("该就诊未办理出院，不能撤销出院")
    person = counter.person(visit["psn_no"])
    if person["admitted"]:
        raise Declined("该人员已有其他在院登记，不能撤销出院")
    visit |= {"state": "IN", "endtime": ""}
    counter.keep_visit(visit)
    _person_is_in(counter, person, visit["mdtrt_id"])
    return Done()


def list_stays(counter: Counter, given: Doc) -> Done:
    """5303: who is in this hospital now, admitted in the period; of one person or of all."""
    asked = given["data"]
    if asked["psn_no"]:
        counter.person(asked["psn_no"])
    if asked["begntime"] > asked["endtime"]:
        raise Declined("结束时间不能早于开始时间")
    found = []
    for visit in counter.all("visit"):
        if visit["state"] != "IN" or asked["psn_no"] not in ("", visit["psn_no"]):
            continue
        if asked["begntime"][:10] <= visit["begntime"][:10] <= asked["endtime"][:10]:
            person = counter.get("person", visit["psn_no"]) or {}
            found.append(_shown(counter, visit, person))
    return Done({"data": found})


def _shown(counter: Counter, visit: Doc, person: Doc) -> Doc:
    base = base_of(counter, person)
    base.pop("naty")
    return base | {
        "mdtrt_id": visit["mdtrt_id"],
        "insutype": visit["insutype"],
        "begndate": visit["begntime"][:10],
        "med_type": visit["med_type"],
        "ipt_otp_no": visit["ipt_otp_no"],
        "out_flag": "0" if visit["insuplc_admdvs"] == counter.profile.area else "1",
    }


def _must_be_in(visit: Doc, so: str) -> None:
    if visit["settled"]:
        raise Declined(f"该就诊已结算，{so}")
    if visit["state"] != "IN":
        raise Declined(f"该就诊已办理出院，{so}")


def _check_diagnoses(rows: list[Doc], psn_no: str, mdtrt_id: str) -> None:
    if sum(row["maindiag_flag"] == "1" for row in rows) != 1:
        raise Declined("诊断信息(diseinfo)应有且只有一个主诊断")
    if len({row["diag_srt_no"] for row in rows}) != len(rows):
        raise Declined("诊断排序号(diag_srt_no)重复")
    for row in rows:
        _check_owner(row, psn_no, mdtrt_id)


def _check_owner(row: Doc, psn_no: str, mdtrt_id: str) -> None:
    if row["psn_no"] != psn_no or row.get("mdtrt_id", "") != mdtrt_id:
        raise Declined("诊断信息(diseinfo)与就诊信息不是同一人或同一次就诊")


def _person_is_in(counter: Counter, person: Doc, mdtrt_id: str) -> None:
    counter.put("person", person["psn_no"], person | {"admitted": mdtrt_id})
