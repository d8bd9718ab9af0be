"""One movement at a time: what `post` and `reverse` book, refuse and repeat."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from models import ledger
from models.db import Session, new_id
from models.ledger import AccountKind, Line, NewLot, Take
from policies.refusals import Conflict, NotFound, Refused
from tests.models import stored_money as money
from tests.models.stored_money import DEPOSIT, NOON, PREPAY

CASH, REVENUE = AccountKind.CASH, AccountKind.REVENUE


@pytest.fixture
def house(engine):
    return money.a_hospital()


def test_a_collection_is_two_lines_and_a_lot(house):
    money.collect(house, "k1", "stay-1", 50_000)

    assert money.held(house, "stay-1") == 50_000
    assert money.balance(house, CASH, "WECHAT") == 50_000
    (lot,) = money.lots(house, "stay-1")
    assert (lot.channel, lot.channel_transaction, lot.paid_at) == ("WECHAT", "tx-k1", NOON)
    assert (lot.amount_fen, lot.remaining_fen, lot.paid_fen, lot.parts) == (
        50_000,
        50_000,
        50_000,
        0,
    )
    assert money.findings(house) == []


def test_an_account_nobody_used_holds_nothing(house):
    assert money.held(house, "nobody") == 0
    assert money.lots(house, "nobody") == []


def test_the_same_key_and_content_has_one_effect(house):
    once = money.collect(house, "k1", "stay-1", 50_000)
    assert money.collect(house, "k1", "stay-1", 50_000) == once
    assert money.held(house, "stay-1") == 50_000
    assert len(money.lots(house, "stay-1")) == 1


def test_a_later_try_of_the_same_collection_is_the_same(house):
    once = money.collect(house, "k1", "stay-1", 50_000)
    later = NOON + timedelta(minutes=1)
    assert money.collect(house, "k1", "stay-1", 50_000, paid_at=later) == once


def test_the_order_of_lines_is_not_content(house):
    first = money.post(house, "k", (CASH, "CASH", 7), (REVENUE, "", -7))
    assert money.post(house, "k", (REVENUE, "", -7), (CASH, "CASH", 7)) == first


@pytest.mark.parametrize(
    "other",
    [
        lambda house: money.collect(house, "k1", "stay-1", 50_001),
        lambda house: money.collect(house, "k1", "stay-2", 50_000),
        lambda house: money.collect(house, "k1", "stay-1", 50_000, channel="CARD"),
        lambda house: money.post(house, "k1", (CASH, "WECHAT", 50_000), (REVENUE, "", -50_000)),
    ],
)
def test_the_same_key_with_other_content_is_a_conflict(house, other):
    money.collect(house, "k1", "stay-1", 50_000)
    with pytest.raises(Conflict) as no:
        other(house)
    assert no.value.code == "LEDGER_KEY_REUSED"
    assert money.held(house, "stay-1") == 50_000


def test_hospitals_keep_their_keys_and_accounts_apart(house):
    other = money.a_hospital()
    money.collect(house, "k1", "stay-1", 100)
    money.collect(other, "k1", "stay-1", 7)
    assert (money.held(house, "stay-1"), money.held(other, "stay-1")) == (100, 7)


def test_spending_uses_the_oldest_lot_first(house):
    money.collect(house, "k1", "stay-1", 300)
    money.collect(house, "k0", "stay-1", 200, paid_at=NOON - timedelta(days=1))
    money.spend(house, "s", "stay-1", 250)

    (left,) = money.lots(house, "stay-1")
    assert (left.channel_transaction, left.remaining_fen) == ("tx-k1", 250)
    assert money.balance(house, REVENUE, "") == -250
    assert money.findings(house) == []


def test_more_than_is_there_is_refused_and_the_transaction_stays_usable(house):
    money.collect(house, "k1", "stay-1", 300)
    (lot,) = money.lots(house, "stay-1")
    with Session.begin() as db:
        with pytest.raises(Refused) as no:
            ledger.post(
                db,
                hospital_id=house,
                key="too-much",
                kind="TEST",
                why="",
                by="staff:t",
                at=NOON,
                lines=[Line(DEPOSIT, "stay-1", 301), Line(REVENUE, "", -301)],
                takes=[Take(lot.id, 301, "SPEND")],
            )
        assert no.value.code == "BALANCE_TOO_LOW"
        assert ledger.held(db, house, DEPOSIT, "stay-1") == 300
        with pytest.raises(NotFound):
            ledger.find(db, house, "too-much")
    money.spend(house, "too-much", "stay-1", 300)
    assert money.findings(house) == []


def test_a_patients_debt_never_falls_below_zero(house):
    debt = AccountKind.PATIENT_RECEIVABLE
    money.post(house, "owe", (debt, "stay-1", 100), (REVENUE, "", -100))
    with pytest.raises(Refused, match="BALANCE_TOO_LOW"):
        money.post(house, "pay", (CASH, "CASH", 101), (debt, "stay-1", -101))


@pytest.mark.parametrize("kind", ledger.LIABILITIES)
def test_no_liability_falls_below_zero(house, kind):
    with pytest.raises(Refused, match="BALANCE_TOO_LOW"):
        money.post(house, "k", (kind, "x", 1), (CASH, "CASH", -1))


def test_a_lot_planned_on_old_news_must_be_planned_again(house):
    money.collect(house, "k1", "stay-1", 300)
    money.collect(house, "k2", "stay-1", 300)
    first, _ = money.lots(house, "stay-1")
    money.spend(house, "s1", "stay-1", 300)
    with pytest.raises(Conflict) as no:
        money.post(
            house,
            "s2",
            (DEPOSIT, "stay-1", 100),
            (REVENUE, "", -100),
            takes=[Take(first.id, 100, "SPEND")],
        )
    assert no.value.code == "LOTS_CHANGED"
    assert money.held(house, "stay-1") == 300


def test_a_lot_of_another_account_or_hospital_cannot_be_taken(house):
    money.collect(house, "k1", "stay-1", 300)
    money.collect(house, "k2", "stay-2", 300)
    other = money.a_hospital()
    money.collect(other, "k1", "stay-1", 300)
    for lot in (*money.lots(house, "stay-2"), *money.lots(other, "stay-1")):
        with pytest.raises(NotFound, match="LOT_UNKNOWN"):
            money.post(
                house,
                "s",
                (DEPOSIT, "stay-1", 100),
                (REVENUE, "", -100),
                takes=[Take(lot.id, 100, "SPEND")],
            )


def test_a_moved_part_keeps_its_channel_and_its_day(house):
    long_ago = NOON - timedelta(days=200)
    money.collect(house, "k1", "patient-1", 12_050, kind=PREPAY, paid_at=long_ago)
    (lot,) = money.lots(house, "patient-1", PREPAY)
    money.post(
        house,
        "move",
        (PREPAY, "patient-1", 12_000),
        (DEPOSIT, "stay-1", -12_000),
        takes=[Take(lot.id, 12_000, "MOVE", to=(DEPOSIT, "stay-1"))],
    )

    (moved,) = money.lots(house, "stay-1")
    assert moved == replace(lot, id=moved.id, amount_fen=12_000, remaining_fen=12_000)
    assert moved.paid_fen == 12_050
    (rest,) = money.lots(house, "patient-1", PREPAY)
    assert (rest.id, rest.remaining_fen) == (lot.id, 50)
    assert money.findings(house) == []


def test_refunds_of_one_payment_are_counted_wherever_its_parts_are(house):
    money.collect(house, "k1", "patient-1", 1_000, kind=PREPAY)
    (lot,) = money.lots(house, "patient-1", PREPAY)
    money.post(
        house,
        "move",
        (PREPAY, "patient-1", 400),
        (DEPOSIT, "stay-1", -400),
        takes=[Take(lot.id, 400, "MOVE", to=(DEPOSIT, "stay-1"))],
    )
    (moved,) = money.lots(house, "stay-1")
    money.post(
        house,
        "refund",
        (DEPOSIT, "stay-1", 100),
        (AccountKind.REFUND_IN_TRANSIT, "r1", -100),
        takes=[Take(moved.id, 100, "REFUND")],
    )
    (rest,) = money.lots(house, "patient-1", PREPAY)
    assert (rest.parts, rest.last_refund_at) == (1, NOON)


def test_a_reversal_is_the_exact_mirror_and_returns_to_the_lots(house):
    money.collect(house, "k1", "stay-1", 1_000)
    before = money.lots(house, "stay-1")
    (lot,) = before
    refund = money.post(
        house,
        "refund",
        (DEPOSIT, "stay-1", 600),
        (AccountKind.REFUND_IN_TRANSIT, "r1", -600),
        takes=[Take(lot.id, 600, "REFUND")],
    )
    back = money.reverse(house, refund, "refund:back")

    assert money.reverse(house, refund, "refund:back") == back
    assert money.held(house, "r1", AccountKind.REFUND_IN_TRANSIT) == 0
    assert money.lots(house, "stay-1") == [replace(lot, last_refund_at=NOON)]
    assert money.findings(house) == []


def test_a_reversed_spending_returns_to_the_lots(house):
    money.collect(house, "k1", "stay-1", 1_000)
    before = money.lots(house, "stay-1")
    money.reverse(house, money.spend(house, "s", "stay-1", 1_000), "back")
    assert money.lots(house, "stay-1") == before
    assert money.balance(house, REVENUE, "") == 0
    assert money.findings(house) == []


def test_a_reversed_move_brings_the_lot_home(house):
    money.collect(house, "k1", "patient-1", 1_000, kind=PREPAY)
    (lot,) = money.lots(house, "patient-1", PREPAY)
    move = money.post(
        house,
        "move",
        (PREPAY, "patient-1", 400),
        (DEPOSIT, "stay-1", -400),
        takes=[Take(lot.id, 400, "MOVE", to=(DEPOSIT, "stay-1"))],
    )
    money.reverse(house, move, "home")
    assert money.lots(house, "patient-1", PREPAY) == [lot]
    assert money.lots(house, "stay-1") == []
    assert money.findings(house) == []


def test_a_movement_is_reversed_at_most_once_and_a_reversal_never(house):
    collected = money.collect(house, "k1", "stay-1", 1_000)
    back = money.reverse(house, collected, "back")
    assert money.held(house, "stay-1") == 0
    with pytest.raises(Conflict, match="LEDGER_ALREADY_REVERSED"):
        money.reverse(house, collected, "back again")
    with pytest.raises(Refused, match="REVERSAL_IS_FINAL"):
        money.reverse(house, back, "forth")
    with pytest.raises(NotFound, match="TRANSACTION_UNKNOWN"):
        money.reverse(money.a_hospital(), collected, "not theirs")
    with pytest.raises(NotFound, match="TRANSACTION_UNKNOWN"):
        money.reverse(house, new_id(), "nothing there")


def test_a_collection_whose_money_was_used_cannot_be_reversed(house):
    first = money.collect(house, "k1", "stay-1", 100)
    money.spend(house, "s", "stay-1", 1)
    with pytest.raises(Refused, match="BALANCE_TOO_LOW"):
        money.reverse(house, first, "back")
    money.collect(house, "k2", "stay-1", 100)
    with pytest.raises(Conflict, match="LOTS_CHANGED"):
        money.reverse(house, first, "back")
    assert money.held(house, "stay-1") == 199


def test_a_part_of_a_payment_knows_the_whole(house):
    lot = NewLot(DEPOSIT, "stay-1", "WECHAT", "tx", None, NOON, 400, paid_fen=1_000)
    money.post(
        house,
        "k",
        (CASH, "WECHAT", 1_000),
        (DEPOSIT, "stay-1", -400),
        (REVENUE, "", -600),
        new_lots=[lot],
    )
    assert money.lots(house, "stay-1")[0].paid_fen == 1_000


def test_a_movement_is_found_by_its_key(house):
    booked = money.collect(house, "k1", "stay-1", 100)
    with Session() as db:
        assert ledger.find(db, house, "k1") == booked
        why = db.execute(
            text("SELECT kind, why, by, at FROM ledger_transaction WHERE id = :id"), {"id": booked}
        ).one()
    assert tuple(why) == ("TEST", "test", "staff:t", NOON)


def test_a_turned_over_balance_keeps_its_lots_and_its_claim(house):
    claim = AccountKind.TREASURY_TURNED_OVER
    money.collect(house, "old", "K1", 6_230, kind=PREPAY)
    (lot,) = money.lots(house, "K1", PREPAY)
    money.post(
        house,
        "turnover:K1",
        (PREPAY, "K1", 6_230),
        (claim, "K1", -6_230),
        (AccountKind.TREASURY_HELD, "batch", 6_230),
        (AccountKind.CASH, "BANK", -6_230),
        takes=[Take(lot.id, 6_230, "MOVE", to=(claim, "K1"))],
    )
    (kept,) = money.lots(house, "K1", claim)
    assert (kept.channel_transaction, kept.paid_at) == (lot.channel_transaction, lot.paid_at)
    assert (money.held(house, "K1", PREPAY), money.held(house, "K1", claim)) == (0, 6_230)
    with pytest.raises(Refused) as no:  # the treasury never owes less than nothing
        money.post(
            house,
            "too-much",
            (AccountKind.HOSPITAL_ADVANCE, "K1", 6_231),
            (AccountKind.TREASURY_HELD, "batch", -6_231),
        )
    assert no.value.code == "BALANCE_TOO_LOW"
    assert money.findings(house) == []
