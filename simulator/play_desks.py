"""How a request becomes money in the second act: finance's two desks, the window, the bank's file,
and what the patient reads of it.
"""

import base64
import csv
import io
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

from simulator.clients import Client, StaffClient
from simulator.play_cards import Person
from simulator.play_house import House, check, say, sees, until, yuan

SIGNED = "5" * 64
"""The hash of somebody's signature."""
WAYS = {"WECHAT": "微信原路", "CASH": "窗口现金", "BANK": "本人银行卡"}


@dataclass
class Desks:
    """The people who work the queue; ``paid_fen``: what arrived so far, by its way."""

    house: House
    cashier: StaffClient
    paid_fen: Counter[str] = field(default_factory=Counter)

    def decide(self, request: dict[str, Any]) -> None:
        """Finance works its queue: one reviews, another confirms."""
        for state, who, step in (
            ("ACCEPTED", self.house.maker, "review"),
            ("REVIEWED", self.house.checker, "confirm"),
        ):
            queue = who.get("/v1/refund-requests", query={"state": state})
            check(f"the queue {state}", [each["id"] for each in queue], [request["id"]])
            who.post(f"/v1/refund-requests/{request['id']}/{step}", {"reason": "已核对身份和金额"})
        sees("财务", f"{yuan(request['amount_fen'])}：制单复核，另一人确认，各留理由")

    def paid(self, who: Client, request: dict[str, Any]) -> dict[str, Any]:
        """Wait until all of it has arrived."""
        path = f"/v1/refund-requests/{request['id']}"
        until("paid", lambda: who.get(path)["state"] == "PAID")
        done: dict[str, Any] = who.get(path)
        self.paid_fen += routes(done)
        return done

    def hand_over(self, request: dict[str, Any]) -> None:
        """The window gives out cash against a signature."""
        for item in request["items"]:
            refund = f"/v1/refunds/{item['refund_id']}"
            for leg in self.cashier.get(refund)["legs"]:
                if leg["route"] == "CASH":
                    path = f"{refund}/legs/{leg['id']}/hand-over"
                    self.cashier.post(path, {"proof": SIGNED})
                    sees("窗口", f"付现金 {yuan(leg['amount_fen'])}，患者签字")

    def bank(self, fen: int) -> None:
        """A file for the bank: made by one, released by another, answered by the bank."""
        batch = self.house.maker.post("/v1/bank-batches")
        check("the bank's file", (batch["row_count"], batch["total_fen"]), (1, fen))
        path = f"/v1/bank-batches/{batch['id']}"
        self.house.checker.post(f"{path}/release")
        sent = self.house.maker.try_("GET", f"{path}/file", query={"format": "csv"}).text
        (_, *rows, total) = csv.reader(io.StringIO(sent.lstrip("\ufeff")))
        answer = [["流水号", "金额（元）", "结果", "原因"]]
        answer += [[row[1], row[5], "成功", ""] for row in rows]
        answer.append(["合计", total[5], str(len(rows)), ""])
        text = "\n".join(",".join(row) for row in answer).encode("gb18030")
        taken = self.house.maker.post(f"{path}/answers", {"file": base64.b64encode(text).decode()})
        check("settled", taken["state"], "SETTLED")
        sees("银行", f"批量文件 {batch['number']}：1 笔 {yuan(fen)}，已入账")

    def news(self, person: Person) -> list[str]:
        """What was written to somebody about their own money."""
        return [text for text in self.house.sms(person.phone) if "退款" in text or "受理" in text]

    def read_sms(self, person: Person) -> None:
        """Accepted, sent, arrived: each told by SMS (GZ-7 T8)."""
        until("the last SMS", lambda: any("请查收" in text for text in self.news(person)))
        for text in self.news(person):
            sees(f"短信 {person.name}", text)


def routes(request: dict[str, Any]) -> Counter[str]:
    """How much goes which way."""
    ways: Counter[str] = Counter()
    for item in request["items"]:
        for leg in item["legs"]:
            ways[leg["route"]] += leg["amount_fen"]
    return ways


def show_money(title: str, money: dict[str, Any]) -> None:
    """All balances of a person, and why each part would go which way."""
    table = Table("卡", "余额", "怎么退", title=f"{title}  {yuan(money['total_fen'])}")
    for each in money["balances"]:
        why = "\n".join(leg["why"] for leg in each["legs"])
        table.add_row(each["card"], yuan(each["held_fen"]), why)
    say.print(table)


def show_legs(title: str, request: dict[str, Any]) -> None:
    """The payments of a request, and why each goes its way."""
    table = Table("退到哪里", "金额", "为什么", title=f"{title}  {yuan(request['amount_fen'])}")
    for item in request["items"]:
        for leg in item["legs"]:
            table.add_row(WAYS[leg["route"]], yuan(leg["amount_fen"]), leg["why"])
    say.print(table)
