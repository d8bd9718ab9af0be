"""What the database itself refuses, and what the nightly proof finds when it was forced."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from models.db import Session
from models.ledger import AccountKind, Finding, NewLot, Take
from tests.models import stored_money as money
from tests.models.stored_money import DEPOSIT, NOON, PREPAY

CASH, REVENUE = AccountKind.CASH, AccountKind.REVENUE


@pytest.fixture
def house(engine):
    house = money.a_hospital()
    money.collect(house, "k1", "stay-1", 1_000)
    money.spend(house, "s1", "stay-1", 400)
    return house


def run(sql, **values):
    with Session.begin() as db:
        db.execute(text(sql), values)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE ledger_line SET amount_fen = amount_fen + 1",
        "UPDATE ledger_line SET amount_fen = amount_fen WHERE hospital_id = :house",
        "DELETE FROM ledger_line",
        "TRUNCATE ledger_line",
        "UPDATE ledger_transaction SET why = 'better'",
        "DELETE FROM ledger_transaction",
        "TRUNCATE ledger_transaction CASCADE",
        "UPDATE lot_use SET amount_fen = 1",
        "DELETE FROM lot_use",
        "TRUNCATE lot_use",
        "UPDATE lot SET amount_fen = amount_fen + 1",
        "UPDATE lot SET paid_at = now()",
        "DELETE FROM lot",
        "TRUNCATE lot CASCADE",
        "UPDATE account SET owner = 'me'",
        "DELETE FROM account",
        "TRUNCATE account CASCADE",
    ],
)
def test_what_stands_cannot_be_changed(house, sql):
    with pytest.raises(IntegrityError, match="the ledger is append-only"):
        run(sql, house=house) if ":house" in sql else run(sql)
    assert money.held(house, "stay-1") == 600
    assert money.findings(house) == []


def test_an_unbalanced_movement_is_refused_at_the_commit(house):
    with pytest.raises(IntegrityError, match="does not balance: 2 lines, sum 1 fen"):
        money.post(house, "bad", (CASH, "CASH", 101), (REVENUE, "", -100))
    assert money.balance(house, CASH, "CASH") == 0


def test_a_movement_needs_two_lines(house):
    with pytest.raises(IntegrityError, match="does not balance: 0 lines"):
        money.post(house, "empty")


def test_a_line_added_later_is_refused_at_the_commit(house):
    with pytest.raises(IntegrityError, match="does not balance: 3 lines, sum 5 fen"):
        run(
            "INSERT INTO ledger_line (transaction_id, no, hospital_id, account_id, amount_fen)"
            " SELECT transaction_id, 9, hospital_id, account_id, 5 FROM ledger_line"
            " WHERE hospital_id = :house LIMIT 1",
            house=house,
        )


def test_a_line_of_nothing_is_refused(house):
    with pytest.raises(IntegrityError, match="ck_ledger_line_amount_not_zero"):
        money.post(house, "zero", (CASH, "CASH", 0), (REVENUE, "", 0))


def test_stored_money_without_a_lot_is_refused_at_the_commit(house):
    with pytest.raises(IntegrityError, match="owes 5 fen, its lots hold 0"):
        money.post(house, "bare", (CASH, "CASH", 5), (DEPOSIT, "stay-2", -5))
    with pytest.raises(IntegrityError, match="owes 500 fen, its lots hold 600"):
        money.post(house, "bare", (DEPOSIT, "stay-1", 100), (REVENUE, "", -100))


def test_a_lot_on_an_account_that_keeps_none_is_refused_at_the_commit(house):
    lot = NewLot(REVENUE, "", "CASH", None, None, NOON, 5)
    with pytest.raises(IntegrityError, match="its lots hold 5"):
        money.post(house, "odd", (CASH, "CASH", 5), (REVENUE, "", -5), new_lots=[lot])


def test_a_move_to_an_account_that_is_not_there_is_refused(house):
    (lot,) = money.lots(house, "stay-1")
    with pytest.raises(IntegrityError, match='null value in column "account_id"'):
        money.post(
            house,
            "lost",
            (DEPOSIT, "stay-1", 100),
            (PREPAY, "p", -100),
            takes=[Take(lot.id, 100, "MOVE", to=(PREPAY, "somebody else"))],
        )


@pytest.mark.parametrize(
    ("table", "sql", "code", "expected", "found"),
    [
        (
            "account",
            "UPDATE account SET balance_fen = 7 WHERE kind = 'REVENUE'",
            "CACHE_DIFFERS",
            -400,
            7,
        ),
        ("lot", "UPDATE lot SET spent_fen = 399", "LOT_USES_DIFFER", 400, 399),
        ("lot_use", "UPDATE lot_use SET amount_fen = 401", "LOT_USES_DIFFER", 401, 400),
        ("lot", "UPDATE lot SET amount_fen = 999", "LOTS_DIFFER", 600, 599),
        (
            "ledger_line",
            "DELETE FROM ledger_line WHERE amount_fen = -400",
            "TOO_FEW_LINES",
            0,
            400,
        ),
        (
            "ledger_line",
            "UPDATE ledger_line SET amount_fen = 1001 WHERE amount_fen = 1000",
            "NOT_ZERO",
            0,
            1,
        ),
    ],
)
def test_the_proof_finds_what_was_forced(engine, table, sql, code, expected, found):
    """An owner of the database can switch the triggers off; the proof of the next night tells."""
    house = money.a_hospital()
    money.collect(house, "k1", "stay-1", 1_000)
    money.spend(house, "s1", "stay-1", 400)
    where = " AND " if "WHERE" in sql else " WHERE "
    run(
        f"ALTER TABLE {table} DISABLE TRIGGER USER; {sql}{where} hospital_id = '{house}';"
        f" ALTER TABLE {table} ENABLE TRIGGER USER"
    )
    told = {finding.code: finding for finding in money.findings(house)}
    assert (told[code].expected_fen, told[code].found_fen) == (expected, found)


def test_the_proof_finds_a_reversal_that_is_no_mirror(engine):
    house = money.a_hospital()
    first = money.post(house, "k", (CASH, "CASH", 5), (REVENUE, "", -5))
    back = money.reverse(house, first, "back")
    run("ALTER TABLE ledger_line DISABLE TRIGGER USER")
    run("UPDATE ledger_line SET amount_fen = amount_fen * 2 WHERE transaction_id = :t", t=back)
    run("ALTER TABLE ledger_line ENABLE TRIGGER USER")
    differs = [finding for finding in money.findings(house) if finding.code == "REVERSAL_DIFFERS"]
    assert sorted(differs, key=lambda finding: finding.found_fen) == [
        Finding("REVERSAL_DIFFERS", back, 0, -5),
        Finding("REVERSAL_DIFFERS", back, 0, 5),
    ]


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        (
            "UPDATE account SET balance_fen = balance_fen - 500"
            " WHERE hospital_id = :house AND owner = 'stay-1'",
            {"CACHE_DIFFERS", "LOTS_DIFFER"},
        ),
        (
            "INSERT INTO ledger_line (transaction_id, no, hospital_id, account_id, amount_fen)"
            " SELECT transaction_id, 9, hospital_id, account_id, -5 FROM ledger_line"
            " WHERE hospital_id = :house AND amount_fen = -1000",
            {"NOT_ZERO", "CACHE_DIFFERS"},
        ),
        (
            "UPDATE lot SET spent_fen = 0 WHERE hospital_id = :house",
            {"LOT_USES_DIFFER", "LOTS_DIFFER"},
        ),
        (
            "INSERT INTO lot (id, hospital_id, account_id, transaction_id, channel, paid_at,"
            " amount_fen, paid_fen) SELECT gen_random_uuid(), hospital_id, account_id,"
            " transaction_id, channel, paid_at, 500, 500 FROM lot WHERE hospital_id = :house",
            {"LOTS_DIFFER"},
        ),
    ],
)
def test_who_borrows_the_loaders_setting_is_found_by_the_proof(house, sql, code):
    with Session.begin() as db:
        db.execute(text("SELECT set_config('xianzhen.loading_census', 'on', true)"))
        db.execute(text(sql), {"house": house})
    assert {finding.code for finding in money.findings(house)} == code


def test_the_loaders_setting_ends_with_its_transaction(house):
    with Session.begin() as db:
        db.execute(text("SELECT set_config('xianzhen.loading_census', 'on', true)"))
    with pytest.raises(IntegrityError, match="owes 500 fen, its lots hold 600"):
        money.post(house, "bare", (DEPOSIT, "stay-1", 100), (REVENUE, "", -100))
