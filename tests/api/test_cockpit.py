"""The clearance board and its exports, over HTTP (GZ-7 T10, rank 9)."""

import csv
import io
from datetime import date, datetime
from decimal import Decimal

import pytest

from config import SHANGHAI
from journeys import cockpit
from models.db import Session, rows
from models.hospital import Setting
from models.ledger import AccountKind
from simulator.clients import StaffClient
from tests.api.old_cards import PREPAY, held, holder, old_card
from tests.api.test_turnover import ask_back, draft, pay, receipt, run_jobs
from tests.api.test_unreturnable import attempt, give_up
from tests.people import House, MovedClock
from tests.stage import counterparts

LAST_DAY = datetime(2025, 12, 31, 15, tzinfo=SHANGHAI)
MIDNIGHT = "2026-01-01T00:00:00+08:00"
LONG_AGO = date(2022, 5, 1)


@pytest.fixture
def deadline(clock: MovedClock) -> None:
    """The afternoon of 31 December 2025."""
    clock.shift = LAST_DAY - datetime.now(SHANGHAI)


@pytest.fixture
def maker(house: House, deadline: None) -> StaffClient:
    return house.staff("FINANCE_MAKER", kind="DESK", ward="")


@pytest.fixture
def head(house: House, deadline: None) -> StaffClient:
    return house.staff("FINANCE_HEAD", kind="DESK", ward="")


def board(client: StaffClient, at: str = MIDNIGHT) -> dict:
    return client.get("/v1/prepay/clearance/board", query={"at": at})


def side(found: dict, name: str) -> dict[str, tuple[int, int]]:
    """value -> accounts and what is left."""
    (wanted,) = [each["rows"] for each in found["sides"] if each["side"] == name]
    return {row["value"]: (row["accounts"], row["left_fen"]) for row in wanted}


@pytest.mark.clause("GZ-7", "T10")
def test_at_the_deadline_everything_left_has_a_reason(
    house: House, maker: StaffClient, clock: MovedClock
) -> None:
    paid = old_card(house, 12_050, LONG_AGO)
    pay(house, ask_back(house, paid, 12_050, PREPAY))
    asked = old_card(house, 5_000, date(2025, 3, 1), patient=holder(house))
    refund = ask_back(house, asked, 4_000, PREPAY)
    give_up(maker, old_card(house, 80, LONG_AGO))
    old_card(house, 700, LONG_AGO)  # nobody to call
    called = old_card(house, 30_000, date(2024, 6, 1), patient=holder(house))
    attempt(maker, called)
    old_card(house, 150_000, date(2024, 6, 1), patient=holder(house))
    clock.forward(hours=9)  # past midnight
    maker = maker_again(house)
    found = board(maker)
    assert (found["accounts"], found["stored_fen"], found["paid_fen"]) == (6, 197_830, 12_050)
    assert (found["held_fen"], found["under_way_fen"]) == (181_780, 4_000)
    assert found["cleared_percent"] == "6.1"
    assert side(found, "reason") == {
        "": (1, 0),
        "NO_CONTACT_DATA": (2, 780),
        "NOT_CONTACTED_YET": (1, 150_000),
        "NO_ANSWER_YET": (1, 30_000),
        "REQUEST_UNDER_WAY": (1, 5_000),
    }
    assert side(found, "state") == {
        "ASKED": (1, 5_000),
        "CLEARED": (1, 0),
        "CONTACTED": (1, 30_000),
        "NEW": (2, 150_700),
        "UNRETURNABLE": (1, 80),
    }
    assert side(found, "age") == {
        "OVER_3_YEARS": (3, 780),
        "UP_TO_1_YEAR": (1, 5_000),
        "UP_TO_3_YEARS": (2, 180_000),
    }
    assert side(found, "channel") == {"CASH": (6, 185_780)}
    pay(house, refund)  # the next morning: the deadline's board stays as it was
    now = board(maker, clock().isoformat())
    assert now["paid_fen"] == 16_050
    assert board(maker) == found


def test_each_side_sums_to_the_whole_and_to_the_ledger(house: House, maker: StaffClient) -> None:
    cards = [old_card(house, fen, LONG_AGO) for fen in (1, 999, 1_000, 19_999, 20_000, 100_000)]
    pay(house, ask_back(house, cards[3], 9_999, PREPAY))
    found = board(maker, house.now().isoformat())
    for each in found["sides"]:
        total = sum(row["stored_fen"] for row in each["rows"])
        left = sum(row["left_fen"] for row in each["rows"])
        assert (total, left) == (found["stored_fen"], found["held_fen"] + found["under_way_fen"])
    assert found["held_fen"] == sum(held(house, card) for card in cards)
    assert side(found, "amount").keys() == {
        "UNDER_10",
        "UNDER_100",
        "UNDER_200",
        "UNDER_1000",
        "FROM_1000",
    }
    assert found["funnel"] == {"census": 6, "contacted": 0, "asked": 1, "paid": 1}


def test_the_export_sums_to_the_ledger_and_names_nobody(
    house: House, maker: StaffClient, head: StaffClient
) -> None:
    gone = old_card(house, 6_230, LONG_AGO)
    for account in (gone, old_card(house, 12_050, LONG_AGO)):
        give_up(maker, account)
    pay(house, ask_back(house, old_card(house, 300, LONG_AGO), 100, PREPAY))
    batch = draft(maker).body
    head.post(f"/v1/turnover/batches/{batch['id']}/approve")
    receipt(maker, batch)
    run_jobs(house)
    answer = maker.try_("GET", "/v1/prepay/clearance/export?form=csv")
    _, *lines = csv.reader(io.StringIO(answer.text.removeprefix("\ufeff")))
    stored, here, under_way, paid, over = (
        sum(Decimal(line[place]) for line in lines) for place in range(3, 8)
    )
    assert (stored, here, under_way, paid, over) == tuple(
        Decimal(text) for text in ("185.80", "2.00", "0", "1.00", "182.80")
    )
    (ledger,) = rows(
        "SELECT -sum(balance_fen)::bigint AS fen FROM account"
        " WHERE hospital_id = :h AND kind IN ('OUTPATIENT_PREPAY', 'TREASURY_TURNED_OVER')",
        h=house.hospital_id,
    )
    assert (here + over) * 100 == ledger["fen"]
    assert {line[8] for line in lines} == {"已上缴财政", "未通知"}
    assert "张" not in answer.text
    assert held(house, gone, AccountKind.TREASURY_TURNED_OVER) == 6_230


def test_the_forecast_and_the_price_of_a_yuan(
    house: House, maker: StaffClient, clock: MovedClock
) -> None:
    with Session.begin() as db:
        db.add(Setting(hospital_id=house.hospital_id, key="cost.window_fen_each", value="300"))
    clock.forward(days=-60)
    card = old_card(house, 100_000, LONG_AGO)
    clock.forward(days=50)
    pay(house, ask_back(house, card, 28_000, PREPAY))
    clock.forward(days=5)
    found = board(maker_again(house), house.now().isoformat())
    assert found["forecast"] == {
        "deadline": "2025-12-31",
        "per_day_fen": 1_000,
        "left_fen": 67_000,
        "done_on": "2026-03-08",
    }
    assert (found["effort"]["cost_fen"], found["effort"]["cost_per_refunded_yuan"]) == (
        300,
        "0.0107",
    )


def maker_again(house: House) -> StaffClient:
    """Logged in at the clock's present time."""
    return house.staff("FINANCE_MAKER", kind="DESK", ward="")


@pytest.mark.parametrize(("days", "reminded"), [(90, 1), (89, 0), (60, 1), (30, 1), (7, 1), (0, 0)])
def test_finance_is_reminded_before_the_deadline(
    house: House, deadline: None, clock: MovedClock, days: int, reminded: int
) -> None:
    clock.forward(days=-days)
    outside = counterparts(house.simulator, "GZ01", house.code, house.now, "http://127.0.0.1:9")
    for _ in range(2):
        assert cockpit.remind(outside, house.hospital_id) == reminded
    found = rows(
        "SELECT 1 FROM work_item WHERE hospital_id = :h AND kind = 'CLEARANCE_DEADLINE'",
        h=house.hospital_id,
    )
    assert len(found) == reminded
