"""Planned faults: what is done, what is answered, and what can be found out afterwards."""

import json
from decimal import Decimal

import pytest
import requests
from sim_insurance_client import Platform, Stay
from test_sim_insurance_settlements import assert_invariants

from simulator.insurance import fields
from tests.sim_process import running


@pytest.fixture
def ready(stay):
    """Discharged, charged, not settled."""
    stay.upload(stay.charge("500"))
    stay.must("2402", stay.discharge())
    return stay


def lost(stay, infno, given):
    """Send and get no answer; the message id under which it went."""
    envelope = stay.platform.envelope(infno, given, stay.place)
    with pytest.raises(requests.ConnectionError):
        stay.platform.send(infno, envelope)
    return envelope["msgid"]


def test_cut_before(ready):
    ready.platform.plan("before", "2304")
    msgid = lost(ready, "2304", ready.payment())
    said = ready.refused("2601", ready.reversal(msgid, "2304"))
    assert said == f"未查询到原交易信息，原发送方报文ID【{msgid}】"
    ready.must("2304", ready.payment())


def test_cut_after(ready):
    ready.platform.plan("after", "2304")
    msgid = lost(ready, "2304", ready.payment())
    assert ready.refused("2304", ready.payment()) == "该笔记录已结算"
    ready.must("2601", ready.reversal(msgid, "2304"))
    ready.must("2304", ready.payment())


@pytest.mark.parametrize(("fault", "done"), [("error500_before", False), ("error500_after", True)])
def test_internal_errors(ready, fault, done):
    ready.platform.plan(fault, "2304")
    envelope = ready.platform.envelope("2304", ready.payment(), ready.place)
    assert ready.platform.send("2304", envelope).status_code == 500
    assert (ready.ask("2304", ready.payment()).said == "该笔记录已结算") is done


def test_refusal(ready):
    ready.platform.plan("refuse", "2304")
    assert ready.refused("2304", ready.payment()) == "系统繁忙，请稍后再试"
    ready.platform.plan("refuse", "2304", message="医保基金结算暂停")
    assert ready.refused("2304", ready.payment()) == "医保基金结算暂停"
    ready.must("2304", ready.payment())


def test_every_transaction_can_be_cut(stay):
    assert_cut = {
        "2301": {"feedetail": [stay.charge("9")]},
        "2303": stay.payment(medfee_sumamt="9.00"),
        "2402": stay.discharge(),
        "2405": stay.about(),
        "2302": stay.about(feedetl_sn="0000"),
        "2404": stay.about(),
    }
    for infno, given in assert_cut.items():
        stay.platform.plan("after", infno)
        lost(stay, infno, given)
    said = stay.refused("2404", stay.about())
    assert said == f"未查询到就诊信息，就诊ID【{stay.mdtrt_id}】"


@pytest.mark.parametrize("infno", ["2303", "2304", "2305"])
def test_wrong_amounts(ready, infno):
    ready.platform.plan("wrong_amounts", infno)
    if infno == "2305":
        ready.must("2304", ready.payment())
    given = {
        "2303": ready.payment(),
        "2304": ready.payment(),
        "2305": ready.about(setl_id=ready.setl_id),
    }[infno]
    wrong = ready.must(infno, given).output
    with pytest.raises(AssertionError):
        assert_invariants(wrong)
    if infno == "2304":
        look = ready.about(setl_id=ready.setl_id)
        kept = ready.must("5203", look).output["setlinfo"]
        paid = Decimal(kept["fund_pay_sumamt"]) + Decimal(kept["psn_pay"])
        assert paid == Decimal(kept["medfee_sumamt"])


def test_fund_zero(ready):
    ready.platform.plan("fund_zero", "2303")
    trial = ready.must("2303", ready.payment()).output
    assert_invariants(trial)
    assert Decimal(trial["setlinfo"]["fund_pay_sumamt"]) == 0
    settled = ready.must("2304", ready.payment()).output
    assert Decimal(settled["setlinfo"]["fund_pay_sumamt"]) == 70


def test_answers_hold_every_required_field(platform):
    stay = Stay.of_new_person(platform, "310", balc="50", idetinfo=[{"psn_idet_type": "2303"}])
    person = stay.person
    identity = {
        "mdtrt_cert_type": "02",
        "mdtrt_cert_no": person["certno"],
        "psn_cert_type": "01",
        "certno": person["certno"],
        "psn_name": person["psn_name"],
    }
    benefit = {
        "psn_no": stay.psn_no,
        "insutype": "310",
        "fixmedins_code": platform.settings.fixmedins_code,
        "med_type": stay.med_type,
        "begntime": "2026-01-01 00:00:00",
    }
    period = {"psn_no": stay.psn_no, "begntime": "2020-01-01 00:00:00"}
    answered = {
        "1101": stay.must("1101", {"data": identity}),
        "2001": stay.must("2001", {"data": benefit}),
        "5303": stay.must("5303", {"data": period | {"endtime": "2099-01-01 00:00:00"}}),
        "2301": stay.must("2301", {"feedetail": [stay.charge("900")]}),
    }
    stay.total = Decimal("900.00")
    answered["2303"] = stay.must("2303", stay.payment(acct_used_flag="1"))
    stay.must("2402", stay.discharge())
    answered["2304"] = stay.must("2304", stay.payment(acct_used_flag="1"))
    answered["5203"] = stay.must("5203", stay.about(setl_id=stay.setl_id))
    answered["2305"] = stay.must("2305", stay.about(setl_id=stay.setl_id))
    for infno, reply in answered.items():
        for node, table in fields.tables(infno, "out").items():
            given = reply.output[node]
            assert given, (infno, node)
            for row in given if isinstance(given, list) else [given]:
                missing = {
                    f.name for f in table.values() if f.required and row.get(f.name) in (None, "")
                }
                assert missing == set(), (infno, node)


def test_the_diary_names_nobody(stay):
    stay.upload(stay.charge("31"))
    stay.refused("2305", stay.about(setl_id="X"))
    events = stay.platform.control("GET", "/_sim/events?wire=insurance")
    text = json.dumps(events, ensure_ascii=False)
    assert "2301" in text
    assert stay.mdtrt_id in text
    for personal in (stay.person["certno"], stay.person["psn_name"], "急性阑尾炎"):
        assert personal not in text


def test_a_killed_platform_remembers():
    with running(hospitals=("GZ01:先诊县人民医院:csb-guizhou",)) as simulator:
        platform = Platform("GZ01", simulator.connections("GZ01")["insurance"])
        stay = Stay.of_new_person(platform)
        stay.upload(stay.charge("500"))
        stay.must("2402", stay.discharge())
        platform.plan("after", "2304")
        msgid = lost(stay, "2304", stay.payment())
        simulator.kill()
        simulator.start()
        assert stay.refused("2304", stay.payment()) == "该笔记录已结算"
        stay.must("2601", stay.reversal(msgid, "2304"))
        stay.must("2304", stay.payment())
        platform.close()
