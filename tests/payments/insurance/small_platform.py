"""A very small platform behind the tests' own counter: state rules and one benefit rule, in memory.

It stands where a test needs a world of its own (odd words, lost msgids); the whole stay is also
played against the simulator.
"""

import base64
import io
import zipfile
from decimal import Decimal
from itertools import count
from typing import Any

from tests.payments.insurance.counter import HangUp, Raw, Slow, no, yes

Row = dict[str, Any]


class SmallPlatform:
    """``cut[infno]`` plans the next calls: "before", "after", "late", "" or an answer."""

    def __init__(self) -> None:
        self.cut: dict[str, list[Any]] = {}
        self.stays: dict[str, Row] = {}
        self.settlements: dict[str, Row] = {}
        self.files: dict[str, bytes] = {}
        self.difference: list[str] = []
        self.level = "0"
        self.spoil: Row = {}
        self.words_not_found = "原交易不存在"
        self._number = count(1)

    def answer(self, body: Row) -> Any:
        """One request; the line may be cut before or after it is done."""
        infno = body["infno"]
        cut = self.cut[infno].pop(0) if self.cut.get(infno) else ""
        if cut == "before":
            return HangUp()
        if isinstance(cut, Raw | Slow):
            return cut
        said = getattr(self, f"_{infno}")(body, next(iter(body["input"].values())))
        if cut == "late":
            return Slow(0.4, said)
        return HangUp() if cut == "after" else said

    def now_settled(self) -> list[Row]:
        return [each for each in self.settlements.values() if each["state"] == "LIVE"]

    def _9001(self, body: Row, data: Row) -> Any:
        return yes(signinoutb={"sign_time": "2025-07-01", "sign_no": f"SIGN-{data['opter_no']}"})

    def _1101(self, body: Row, data: Row) -> Any:
        cover = {"psn_type": "15", "insuplc_admdvs": "990101", "psn_insu_stas": "1"}
        rows = [
            cover | {"insutype": "310", "psn_insu_stas": "4"},
            cover | {"insutype": "510"},
            cover | {"insutype": "390", "balc": 0},
        ]
        poor = {"psn_idet_type": "2303", "begntime": "2025-01-01 00:00:00", "endtime": None}
        past = poor | {"psn_idet_type": "2302", "endtime": "2025-06-30 00:00:00"}
        base = {"psn_no": "99" + data["certno"], "psn_name": data["psn_name"]}
        return yes(baseinfo=base, insuinfo=rows, idetinfo=[poor, past])

    def _2001(self, body: Row, data: Row) -> Any:
        row = {"fund_pay_type": "390100", "trt_enjymnt_flag": self.spoil.get("benefit", "1")}
        return yes(
            trtinfo=[row | {"trt_chk_rslt": "未到待遇享受期" if "benefit" in self.spoil else ""}]
        )

    def _2401(self, body: Row, data: Row) -> Any:
        if any(s["ipt"] == data["ipt_no"] and s["place"] == "IN" for s in self.stays.values()):
            return no("该人员已在院")
        mdtrt_id = f"MD{next(self._number):06d}"
        stay = {"ipt": data["ipt_no"], "psn_no": data["psn_no"], "place": "IN", "fees": {}}
        self.stays[mdtrt_id] = stay
        return yes(result={"mdtrt_id": mdtrt_id})

    def _2403(self, body: Row, data: Row) -> Any:
        return self._stay(data, "IN") or yes()

    def _2404(self, body: Row, data: Row) -> Any:
        if said := self._stay(data, "IN"):
            return said
        if self.stays[data["mdtrt_id"]]["fees"]:
            return no("存在费用明细，不允许撤销")
        self.stays[data["mdtrt_id"]]["place"] = "GONE"
        return yes()

    def _2402(self, body: Row, data: Row) -> Any:
        if said := self._stay(data, "IN"):
            return said
        self.stays[data["mdtrt_id"]]["place"] = "OUT"
        return yes()

    def _2405(self, body: Row, data: Row) -> Any:
        if said := self._stay(data, "OUT"):
            return said
        if any(each["mdtrt_id"] == data["mdtrt_id"] for each in self.now_settled()):
            return no("已结算，不允许撤销出院")
        self.stays[data["mdtrt_id"]]["place"] = "IN"
        return yes()

    def _2301(self, body: Row, rows: list[Row]) -> Any:
        if said := self._stay(rows[0], "IN"):
            return said
        fees = self.stays[rows[0]["mdtrt_id"]]["fees"]
        if bad := [row for row in rows if row["med_list_codg"] == "UNKNOWN"]:
            return no(f"目录不存在：{bad[0]['medins_list_codg']}")
        for row in rows:
            if row["feedetl_sn"] in fees:
                return no("费用流水号重复")
            if row["init_feedetl_sn"] not in ("", *fees):
                return no("原费用流水号不存在")
            fees[row["feedetl_sn"]] = Decimal(row["det_item_fee_sumamt"])
        return yes(result=[_priced(row) for row in rows])

    def _2302(self, body: Row, data: Row) -> Any:
        fees = self.stays[data["mdtrt_id"]]["fees"]
        if data["feedetl_sn"] == "0000":
            fees.clear()
            return yes()
        if fees.pop(data["feedetl_sn"], None) is None:
            return no(f"费用明细{data['feedetl_sn']}不存在")
        return yes()

    def _2303(self, body: Row, data: Row) -> Any:
        return self._figures(data) or yes(**self._split(data))

    def _2304(self, body: Row, data: Row) -> Any:
        if said := self._stay(data, "OUT") or self._figures(data):
            return said
        if any(each["mdtrt_id"] == data["mdtrt_id"] for each in self.now_settled()):
            return no("该笔记录已结算")
        setl_id = f"SE{next(self._number):06d}"
        reply = self._split(data)
        reply["setlinfo"] |= {"setl_id": setl_id, "clr_optins": "990100", "clr_type": "21"}
        self.settlements[setl_id] = {
            "state": "LIVE",
            "msgid": body["msgid"],
            "mdtrt_id": data["mdtrt_id"],
            "reply": reply,
        }
        return yes(**reply)

    def _2305(self, body: Row, data: Row) -> Any:
        known = self.settlements.get(data["setl_id"])
        if known is None or known["state"] != "LIVE":
            return no("结算记录不存在或已撤销")
        known["state"] = "UNDONE"
        return yes(**_negative(known["reply"]))

    def _2601(self, body: Row, data: Row) -> Any:
        for known in self.now_settled():
            if known["msgid"] == data["omsgid"]:
                known["state"] = "REVERSED"
                return yes()
        return no(self.words_not_found)

    def _5203(self, body: Row, data: Row) -> Any:
        known = self.settlements.get(data["setl_id"])
        if known is None:
            return no("结算信息不存在")
        head = dict(known["reply"]["setlinfo"])
        head["psn_pay"], head["cash_payamt"] = head.pop("psn_part_amt"), head.pop("psn_cash_pay")
        del head["hosp_part_amt"]
        head["refd_setl_flag"] = "0" if known["state"] == "LIVE" else "1"
        return yes(setlinfo=head, setldetail=known["reply"]["setldetail"])

    def _5303(self, body: Row, data: Row) -> Any:
        inside = [
            {"mdtrt_id": mdtrt_id, "ipt_otp_no": stay["ipt"], "psn_no": stay["psn_no"]}
            for mdtrt_id, stay in self.stays.items()
            if stay["place"] == "IN" and stay["psn_no"] == data["psn_no"]
        ]
        return yes(data=inside)

    def _3201(self, body: Row, data: Row) -> Any:
        self.total_asked = data
        return yes(stmtinfo=[{"stmt_rslt": self.level, "stmt_rslt_dscr": ""}])

    def _9101(self, body: Row, data: Row) -> Any:
        number = f"F{next(self._number):06d}"
        self.files[number] = base64.b64decode(data["in"])
        return yes(file_qury_no=number, filename=data["filename"])

    def _3202(self, body: Row, data: Row) -> Any:
        with zipfile.ZipFile(io.BytesIO(self.files[data["file_qury_no"]])) as archive:
            self.sent = archive.read(archive.namelist()[0]).decode()
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("difference.txt", "".join(self.difference))
        self.files["ANSWER"] = packed.getvalue()
        return yes(fileinfo={"file_qury_no": "ANSWER", "filename": "difference.zip"})

    def _9102(self, body: Row, data: Row) -> Any:
        return yes(fsDownloadOut=base64.b64encode(self.files[data["file_qury_no"]]).decode())

    def _stay(self, data: Row, place: str) -> Any:
        known = self.stays.get(data["mdtrt_id"])
        if known is None or known["place"] != place:
            return no(f"{data['psn_no']}在院状态不允许")
        return None

    def _figures(self, data: Row) -> Any:
        lying = sum(self.stays[data["mdtrt_id"]]["fees"].values(), Decimal(0))
        if lying != Decimal(data["medfee_sumamt"]):
            return no("结算费用明细总额与结算信息医疗费总额不一致")
        return None

    def _split(self, data: Row) -> Row:
        total = Decimal(data["medfee_sumamt"])
        fund = (total * Decimal("0.6")).quantize(Decimal("0.01"))
        head = {
            "mdtrt_id": data["mdtrt_id"],
            "setl_time": "2025-07-05 10:00:00",
            "medfee_sumamt": total,
            "inscp_scp_amt": total,
            "hifp_pay": fund,
            "fund_pay_sumamt": fund,
            "psn_part_amt": total - fund,
            "psn_cash_pay": total - fund,
            "hosp_part_amt": 0,
        }
        head = {name: str(value) for name, value in (head | self.spoil).items()}
        return {
            "setlinfo": head,
            "setldetail": [{"fund_pay_type": "390100", "fund_payamt": str(fund)}],
        }


def _priced(row: Row) -> Row:
    amount = row["det_item_fee_sumamt"]
    return {
        "feedetl_sn": row["feedetl_sn"],
        "det_item_fee_sumamt": amount,
        "inscp_scp_amt": amount,
        "selfpay_prop": 0,
        "chrgitm_lv": "01",
    }


def _negative(reply: Row) -> Row:
    texts = {"mdtrt_id", "setl_id", "setl_time", "clr_optins", "clr_type"}
    head = {
        name: value if name in texts else str(-Decimal(value))
        for name, value in reply["setlinfo"].items()
    }
    detail = [
        row | {"fund_payamt": str(-Decimal(row["fund_payamt"]))} for row in reply["setldetail"]
    ]
    return {"setlinfo": head, "setldetail": detail}
