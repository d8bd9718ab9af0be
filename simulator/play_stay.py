"""The first act: one stay, by those who live it: HIS, phone, handheld, finance's desk. The people
are invented; the charge lines are of a real day.
"""

import csv
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.table import Table

from simulator.old_cards import id_number
from simulator.play_house import SHANGHAI, House, check, say, sees, until, yuan

CHARGES = Path(__file__).parent / "fixtures" / "inpatient_day_charges.csv"
DAY_TOTAL_FEN = 312_472
PATIENT = {"name": "田丰收", "born": date(1958, 5, 6), "phone": "19900000001"}


class Stay:
    """One patient's stay, from the slip to the last refund."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.yesterday = house.today - timedelta(days=1)
        self.his = house.his()
        self.openid = f"o-demo-{house.code.lower()}-son"
        self.id_no = id_number(house.serial, PATIENT["born"])
        self.inpatient_no = f"ZY{house.today:%Y%m%d}{house.serial:03d}"

    def steps(self) -> tuple[tuple[str, Callable[[], None]], ...]:
        """The stay, step by step."""
        return (
            ("医院准备：人员、设备  staff and devices", self.prepare),
            ("HIS 发来住院证  the admission slip", self.slip),
            ("手机：登录、实名、入院登记  registered from the phone", self.register),
            ("病房手持机：医保登记；财务：录入额度  insurance, quota", self.insure),
            ("手机交预交金 2,000 元，床旁扫码 1,000 元  deposits", self.deposits),
            ("HIS 传一天的费用明细  a day's charges", self.charges),
            ("一日清单：推送、查看、提问、答复  the daily bill", self.daily_bill),
            ("出院医嘱，床旁结算  settled at the bed", self.settle),
            ("财务复核，余款原路退回  the rest goes home", self.refund),
            ("账务核对  the books", self.books),
        )

    def prepare(self) -> None:
        """The administrator sets the house up; each person has an own device with an own key."""
        house = self.house
        self.nurse = house.hire("N001", "护士白芍", "NURSE", kind="HANDHELD", ward="W01")
        self.maker = house.maker = house.hire("F001", "财务川芎", "FINANCE_MAKER")
        self.checker = house.checker = house.hire("F002", "财务当归", "FINANCE_CHECKER")
        house.admin.put("/v1/settings/service_phone", {"value": "0851-80000000"})
        gaps = [gap["code"] for gap in house.admin.get("/v1/readiness")["gaps"]]
        check("a checker is there", "REFUND_CHECKER_MISSING" in gaps, False)
        seed = {
            "certno": self.id_no,
            "name": PATIENT["name"],
            "insutype": "390",
        }
        house.world("POST", f"/_sim/insurance/{house.code}/persons", seed)
        sees("管理员", "护士、财务制单、财务复核都已登录，各用自己的设备密钥")

    def slip(self) -> None:
        """The HIS announces the stay."""
        morning = datetime(*self.yesterday.timetuple()[:3], 9, 0, tzinfo=SHANGHAI)
        answer = self.his.post(
            "/v1/his/events/admission",
            {
                "source_event_id": f"ADM-{self.inpatient_no}",
                "inpatient_no": self.inpatient_no,
                "admitted_at": morning.isoformat(),
                "patient": {
                    "his_patient_no": f"P-{self.id_no[-6:]}",
                    "name": PATIENT["name"],
                    "id_no": self.id_no,
                    "phone": PATIENT["phone"],
                    "sex": "1",
                },
                "ward": "W01",
                "ward_name": "肿瘤内科一病区",
                "bed": "12",
                "department_code": "0305",
                "department_name": "肿瘤内科",
                "doctor_code": "D101",
                "doctor_name": "医生黄芪",
                "diagnosis_code": "C50.900",
                "diagnosis_name": "乳腺恶性肿瘤",
            },
        )
        self.stay = f"/v1/admissions/{answer['admission_id']}"
        check("the stay is a slip", answer["state"], "SLIP")
        sees("HIS", f"住院号 {self.inpatient_no}，住院证已接收")

    def register(self) -> None:
        """The patient logs in, proves who he is, and completes the admission."""
        self.phone = self.house.phone(self.openid, PATIENT["name"], self.id_no)
        seen = self.phone.put(f"{self.stay}/registration", {"phone": PATIENT["phone"]})
        check("registered", seen["state"], "IN_HOUSE")
        self._allow("DAILY_BILL")
        sees("手机", f"{seen['patient_name']}，{seen['ward_name']} {seen['bed']} 床，已办入院")

    def insure(self) -> None:
        """The nurse registers the insurance at the bed; finance enters the quota."""
        seen = self.nurse.put(f"{self.stay}/insurance", {})
        check("insured", (seen["insurance"], seen["insurance_state"]), ("390", "REGISTERED"))
        sees("手持机", "居民医保，已在医保平台办理入院登记")
        quota = {"quota_fen": 350_000, "basis": "同病种居民医保近三年个人平均自付"}
        self.maker.put(f"{self.stay}/quota", quota)
        sees("财务", f"预交金额度 {yuan(350_000)}")

    def deposits(self) -> None:
        """Two payments on two channels; a third would break the quota."""
        order = self.phone.post(
            f"{self.stay}/deposits",
            {"amount_fen": 200_000, "route": "MINI_PROGRAM"},
            key=f"phone-{self.inpatient_no}",
        )
        self.house.world("POST", "/_sim/wxpay/pay", {**order["pay_with"], "openid": self.openid})
        until("deposit by phone", lambda: self._held(200_000))
        shown = self.nurse.post(
            f"{self.stay}/deposits",
            {"amount_fen": 100_000, "route": "QR"},
            key=f"ward-{self.inpatient_no}",
        )
        paid = {"code_url": shown["pay_with"]["code_url"], "openid": "o-demo-daughter"}
        self.house.world("POST", "/_sim/wxpay/pay", paid)
        until("deposit by QR", lambda: self._held(300_000))
        more = self.nurse.try_(
            "POST",
            f"{self.stay}/deposits",
            {"amount_fen": 50_001, "route": "QR"},
            key="one-too-many",
        )
        check("over the quota", (more.status, more.code), (422, "DEPOSIT_CAP_EXCEEDED"))
        sees("手机", f"已收预交金 {yuan(300_000)}（本人 2,000 元，女儿在床旁扫码 1,000 元）")
        sees("手持机", f"再收 500.01 元：[yellow]{more.body['detail']}[/]")
        self._read_sms()

    def charges(self) -> None:
        """A real day of 69 lines, moved to yesterday."""
        with CHARGES.open(encoding="utf8", newline="") as file:
            rows = list(csv.DictReader(file))
        answer = self.his.post(
            "/v1/his/events/charge-batch",
            {
                "source_event_id": f"CHG-{self.inpatient_no}",
                "lines": [self._line(place, row) for place, row in enumerate(rows)],
            },
        )
        check("all lines taken", (answer["accepted"], answer["refused"]), (69, 0))
        sees("HIS", f"69 条费用全部接收，合计 {yuan(DAY_TOTAL_FEN)}")

    def daily_bill(self) -> None:
        """The night's list, made by finance's button here; pushed, read, asked about, answered."""
        self.maker.post("/v1/daily-bills/runs", {"day": self.yesterday.isoformat()})
        bill = self.phone.get(f"{self.stay}/daily-bills/{self.yesterday}")
        check("the day's total", bill["total_fen"], DAY_TOTAL_FEN)
        self._show_bill(bill)
        dearest = max(bill["lines"], key=lambda line: line["amount_fen"])
        path = f"{self.stay}/daily-bills/{self.yesterday}/questions"
        asked = self.phone.post(path, {"line_seq": dearest["seq"], "text": "这个药为什么这么贵？"})
        (waiting,) = self.nurse.get("/v1/wards/W01/questions")
        check("the ward sees the question", waiting["id"], asked["id"])
        words = {"text": "这是化疗药，两支，按医保目录价收，报销后您自付的少。"}
        self.nurse.post(f"/v1/questions/{asked['id']}/answer", words)
        sees("手机", f"问：这个药为什么这么贵？  答：{words['text']}")
        until("the list was pushed", self._pushed)

    def settle(self) -> None:
        """Discharge order, trial in plain words, agreement, insurance share at once."""
        at = self.house.now().isoformat()
        event = {"source_event_id": f"DIS-{self.inpatient_no}", "inpatient_no": self.inpatient_no}
        self.his.post(
            "/v1/his/events/discharge-order",
            event | {"ordered_at": at, "left_at": at, "leaving_way": "1"},
        )
        calls = self.nurse.calls
        trial = self.nurse.post(f"{self.stay}/settlement/trial")
        self._show_lines("试算（结算前给患者看）", trial)
        done = self.nurse.put(f"{self.stay}/settlement", {"agree_to": trial["agree_to"]})
        (number,) = done["receipts"]
        self.nurse.get(f"/v1/receipts/{number}")
        check("calls from «settle» to the receipt", self.nurse.calls - calls <= 6, True)
        check("closed", (done["state"], done["total_fen"]), ("CLOSED", DAY_TOTAL_FEN))
        check("lines add up", sum(line["amount_fen"] for line in done["lines"]), DAY_TOTAL_FEN)
        self.settled = done
        self._show_lines(f"结算单 收据 {number}", done)

    def refund(self) -> None:
        """The second person approves; WeChat gives the rest back to those who paid."""
        (rest,) = self.settled["refunds"]
        check(
            "deposit = personal + rest", self.settled["personal_fen"] + rest["amount_fen"], 300_000
        )
        (queued,) = self.checker.get("/v1/refunds", query={"state": "REQUESTED"})
        check("finance's queue", queued["id"], rest["id"])
        self.checker.post(f"/v1/refunds/{rest['id']}/check", {"approve": True})
        path = f"/v1/refunds/{rest['id']}"
        until("refund", lambda: self.checker.get(path)["state"] == "PAID")
        legs = self.checker.get(path)["legs"]
        routes = "，".join(f"{yuan(leg['amount_fen'])} 退回微信" for leg in legs)
        sees("财务", f"复核通过（申请人和复核人不是同一个人）：{routes}")
        self._read_sms()

    def books(self) -> None:
        """Everything at rest: no deposit, nothing in transit, nobody owes, the ledger proves."""
        balances = self.house.balances()
        personal = self.settled["personal_fen"]
        check(
            "nothing owed to or by patients",
            [k for k in balances if k.startswith(("INP", "PAT", "REF"))],
            [],
        )
        check("cash at WeChat", balances["CASH"], personal)
        check("earned", balances["REVENUE"], -DAY_TOTAL_FEN)
        check("the funds owe", balances["FUND_RECEIVABLE"], DAY_TOTAL_FEN - personal)
        check("all accounts together", sum(balances.values()), 0)
        check("the ledger's proof", self.maker.get("/v1/ledger/proof"), [])
        check("WeChat's books", self.house.kept_at_wechat(), personal)
        table = Table("科目", "余额", title="总账（借正贷负，合计为零）")
        for kind, fen in balances.items():
            table.add_row(kind, yuan(fen))
        say.print(table)

    def _line(self, place: int, row: dict[str, str]) -> dict[str, str]:
        clock = row["occurred_at"].partition(" ")[2]
        supply = "械" in row["specification"]
        drug = bool(row["specification"]) and not supply
        head = "C" if supply else "XL" if drug else "0012"
        return {
            "source_line_id": f"{self.inpatient_no}-{place:04d}",
            "inpatient_no": self.inpatient_no,
            "occurred_at": f"{self.yesterday}T{clock}+08:00",
            "item_name": row["item_name"],
            "specification": row["specification"],
            "quantity": row["quantity"],
            "unit_price": row["unit_price_yuan"],
            "amount": row["amount_yuan"].removesuffix("00"),
            "category": "08" if supply else "09" if drug else "05",
            "insurance_level": "02" if supply or drug else "01",
            "self_pay_ratio": "0.2000" if supply else "0.1000" if drug else "0.0000",
            "national_code": f"{head}{place:010d}",
            "hospital_code": f"H{place:04d}",
            "department_code": "0305",
            "department_name": "肿瘤内科",
            "doctor_code": "D101",
            "doctor_name": "医生黄芪",
        }

    def _held(self, fen: int) -> bool:
        return bool(self.phone.get(self.stay)["deposit_held_fen"] == fen)

    def _allow(self, template: str) -> None:
        """The person taps «允许»: WeChat notes it, and the mini-program tells the hospital."""
        allowed = {"openid": self.openid, "template_id": template, "count": 1}
        self.house.world("POST", "/_sim/mini-program/subscriptions", allowed)
        self.phone.post("/v1/patient/subscriptions", {"templates": [template]})

    def _pushed(self) -> bool:
        messages = self.house.world("GET", "/_sim/mini-program/messages")
        mine = [message for message in messages if message["openid"] == self.openid]
        if mine:
            sees("手机", f"微信服务通知：{mine[-1]['data']}")
        return bool(mine)

    def _read_sms(self) -> None:
        time.sleep(1)
        for text in self.house.sms(PATIENT["phone"])[-3:]:
            sees("短信", text)

    def _show_bill(self, bill: dict[str, Any]) -> None:
        table = Table(
            "项目", "数量", "金额", title=f"一日清单 {self.yesterday} 第 {bill['version']} 版"
        )
        for line in sorted(bill["lines"], key=lambda line: -line["amount_fen"])[:6]:
            table.add_row(line["item_name"], str(line["quantity"]), yuan(line["amount_fen"]))
        table.add_row("……", f"共 {len(bill['lines'])} 项", yuan(bill["total_fen"]))
        say.print(table)

    def _show_lines(self, title: str, sheet: dict[str, Any]) -> None:
        table = Table("谁付", "金额", title=f"{title}  总费用 {yuan(sheet['total_fen'])}")
        for line in sheet["lines"]:
            table.add_row(line["name"], yuan(line["amount_fen"]))
        table.add_row("[bold]将退还给您", f"[bold]{yuan(sheet['rest_fen'])}")
        say.print(table)
