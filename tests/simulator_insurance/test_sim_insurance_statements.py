"""Reconciliation: totals, and the file of differences with the message id of a lost settlement."""

import base64
import io
import time
import zipfile
from decimal import Decimal

import pytest
import requests
from sim_insurance_client import Stay, wall

SUMS = ("medfee_sumamt", "fund_pay_sumamt", "acct_pay")
COLUMNS = ("psn_no", "mdtrt_id", "setl_id", "msgid", "stmt_rslt", "refd_setl_flag", "memo", *SUMS)
TODAY = wall()[:10]


def row_of(stay, info, flag="0"):
    return [
        info["setl_id"],
        stay.mdtrt_id,
        stay.psn_no,
        *(str(Decimal(info[name])) for name in SUMS),
        flag,
    ]


def totals(platform, rows, **changes):
    sums = [sum((Decimal(row[3 + i]) for row in rows), Decimal("0.00")) for i in range(3)]
    data = dict(zip(SUMS, map(str, sums), strict=True)) | {
        "insutype": "390",
        "clr_type": "21",
        "setl_optins": platform.area,
        "stmt_begndate": TODAY,
        "stmt_enddate": TODAY,
        "fixmedins_setl_cnt": str(len(rows)),
        "refd_setl_flag": "",
        "fixmedins_refd_setl_flag": "0",
    }
    return {"data": data | changes}


def upload(platform, content, as_numbers=False):
    sent = base64.b64encode(content).decode()
    if as_numbers:
        sent = [byte - 256 if byte > 127 else byte for byte in content]
    given = {
        "in": sent,
        "filename": "stmt.txt.zip",
        "fixmedins_code": platform.settings.fixmedins_code,
    }
    answered = platform.ask("9101", {"fsUploadIn": given})
    assert answered.code == "0", answered.said
    assert answered.output["filename"] == "stmt.txt.zip"
    return answered.output["file_qury_no"]


def zipped(rows):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("stmt.txt", "".join("\t".join(row) + "\n" for row in rows))
    return packed.getvalue()


def details(platform, rows, number=None, **changes):
    given = totals(platform, rows)["data"] | {
        "file_qury_no": number or upload(platform, zipped(rows)),
        "cash_payamt": "0",
    }
    del given["insutype"], given["acct_pay"]
    return platform.ask("3202", {"data": given | changes})


def differences(platform, rows):
    """The rows of the difference file, as dicts."""
    answered = details(platform, rows)
    assert answered.code == "0", answered.said
    info = answered.output["fileinfo"]
    given = {
        "file_qury_no": info["file_qury_no"],
        "filename": info["filename"],
        "fixmedins_code": platform.settings.fixmedins_code,
    }
    got = platform.send("9102", platform.envelope("9102", {"fsDownloadIn": given}))
    assert got.content[:2] == b"PK"
    with zipfile.ZipFile(io.BytesIO(got.content)) as archive:
        text = archive.read(archive.namelist()[0]).decode()
    return [dict(zip(COLUMNS, line.split("\t"), strict=True)) for line in text.splitlines()]


def test_level(fresh):
    assert fresh.ask("3201", totals(fresh, [])).output["stmtinfo"]["stmt_rslt"] == "0"
    rows = []
    for cost in ("500", "12000"):
        stay = Stay.of_new_person(fresh)
        rows.append(row_of(stay, stay.settle(stay.charge(cost))["setlinfo"]))
    stated = fresh.ask("3201", totals(fresh, rows)).output["stmtinfo"]
    assert (stated["stmt_rslt"], stated["stmt_rslt_dscr"]) == ("0", "平")
    assert differences(fresh, rows) == []
    wrong = totals(fresh, rows, medfee_sumamt="1.00")
    stated = fresh.ask("3201", wrong).output["stmtinfo"]
    assert (stated["stmt_rslt"], stated["stmt_rslt_dscr"]) == (
        "1",
        "不平：中心medfee_sumamt=12500.00",
    )
    assert fresh.ask("3201", totals(fresh, [], insutype="310")).output["stmtinfo"] == {
        "setl_optins": fresh.area,
        "stmt_rslt": "0",
        "stmt_rslt_dscr": "平",
    }


def test_a_refund_is_two_rows(fresh):
    stay = Stay.of_new_person(fresh)
    first = stay.settle(stay.charge("500"))["setlinfo"]
    undone = stay.must("2305", stay.about(setl_id=stay.setl_id)).output["setlinfo"]
    rows = [row_of(stay, first), row_of(stay, undone, "1")]
    stated = fresh.ask("3201", totals(fresh, rows)).output["stmtinfo"]
    assert stated["stmt_rslt"] == "0"
    assert differences(fresh, rows) == []
    named_by_the_first = [rows[0], [first["setl_id"], *rows[1][1:]]]
    assert differences(fresh, named_by_the_first) == []
    (missing,) = differences(fresh, rows[:1])
    assert (missing["refd_setl_flag"], missing["medfee_sumamt"]) == ("1", "-500.00")


def test_a_settlement_whose_answer_was_lost_is_found_by_its_message(fresh):
    stay = Stay.of_new_person(fresh)
    stay.upload(stay.charge("500"))
    stay.must("2402", stay.discharge())
    fresh.plan("one_sided", "2304")
    envelope = fresh.envelope("2304", stay.payment(), stay.place)
    with pytest.raises(requests.ConnectionError):
        fresh.send("2304", envelope)
    assert fresh.ask("3201", totals(fresh, [])).output["stmtinfo"]["stmt_rslt"] == "1"
    (found,) = differences(fresh, [])
    assert (found["setl_id"], found["mdtrt_id"]) == ("null", "null")
    assert (found["psn_no"], found["msgid"]) == (stay.psn_no, envelope["msgid"])
    assert (found["stmt_rslt"], found["memo"]) == ("1", "医药机构无此结算记录")
    assert (found["medfee_sumamt"], found["refd_setl_flag"]) == ("500.00", "0")
    stay.must("2601", stay.reversal(found["msgid"], "2304"))
    assert differences(fresh, []) == []
    stay.must("2304", stay.payment())


def test_a_settlement_that_the_platform_lost(fresh):
    fresh.plan("one_sided", "2304", side="hospital")
    stay = Stay.of_new_person(fresh)
    settled = stay.settle(stay.charge("500"))["setlinfo"]
    (found,) = differences(fresh, [row_of(stay, settled)])
    assert (found["setl_id"], found["msgid"]) == (stay.setl_id, "null")
    assert found["memo"] == "中心无此结算记录"
    assert stay.refused("5203", stay.about(setl_id=stay.setl_id)) == "未查询到结算信息"
    stay.must("2304", stay.payment())


def test_amounts_that_differ(fresh):
    stay = Stay.of_new_person(fresh)
    row = row_of(stay, stay.settle(stay.charge("500"))["setlinfo"])
    (found,) = differences(fresh, [[*row[:3], "499.99", *row[4:]]])
    assert (found["memo"], found["medfee_sumamt"]) == ("金额不一致，此为中心金额", "500.00")
    assert found["msgid"].startswith(fresh.settings.fixmedins_code)


def test_files(platform):
    number = upload(platform, zipped([]), as_numbers=True)
    given = {
        "file_qury_no": number,
        "filename": "stmt.txt.zip",
        "fixmedins_code": platform.settings.fixmedins_code,
    }
    got = platform.send("9102", platform.envelope("9102", {"fsDownloadIn": given}))
    assert got.content == zipped([])
    for change, said in (
        ({"file_qury_no": "X"}, "未查询到文件或文件已过下载截止时间"),
        ({"filename": "other.zip"}, "文件名(filename)与文件查询号不一致"),
        (
            {"fixmedins_code": "H9"},
            "定点医药机构编号(fixmedins_code)与签约机构不一致",
        ),
    ):
        assert platform.ask("9102", {"fsDownloadIn": given | change}).said == said
    bad = given | {"in": "!!"}
    assert platform.ask("9101", {"fsUploadIn": bad}).said == "文件数据(in)应为字节数组"


def test_a_file_is_kept_for_a_week(guizhou):
    number = upload(guizhou, zipped([]))
    try:
        guizhou.control("POST", "/_sim/clock", {"shift_seconds": 8 * 86400})
        given = {
            "file_qury_no": number,
            "filename": "stmt.txt.zip",
            "fixmedins_code": guizhou.settings.fixmedins_code,
        }
        envelope = guizhou.envelope("9102", {"fsDownloadIn": given}, "", sign_no="")
        headers = guizhou.csb_headers("9102", time.time() + 8 * 86400)
        answered = guizhou.send("9102", envelope, **headers).json()
        assert answered["err_msg"] == "未查询到文件或文件已过下载截止时间"
    finally:
        guizhou.control("POST", "/_sim/clock", {"shift_seconds": 0})


def test_bad_files(platform):
    row = ["S1", "M1", "P1", "1.00", "0.00", "0.00", "0"]
    for content, said in (
        (b"no zip", "对账文件应为zip压缩的UTF-8文本"),
        (zipped([row[:6]]), "对账文件第1行应为7列，实为6列"),
        (
            zipped([row, [*row[:6], "2"]]),
            "对账文件第2行有必填项为空或退费结算标志不正确",
        ),
        (zipped([["null", *row[1:]]]), "对账文件第1行有必填项为空或退费结算标志不正确"),
        (zipped([[*row[:3], "much", *row[4:]]]), "对账文件第1行金额不正确"),
    ):
        assert details(platform, [row], upload(platform, content)).said == said
    wrong = details(platform, [row], medfee_sumamt="2.00")
    assert wrong.said == "medfee_sumamt与上传文件的合计不一致"
    wrong = details(platform, [row], fixmedins_setl_cnt="3")
    assert wrong.said == "结算笔数(fixmedins_setl_cnt)与上传文件不一致"
    assert details(platform, [row], stmt_begndate="2999-01-01").said == (
        "对账结束日期不能早于开始日期"
    )
