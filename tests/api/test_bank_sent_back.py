"""A transfer that arrived and is sent back by the payee's bank days later (退汇), over HTTP."""

from uuid import UUID

import pytest

from config import today
from models.db import Session, new_id, rows
from models.ledger import AccountKind
from models.refund import Refund
from payments import refunds
from tests import purse, till
from tests.api.test_bank_batches import Bank
from tests.clearance import Office, bank_card, card, turned_over
from tests.people import House

BANK = (AccountKind.CASH, "BANK")
TRANSIT, CLAIM = AccountKind.REFUND_IN_TRANSIT, AccountKind.TREASURY_TURNED_OVER
ARRIVED, BACK = ["120.00", "成功", ""], ["120.00", "退汇", "账户已销户"]


@pytest.fixture
def bank(house: House) -> Bank:
    return Bank(house)


def answered(bank: Bank, batch: str, number: str, *said: list[str]) -> None:
    for row in said:
        assert bank.answer(batch, [number, *row]).status == 200


def told(bank: Bank, refund: str) -> list[str]:
    """What the patient of this refund was told, in that order."""
    query = (
        "SELECT m.template FROM message m JOIN refund r ON r.patient_id = m.patient_id"
        " WHERE r.id = :id ORDER BY m.created_at, m.template DESC"
    )
    return [row["template"] for row in rows(query, id=UUID(refund.rpartition("/")[2]))]


def pay_at_the_window(bank: Bank, refund: str) -> None:
    """Another route, the second person, and cash over the counter."""
    again = bank.maker.post(f"{refund}/reroute")
    assert again["legs"][-1]["route"] == "CASH"
    bank.checker.post(f"{refund}/check", {"approve": True, "note": "看过了"})
    cashier = bank.house.staff("CASHIER", kind="DESK", ward="", window="3号窗口")
    leg = again["legs"][-1]["id"]
    cashier.post(f"{refund}/legs/{leg}/hand-over", {"proof": "signed-0001"})


def test_it_waits_for_another_way_and_is_told_once(bank: Bank) -> None:
    refund, number = bank.refund(12_000)
    batch = bank.released()
    answered(bank, batch, number, ARRIVED)
    assert bank.balance(*BANK) == -12_000
    for said in (BACK, BACK, ["120.00", "退汇", "换了一个说法"]):
        answered(bank, batch, number, said)
        found = bank.maker.get(refund)
        (leg,) = found["legs"]
        assert (found["state"], found["paid_at"]) == ("STUCK", None)
        assert (leg["state"], leg["answer"], leg["paid_at"]) == ("RETURNED", "账户已销户", None)
        assert bank.balance(*BANK) == 0
        assert -bank.balance(TRANSIT, found["id"]) == 12_000
    (task,) = [
        item for item in bank.checker.get("/v1/work-items") if item["kind"] == "REFUND_STUCK"
    ]
    assert (task["subject"], "退汇" in task["note"]) == (f"refund:{found['id']}", True)
    assert told(bank, refund) == ["REFUND_SENT", "REFUND_ARRIVED", "REFUND_FAILED"]

    pay_at_the_window(bank, refund)
    found = bank.maker.get(refund)
    assert [leg["state"] for leg in found["legs"]] == ["REROUTED", "PAID"]
    assert found["state"] == "PAID"
    assert bank.balance(AccountKind.CASH, "CASH") == -12_000
    assert bank.balance(TRANSIT, found["id"]) == 0
    assert told(bank, refund)[3:] == ["REFUND_ARRIVED"]
    answered(bank, batch, number, BACK)
    assert bank.maker.get(refund) == found
    till.proven(bank.stage)


def test_what_was_sent_back_is_not_called_paid_and_the_old_file_changes_nothing(bank: Bank) -> None:
    refund, number = bank.refund(12_000)
    batch = bank.released()
    answered(bank, batch, number, ARRIVED)
    no = bank.answer(batch, [number, "120.00", "失败", "退汇"])
    assert no.body["errors"][0]["message"] == "这一笔已记为到账，银行后来退回的请写“退汇”"
    answered(bank, batch, number, BACK)
    bank.maker.post(f"{refund}/reroute")
    answered(bank, batch, number, ARRIVED)  # the very file of before
    no = bank.answer(batch, [number, "120.00", "成功", "又到账"])
    assert (no.status, no.code) == (422, "BANK_ANSWER_WRONG")
    assert no.body["errors"][0]["message"] == "这一笔已记为银行退汇，不能再记为到账"
    assert bank.balance(*BANK) == 0
    assert till.work(bank.stage, "REFUND_PAID_TWICE") == []
    till.proven(bank.stage)


def test_sent_back_before_we_knew_that_it_was_paid_books_nothing(bank: Bank) -> None:
    refund, number = bank.refund(12_000)
    batch = bank.released()
    answered(bank, batch, number, BACK)
    found = bank.maker.get(refund)
    assert (found["state"], found["legs"][0]["state"]) == ("STUCK", "REFUSED")
    assert bank.maker.get(batch)["state"] == "SETTLED"
    assert bank.balance(*BANK) == 0
    assert told(bank, refund) == ["REFUND_SENT", "REFUND_FAILED"]


def test_what_was_paid_beside_another_route_is_whole_again(bank: Bank) -> None:
    refund, number = bank.refund(12_000)
    batch = bank.released()
    answered(bank, batch, number, ["120.00", "失败", "系统忙"])
    bank.maker.post(f"{refund}/reroute")
    answered(bank, batch, number, ARRIVED)
    suspense = (AccountKind.SUSPENSE, f"refund-leg:{bank.maker.get(refund)['legs'][0]['id']}")
    assert bank.balance(*suspense) == 12_000
    answered(bank, batch, number, BACK, BACK)
    assert (bank.balance(*suspense), bank.balance(*BANK)) == (0, 0)
    assert till.work(bank.stage, "REFUND_PAID_TWICE") == []
    till.proven(bank.stage)


def test_a_request_is_not_paid_any_more_until_it_is(bank: Bank) -> None:
    office = Office(bank.house)
    phone, patient = bank.house.patient_phone()
    card(bank.house, patient, 12_000, "WECHAT")
    request = office.ask(phone, patient, payee=bank_card(patient.name))
    office.take(office.maker, request, "review")
    office.take(office.head, request, "confirm")
    refund = f"/v1/refunds/{request['items'][0]['refund_id']}"
    (leg,) = bank.maker.get(refund)["legs"]
    number = f"XZ{UUID(leg['id']).hex}"
    batch = bank.released()
    answered(bank, batch, number, ARRIVED)
    assert office.look(request)["state"] == "PAID"
    answered(bank, batch, number, BACK)
    found = office.look(request)
    assert (found["state"], found["paid_at"]) == ("PAYING", None)
    board = bank.maker.get("/v1/prepay/clearance/board")
    assert (board["paid_fen"], board["under_way_fen"]) == (0, 12_000)
    pay_at_the_window(bank, refund)
    assert office.look(request)["state"] == "PAID"
    till.proven(bank.stage)


def late(bank: Bank, fen: int) -> tuple[str, str, str]:
    """Turned-over money that its holder asked for, on its way by bank: account, refund, number."""
    patient = bank.house.patient()
    account = turned_over(bank.house, patient, fen, "WECHAT")
    purse.card(bank.stage, patient)
    with Session.begin() as db:
        refund = refunds.request(
            db,
            refunds.drawn_up(
                hospital_id=bank.house.hospital_id,
                key=f"late-{new_id()}",
                reason="CLEARANCE",
                kind=CLAIM,
                owner=account,
                subject_id=UUID(account),
                patient_id=patient.id,
                amount_fen=fen,
                by="staff:window",
                now=bank.house.now(),
            ),
        )
    with Session.begin() as db:
        refunds.approve(db, Refund.locked(db, refund.id), by="staff:second", now=bank.house.now())
    (leg,) = till.legs_of(refund.id)
    return account, f"/v1/refunds/{refund.id}", f"XZ{leg.number}"


def treasury(bank: Bank, account: str) -> tuple[int, int]:
    """What the treasury owes for this account, and what nobody has claimed of it yet."""
    book = bank.maker.get("/v1/treasury-claims")
    waiting = sum(each["amount_fen"] for each in book["unclaimed"])
    return bank.balance(AccountKind.HOSPITAL_ADVANCE, account), waiting


@pytest.mark.clause("GZ-8.3", "T1")
def test_the_treasury_does_not_owe_what_came_back(bank: Bank) -> None:
    account, refund, number = late(bank, 12_000)
    batch = bank.released()
    answered(bank, batch, number, ARRIVED)
    assert treasury(bank, account) == (12_000, 12_000)
    answered(bank, batch, number, BACK)
    assert treasury(bank, account) == (0, 0)
    pay_at_the_window(bank, refund)
    assert treasury(bank, account) == (12_000, 12_000)
    till.proven(bank.stage)


@pytest.mark.clause("GZ-8.3", "T1")
def test_what_a_claim_names_stays_and_is_for_the_next_payment(bank: Bank) -> None:
    account, refund, number = late(bank, 12_000)
    batch = bank.released()
    answered(bank, batch, number, ARRIVED)
    bank.maker.post("/v1/treasury-claims", {"budget_year": today(bank.house.now()).year + 1})
    answered(bank, batch, number, BACK)
    assert treasury(bank, account) == (12_000, 0)
    pay_at_the_window(bank, refund)
    assert treasury(bank, account) == (12_000, 0)
    till.proven(bank.stage)
