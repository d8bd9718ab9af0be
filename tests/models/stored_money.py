"""A hospital with a ledger, and the few movements that the ledger's tests are told in."""

from collections.abc import Iterable
from datetime import UTC, datetime
from uuid import UUID

from models import ledger
from models.db import Session, new_id
from models.hospital import Hospital
from models.ledger import AccountKind, Line, NewLot, Take
from policies.lots import Lot, spend_oldest_first

NOON = datetime(2025, 7, 1, 4, tzinfo=UTC)
DEPOSIT = AccountKind.INPATIENT_DEPOSIT
PREPAY = AccountKind.OUTPATIENT_PREPAY


def a_hospital() -> UUID:
    with Session.begin() as db:
        hospital = Hospital(
            code=f"H{new_id().hex}",
            name="试点医院",
            institution_type="PUBLIC",
            county_code="990101",
            rule_packs=[],
        )
        db.add(hospital)
    return hospital.id


def post(
    house: UUID,
    key: str,
    *moves: tuple[AccountKind, str, int],
    new_lots: Iterable[NewLot] = (),
    takes: Iterable[Take] = (),
    kind: str = "TEST",
) -> UUID:
    with Session.begin() as db:
        return ledger.post(
            db,
            hospital_id=house,
            key=key,
            kind=kind,
            why="test",
            by="staff:t",
            at=NOON,
            lines=[Line(*move) for move in moves],
            new_lots=new_lots,
            takes=takes,
        )


def collect(
    house: UUID,
    key: str,
    owner: str,
    fen: int,
    *,
    channel: str = "WECHAT",
    kind: AccountKind = DEPOSIT,
    paid_at: datetime = NOON,
) -> UUID:
    lot = NewLot(kind, owner, channel, f"tx-{key}", None, paid_at, fen)
    return post(house, key, (AccountKind.CASH, channel, fen), (kind, owner, -fen), new_lots=[lot])


def spend(house: UUID, key: str, owner: str, fen: int) -> UUID:
    takes = [
        Take(lot.id, part, "SPEND") for lot, part in spend_oldest_first(lots(house, owner), fen)
    ]
    return post(house, key, (DEPOSIT, owner, fen), (AccountKind.REVENUE, "", -fen), takes=takes)


def reverse(house: UUID, transaction: UUID, key: str) -> UUID:
    with Session.begin() as db:
        return ledger.reverse(
            db,
            hospital_id=house,
            transaction_id=transaction,
            key=key,
            why="test",
            by="staff:t",
            at=NOON,
        )


def lots(house: UUID, owner: str, kind: AccountKind = DEPOSIT) -> list[Lot]:
    with Session() as db:
        return ledger.open_lots(db, house, kind, owner)


def held(house: UUID, owner: str, kind: AccountKind = DEPOSIT) -> int:
    with Session() as db:
        return ledger.held(db, house, kind, owner)


def balance(house: UUID, kind: AccountKind, owner: str) -> int:
    with Session() as db:
        return ledger.balance(db, house, kind, owner)


def findings(house: UUID) -> list[ledger.Finding]:
    with Session() as db:
        return ledger.prove(db, house)
