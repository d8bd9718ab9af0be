"""Trial, settlement and undo: who pays, and what may not be done twice."""

from decimal import Decimal

from sim_insurance_client import Stay, identity_number, wall

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
HOSPITAL_OR_ACCOUNT = ("3102", "9999", "6301", "6401")


def assert_invariants(output):
    """I1 to I4 and I7 on any answer of 2303, 2304 or 2305."""
    info = output["setlinfo"]

    def of(name, other=""):
        value = info[name] if info.get(name) is not None else info[other]
        return Decimal(value)

    personal = of("psn_part_amt", "psn_pay")
    borne = of("hosp_part_amt", "ownpay_hosp_part")
    assert of("medfee_sumamt") == of("fund_pay_sumamt") + personal + borne
    assert of("fund_pay_sumamt") == sum(of(name) for name in FUNDS)
    assert personal == of("acct_pay") + of("psn_cash_pay")
    scope = ("fulamt_ownpay_amt", "overlmt_selfpay", "preselfpay_amt", "inscp_scp_amt")
    assert of("medfee_sumamt") == sum(of(name) for name in scope)
    rows = output["setldetail"]
    funds = [row for row in rows if not row["fund_pay_type"].startswith(HOSPITAL_OR_ACCOUNT)]
    assert of("fund_pay_sumamt") == sum(Decimal(row["fund_payamt"]) for row in funds)


def amounts(output, *names):
    return [str(Decimal(output["setlinfo"][name])) for name in names]


def test_a_resident_by_the_invented_terms(stay):
    output = stay.settle(stay.charge("10000"), stay.charge("50", "QQ77"))
    assert_invariants(output)
    assert amounts(output, "medfee_sumamt", "act_pay_dedc", "hifp_pay", "hifmi_pay") == [
        "10050.00",
        "400.00",
        "6720.00",
        "0.00",
    ]
    assert amounts(output, "psn_part_amt", "psn_cash_pay", "acct_pay", "hosp_part_amt") == [
        "3330.00",
        "3330.00",
        "0.00",
        "0.00",
    ]
    assert output["setlinfo"]["medins_setl_id"] == stay.platform.settlements()[-1]["msgid"]


def test_critical_illness_and_medical_aid(platform):
    poor = [{"psn_idet_type": "2302"}]
    stay = Stay.of_new_person(platform, idetinfo=poor)
    output = stay.settle(stay.charge("50000"))
    assert_invariants(output)
    # no deductible; 70 % pooled; 60 % of what is above 7,000; 80 % aid of the rest
    assert amounts(output, "act_pay_dedc", "hifp_pay", "hifmi_pay", "maf_pay") == [
        "0.00",
        "35000.00",
        "4800.00",
        "8160.00",
    ]
    assert amounts(output, "psn_cash_pay") == ["2040.00"]
    codes = {row["fund_pay_type"][:4] for row in output["setldetail"]}
    assert codes == {"3901", "3902", "6101"}


def test_an_ended_identity_gives_no_aid(platform):
    ended = [{"psn_idet_type": "2304", "endtime": wall(days=90)}]
    stay = Stay.of_new_person(platform, idetinfo=ended)
    output = stay.settle(stay.charge("1000"))
    assert amounts(output, "maf_pay", "act_pay_dedc") == ["0.00", "400.00"]


def test_an_employees_account(platform):
    stay = Stay.of_new_person(platform, "310", balc="100.00")
    stay.upload(stay.charge("2000"), stay.charge("40", "QQ77"))
    trial = stay.must("2303", stay.payment(acct_used_flag="1")).output
    assert amounts(trial, "acct_pay", "balc") == ["100.00", "0.00"]
    output = stay.settle(acct_used_flag="1")
    assert_invariants(output)
    # 800 deductible, 85 % of 1,200; 980 in scope and 40 outside stay with the person
    assert amounts(output, "hifp_pay", "psn_part_amt", "acct_pay", "psn_cash_pay", "balc") == [
        "1020.00",
        "1020.00",
        "100.00",
        "920.00",
        "0.00",
    ]
    tail = "00" if platform.is_csb else "01"
    assert {row["fund_pay_type"] for row in output["setldetail"]} == {
        f"3101{tail}",
        f"3102{tail}",
    }
    back = stay.must("2305", stay.about(setl_id=stay.setl_id)).output
    assert amounts(back, "acct_pay", "balc") == ["-100.00", "100.00"]


def test_family_account(platform):
    stay = Stay.of_new_person(platform, "310", balc="10", mulaid_balc="500")
    output = stay.settle(stay.charge("800"), acct_used_flag="2")
    assert_invariants(output)
    assert amounts(output, "acct_pay", "acct_mulaid_pay", "psn_cash_pay", "balc") == [
        "510.00",
        "500.00",
        "290.00",
        "0.00",
    ]


def test_a_civil_servant(platform):
    rows = [{"insutype": "310", "cvlserv_flag": "1"}]
    stay = Stay.of_new_person(platform, "310", insuinfo=rows)
    output = stay.settle(stay.charge("1800"))
    assert amounts(output, "hifp_pay", "cvlserv_pay", "psn_cash_pay") == [
        "850.00",
        "75.00",
        "875.00",
    ]


def test_above_a_ceiling_the_hospital_may_bear_a_share(guizhou, chongqing):
    for platform, borne, personal in ((guizhou, "0.00", "820.00"), (chongqing, "50.00", "770.00")):
        stay = Stay.of_new_person(platform)
        # 1,100 with a ceiling of 1,000: 100 above, 200 first share, 800 in scope
        output = stay.settle(stay.charge("1100", "C0101"))
        assert_invariants(output)
        assert amounts(output, "hifp_pay", "hosp_part_amt", "psn_part_amt") == [
            "280.00",
            borne,
            personal,
        ]
        codes = [row["fund_pay_type"] for row in output["setldetail"]]
        assert ("999996" in codes) is (platform is chongqing)


def test_seeded_amounts_come_whatever_the_lines(platform):
    wanted = {"hifp_pay": "7000.00", "hifmi_pay": "1500.00", "maf_pay": "0.00"}
    stay = Stay.of_new_person(platform, fixed=wanted)
    output = stay.settle(stay.charge("3000", "QQ77", "4"))
    assert_invariants(output)
    assert amounts(output, "medfee_sumamt", "hifp_pay", "hifmi_pay", "psn_cash_pay") == [
        "12000.00",
        "7000.00",
        "1500.00",
        "3500.00",
    ]


def test_seeded_amounts_never_exceed_the_bill(platform):
    wanted = {"hifp_pay": "700", "hifmi_pay": "300", "hosp_part_amt": "50"}
    stay = Stay.of_new_person(platform, fixed=wanted)
    output = stay.settle(stay.charge("800"))
    assert_invariants(output)
    assert amounts(output, "hosp_part_amt", "hifp_pay", "hifmi_pay", "psn_part_amt") == [
        "50.00",
        "700.00",
        "50.00",
        "0.00",
    ]


def test_the_order_is_kept(stay):
    assert stay.refused("2303", stay.payment()) == "没有待结算的费用明细"
    stay.upload(stay.charge("500"))
    stay.must("2303", stay.payment())
    assert stay.refused("2304", stay.payment()) == "在院状态不允许结算"
    stay.must("2402", stay.discharge())
    trial = stay.must("2303", stay.payment()).output
    assert "setl_id" not in trial["setlinfo"]
    wanted = "结算费用明细总额与结算信息医疗费总额不一致"
    assert stay.refused("2304", stay.payment(medfee_sumamt="499.99")) == wanted
    assert stay.refused("2303", stay.payment(medfee_sumamt="500.01")) == wanted
    said = stay.refused("2304", stay.payment(inscp_scp_amt="499"))
    assert said == "inscp_scp_amt与费用明细合计不一致"
    assert stay.refused("2304", stay.payment(psn_name="别人")) == "证件号码或姓名与人员信息不一致"
    assert stay.mdtrt_id not in {row["mdtrt_id"] for row in stay.platform.settlements()}
    settled = stay.must("2304", stay.payment()).output
    same = ("fund_pay_sumamt", "psn_cash_pay", "psn_part_amt")
    assert amounts(settled, *same) == amounts(trial, *same)
    assert stay.refused("2304", stay.payment()) == "该笔记录已结算"
    assert stay.refused("2303", stay.payment()) == "该笔记录已结算"
    assert stay.refused("2405", stay.about()) == "该就诊已结算，请先撤销结算"
    assert stay.refused("2404", stay.about()) == "该就诊已结算，不能撤销入院"
    line = {"feedetail": [stay.charge("5")]}
    assert stay.refused("2301", line) == "该就诊已结算，不能上传或撤销费用明细"
    for sn in ("1", "0000"):
        said = stay.refused("2302", stay.about(feedetl_sn=sn))
        assert said == "费用明细已结算，不能撤销"


def test_full_rollback(stay):
    stay.settle(stay.charge("500"))
    assert stay.refused("2305", stay.about(setl_id="X")) == "未查询到结算信息，结算ID【X】"
    stay.must("2305", stay.about(setl_id=stay.setl_id))
    said = stay.refused("2305", stay.about(setl_id=stay.setl_id))
    assert said == "该结算记录已撤销，不能重复撤销"
    assert stay.refused("2302", stay.about(feedetl_sn="0000")) == (
        "该就诊已办理出院，不能上传或撤销费用明细"
    )
    stay.must("2405", stay.about())
    stay.must("2302", stay.about(feedetl_sn="0000"))
    stay.must("2404", stay.about())


def test_undo_is_the_negative_and_settling_again_is_possible(stay):
    first = stay.settle(stay.charge("2000", "C0101"), stay.charge("300"))
    undone = stay.must("2305", stay.about(setl_id=stay.setl_id)).output
    assert_invariants(undone)
    local = {"psn_part_amt": "psn_pay", "hosp_part_amt": "ownpay_hosp_part"}
    for name in (*FUNDS, "medfee_sumamt", "fund_pay_sumamt", "acct_pay", "psn_cash_pay", *local):
        value = undone["setlinfo"][name]
        if value is None:
            assert not stay.platform.is_csb
            value = undone["setlinfo"][local[name]]
        assert Decimal(value) == -Decimal(first["setlinfo"][name]), name
    rows = {row["fund_pay_type"]: Decimal(row["fund_payamt"]) for row in first["setldetail"]}
    back = {row["fund_pay_type"]: -Decimal(row["fund_payamt"]) for row in undone["setldetail"]}
    assert back == rows
    assert undone["setlinfo"]["setl_id"] != stay.setl_id
    again = stay.must("2304", stay.payment()).output
    assert again["setlinfo"]["setl_id"] != first["setlinfo"]["setl_id"]
    assert amounts(again, "psn_cash_pay") == amounts(first, "psn_cash_pay")


def test_the_chongqing_way_of_undoing(chongqing, guizhou):
    def undone(platform):
        stay = Stay.of_new_person(platform)
        stay.settle(stay.charge("500"), stay.charge("10", "QQ77"))
        return stay.must("2305", stay.about(setl_id=stay.setl_id)).output["setlinfo"]

    info = undone(chongqing)
    assert (info["psn_part_amt"], info["hosp_part_amt"]) == (None, None)
    assert (info["psn_pay"], info["ownpay_hosp_part"]) == ("-440.00", "0.00")
    info = undone(guizhou)
    assert info["psn_part_amt"] == Decimal("-440.00")
    assert "psn_pay" not in info


def test_5203_looks_by_setl_id(stay):
    stay.settle(stay.charge("500"))
    given = stay.about(setl_id=stay.setl_id)
    info = stay.must("5203", given).output["setlinfo"]
    assert (info["setl_id"], info["refd_setl_flag"]) == (stay.setl_id, "0")
    assert "psn_part_amt" not in info
    assert Decimal(info["psn_pay"]) == Decimal(info["cash_payamt"]) + Decimal(info["acct_pay"])
    assert stay.refused("5203", stay.about(setl_id="")) == "结算ID(setl_id)不能为空"
    assert stay.refused("5203", stay.about(setl_id="X")) == "未查询到结算信息"
    stay.must("2305", stay.about(setl_id=stay.setl_id))
    assert stay.must("5203", given).output["setlinfo"]["refd_setl_flag"] == "1"


def test_interim_settlement(stay):
    stay.upload(stay.charge("600"))
    stay.must("2304", stay.payment(mid_setl_flag="1"))
    first = stay.setl_id
    assert stay.refused("2302", stay.about(feedetl_sn="1")) == "费用明细已结算，不能撤销"
    stay.total = Decimal("0.00")
    stay.upload(stay.charge("70"))
    stay.must("2402", stay.discharge())
    assert stay.refused("2304", stay.payment(mid_setl_flag="1")) == "已办理出院，不能中途结算"
    output = stay.must("2304", stay.payment()).output
    assert amounts(output, "medfee_sumamt") == ["70.00"]
    assert stay.refused("2305", stay.about(setl_id=first)) == "请按结算先后倒序撤销"
    stay.must("2305", stay.about(setl_id=stay.setl_id))
    stay.must("2305", stay.about(setl_id=first))
    output = stay.must("2303", stay.payment(medfee_sumamt="670.00")).output
    assert_invariants(output)


def test_a_suspended_person_is_paid_nothing(platform):
    stay = Stay.of_new_person(platform, suspended="待遇暂停")
    output = stay.settle(stay.charge("500"))
    assert_invariants(output)
    assert amounts(output, "fund_pay_sumamt", "psn_cash_pay") == ["0.00", "500.00"]
    assert output["setldetail"] == []


def test_amounts_of_the_written_example_can_be_seeded(guizhou):
    funds = {"hifp_pay": "7000.00", "hifmi_pay": "1500.00", "maf_pay": "2200.00"}
    stay = Stay.of_new_person(guizhou, fixed=funds)
    output = stay.settle(stay.charge("12000"))
    assert amounts(output, "fund_pay_sumamt", "psn_cash_pay") == ["10700.00", "1300.00"]


def test_books_follow(platform):
    before = platform.control("GET", "/_sim/books")["insurance"][platform.code]
    stay = Stay.of_new_person(platform, certno=identity_number(), fixed={"hifp_pay": "60"})
    stay.settle(stay.charge("100"))
    after = platform.control("GET", "/_sim/books")["insurance"][platform.code]
    assert after["fund_pay_sumamt_fen"] - before["fund_pay_sumamt_fen"] == 6000
    assert after["medfee_sumamt_fen"] - before["medfee_sumamt_fen"] == 10000
    stay.must("2305", stay.about(setl_id=stay.setl_id))
    level = platform.control("GET", "/_sim/books")["insurance"][platform.code]
    assert level["medfee_sumamt_fen"] == before["medfee_sumamt_fen"]
    assert level["rows"] == before["rows"] + 2
