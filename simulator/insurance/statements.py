"""Reconciliation: totals 3201, details 3202, and the files between, 9101 and 9102."""

import base64
import io
import secrets
import zipfile
from datetime import timedelta
from decimal import Decimal, InvalidOperation

from simulator.insurance.counter import Counter, Doc, Done, wall
from simulator.insurance.fields import file_columns
from simulator.insurance.money import ZERO, cents, yuan
from simulator.insurance.refusals import Declined

SUMS = ("medfee_sumamt", "fund_pay_sumamt", "acct_pay")
BIGGEST_FILE = 20_000_000
KEPT_DAYS = 7


def compare_totals(counter: Counter, given: Doc) -> Done:
    """3201: level (0) or not (1) over a period; a refund is a row of its own, negative."""
    asked = given["data"]
    ours = [row for row in _rows(counter, asked) if row["insutype"] == asked["insutype"]]
    found = {name: _sum(ours, name) for name in SUMS} | {"fixmedins_setl_cnt": Decimal(len(ours))}
    wrong = [name for name, value in found.items() if asked[name] != value]
    said = "平" if not wrong else "不平：" + "；".join(f"中心{n}={found[n]}" for n in wrong)
    stated = {
        "setl_optins": asked["setl_optins"],
        "stmt_rslt": "1" if wrong else "0",
        "stmt_rslt_dscr": said,
    }
    return Done({"stmtinfo": stated})


def compare_details(counter: Counter, given: Doc) -> Done:
    """3202: compares an uploaded file row by row; answers where the file of differences lies."""
    asked = given["data"]
    theirs = _read(counter, asked["file_qury_no"])
    for name in ("medfee_sumamt", "fund_pay_sumamt"):
        if asked[name] != sum((row[name] for row in theirs), ZERO):
            raise Declined(f"{name}与上传文件的合计不一致")
    if asked["fixmedins_setl_cnt"] != len(theirs):
        raise Declined("结算笔数(fixmedins_setl_cnt)与上传文件不一致")
    differences = _differences(theirs, _rows(counter, asked))
    text = "".join("\t".join(row) + "\n" for row in differences)
    name = f"{counter.here['fixmedins_code']}{counter.now:%Y%m%d%H%M%S}.txt"
    kept = _keep(counter, f"{name}.zip", _zipped(name, text))
    del kept["fixmedins_code"]
    return Done({"fileinfo": kept})


def take_file(counter: Counter, given: Doc) -> Done:
    """9101: keeps a file for a week; answers its number."""
    asked = given["fsUploadIn"]
    _check_hospital(counter, asked)
    if len(asked["in"]) > BIGGEST_FILE:
        raise Declined("文件超过大小限制")
    return Done(_keep(counter, asked["filename"], asked["in"]))


def give_file(counter: Counter, given: Doc) -> Done:
    """9102: answers the bytes of a file, no envelope around them; a refusal has the envelope."""
    asked = given["fsDownloadIn"]
    _check_hospital(counter, asked)
    content, kept = _file(counter, asked["file_qury_no"])
    if kept["filename"] != asked["filename"]:
        raise Declined("文件名(filename)与文件查询号不一致")
    return Done(file=content)


def _differences(theirs: list[Doc], ours: list[Doc]) -> list[list[str]]:
    """Rows of the difference file: only what is not level."""
    left = {(row["setl_id"], "1" if row["undoes"] else "0"): row for row in ours}
    # A refund may be named by its own number or by that of the settlement it takes back.
    undoing = {(row["undoes"], "1"): (row["setl_id"], "1") for row in ours if row["undoes"]}
    found = []
    for row in theirs:
        key = (row["setl_id"], row["refd_setl_flag"])
        mine = left.pop(undoing.get(key, key), None)
        if mine is None:
            found.append(_difference(row, row, "null", "中心无此结算记录"))
        elif any(row[name] != yuan(mine["amounts"][name]) for name in SUMS):
            found.append(_difference(row, _sums(mine), mine["msgid"], "金额不一致，此为中心金额"))
    for (_, flag), mine in left.items():
        shown = {"psn_no": mine["psn_no"], "mdtrt_id": "", "setl_id": "", "refd_setl_flag": flag}
        found.append(_difference(shown, _sums(mine), mine["msgid"], "医药机构无此结算记录"))
    return found


def _difference(row: Doc, sums: Doc, msgid: str, memo: str) -> list[str]:
    cells = {name: row[name] for name in ("psn_no", "mdtrt_id", "setl_id", "refd_setl_flag")}
    cells |= {name: str(sums[name]) for name in SUMS}
    cells |= {"msgid": msgid, "stmt_rslt": "1", "memo": memo}
    return [cells[name] or "null" for name in file_columns("out")]


def _sums(row: Doc) -> Doc:
    return {name: yuan(row["amounts"][name]) for name in SUMS}


def _sum(rows: list[Doc], name: str) -> Decimal:
    return sum((yuan(row["amounts"][name]) for row in rows), ZERO)


def _rows(counter: Counter, asked: Doc) -> list[Doc]:
    """The platform's settlements and refunds of the period, by clearing office and class.

    refd_setl_flag chooses nothing: refunds are always compared with both of their rows.
    """
    if asked["stmt_begndate"] > asked["stmt_enddate"]:
        raise Declined("对账结束日期不能早于开始日期")
    return [
        row
        for row in counter.all("settlement")
        if row["state"] != "ANNULLED"
        and row["clr_type"] == asked["clr_type"]
        and row["clr_optins"] == asked["setl_optins"]
        and asked["stmt_begndate"] <= row["setl_time"][:10] <= asked["stmt_enddate"]
    ]


def _read(counter: Counter, number: str) -> list[Doc]:
    """The rows of an uploaded zip of one TAB-separated text; Declined names the first bad line."""
    content, _ = _file(counter, number)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            first = archive.infolist()[0]
            if first.file_size > BIGGEST_FILE:
                raise Declined("文件超过大小限制")
            text = archive.read(first).decode("utf8")
    except (zipfile.BadZipFile, IndexError, UnicodeDecodeError):
        raise Declined("对账文件应为zip压缩的UTF-8文本") from None
    return [_read_line(number, line) for number, line in enumerate(text.splitlines(), 1) if line]


def _read_line(number: int, line: str) -> Doc:
    names = file_columns("in")
    cells = line.split("\t")
    if len(cells) != len(names):
        raise Declined(f"对账文件第{number}行应为{len(names)}列，实为{len(cells)}列")
    row: Doc = dict(zip(names, cells, strict=True))
    if any(value in ("", "null") for value in cells) or row["refd_setl_flag"] not in ("0", "1"):
        raise Declined(f"对账文件第{number}行有必填项为空或退费结算标志不正确")
    try:
        row |= {name: cents(Decimal(row[name])) for name in SUMS}
    except InvalidOperation:
        raise Declined(f"对账文件第{number}行金额不正确") from None
    return row


def _keep(counter: Counter, filename: str, content: bytes) -> Doc:
    number = f"fsi/plc/{secrets.token_hex(11)}"
    until = wall(counter.now + timedelta(days=KEPT_DAYS))
    kept = {
        "file_qury_no": number,
        "filename": filename,
        "fixmedins_code": counter.here["fixmedins_code"],
        "dld_endtime": until,
    }
    counter.put("file", number, kept | {"content": base64.b64encode(content).decode()})
    return kept


def _file(counter: Counter, number: str) -> tuple[bytes, Doc]:
    kept = counter.get("file", number)
    if kept is None or kept["dld_endtime"] < wall(counter.now):
        raise Declined("未查询到文件或文件已过下载截止时间")
    return base64.b64decode(kept["content"]), kept


def _zipped(name: str, text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text.encode())
    return packed.getvalue()


def _check_hospital(counter: Counter, asked: Doc) -> None:
    if asked["fixmedins_code"] != counter.here["fixmedins_code"]:
        raise Declined("定点医药机构编号(fixmedins_code)与签约机构不一致")
