"""Refunds to bank accounts, over HTTP: two people, the file, the bank's answer (GZ-7)."""

import base64
import csv
import io
from decimal import Decimal
from types import SimpleNamespace
from uuid import UUID

import pytest
from sqlalchemy import text

from journeys.settings import change_setting
from models.db import Session, rows
from models.ledger import AccountKind
from models.refund import Refund
from payments import refunds
from policies.bank_file import IN
from policies.sheets import table
from tests import purse, till
from tests.people import House
from tests.stage import Stage

HOME = "/v1/bank-batches"
DESK = {"kind": "DESK"}
CASH, TRANSIT = AccountKind.CASH, AccountKind.REFUND_IN_TRANSIT


@pytest.fixture
def bank(house: House):
    return Bank(house)


class Bank:
    """A hospital that pays old money to bank accounts, its people and its patients."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.files: dict[str, bytes] = {}
        clock = SimpleNamespace(now=house.now)
        self.stage = Stage(house.simulator, clock, None, house.hospital_id, "GZ01")
        self.maker = house.staff("FINANCE_MAKER", **DESK)
        self.checker = house.staff("FINANCE_CHECKER", **DESK)
        admin = self.stage.actor("ADMINISTRATOR")
        change_setting(admin, "refund.fallback_order", "BANK,CASH", house.now)

    def refund(self, fen: int, name: str = "张小丰") -> tuple[str, str]:
        """An approved refund of old money to a bank card; the refund and its leg's number."""
        patient = self.house.patient(name)
        purse.store(self.stage, patient, fen, "WECHAT", days=500)
        purse.card(self.stage, patient)
        refund_id = purse.ask_back(self.stage, patient, fen)
        with Session.begin() as db:
            refunds.approve(
                db, Refund.locked(db, refund_id), by="staff:second", now=self.house.now()
            )
        (leg,) = till.legs_of(refund_id)
        assert leg.route == "BANK"
        return f"/v1/refunds/{refund_id}", f"XZ{leg.number}"

    def batch(self) -> str:
        return f"{HOME}/{self.maker.post(HOME)['id']}"

    def released(self) -> str:
        batch = self.batch()
        self.checker.post(f"{batch}/release")
        return batch

    def answer(self, batch: str, *results: list[str], total: list[str] | None = None):
        paid = sum(Decimal(row[1]) for row in results)
        total = total or ["合计", str(paid), str(len(results)), ""]
        rows = [*results, total]
        # The same rows are the very file of before: a new one would name the second of its making.
        content = self.files.setdefault(str(rows), table("xlsx", IN, rows))
        body = {"file": base64.b64encode(content).decode()}
        return self.maker.try_("POST", f"{batch}/answers", body)

    def balance(self, kind: AccountKind, owner: str) -> int:
        return till.balance(self.stage, kind, owner)


def file_rows(person, batch: str) -> list[list[str]]:
    """The released file as this person takes it out."""
    file = person.try_("GET", f"{batch}/file?format=csv")
    assert file.status == 200
    return list(csv.reader(io.StringIO(file.text.removeprefix("\ufeff"))))


def test_from_refund_to_answer(bank):
    first, one = bank.refund(12_000)
    second, two = bank.refund(345, name="=1+1")
    made = bank.maker.post(HOME)
    assert (made["state"], made["row_count"], made["total_fen"]) == ("BUILT", 2, 12_345)
    batch = f"{HOME}/{made['id']}"
    assert bank.maker.try_("POST", HOME).code == "BANK_BATCH_EMPTY"
    assert bank.maker.try_("GET", f"{batch}/file").code == "BANK_BATCH_NOT_RELEASED"
    assert bank.answer(batch, [one, "120.00", "成功", ""]).code == "BANK_BATCH_NOT_RELEASED"
    assert bank.maker.try_("POST", f"{batch}/release").code == "PERMISSION_MISSING"
    for _ in range(2):
        assert bank.checker.post(f"{batch}/release")["state"] == "RELEASED"
    assert [batch["state"] for batch in bank.checker.get(HOME)] == ["RELEASED"]
    assert bank.maker.try_("POST", f"{batch}/withdraw").code == "STATE_CHANGED"

    lines = file_rows(bank.checker, batch)
    assert [line[1] for line in lines[1:3]] == [one, two]
    assert lines[2][2] == "'=1+1"
    assert lines[3] == ["合计", "2", "", "", "", "123.45", ""]

    answered = bank.answer(batch, [one, "120.00", "成功", ""], [two, "3.45", "失败", "户名不符"])
    assert answered.body["state"] == "SETTLED"
    assert [(row["state"], row["answer"]) for row in answered.body["rows"]] == [
        ("PAID", ""),
        ("REFUSED", "户名不符"),
    ]
    assert bank.maker.get(first)["state"] == "PAID"
    assert bank.maker.get(second)["state"] == "STUCK"
    assert bank.balance(CASH, "BANK") == -12_000

    again = bank.maker.post(f"{second}/reroute")
    assert [(leg["route"], leg["state"]) for leg in again["legs"]] == [
        ("BANK", "REROUTED"),
        ("CASH", "PLANNED"),
    ]
    assert again["legs"][1]["why"] == "银行转账的3.45元没有退成功，所以到窗口领现金。"
    till.proven(bank.stage)


def test_a_batch_is_not_released_by_its_maker(bank):
    bank.refund(12_000)
    both = bank.house.staff("FINANCE_MAKER", "FINANCE_CHECKER", **DESK)
    batch = f"{HOME}/{both.post(HOME)['id']}"
    assert both.try_("POST", f"{batch}/release").code == "SAME_PERSON_FORBIDDEN"
    with pytest.raises(Exception, match="two_people"), Session.begin() as db:
        db.execute(text("UPDATE bank_batch SET released_by = built_by"))


def test_the_same_answer_again_and_the_rest_of_it_later(bank):
    first, one = bank.refund(12_000)
    second, two = bank.refund(345)
    batch = bank.released()
    for _ in range(3):
        part = bank.answer(batch, [one, "120.00", "成功", ""])
        assert part.body["state"] == "RELEASED"
    assert bank.balance(CASH, "BANK") == -12_000
    whole = bank.answer(batch, [one, "120.00", "成功", ""], [two, "3.45", "成功", ""])
    assert whole.body["state"] == "SETTLED"
    assert {bank.maker.get(each)["state"] for each in (first, second)} == {"PAID"}
    assert bank.balance(CASH, "BANK") == -12_345
    till.proven(bank.stage)


def test_a_wrong_answer_is_named_row_by_row_and_nothing_is_booked(bank):
    first, one = bank.refund(12_000)
    _, two = bank.refund(345)
    batch = bank.released()
    no = bank.answer(batch, [one, "120.00", "成功", ""], ["XZ0", "3.45", "成功", ""])
    assert (no.status, no.code) == (422, "BANK_ANSWER_WRONG")
    assert no.body["errors"] == [{"field": "第3行", "message": "这个流水号不在本批次里"}]
    total = ["合计", "123.44", "2", ""]
    no = bank.answer(batch, [one, "120.00", "成功", ""], [two, "3.45", "成功", ""], total=total)
    assert no.body["errors"] == [{"field": "第4行", "message": "合计应当是2笔、123.45元"}]
    for body in ({"file": "!"}, {"file": 5}, {}):
        assert bank.maker.try_("POST", f"{batch}/answers", body).status == 422
    assert bank.maker.get(first)["state"] == "PAYING"
    assert bank.balance(CASH, "BANK") == 0
    assert bank.maker.get(batch)["state"] == "RELEASED"


def test_what_arrived_is_not_called_failed_later_but_what_failed_may_arrive(bank):
    _, one = bank.refund(12_000)
    second, two = bank.refund(345)
    batch = bank.released()
    bank.answer(batch, [one, "120.00", "成功", ""], [two, "3.45", "失败", "系统忙"])
    no = bank.answer(batch, [one, "120.00", "失败", "退汇"])
    assert no.code == "BANK_ANSWER_WRONG"
    assert no.body["errors"][0]["message"].startswith("这一笔已记为到账")
    bank.maker.post(f"{second}/reroute")  # it goes to the window now
    assert bank.answer(batch, [two, "3.45", "成功", ""]).status == 200
    (item,) = rows(
        "SELECT note FROM work_item WHERE hospital_id = :id AND kind = 'REFUND_PAID_TWICE'",
        id=bank.house.hospital_id,
    )
    assert "没付的不要再付" in item["note"]
    assert bank.balance(CASH, "BANK") == -12_345
    till.proven(bank.stage)


def test_a_withdrawn_batch_frees_its_refunds(bank):
    bank.refund(12_000)
    batch = bank.batch()
    assert bank.maker.post(f"{batch}/withdraw")["state"] == "WITHDRAWN"
    assert bank.checker.try_("POST", f"{batch}/release").code == "STATE_CHANGED"
    assert bank.maker.post(HOME)["row_count"] == 1


def test_a_refund_that_went_another_way_keeps_its_batch_back(bank):
    refund, _ = bank.refund(12_000)
    batch = bank.batch()
    with Session.begin() as db:
        found = Refund.locked(db, UUID(refund.rpartition("/")[2]))
        found.move(db, "STUCK", at=bank.house.now(), by="test")
        found.move(db, "REQUESTED", at=bank.house.now(), by="test")
    assert bank.checker.try_("POST", f"{batch}/release").code == "BANK_BATCH_CHANGED"


def test_only_the_last_figures_are_shown_and_who_takes_the_file_is_written_down(bank):
    bank.refund(12_000)
    batch = bank.released()
    look = bank.checker.try_("GET", batch)
    (row,) = look.body["rows"]
    card = file_rows(bank.maker, batch)[1][3]
    assert row["card"] == f"尾号{card[-4:]}"
    assert card not in look.text
    taken = rows(
        "SELECT facts FROM audit_entry WHERE hospital_id = :id AND what = 'bank file taken out'",
        id=bank.house.hospital_id,
    )
    assert [entry["facts"]["rows"] for entry in taken] == [1]
    assert card not in str(taken)


def test_below_the_least_the_bank_is_not_bothered(bank):
    change_setting(
        bank.stage.actor("ADMINISTRATOR"), "refund.bank_least_fen", "100", bank.house.now
    )
    patient = bank.house.patient()
    purse.store(bank.stage, patient, 99, "WECHAT", days=500)
    purse.card(bank.stage, patient)
    (leg,) = till.legs_of(purse.ask_back(bank.stage, patient, 99))
    assert leg.route == "CASH"
