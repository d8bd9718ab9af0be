"""What the gateways and the outer message let through."""

import time
from decimal import Decimal

import pytest
from sim_insurance_client import identity_number, wall


def read_person(platform, person):
    data = {
        "mdtrt_cert_type": "02",
        "mdtrt_cert_no": person["certno"],
        "psn_cert_type": "01",
        "certno": person["certno"],
        "psn_name": person["psn_name"],
    }
    return {"data": data}


@pytest.fixture
def person(platform):
    return platform.seed(certno=identity_number(), name="钱二月", insutype="390")


def gateway_says(platform, infno="1101", **headers):
    answered = platform.send(infno, {"input": {}}, **headers)
    assert answered.status_code == 401
    assert answered.json()["code"] == 401
    return answered.json()["message"]


def test_csb_refusals(guizhou):
    assert gateway_says(guizhou, _api_version=None) == "缺少服务网关的请求头!"
    assert gateway_says(guizhou, _api_access_key="SIMULATOR-other") == "非法用户!"
    assert gateway_says(guizhou, _api_signature="AAAA") == "签名不一致!"
    assert gateway_says(guizhou, _api_name="2304") == "签名不一致!"
    for away in (-1801, 1801):
        stale = guizhou.csb_headers("1101", time.time() + away)
        assert gateway_says(guizhou, **stale) == "签名时间戳超时!"
    seconds_not_millis = guizhou.csb_headers("1101", time.time() / 1000)
    assert gateway_says(guizhou, **seconds_not_millis) == "签名时间戳超时!"


def test_tif_refusals(chongqing):
    assert gateway_says(chongqing, **{"x-tif-nonce": None}) == "缺少服务网关的请求头!"
    assert gateway_says(chongqing, **{"x-tif-paasid": "SIMULATOR-other"}) == "非法用户!"
    assert gateway_says(chongqing, **{"x-tif-nonce": "other"}) == "签名不一致!"
    stale = chongqing.tif_headers(time.time() - 1801)
    assert gateway_says(chongqing, **stale) == "签名时间戳超时!"


def test_tif_takes_both_cases_of_hex(chongqing):
    person = chongqing.seed(certno=identity_number(), name="钱二月", insutype="390")
    for case in (str.upper, str.lower):
        envelope = chongqing.envelope("1101", read_person(chongqing, person))
        headers = chongqing.tif_headers()
        headers["x-tif-signature"] = case(headers["x-tif-signature"])
        assert chongqing.send("1101", envelope, **headers).json()["infcode"] == "0"


def test_unknown_doors_are_404(guizhou, chongqing):
    for url in (
        f"{guizhou.root}/insurance/NOWHERE/csb",
        f"{guizhou.root}/insurance/CQ01/csb",
        f"{guizhou.root}/insurance/GZ01/ebus/xz/fsi/api/hospSettService/preSett",
    ):
        assert guizhou.session.post(url, timeout=10).status_code == 404
    url = f"{chongqing.settings.base_url}/ebus/other/fsi/api/hospSettService/preSett"
    headers = chongqing.tif_headers()
    assert chongqing.session.post(url, headers=headers, timeout=10).status_code == 404
    assert guizhou.send("4101", {}, **guizhou.csb_headers("4101")).status_code == 404


def test_window_follows_the_worlds_clock(guizhou):
    try:
        guizhou.control("POST", "/_sim/clock", {"shift_seconds": 86400})
        assert gateway_says(guizhou) == "签名时间戳超时!"
        ahead = guizhou.csb_headers("1101", time.time() + 86400)
        assert guizhou.send("1101", {}, **ahead).status_code == 200
    finally:
        guizhou.control("POST", "/_sim/clock", {"shift_seconds": 0})


def test_answers_in_the_profiles_own_types(guizhou, chongqing):
    for platform, code, balance, silent in (
        (guizhou, 0, Decimal("12.30"), None),
        (chongqing, "0", "12.30", ""),
    ):
        person = platform.seed(certno=identity_number(), name="孙", insutype="310", balc="12.3")
        raw = platform.ask("1101", read_person(platform, person)).raw
        assert raw["infcode"] == code
        assert raw["err_msg"] == silent
        assert raw["output"]["insuinfo"][0]["balc"] == balance
        assert len(raw["inf_refmsgid"]) == 30
        assert raw["inf_refmsgid"].startswith(platform.area)
        assert len(raw["respond_time"]) == 17


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"infver": ""}, "接口版本号(infver)不能为空且应为字符型"),
        ({"opter_name": None}, "经办人姓名(opter_name)不能为空且应为字符型"),
        ({"fixmedins_name": ""}, "定点医药机构名称(fixmedins_name)不能为空且应为字符型"),
        ({"infno": "2304"}, "交易编号(infno)【2304】与调用的接口不一致"),
        ({"infno": 1101}, "交易编号(infno)不能为空且应为字符型"),
        (
            {"fixmedins_code": "H99999999999"},
            "定点医药机构编号(fixmedins_code)与签约机构不一致",
        ),
        ({"mdtrtarea_admvs": "990101"}, "就医地医保区划(mdtrtarea_admvs)与定点医药机构不一致"),
        (
            {"msgid": "H999999999992026010112000000001"},
            "发送方报文ID(msgid)应为定点医药机构编号(12)+时间(14)+顺序号(4)",
        ),
        ({"opter_type": "9"}, "经办人类别(opter_type)不在字典范围内"),
        (
            {"inf_time": "2026/01/01 00:00:00"},
            "交易时间(inf_time)或发送方报文ID(msgid)中的时间格式不正确",
        ),
        ({"insuplc_admdvs": "99"}, "参保地医保区划(insuplc_admdvs)格式不正确"),
        ({"input": '{"data": {}}'}, "入参input不能为空且应为对象"),
        ({"input": {"data": {}}}, "入参节点【data】不能为空"),
        ({"input": {"data": ["x" * 40000]}}, "交易输入(input)超过40000个字符"),
    ],
)
def test_outer_message(platform, person, change, said):
    answered = platform.ask("1101", read_person(platform, person), **change)
    assert (answered.code, answered.said) == ("-1", said)
    assert "output" not in answered.raw


def test_not_json(platform):
    headers = platform.csb_headers("1101") if platform.is_csb else platform.tif_headers()
    path = "/csb" if platform.is_csb else "/ebus/xz/fsi/api/fsiPsnInfoService/queryPsnInfo"
    url = platform.settings.base_url + path
    answered = platform.session.post(url, data=b"\xff{", headers=headers, timeout=10).json()
    assert str(answered["infcode"]) == "-1"
    assert answered["err_msg"] == "报文不是合法的JSON"


def test_a_message_id_serves_once(platform, person):
    msgid = platform.msgid()
    given = read_person(platform, person)
    assert platform.ask("1101", given, msgid=msgid).code == "0"
    again = platform.ask("1101", given, msgid=msgid)
    assert (again.code, again.said) == ("-1", f"发送方报文ID(msgid)重复【{msgid}】")


def test_a_refused_message_has_used_its_id_up(platform, person):
    msgid = platform.msgid()
    other = person | {"psn_name": "别人"}
    assert platform.ask("1101", read_person(platform, other), msgid=msgid).said == (
        "人员姓名与证件号码不一致"
    )
    again = platform.ask("1101", read_person(platform, person), msgid=msgid)
    assert again.said == f"发送方报文ID(msgid)重复【{msgid}】"


def test_signing_in(guizhou, chongqing):
    person = chongqing.seed(certno=identity_number(), name="钱二月", insutype="390")
    wanted = "签到编号(sign_no)无效或已过期，请重新签到"
    given = read_person(chongqing, person)
    assert chongqing.ask("1101", given, sign_no="").said == wanted
    assert chongqing.ask("1101", given, sign_no="500154").said == wanted
    assert chongqing.ask("1101", given, opter="1002").said == wanted
    assert chongqing.ask("1101", given).code == "0"
    person = guizhou.seed(certno=identity_number(), name="钱二月", insutype="390")
    assert guizhou.ask("1101", read_person(guizhou, person), sign_no="").code == "0"
    assert guizhou.ask("1101", read_person(guizhou, person), sign_no="520100").said == wanted
    given = {"signIn": {"opter_no": "7777", "mac": "m", "ip": "i"}}
    said = guizhou.ask("9001", given).said
    assert said == "操作员编号(opter_no)与经办人(opter)不一致"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("certno", "", "证件号码(certno)不能为空"),
        ("certno", 5, "证件号码(certno)应为字符型"),
        (
            "mdtrt_cert_type",
            "77",
            "就诊凭证类型(mdtrt_cert_type)的值【77】不在字典范围内",
        ),
        (
            "begntime",
            "2026-02-30 00:00:00",
            "开始时间(begntime)格式不正确，应为yyyy-MM-dd HH:mm:ss",
        ),
    ],
)
def test_field_tables(platform, person, field, value, said):
    given = read_person(platform, person)
    given["data"][field] = value
    assert platform.ask("1101", given).said == said


def test_1101_shows_every_row(platform):
    rows = [
        {"insutype": "390", "psn_insu_stas": "1"},
        {"insutype": "310", "psn_insu_stas": "2", "paus_insu_date": "2026-01-01"},
        {"insutype": "510", "psn_insu_stas": "4", "insuplc_admdvs": "990101"},
    ]
    idets = [
        {"psn_idet_type": "2302", "begntime": wall(days=30), "endtime": wall(days=-30)},
        {"psn_idet_type": "2303", "begntime": wall(days=60), "endtime": wall(days=30)},
    ]
    person = platform.seed(
        certno=identity_number(), name="李四", insuinfo=rows, idetinfo=idets, balc="80"
    )
    output = platform.ask("1101", read_person(platform, person)).output
    shown = [(row["insutype"], row["psn_insu_stas"]) for row in output["insuinfo"]]
    assert shown == [("390", "1"), ("310", "2"), ("510", "4")]
    assert [Decimal(row["balc"]) for row in output["insuinfo"]] == [0, 80, 0]
    assert [row["psn_idet_type"] for row in output["idetinfo"]] == ["2302", "2303"]
    assert output["baseinfo"]["psn_no"] == person["psn_no"]


def test_1101_finds_only_the_right_person(platform, person):
    given = read_person(platform, person | {"certno": identity_number()})
    assert platform.ask("1101", given).said == "未查询到参保人员信息"
    given = read_person(platform, person)
    given["data"]["mdtrt_cert_no"] = "other"
    wanted = "就诊凭证编号(mdtrt_cert_no)与证件号码不一致"
    assert platform.ask("1101", given).said == wanted


def test_seeding_again_keeps_the_person(platform, person):
    again = platform.seed(certno=person["certno"], name="钱二月", insutype="310", balc="9.9")
    assert again["psn_no"] == person["psn_no"]
    assert again["insuinfo"][0]["insutype"] == "310"
    assert again["balc"] == "9.90"
    url = f"{platform.root}/_sim/insurance/{platform.code}/persons"
    for wrong in ({"name": "x"}, {"certno": "1", "name": "x", "money": "1"}):
        assert platform.session.post(url, json=wrong, timeout=10).status_code == 400


def test_2001_says_who_may_draw(platform):
    rows = [{"insutype": "390"}, {"insutype": "310", "psn_insu_stas": "2"}]
    person = platform.seed(certno=identity_number(), name="周", insuinfo=rows)

    def asked(insutype, place=None):
        data = {
            "psn_no": person["psn_no"],
            "insutype": insutype,
            "fixmedins_code": platform.settings.fixmedins_code,
            "med_type": "21",
            "begntime": wall(),
        }
        return platform.ask("2001", {"data": data}, place or platform.area)

    tail = "00" if platform.is_csb else "01"
    rows = asked("390").output["trtinfo"]
    assert [row["fund_pay_type"] for row in rows] == [f"3901{tail}", f"3902{tail}"]
    assert {row["trt_enjymnt_flag"] for row in rows} == {"1"}
    assert {row["trt_chk_rslt"] for row in asked("310").output["trtinfo"]} == {
        "人员参保状态异常，不享受待遇"
    }
    assert asked("340").said == "人员无该险种的参保信息，险种类型【340】"
    wanted = "参保地医保区划(insuplc_admdvs)与人员参保信息不一致"
    assert asked("390", "990102").said == wanted
    platform.seed(certno=person["certno"], name="周", insutype="390", suspended="欠费停保")
    stopped = asked("390").output["trtinfo"]
    assert {(row["trt_enjymnt_flag"], row["trt_chk_rslt"]) for row in stopped} == {
        ("0", "欠费停保")
    }


def test_psn_no_needs_its_place(platform, person):
    data = {"psn_no": person["psn_no"], "begntime": wall(days=2), "endtime": wall()}
    wanted = "参保地医保区划(insuplc_admdvs)不能为空"
    assert platform.ask("5303", {"data": data}).said == wanted
