"""Charge lines at the platform: what is taken, what each is worth, what may be withdrawn."""

from decimal import Decimal

import pytest
from sim_insurance_client import wall

SERVICE, DRUG, SUPPLY, STRANGE = "001203000010000", "XB01ABC", "C0101", "QQ77"


def parts(row):
    names = ("fulamt_ownpay_amt", "overlmt_amt", "preselfpay_amt", "inscp_scp_amt")
    return [str(Decimal(row[name])) for name in names]


def test_each_class_is_split_by_the_list(stay):
    rows = stay.upload(
        stay.charge("120.00", SERVICE),
        stay.charge("4.52", DRUG),
        stay.charge("1500", SUPPLY, "2"),
        stay.charge("30.00", STRANGE),
        stay.charge("100", "001109000010000", "1.5"),
        stay.charge("0.25", DRUG),
    )
    assert [row["chrgitm_lv"] for row in rows] == ["01", "02", "02", "03", "01", "02"]
    assert parts(rows[0]) == ["0.00", "0.00", "0.00", "120.00"]
    assert parts(rows[1]) == ["0.00", "0.00", "0.45", "4.07"]
    assert parts(rows[2]) == ["0.00", "1000.00", "400.00", "1600.00"]
    assert parts(rows[3]) == ["30.00", "0.00", "0.00", "0.00"]
    assert parts(rows[4]) == ["0.00", "60.00", "0.00", "90.00"]
    assert parts(rows[5]) == ["0.00", "0.00", "0.03", "0.22"]
    assert Decimal(rows[2]["pric_uplmt_amt"]) == 1000
    assert Decimal(rows[3]["selfpay_prop"]) == 1


def test_a_seeded_code_wins(stay):
    code = f"XSEED{stay.psn_no}"
    entry = {"med_list_codg": code, "chrgitm_lv": "02", "selfpay_prop": "0.05"}
    path = f"/_sim/insurance/{stay.platform.code}/catalogue"
    stay.platform.control("POST", path, entry)
    (row,) = stay.upload(stay.charge("4.52", code))
    assert parts(row) == ["0.00", "0.00", "0.23", "4.29"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"feedetl_sn": "A1"}, "费用明细流水号(feedetl_sn)只能为数字"),
        (
            {"feedetl_sn": "0"},
            "费用明细流水号应为不超过15位的数字且不为0，费用明细流水号【0】",
        ),
        (
            {"feedetl_sn": "1234567890123456"},
            "费用明细流水号应为不超过15位的数字且不为0，费用明细流水号【1234567890123456】",
        ),
        ({"cnt": "0"}, "数量不能为0，单价不能为负，费用明细流水号【1】"),
        ({"pric": "-1"}, "数量不能为0，单价不能为负，费用明细流水号【1】"),
        (
            {"det_item_fee_sumamt": "10.02"},
            "明细项目费用总额与数量乘以单价不一致，费用明细流水号【1】",
        ),
        (
            {"pric": "0", "det_item_fee_sumamt": "-0.01"},
            "明细项目费用总额与数量乘以单价不一致，费用明细流水号【1】",
        ),
        ({"det_item_fee_sumamt": "10.001"}, "明细项目费用总额(det_item_fee_sumamt)最多2位小数"),
        ({"cnt": ""}, "数量(cnt)不能为空"),
        ({"cnt": "1.00001"}, "数量(cnt)最多4位小数"),
        ({"pric": "many"}, "单价(pric)应为数值"),
        ({"fee_ocur_time": wall(days=4)}, "费用发生时间不能早于入院时间，费用明细流水号【1】"),
        ({"med_type": "52"}, "医疗类别与入院登记不一致，费用明细流水号【1】"),
        ({"mdtrt_id": "X"}, "同一批费用明细应属于同一次就诊，费用明细流水号【1】"),
        (
            {"init_feedetl_sn": "9"},
            "负数量明细应填写原费用流水号，正数量明细不应填写，费用明细流水号【1】",
        ),
        (
            {"cnt": "-1", "det_item_fee_sumamt": "-10"},
            "负数量明细应填写原费用流水号，正数量明细不应填写，费用明细流水号【1】",
        ),
        (
            {"cnt": "-1", "det_item_fee_sumamt": "-10", "init_feedetl_sn": "77"},
            "未查询到可退的原费用明细，费用明细流水号【1】",
        ),
    ],
)
def test_a_bad_line_refuses_the_whole_batch(stay, change, said):
    bad = stay.charge("10") | change
    good = stay.charge("10", feedetl_sn="2")
    assert stay.refused("2301", {"feedetail": [good, bad]}) == said
    assert stay.refused("2302", stay.about(feedetl_sn="2")).startswith("未查询到费用明细")


def test_a_serial_number_is_used_once_in_a_visit(stay):
    line = stay.charge("10")
    stay.upload(line)
    wanted = "费用明细流水号重复，费用明细流水号【1】"
    assert stay.refused("2301", {"feedetail": [line]}) == wanted
    twice = [stay.charge("1", feedetl_sn="5"), stay.charge("1", feedetl_sn="5")]
    assert "费用明细流水号重复" in stay.refused("2301", {"feedetail": twice})


def test_at_most_a_hundred_lines(stay):
    lines = [stay.charge("1") for _ in range(101)]
    assert stay.refused("2301", {"feedetail": lines}) == "单次上传费用明细不能超过100条"
    assert len(stay.upload(*lines[:100])) == 100


def test_giving_back(stay):
    stay.upload(stay.charge("4.52", DRUG, "10"))
    back = {"init_feedetl_sn": "1"}
    too_many = stay.charge("4.52", DRUG, "-11", **back)
    wanted = f"退费数量或金额超过原明细，费用明细流水号【{too_many['feedetl_sn']}】"
    assert stay.refused("2301", {"feedetail": [too_many]}) == wanted
    other = stay.charge("4.52", SERVICE, "-1", **back)
    assert "医疗目录编码与原明细不一致" in stay.refused("2301", {"feedetail": [other]})
    first, second = stay.upload(
        stay.charge("4.52", DRUG, "-3", **back), stay.charge("4.52", DRUG, "-7", **back)
    )
    assert parts(first) == ["0.00", "0.00", "-1.36", "-12.20"]
    assert parts(second) == ["0.00", "0.00", "-3.16", "-28.48"]
    assert stay.total == 0
    assert "退费数量或金额超过原明细" in stay.refused(
        "2301", {"feedetail": [stay.charge("4.52", DRUG, "-1", **back)]}
    )


def test_withdrawing(stay):
    stay.upload(*(stay.charge("10") for _ in range(3)))
    stay.upload(stay.charge("10", cnt="-1", init_feedetl_sn="3"))
    assert stay.refused("2302", stay.about(feedetl_sn="9")) == (
        "未查询到费用明细，费用明细流水号【9】"
    )
    assert stay.refused("2302", stay.about(feedetl_sn="3")) == (
        "该明细已有退费明细，不能撤销，费用明细流水号【3】"
    )
    assert "output" not in stay.must("2302", stay.about(feedetl_sn="4")).raw
    stay.must("2302", stay.about(feedetl_sn="3"))
    stay.must("2303", stay.payment(medfee_sumamt="20.00"))
    stay.must("2302", stay.about(feedetl_sn="0000"))
    stay.must("2302", stay.about(feedetl_sn="0000"))
    assert stay.refused("2303", stay.payment()) == "没有待结算的费用明细"
    stay.upload(stay.charge("10", feedetl_sn="1"))
