"""The second act: an old card system is counted, its holders are told, three of them get their
money back, one only after the treasury had it, and the books balance (GZ-7, GZ-8).
"""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.table import Table

from simulator import old_cards
from simulator.play_cards import an_old_system, as_of, wechat_payments
from simulator.play_desks import SIGNED, WAYS, Desks, routes, show_legs, show_money
from simulator.play_house import (
    NEW_PASSWORD,
    SHANGHAI,
    House,
    Wrong,
    check,
    say,
    sees,
    until,
    yuan,
)

ROOT = Path(__file__).parent.parent
READINGS = {
    "ACCOUNT_ACTIVITY": "账户最后一次使用",
    "TOPUP_LOT": "每笔充值",
    "FOUND_UNRETURNABLE": "认定无法清退的那天",
}
STATES = {"NEW": "未告知", "CONTACTED": "已告知", "CLEARED": "已退清"}
MAPPING = ROOT / "docs" / "census-mapping.yaml"
NEWS = ("REFUND_ACCEPTED", "REFUND_SENT", "REFUND_ARRIVED")


class Clearance:
    """One year of clearing old cards, in some minutes."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.old = an_old_system(house.serial, house.today)
        self.dump = Path(house.scene["dump"])
        self.year_end = as_of(house.today)

    def steps(self) -> tuple[tuple[str, Callable[[], None]], ...]:
        """The act, step by step."""
        return (
            ("财务准备：负责人、窗口、服务台、本院的规定  people and rules", self.prepare),
            ("盘点：旧一卡通 2,000 个账户，一人检查、另一人放行  the census", self.census),
            ("告知：公告和短信  the notice", self.notice),
            ("患者一：只用微信充过值  WeChat only", self.wechat_only),
            ("患者二：现金、一年前的微信、最近的微信  mixed", self.mixed),
            ("联系不上的人：登记、认定、备案  not to be found", self.give_up),
            ("上缴财政：清单、批准、回单  turned over to the treasury", self.turn_over),
            ("患者三：上缴以后才来  late, and paid all the same", self.late),
            ("告知结束  everybody was told", self.told),
            ("清退台账  the board", self.board),
            ("账务核对  the books", self.books),
        )

    def prepare(self) -> None:
        """Three more people, and what this hospital decided."""
        house = self.house
        self.maker, self.checker = house.maker, house.checker
        self.head = house.hire("F003", "财务负责人白术", "FINANCE_HEAD")
        self.cashier = house.hire("C001", "收费员茯苓", "CASHIER", window="3号窗口")
        self.desks = Desks(house, self.cashier)
        self.desk = house.hire("S001", "服务台甘草", "SERVICE_DESK")
        self.before = house.balances()
        now = house.now().astimezone(SHANGHAI)
        self.may_write = now.hour >= 6 and (now + timedelta(minutes=10)).hour in range(6, 23)
        decided = {
            "refund_limit_fen": "500000",
            "refund.fallback_order": "BANK,CASH",
            "notice.quiet_hours": "23-6" if self.may_write else "21-8",
        }
        for key, value in decided.items():
            self.head.put(f"/v1/settings/{key}", {"value": value})
        sees("财务负责人", "不能原路退的先转本人银行卡，没有卡的到窗口领；超过 5,000 元由负责人批")

    def census(self) -> None:
        """The dump, looked at by one person, released by another; WeChat Pay remembers its part."""
        old_cards.write(self.dump, self.old.cards)
        payments = [*wechat_payments(self.old.cards)]
        remembered = {"hospital": self.house.code, "payments": payments}
        self.house.world("POST", "/_sim/wxpay/history", remembered)
        total = sum(card.balance_fen for card in self.old.cards)
        looked = self._type("check", "F001")
        check("nothing stands in the way", looked["state"], "CHECKED")
        refused = self._run("import", "F001", "--import-id", looked["import id"])
        check(
            "one person alone",
            (refused.returncode, "PERMISSION_MISSING" in refused.stderr),
            (1, True),
        )
        sees("财务制单", f"自己检查、自己放行：[yellow]{refused.stderr.strip()}[/]")
        done = self._type("import", "F002", "--import-id", looked["import id"])
        check("imported", done["state"], "IMPORTED")
        clearing = self.maker.get("/v1/prepay/clearance")
        check("all the money of the dump", clearing["total_fen"], total)
        by_channel = sum(row["fen"] for row in clearing["by_channel"])
        check("by channel", by_channel, total)
        now = self.house.balances()
        check("owed to holders", now["OUTPATIENT_PREPAY"], -total)
        check("cash of before", now["CASH"] - self.before["CASH"], total)
        self.imported_fen, self.at_wechat = total, self._wechat_books()

    def notice(self) -> None:
        """Drafted by one, sent by the head; at night it waits for the morning."""
        asked = {"name": "门诊预交金清退告知", "least_fen": 1}
        drafted = self.maker.post("/v1/campaigns", asked, key="campaign-2026-01")
        self.campaign = f"/v1/campaigns/{drafted['id']}"
        shown = hashlib.sha256("门诊预交金可以退还".encode()).hexdigest()
        for channel, place in (("WEBSITE", "医院网站首页"), ("NOTICE_BOARD", "门诊大厅公告栏")):
            put_up = {"channel": channel, "place": place, "snapshot_sha256": shown}
            notice = put_up | {"from_on": self.house.today.isoformat()}
            self.maker.post(f"{self.campaign}/public-notices", notice)
        self.holders = len({row["patient_id"] for row in self._accounts()})
        self.head.post(f"{self.campaign}/send")
        until("everybody is to be told", lambda: sum(self._told().values()) == self.holders)
        if not self.may_write:
            sees("短信", f"现在是夜里：{self.holders} 人的通知等到早上 8 点再发，不打扰患者")
            return
        phone = self.old.wechat_only.phone
        until("an SMS", lambda: bool(self.house.sms(phone)))
        sees(f"短信 {self.old.wechat_only.name}", self.house.sms(phone)[-1])

    def wechat_only(self) -> None:
        """Everything at once on the phone, and it goes back the way it came."""
        person = self.old.wechat_only
        phone = self.house.phone(
            f"o-demo-{self.house.code.lower()}-chen", person.name, person.id_no
        )
        me = phone.get("/v1/patient/binding")["patient_id"]
        money = phone.get(f"/v1/patients/{me}/my-money")
        check("my money", (money["total_fen"], len(money["balances"])), (person.held_fen, 2))
        show_money(f"手机 {person.name} 我的余额", money)
        (request,) = phone.post(f"/v1/patients/{me}/refund-requests", {}, key="all-my-money")
        self.desks.decide(request)
        paid = self.desks.paid(phone, request)
        check("the way it came", routes(paid), {"WECHAT": person.held_fen})
        self.desks.read_sms(person)

    def mixed(self) -> None:
        """At the window: three payments, three ways back, each with its reason."""
        person = self.old.mixed
        (found,) = self.cashier.post("/v1/patient-lookups", {"id_no": person.id_no})
        patient = f"/v1/patients/{found['patient_id']}"
        sees("窗口", f"按身份证找到 {found['name']}，卡 {found['accounts'][0]['card']}")
        card = {
            "name": person.name,
            "card_no": "6222000012345678901",
            "bank_name": "示范银行贵阳分行",
        }
        wish = {"payee": card, "signature_sha256": SIGNED, "reason": "本人带身份证办理"}
        (request,) = self.cashier.post(f"{patient}/refund-requests", wish, key="at-the-window")
        show_legs("窗口 为什么这样退", request)
        wanted = {"WECHAT": 6_000, "CASH": 12_000, "BANK": 8_050}
        check("three ways", routes(request), wanted)
        self.desks.decide(request)
        self.desks.hand_over(request)
        self.desks.bank(8_050)
        self.desks.paid(self.cashier, request)
        self.desks.read_sms(person)

    def give_up(self) -> None:
        """What was tried is written down; without proof nobody is given up."""
        person = self.old.late
        (found,) = self.desk.post("/v1/patient-lookups", {"card_no": person.cards[0].number})
        (account,) = found["accounts"]
        self.lost = f"/v1/prepay-accounts/{account['account_id']}"
        mark = {"reason": "CONTACT_CHANGED", "risk_note": "号码已换人；本人来了照退"}
        refused = self.maker.try_("PUT", f"{self.lost}/unreturnable", mark)
        check("no proof", (refused.status, refused.code), (422, "ATTEMPT_EVIDENCE_REQUIRED"))
        sees("财务制单", f"还没有联系过就认定：[yellow]{refused.body['detail']}[/]")
        for days, channel, result in ((70, "PHONE", "NO_ANSWER"), (35, "LETTER", "UNDELIVERED")):
            at = (self.house.now() - timedelta(days=days)).isoformat()
            tried = {"channel": channel, "result": result, "at": at}
            self.desk.post(f"{self.lost}/contact/attempts", tried, key=f"tried-{channel}")
        if self.may_write:
            until("a stranger's SMS", lambda: bool(self.house.sms(person.phone)))
        self.desk.post("/v1/wrong-numbers", {"phone": person.phone})
        sees("服务台", "电话无人接听，信件退回，机主来电说不是本人：这个号码以后不再发短信")
        self.maker.put(f"{self.lost}/unreturnable", mark)
        filing = self.maker.post("/v1/unreturnable-filings", {"period": f"{self.year_end.year}Q4"})
        check("on the list", (filing["accounts"], filing["total_fen"]), (1, person.held_fen))
        received = {"filing_no": "筑卫财备〔2026〕12号", "authority": "贵阳市卫生健康局"}
        self.maker.put(f"/v1/unreturnable-filings/{filing['id']}/receipt", received)
        sees("财务制单", f"无法清退 1 户 {yuan(person.held_fen)}，已报备 {received['filing_no']}")

    def turn_over(self) -> None:
        """Three readings side by side, a draft, another person's yes, the treasury's receipt."""
        due = self.old.late.held_fen
        query = {"as_of": self.year_end.isoformat()}
        table = Table("三年从哪一天算起", "户", "金额", title=f"截至 {self.year_end} 超过三年的")
        for row in self.maker.get("/v1/turnover/preview", query=query):
            table.add_row(READINGS[row["reading"]], str(row["accounts"]), yuan(row["total_fen"]))
        say.print(table)
        batch = self.maker.post("/v1/turnover/batches", query)
        check("the list", (batch["accounts"], batch["total_fen"]), (1, due))
        path = f"/v1/turnover/batches/{batch['id']}"
        self.head.post(f"{path}/approve")
        receipt = {"receipt_no": "黔财收0001", "paid_on": self.house.today.isoformat()}
        self.maker.put(f"{path}/receipt", receipt | {"amount_fen": due})
        until("moved", lambda: self.maker.get(f"{path}/items")[0]["moved_fen"] == due)
        self.treasury_fen = due
        sees("财务", f"财政回单 {receipt['receipt_no']}，{yuan(due)} 已上缴，患者的权利保留")

    def late(self) -> None:
        """The hospital pays first and asks the treasury later."""
        person = self.old.late
        openid = f"o-demo-{self.house.code.lower()}-wang"
        phone = self.house.phone(openid, person.name, person.id_no)
        allowed = [{"openid": openid, "template_id": name, "count": 1} for name in NEWS]
        for each in allowed:
            self.house.world("POST", "/_sim/mini-program/subscriptions", each)
        phone.post("/v1/patient/subscriptions", {"templates": list(NEWS)})
        me = phone.get("/v1/patient/binding")["patient_id"]
        money = phone.get(f"/v1/patients/{me}/my-money")
        (balance,) = money["balances"]
        check("still mine", (balance["kind"], balance["held_fen"]), ("TREASURY_TURNED_OVER", 8_880))
        show_money(f"手机 {person.name} 我的余额（已上缴财政）", money)
        (request,) = phone.post(f"/v1/patients/{me}/refund-requests", {}, key="late-but-mine")
        self.desks.decide(request)
        self.desks.hand_over(request)
        self.desks.paid(phone, request)
        check("no SMS to a wrong number", self.desks.news(person), [])
        until("told on the phone instead", lambda: "已退到" in self._notices(openid))
        sees("手机", f"微信服务通知：{self._notices(openid)}")
        book = self.maker.get("/v1/treasury-claims")
        advance = {"budget_year": self.house.today.year + 1, "amount_fen": person.held_fen}
        check("the advance", book["unclaimed"], [advance])
        sees(
            "财务",
            f"医院先行垫付 {yuan(person.held_fen)}，列入 {advance['budget_year']} 年预算申请",
        )

    def told(self) -> None:
        """The campaign is complete when nobody is left to tell."""
        if not self.may_write:
            refused = self.maker.try_("POST", f"{self.campaign}/complete")
            check("not yet", refused.code, "CAMPAIGN_STILL_SENDING")
            sees("财务制单", f"[yellow]{refused.body['detail']}[/]")
            return
        waiting = {"QUEUED", "SENDING", "UNKNOWN"}
        until("all are told", lambda: not self._told().keys() & waiting, patience_s=120)
        told = self._told()
        check("each once", sum(told.values()), self.holders)
        done = self.maker.post(f"{self.campaign}/complete")
        check("complete", done["state"], "COMPLETE")
        reached = told["SENT"] + told["DELIVERED"]
        say_so = f"{self.holders} 位持卡人：短信 {reached}，没有可用的电话 {told['FAILED']}"
        sees("财务", say_so)

    def board(self) -> None:
        """Every side of the board sums to the whole."""
        board = self.maker.get("/v1/prepay/clearance/board")
        paid = self.desks.paid_fen.total()
        found = [board[name] for name in ("stored_fen", "held_fen", "under_way_fen", "paid_fen")]
        check("the board", found, [self.imported_fen, self.imported_fen - paid, 0, paid])
        check("nothing is left at the treasury", board["turned_over_fen"], 0)
        for side in board["sides"]:
            for column, whole in (("stored_fen", self.imported_fen), ("paid_fen", paid)):
                check(side["side"], sum(row[column] for row in side["rows"]), whole)
        check("paid people", board["funnel"]["paid"], 4)
        table = Table(
            "状态", "户", "存", "在", "已退", title=f"清退台账 已清退 {board['cleared_percent']}%"
        )
        for row in next(side["rows"] for side in board["sides"] if side["side"] == "state"):
            fen = (yuan(row[name]) for name in ("stored_fen", "left_fen", "paid_fen"))
            table.add_row(STATES[row["value"]], str(row["accounts"]), *fen)
        say.print(table)

    def books(self) -> None:
        """Ours prove, and WeChat's are ours to the fen."""
        now, paid = self.house.balances(), self.desks.paid_fen.total()
        check("owed to holders", now["OUTPATIENT_PREPAY"], paid - self.imported_fen)
        check("the treasury owes us", now["HOSPITAL_ADVANCE"], self.treasury_fen)
        left = {"REFUND_IN_TRANSIT", "TREASURY_HELD", "TREASURY_TURNED_OVER"}
        check("nothing on its way", [kind for kind in left if now.get(kind)], [])
        cash = self.before["CASH"] + self.imported_fen - paid - self.treasury_fen
        check("cash", now["CASH"], cash)
        check("all accounts together", sum(now.values()), 0)
        check("the ledger's proof", self.maker.get("/v1/ledger/proof"), [])
        theirs = self._wechat_books()
        moved = {no: theirs[no] - fen for no, fen in self.at_wechat.items() if theirs[no] != fen}
        check("WeChat's books", -sum(moved.values()), self.desks.paid_fen["WECHAT"])
        check("no other payment moved", len(moved), 3)
        table = Table("退到哪里", "金额", title="已退，和微信支付的账分文不差")
        for route, fen in self.desks.paid_fen.items():
            table.add_row(WAYS[route], yuan(fen))
        say.print(table)

    def _type(self, command: str, by: str, *more: str) -> dict[str, str]:
        """A command that must succeed, shown with what it prints."""
        done = self._run(command, by, *more)
        if done.returncode:
            raise Wrong(f"census {command}: {done.stdout}{done.stderr}")
        sees(f"{by} $ flask --app wsgi census {command}", done.stdout.strip())
        lines = (line.rpartition(" ") for line in done.stdout.splitlines())
        return {name: value for name, _, value in lines}

    def _run(self, command: str, by: str, *more: str) -> subprocess.CompletedProcess[str]:
        """The census at the console of the server, with the clerk's own password."""
        typed = [sys.executable, "-m", "flask", "--app", "wsgi", "census", command]
        typed += ["--hospital", self.house.code, "--by", by, "--mapping", str(MAPPING), *more]
        password = {f"FLASK_CENSUS_{command.upper()}_PASSWORD": NEW_PASSWORD}
        return subprocess.run(  # noqa: S603 - our own command, told by nobody
            [*typed, str(self.dump)],
            cwd=ROOT,
            env=os.environ | password,
            capture_output=True,
            text=True,
            check=False,
        )

    def _accounts(self) -> list[dict[str, Any]]:
        """The clearance ledger, page by page."""
        found: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": 500}
        while page := self.maker.get("/v1/prepay/clearance/accounts", query=query):
            found += page
            query["after"] = page[-1]["id"]
        return found

    def _notices(self, openid: str) -> str:
        """The last service notice on somebody's phone, as it stands there."""
        messages = self.house.world("GET", "/_sim/mini-program/messages")
        mine = [each["data"] for each in messages if each["openid"] == openid]
        return "，".join(mine[-1].values()) if mine else ""

    def _told(self) -> Counter[str]:
        """How many people's notice stands where."""
        told: Counter[str] = Counter()
        for row in self.maker.get(self.campaign)["told"]:
            told[row["state"]] += row["people"]
        return told

    def _wechat_books(self) -> dict[str, int]:
        """What WeChat Pay keeps of each payment to this hospital."""
        books = self.house.world("GET", "/_sim/books")["wxpay"]
        return {
            number: row["paid_fen"] - row["refunded_fen"]
            for number, row in books.items()
            if row["hospital"] == self.house.code
        }
