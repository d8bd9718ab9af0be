"""2601: taking back by message id what was never answered, and only what may be taken back."""

from sim_insurance_client import Stay, identity_number, wall


def not_found(msgid):
    return f"未查询到原交易信息，原发送方报文ID【{msgid}】"


def test_a_settlement_is_as_if_it_had_never_been(stay):
    stay.upload(stay.charge("500"))
    stay.must("2402", stay.discharge())
    settled = stay.must("2304", stay.payment())
    assert "output" not in stay.must("2601", stay.reversal(settled.msgid, "2304")).raw
    assert stay.refused("5203", stay.about(setl_id=stay.setl_id)) == "未查询到结算信息"
    assert stay.platform.settlements()[-1]["state"] == "ANNULLED"
    again = stay.must("2304", stay.payment())
    assert again.output["setlinfo"]["setl_id"] != settled.output["setlinfo"]["setl_id"]
    wanted = not_found(settled.msgid)
    assert stay.refused("2601", stay.reversal(settled.msgid, "2304")) == wanted


def test_what_never_arrived_is_not_found(stay):
    msgid = stay.platform.msgid()
    assert stay.refused("2601", stay.reversal(msgid, "2304")) == not_found(msgid)


def test_what_was_refused_is_not_found(stay):
    no = stay.ask("2304", stay.payment())
    assert no.code == "-1"
    assert stay.refused("2601", stay.reversal(no.msgid, "2304")) == not_found(no.msgid)


def test_another_persons_or_transactions_message_is_not_found(stay):
    stay.upload(stay.charge("500"))
    stay.must("2402", stay.discharge())
    settled = stay.must("2304", stay.payment())
    other = Stay.of_new_person(stay.platform)
    assert other.refused("2601", other.reversal(settled.msgid, "2304")) == not_found(settled.msgid)
    assert stay.refused("2601", stay.reversal(settled.msgid, "2401")) == not_found(settled.msgid)


def test_an_undone_settlement_is_not_reversed(stay):
    stay.upload(stay.charge("500"))
    stay.must("2402", stay.discharge())
    settled = stay.must("2304", stay.payment())
    stay.must("2305", stay.about(setl_id=stay.setl_id))
    said = stay.refused("2601", stay.reversal(settled.msgid, "2304"))
    assert said == "原交易已撤销，不能冲正"


def test_a_registration(platform):
    person = platform.seed(certno=identity_number(), name="王", insutype="390")
    stay = Stay(platform, person)
    admitted = stay.must("2401", stay.admission())
    stay.upload(stay.charge("500"))
    reversal = stay.reversal(admitted.msgid, "2401")
    assert stay.refused("2601", reversal) == "存在未撤销的费用明细，不能撤销入院"
    stay.must("2302", stay.about(feedetl_sn="0000"))
    stay.must("2601", reversal)
    assert stay.refused("2601", reversal) == not_found(admitted.msgid)
    stay.must("2401", stay.admission())


def test_a_cancelled_registration_is_not_reversed(platform):
    stay = Stay(platform, platform.seed(certno=identity_number(), name="王", insutype="390"))
    admitted = stay.must("2401", stay.admission())
    stay.must("2404", stay.about())
    said = stay.refused("2601", stay.reversal(admitted.msgid, "2401"))
    assert said == "原交易已撤销，不能冲正"


def test_what_may_be_reversed_differs(guizhou, chongqing):
    for platform in (guizhou, chongqing):
        stay = Stay.of_new_person(platform)
        stay.settle(stay.charge("500"))
        undone = stay.must("2305", stay.about(setl_id=stay.setl_id))
        reversal = stay.reversal(undone.msgid, "2305")
        for infno in ("2301", "2402", "2601"):
            said = stay.refused("2601", stay.reversal(undone.msgid, infno))
            assert said == f"交易【{infno}】不支持冲正"
        if platform is guizhou:
            assert stay.refused("2601", reversal) == "交易【2305】不支持冲正"
            continue
        stay.must("2601", reversal)
        assert stay.refused("2304", stay.payment()) == "该笔记录已结算"
        given = stay.about(setl_id=stay.setl_id)
        assert stay.must("5203", given).output["setlinfo"]["refd_setl_flag"] == "0"
        stay.must("2305", given)


def test_an_undo_with_something_built_on_it_stays(chongqing):
    stay = Stay.of_new_person(chongqing)
    stay.settle(stay.charge("500"))
    undone = stay.must("2305", stay.about(setl_id=stay.setl_id))
    stay.must("2405", stay.about())
    said = stay.refused("2601", stay.reversal(undone.msgid, "2305"))
    assert said == "原交易之后就诊已有变化，不能冲正"


def test_account_money_comes_back(platform):
    stay = Stay.of_new_person(platform, "310", balc="100")
    stay.upload(stay.charge("900"))
    stay.must("2402", stay.discharge())
    settled = stay.must("2304", stay.payment(acct_used_flag="1"))
    stay.must("2601", stay.reversal(settled.msgid, "2304"))
    trial = stay.must("2303", stay.payment(acct_used_flag="1")).output["setlinfo"]
    assert str(trial["acct_pay"]) == "100.00"
    data = {"psn_no": stay.psn_no, "begntime": wall(days=2), "endtime": wall()}
    assert stay.must("5303", {"data": data}).output["data"] == []
