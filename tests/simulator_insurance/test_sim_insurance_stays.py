"""The order in which a stay may be registered, changed, discharged and undone."""

import pytest
from sim_insurance_client import Stay, identity_number, wall


def in_hospital(stay, psn_no=None):
    data = {
        "psn_no": stay.psn_no if psn_no is None else psn_no,
        "begntime": wall(days=3),
        "endtime": wall(),
    }
    return stay.must("5303", {"data": data}).output["data"]


def test_admission_is_found_again(stay):
    (found,) = in_hospital(stay)
    assert found["mdtrt_id"] == stay.mdtrt_id
    assert found["psn_no"] == stay.psn_no
    assert found["ipt_otp_no"].startswith("ZY")
    assert stay.mdtrt_id in {row["mdtrt_id"] for row in in_hospital(stay, "")}
    data = {"psn_no": stay.psn_no, "begntime": wall(days=9), "endtime": wall(days=8)}
    assert stay.must("5303", {"data": data}).output["data"] == []


def test_nobody_is_in_twice(stay):
    assert stay.refused("2401", stay.admission()) == "该人员已在院，不能重复办理入院"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"insutype": "310"}, "人员无该险种的参保信息，险种类型【310】"),
        ({"insuplc_admdvs": "990102"}, "参保地医保区划(insuplc_admdvs)与人员参保信息不一致"),
        ({"mdtrtarea_admvs": "990102"}, "就医地医保区划(mdtrtarea_admvs)与定点医药机构不一致"),
        ({"certno": "990101194001011234"}, "证件号码与人员信息不一致"),
        ({"med_type": "11"}, "医疗类别(med_type)的值【11】不在字典范围内"),
        ({"ipt_no": ""}, "住院号(ipt_no)不能为空"),
        ({"begntime": wall(days=-2)}, "入院时间不能晚于当前日期"),
    ],
)
def test_admission_refused(platform, change, said):
    stay = Stay(platform, platform.seed(certno=identity_number(), name="吴", insutype="390"))
    assert stay.refused("2401", stay.admission(**change)) == said
    assert in_hospital(stay) == []


def test_admission_needs_a_main_diagnosis(platform):
    stay = Stay(platform, platform.seed(certno=identity_number(), name="吴", insutype="390"))
    given = stay.admission()
    for rows, said in (
        ([], "入参节点【diseinfo】不能为空"),
        (
            [stay.diagnosis(maindiag_flag="0")],
            "诊断信息(diseinfo)应有且只有一个主诊断",
        ),
        (
            [stay.diagnosis(), stay.diagnosis(maindiag_flag="0")],
            "诊断排序号(diag_srt_no)重复",
        ),
        (
            [stay.diagnosis(psn_no="other")],
            "诊断信息(diseinfo)与就诊信息不是同一人或同一次就诊",
        ),
    ):
        assert stay.refused("2401", given | {"diseinfo": rows}) == said


def test_paused_cover_does_not_admit(platform):
    rows = [{"insutype": "310", "psn_insu_stas": "2"}, {"insutype": "390"}]
    person = platform.seed(certno=identity_number(), name="郑", insuinfo=rows)
    stay = Stay(platform, person, "310")
    assert stay.refused("2401", stay.admission()) == "人员参保状态异常，不能办理入院"
    stay.insutype = "390"
    stay.must("2401", stay.admission())


def test_change(stay):
    given = stay.admission(adm_bed="15")
    admission = given["mdtrtinfo"] | {"mdtrt_id": stay.mdtrt_id, "ipt_otp_no": "ZY-NEW"}
    more = stay.diagnosis(mdtrt_id=stay.mdtrt_id, diag_srt_no=2, maindiag_flag="0")
    assert "output" not in stay.must("2403", {"adminfo": admission, "diseinfo": [more]}).raw
    stay.must("2403", {"adminfo": admission})
    assert in_hospital(stay)[0]["ipt_otp_no"] == "ZY-NEW"


def test_discharge_once_and_back(stay):
    assert stay.refused("2405", stay.about()) == "该就诊未办理出院，不能撤销出院"
    assert "output" not in stay.must("2402", stay.discharge()).raw
    assert in_hospital(stay) == []
    assert stay.refused("2402", stay.discharge()) == "该就诊已办理出院，不能重复办理出院"
    assert stay.refused("2404", stay.about()) == "该就诊已办理出院，不能撤销入院"
    line = {"feedetail": [stay.charge("5")]}
    wanted = "该就诊已办理出院，不能上传或撤销费用明细"
    assert stay.refused("2301", line) == wanted
    assert stay.refused("2302", stay.about(feedetl_sn="0000")) == wanted
    stay.must("2405", stay.about())
    assert len(in_hospital(stay)) == 1
    assert stay.refused("2405", stay.about()) == "该就诊未办理出院，不能撤销出院"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"endtime": wall(days=9)}, "出院时间不能早于入院时间或晚于当前日期"),
        ({"dscg_way": "5"}, "离院方式为死亡时，死亡日期(die_date)不能为空"),
        ({"dscg_way": "8"}, "离院方式(dscg_way)的值【8】不在字典范围内"),
        ({"insutype": "310"}, "险种类型(insutype)与入院登记不一致"),
        ({"mdtrt_id": "X"}, "未查询到就诊信息，就诊ID【X】"),
    ],
)
def test_discharge_refused(stay, change, said):
    assert stay.refused("2402", stay.discharge(**change)) == said
    assert len(in_hospital(stay)) == 1


def test_cancelled_admission_is_gone(stay):
    stay.upload(stay.charge("8"))
    assert stay.refused("2404", stay.about()) == "存在未撤销的费用明细，不能撤销入院"
    stay.must("2302", stay.about(feedetl_sn="0000"))
    stay.must("2404", stay.about())
    assert in_hospital(stay) == []
    wanted = f"未查询到就诊信息，就诊ID【{stay.mdtrt_id}】"
    assert stay.refused("2404", stay.about()) == wanted
    assert stay.refused("2301", {"feedetail": [stay.charge("8")]}) == wanted
    stay.must("2401", stay.admission())


def test_a_second_stay_blocks_the_way_back_into_the_first(stay):
    stay.must("2402", stay.discharge())
    first = stay.about()
    stay.must("2401", stay.admission())
    assert stay.refused("2405", first) == "该人员已有其他在院登记，不能撤销出院"


def test_another_persons_stay_is_not_found(stay):
    other = Stay.of_new_person(stay.platform)
    stolen = other.about(mdtrt_id=stay.mdtrt_id)
    wanted = f"未查询到就诊信息，就诊ID【{stay.mdtrt_id}】"
    assert other.refused("2404", stolen) == wanted


def test_a_stay_is_asked_about_with_its_place(platform):
    rows = [{"insutype": "390"}, {"insutype": "310", "insuplc_admdvs": "990102"}]
    person = platform.seed(certno=identity_number(), name="冯", insuinfo=rows)
    stay = Stay(platform, person)
    stay.must("2401", stay.admission())
    stay.place = "990102"
    wanted = "参保地医保区划(insuplc_admdvs)与就诊登记时不一致"
    assert stay.refused("2404", stay.about()) == wanted
    stay.place = ""
    assert stay.refused("2404", stay.about()) == "参保地医保区划(insuplc_admdvs)不能为空"
