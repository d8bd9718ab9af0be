"""Who has an old card: brought in by the census, told by a campaign, and given the money back on a
bank card, asked for by the holder on the phone or by somebody else with papers at the window."""

import base64
import csv
import io
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from itertools import count
from typing import Any

import psycopg

import local
from policies.bank_file import IN, PAID, REJECTED, TOTAL
from policies.refund_papers import Asker
from policies.sheets import table
from simulator.clients import Answer, StaffClient
from simulator.old_cards import Card, write
from tests.clearance import SIGNED, papers
from tests.people import PASSWORD
from tests.prove.living import CODE, PATIENCE_S, Living, Person, refused
from tests.sim_process import wait_until

NEVER, ON_THE_PHONE, BY_AGENT = 2, 3, 4
"""Of every ten: one never comes and is only told; one asks on the phone; for one asks another."""
MAPPING = local.ROOT / "docs" / "census-mapping.yaml"
ROLES = ("CASHIER", "FINANCE_MAKER", "FINANCE_CHECKER", "FINANCE_HEAD", "ADMINISTRATOR")
OLD = timedelta(days=600)
"""Too old to go back the way it came."""
REJECTED_EVERY = 7


def comes(number: int) -> bool:
    """Whether this one is ever admitted."""
    return number % 10 != NEVER


class OldMoney:
    """The holders among these people, and the office that gives them their money back."""

    def __init__(self, home: Living, people: Mapping[int, Person]) -> None:
        self.home, self.people = home, people
        self.holders = [n for n in people if n % 10 in (NEVER, ON_THE_PHONE, BY_AGENT)]
        staff = {role: home.house.staff(role, kind="DESK", ward="") for role in ROLES}
        home.staff |= {f"{role} at a desk": client for role, client in staff.items()}
        self._staff = staff
        self._keys = count(1)
        admin = staff["ADMINISTRATOR"]
        admin.put("/v1/settings/refund.fallback_order", {"value": "BANK,CASH"})
        admin.put("/v1/settings/service_phone", {"value": "0851-80000000"})

    def census(self) -> None:
        """A dump with people in the wrong columns is refused; the right one is released by another.
        Both by the commands, which run where the logs are."""
        good = [self._card(number) for number in self.holders]
        spoilt = [Card(c.number, _shuffled(c.holder), c.opened, c.top_ups) for c in good]
        write(self.home.directory / "spoilt-dump", spoilt)
        if self._told("check", "FINANCE_MAKER", "spoilt-dump")["state"] != "REFUSED":
            raise AssertionError("a spoilt dump was taken")
        write(self.home.directory / "dump", good)
        checked = self._told("check", "FINANCE_MAKER", "dump")
        more = ("--import-id", checked["import id"])
        if self._told("import", "FINANCE_CHECKER", "dump", *more)["state"] != "IMPORTED":
            raise AssertionError("the dump was not imported")

    def tell(self) -> None:
        """A campaign to every holder, and the lists that finance takes out."""
        maker, head = self._staff["FINANCE_MAKER"], self._staff["FINANCE_HEAD"]
        wish = {"name": "第一轮清退通知"}
        campaign = f"/v1/campaigns/{maker.post('/v1/campaigns', wish, key='campaign-1')['id']}"
        head.post(f"{campaign}/send")
        wait_until(lambda: self._told_people(campaign) == len(self.holders), seconds=PATIENCE_S)
        for form in ("csv", "xlsx"):
            self._table("/v1/prepay/clearance/export", {"form": form})
        wrong = self.people[self.holders[0]].phone
        maker.post("/v1/wrong-numbers", {"phone": wrong})

    def give_back(self) -> None:
        """Asked for, reviewed, confirmed, sent to the bank in one file and answered by it."""
        asking = [n for n in self.holders if comes(n)]
        self.home.in_turns(self._ask_and_decide, asking)
        maker, checker = self._staff["FINANCE_MAKER"], self._staff["FINANCE_CHECKER"]
        batch = f"/v1/bank-batches/{maker.post('/v1/bank-batches')['id']}"
        checker.post(f"{batch}/release")
        self._table(f"{batch}/file", {"format": "xlsx"})
        file = self._table(f"{batch}/file", {"format": "csv"})
        rows = list(csv.reader(io.StringIO(file.text)))[1:-1]
        cards = {self._payee(number)["card_no"] for number in asking}
        if {row[3] for row in rows} != cards:
            raise AssertionError("the bank's file names other cards")
        self.home.in_turns(lambda number: self._answer_wrongly(batch, number), asking)
        said = [_result(place, row) for place, row in enumerate(rows, 1)]
        settled = self._answer(batch, said)
        if settled.status != 200 or settled.body["state"] != "SETTLED":
            raise AssertionError(settled.text)

    def must_have_left_traces(self) -> None:
        """Whatever is not there cannot be found: the sealed rows of everything above."""
        asking = sum(comes(n) for n in self.holders)
        by_agent = sum(n % 10 == BY_AGENT for n in self.holders)
        wanted = {
            "FROM prepay_account WHERE source = 'CENSUS'": len(self.holders),
            "FROM payee WHERE card_no_sealed IS NOT NULL AND name_sealed IS NOT NULL": asking,
            "FROM refund_request WHERE octet_length(asker_id_no_sealed) > 40": by_agent,
            "FROM refund_leg WHERE batch_id IS NOT NULL AND payee_id IS NOT NULL": asking,
        }
        with psycopg.connect(self.home.database_url, autocommit=True) as db:
            found = {rows: db.execute(f"SELECT count(*) {rows}").fetchone() for rows in wanted}
        if found != {rows: (number,) for rows, number in wanted.items()}:
            raise AssertionError(found)

    def _told_people(self, campaign: str) -> int:
        told = self._staff["FINANCE_MAKER"].get(campaign)["told"]
        return sum(state["people"] for state in told)

    def _ask_and_decide(self, number: int) -> None:
        maker, checker = self._staff["FINANCE_MAKER"], self._staff["FINANCE_CHECKER"]
        request = self._ask(number)
        path = f"/v1/refund-requests/{request['id']}"
        self._let_go(path, request["state"])
        seen = [paper["sha256"] for paper in request["papers"]]
        self._step(maker, path, "review", papers_seen=seen)
        self._step(checker, path, "confirm")

    def _ask(self, number: int) -> dict[str, Any]:
        """By the holder on the phone, or by the next one in the row with papers at the window."""
        person, cashier = self.people[number], self._staff["CASHIER"]
        wish: dict[str, Any] = {"payee": self._payee(number)}
        key = f"money-back-{number}"
        if number % 10 == ON_THE_PHONE:
            phone = self.home.phones[number]
            phone.refresh()
            patient = phone.get("/v1/patient/binding")["patient_id"]
            path = f"/v1/patients/{patient}/refund-requests"
            spoilt = {"payee": wish["payee"] | {"card_no": f"{person.card}-"}}
            refused(person, phone.try_("POST", path, spoilt, key=f"spoilt-{number}"))
            (request,) = phone.post(path, wish, key=key)
        else:
            (found,) = cashier.post("/v1/patient-lookups", {"id_no": person.id_no})
            path = f"/v1/patients/{found['patient_id']}/refund-requests"
            agent = self._agent(number)
            wish |= {"asker": "AGENT", "name": agent.name, "id_no": agent.id_no}
            wish |= {"signature_sha256": SIGNED, "papers": papers(Asker.AGENT)}
            (request,) = cashier.post(path, wish, key=key)
        return dict(request)

    def _step(self, who: StaffClient, path: str, step: str, **said: Any) -> None:
        """With the word of two others where it is held on the way: at night, say."""
        word = {"reason": "看过了", **said}
        state = who.post(f"{path}/{step}", word)["state"]
        if self._let_go(path, state):
            who.post(f"{path}/{step}", word)

    def _let_go(self, path: str, state: str) -> bool:
        for role in ("FINANCE_CHECKER", "FINANCE_HEAD") if state == "HELD" else ():
            self._staff[role].post(f"{path}/release", {"reason": "问过本人"})
        return state == "HELD"

    def _agent(self, number: int) -> Person:
        return self.people.get(number + 1, self.people[0])

    def _payee(self, number: int) -> dict[str, str]:
        """The holder's own bank card, or the one of who asks instead."""
        own = number % 10 == ON_THE_PHONE
        payee = self.people[number] if own else self._agent(number)
        return {"name": payee.name, "card_no": payee.card, "bank_name": "示范银行贵阳分行"}

    def _answer_wrongly(self, batch: str, number: int) -> None:
        person = self.people[number]
        wrong = [person.card, "1.00", PAID, f"{person.name}{person.id_no}"]
        refused(person, self._answer(batch, [wrong]))

    def _answer(self, batch: str, said: list[list[str]]) -> Answer:
        total = sum(round(float(amount) * 100) for _, amount, *_ in said)
        rows = [*said, [TOTAL, f"{total // 100}.{total % 100:02d}", str(len(said)), ""]]
        body = {"file": base64.b64encode(table("csv", IN, rows)).decode()}
        return self._staff["FINANCE_MAKER"].try_("POST", f"{batch}/answers", body)

    def _table(self, path: str, query: dict[str, str]) -> Answer:
        answer = self._staff["FINANCE_MAKER"].try_("GET", path, query=query)
        if answer.status != 200:
            raise AssertionError(answer.text)
        return answer

    def _card(self, number: int) -> Card:
        """An old card with one top-up by WeChat."""
        person, then = self.people[number], (self.home.house.now() - OLD).replace(tzinfo=None)
        born = f"{person.id_no[6:10]}-{person.id_no[10:12]}-{person.id_no[12:14]}"
        at = then.replace(microsecond=0)
        top_up = (f"T{number}", 12_050 + number, at, "微信", f"4200{number:024d}")
        holder = [person.name, person.id_no, person.phone, born, "女"]
        return Card(f"K{number:06d}", holder, at, [top_up])

    def _told(self, command: str, role: str, dump: str, *more: str) -> dict[str, str]:
        """What a census command prints; it and everything else that it says stays with the logs."""
        typed = [sys.executable, "-m", "flask", "--app", "wsgi", "census", command, *more]
        typed += ["--hospital", CODE, "--by", self._staff[role].staff_no, "--password", PASSWORD]
        typed += ["--mapping", str(MAPPING), str(self.home.directory / dump)]
        log = self.home.directory / "log" / f"census-{command}-{dump}.log"
        with log.open("w+", encoding="utf-8") as said:
            environment = self.home.environment
            subprocess.run(
                typed, cwd=local.ROOT, env=environment, stdout=said, stderr=said, check=False
            )
            said.seek(0)
            told = local.told_by(said.read())
        if "state" not in told:
            raise AssertionError(log.read_text("utf8"))
        return told


def _shuffled(holder: list[str]) -> list[str]:
    """Each word of a holder under a heading that it does not belong to."""
    name, id_no, phone, born, sex = holder
    return [born, phone, id_no, name, sex]


def _result(place: int, row: list[str]) -> list[str]:
    """What the bank says of a row of its file."""
    if place % REJECTED_EVERY:
        return [row[1], row[5], PAID, ""]
    return [row[1], row[5], REJECTED, "户名不符"]
