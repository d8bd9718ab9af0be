"""A hospital with old cards, and the people who give their money back: short words of the tests of
requests for stored money."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from itertools import count
from typing import Any
from uuid import UUID

from models import ledger
from models.db import Session, new_id
from models.hospital import Setting
from models.ledger import AccountKind, Line, NewLot, Take
from models.patient import Patient
from models.prepay_account import AccountSource, PrepayAccount
from models.turnover import TurnoverBatch, TurnoverItem
from policies.refund_papers import NEEDED, Asker
from simulator.clients import Answer, Client, PhoneClient, StaffClient
from tests import till
from tests.people import House
from tests.stage import Stage

PREPAY, TURNED_OVER = AccountKind.OUTPATIENT_PREPAY, AccountKind.TREASURY_TURNED_OVER
SIGNED = "5" * 64
_serial = count(1)


def card(
    house: House, patient: Patient, fen: int, channel: str = "CASH", *, days: int = 800, **lot: Any
) -> str:
    """An old card with one top-up of so many days ago, as a census brings it in; the account."""
    account_id = card_at(house, patient)
    lot_at(house, account_id, fen, channel, days=days, **lot)
    return account_id


def card_at(place: House | Stage, patient: Patient, *, last_used: date = date(2024, 5, 1)) -> str:
    """An old card without money; the account."""
    with Session.begin() as db:
        account = PrepayAccount(
            id=new_id(),
            hospital_id=place.hospital_id,
            patient_id=patient.id,
            source=AccountSource.CENSUS,
            card_no=f"{next(_serial):010d}",
            last_activity_on=last_used,
        )
        db.add(account)
    return str(account.id)


def lot_at(
    place: House | Stage,
    account_id: str,
    fen: int,
    channel: str,
    *,
    days: int,
    order_id: UUID | None = None,
) -> None:
    """One top-up of so many days ago on an account."""
    number = f"4200{next(_serial):024d}"
    now = place.now() if isinstance(place, House) else place.clock.now()
    paid_at = now - timedelta(days=days)
    with Session.begin() as db:
        ledger.post(
            db,
            hospital_id=place.hospital_id,
            key=f"opening:{number}",
            kind="OPENING",
            why="census",
            by="census",
            at=now,
            lines=[Line(AccountKind.CASH, channel, fen), Line(PREPAY, account_id, -fen)],
            new_lots=[NewLot(PREPAY, account_id, channel, number, order_id, paid_at, fen)],
        )


def turned_over(house: House, patient: Patient, fen: int, channel: str = "CASH") -> str:
    """An old card whose money the treasury has, with its receipt; the account."""
    account_id = card(house, patient, fen, channel)
    about = {"hospital_id": house.hospital_id}
    with Session.begin() as db:
        batch = TurnoverBatch(
            state="RECEIPTED",
            year=2000 + next(_serial),
            as_of=date(2025, 12, 31),
            reading="ACCOUNT_ACTIVITY",
            rule_pack="test",
            accounts=1,
            total_fen=fen,
            made_by="test",
            made_at=house.now(),
            treasury_receipt_no="财收-1",
            paid_on=date(2026, 1, 5),
            **about,
        )
        db.add(batch)
        db.flush()
        there = {"batch_id": batch.id, "account_id": account_id, "reason": "NO_CONTACT_DATA"}
        item = TurnoverItem(last_activity_on=date(2022, 5, 1), amount_fen=fen, **there, **about)
        item.moved_fen = fen
        db.add(item)
        (old,) = ledger.open_lots(db, house.hospital_id, PREPAY, account_id)
        ledger.post(
            db,
            key=f"test:{batch.id}",
            kind="TEST",
            why="test",
            by="test",
            at=house.now(),
            lines=[
                Line(AccountKind.TREASURY_HELD, str(batch.id), fen),
                Line(AccountKind.CASH, "BANK", -fen),
                Line(PREPAY, account_id, fen),
                Line(TURNED_OVER, account_id, -fen),
            ],
            takes=[Take(old.id, fen, "MOVE", to=(TURNED_OVER, account_id))],
            **about,
        )
    return account_id


def wechat_lot(stage: Stage, patient: Patient, account_id: str, fen: int) -> None:
    """A payment that the simulator's WeChat Pay knows, as money of this account."""
    stay = stage.stay(patient)
    till.pay_qr(stage, stay, fen)
    deposit = (AccountKind.INPATIENT_DEPOSIT, str(stay.id))
    with Session.begin() as db:
        (there,) = ledger.open_lots(db, stage.hospital_id, *deposit)
        ledger.post(
            db,
            hospital_id=stage.hospital_id,
            key=f"test:{there.id}",
            kind="TEST",
            why="test",
            by="test",
            at=stage.clock.now(),
            lines=[Line(*deposit, fen), Line(PREPAY, account_id, -fen)],
            takes=[Take(there.id, fen, "MOVE", to=(PREPAY, account_id))],
        )


def held(house: House, account_id: str, kind: AccountKind = PREPAY) -> int:
    with Session() as db:
        return ledger.held(db, house.hospital_id, kind, account_id)


def in_transit(house: House, request: dict[str, Any]) -> int:
    """What stands between the balances and the patient."""
    with Session() as db:
        return sum(
            ledger.held(db, house.hospital_id, AccountKind.REFUND_IN_TRANSIT, item["refund_id"])
            for item in request["items"]
        )


def bank_card(name: str, number: str = "6222000012345678901") -> dict[str, str]:
    return {"name": name, "card_no": number, "bank_name": "示范银行贵阳分行"}


def papers(asker: Asker, *more: str) -> list[dict[str, str]]:
    """Everything that this asker has to bring, each copy with a hash of its own."""
    kinds = (*NEEDED[asker], *more)
    return [{"kind": kind, "sha256": f"{number:064x}"} for number, kind in enumerate(kinds, 1)]


@dataclass
class Office:
    """The people of one hospital, each hired when first needed."""

    house: House
    keys: count = field(default_factory=lambda: count(1))

    @cached_property
    def cashier(self) -> StaffClient:
        return self.house.staff("CASHIER", kind="DESK", ward="", window="3号窗口")

    @cached_property
    def maker(self) -> StaffClient:
        return self.house.staff("FINANCE_MAKER", kind="DESK", ward="")

    @cached_property
    def checker(self) -> StaffClient:
        return self.house.staff("FINANCE_CHECKER", kind="DESK", ward="")

    @cached_property
    def head(self) -> StaffClient:
        return self.house.staff("FINANCE_HEAD", kind="DESK", ward="")

    def try_(self, who: Client, patient: Patient, *, key: str = "", **wish: Any) -> Answer:
        """Ask for stored money; whatever comes back."""
        if not isinstance(who, PhoneClient):
            wish.setdefault("signature_sha256", SIGNED)
        path = f"/v1/patients/{patient.id}/refund-requests"
        return who.try_("POST", path, wish, key=key or f"request-{next(self.keys):04d}")

    def ask(self, who: Client, patient: Patient, *, key: str = "", **wish: Any) -> dict[str, Any]:
        """Ask for stored money; the one request that comes of it."""
        answer = self.try_(who, patient, key=key, **wish)
        assert answer.status == 200, answer.text
        (request,) = answer.body
        return request

    def step(self, who: Client, request: dict[str, Any], step: str, **said: Any) -> Answer:
        """Take a step with a reason; whatever comes back."""
        path = f"/v1/refund-requests/{request['id']}/{step}"
        return who.try_("POST", path, {"reason": "看过了", **said})

    def take(self, who: Client, request: dict[str, Any], step: str, **said: Any) -> dict[str, Any]:
        """Take a step that must succeed."""
        answer = self.step(who, request, step, **said)
        assert answer.status == 200, answer.text
        return answer.body

    def decide(self, key: str, value: str) -> None:
        """A setting of the hospital."""
        with Session.begin() as db:
            db.add(Setting(hospital_id=self.house.hospital_id, key=key, value=value))

    def look(self, request: dict[str, Any]) -> dict[str, Any]:
        return self.checker.get(f"/v1/refund-requests/{request['id']}")

    def hand_over(self, request: dict[str, Any]) -> None:
        """The window gives out every leg that a person pays."""
        for item in self.look(request)["items"]:
            refund = f"/v1/refunds/{item['refund_id']}"
            for leg in self.cashier.get(refund)["legs"]:
                if leg["route"] != "WECHAT" and leg["state"] == "PLANNED":
                    path = f"{refund}/legs/{leg['id']}/hand-over"
                    self.cashier.post(path, {"proof": "signed-0001"})


def twin(house: House, patient: Patient, *, name: str = "") -> Patient:
    """Another row of a patient index with the same identity number, and the same name if none is
    given."""
    with Session.begin() as db:
        row = Patient(
            id=new_id(), hospital_id=house.hospital_id, his_patient_no=f"T{next(_serial)}"
        )
        row.name, row.id_no = name or patient.name, patient.id_no
        row.born_on = patient.born_on
        db.add(row)
    return row
