"""Turnover to the treasury and what comes after, over HTTP (GZ-8.2, GZ-8.3)."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

import jobs
from journeys.turnover import complete_turnovers
from models.db import Session, new_id
from models.hospital import Hospital
from models.ledger import AccountKind
from models.prepay_account import PrepayAccount
from models.refund import Refund, RefundLeg
from models.turnover import ClaimBatch, HospitalAdvance
from payments import leg_news, refunds
from policies.refusals import Refused
from simulator.clients import StaffClient
from tests.api.old_cards import CLAIM, PREPAY, balance, held, holder, old_card
from tests.api.test_unreturnable import attempt, give_up
from tests.models.stored_money import collect, findings
from tests.people import House
from tests.stage import counterparts

AS_OF = "2025-12-31"
OLD, YOUNG = date(2022, 11, 30), date(2023, 2, 1)
BANK = "BANK"


@pytest.fixture
def maker(house: House) -> StaffClient:
    return house.staff("FINANCE_MAKER", kind="DESK", ward="")


@pytest.fixture
def head(house: House) -> StaffClient:
    return house.staff("FINANCE_HEAD", kind="DESK", ward="")


def draft(maker: StaffClient, as_of: str = AS_OF, **more):
    return maker.try_("POST", "/v1/turnover/batches", {"as_of": as_of, **more})


def accounts_of(client: StaffClient, batch: dict) -> dict[UUID, int]:
    found = client.get(f"/v1/turnover/batches/{batch['id']}/items")
    return {UUID(item["account_id"]): item["amount_fen"] for item in found}


def run_jobs(house: House) -> None:
    outside = counterparts(house.simulator, "GZ01", house.code, house.now, "http://127.0.0.1:9")
    jobs.run_due(lambda code: outside, house.now)


def receipted(house: House, maker: StaffClient, head: StaffClient, as_of: str = AS_OF) -> dict:
    """The year's batch, drafted, approved, paid to the treasury and moved."""
    batch = draft(maker, as_of).body
    head.post(f"/v1/turnover/batches/{batch['id']}/approve")
    done = receipt(maker, batch)
    run_jobs(house)
    return done


def receipt(maker: StaffClient, batch: dict, **changed) -> dict:
    said = {"receipt_no": "财收2025-001", "paid_on": "2026-01-05", "amount_fen": batch["total_fen"]}
    return maker.put(f"/v1/turnover/batches/{batch['id']}/receipt", said | changed)


def ask_back(house: House, account: UUID, fen: int, kind: AccountKind = CLAIM) -> UUID:
    """A holder asks for money; the second person has approved."""
    with Session.begin() as db:
        refund = refunds.request(
            db,
            refunds.drawn_up(
                hospital_id=house.hospital_id,
                key=f"ask-{new_id()}",
                reason="CLEARANCE",
                kind=kind,
                owner=str(account),
                subject_id=account,
                patient_id=_patient_of(db, account),
                amount_fen=fen,
                by="staff:window",
                now=house.now(),
            ),
        )
        return refund.id


def pay(house: House, refund_id: UUID) -> None:
    """The second person approves, the window hands it over."""
    with Session.begin() as db:
        refunds.approve(db, Refund.locked(db, refund_id), by="staff:second", now=house.now())
    with Session.begin() as db:
        for leg in RefundLeg.of(db, refund_id, lock=True):
            leg_news.pay_by_hand(db, leg, by="staff:third", proof="f" * 64, now=house.now())


def _patient_of(db, account: UUID) -> UUID:
    return db.get_one(PrepayAccount, account).patient_id


@pytest.mark.clause("GZ-8.2", "T1", "T2", "T3", "T10")
def test_the_list_holds_what_is_unreachable_and_older_than_three_years(
    house: House, maker: StaffClient
) -> None:
    on = {old_card(house, 6_230, OLD), old_card(house, 10, date(2022, 12, 30))}
    off = {old_card(house, 500, day) for day in (YOUNG, date(2022, 12, 31), date(2023, 1, 1))}
    for account in on | off:
        give_up(maker, account)
    old_card(house, 7_000, OLD)  # old, but nobody has looked for its holder
    stay = house.stay()
    collect(house.hospital_id, "deposit", str(stay.id), 9_900)
    collect(house.hospital_id, "course", "plan-1", 8_800, kind=AccountKind.COURSE_PREPAY)
    batch = draft(maker).body
    assert accounts_of(maker, batch).keys() == on
    assert (batch["accounts"], batch["total_fen"], batch["state"]) == (2, 6_240, "DRAFT")


@pytest.mark.clause("GZ-8.2", "T4", "T6")
def test_who_was_reached_or_asks_is_not_on_it(house: House, maker: StaffClient) -> None:
    reached, asking, silent = (old_card(house, 1_000, OLD) for _ in range(3))
    for account in (reached, asking, silent):
        give_up(maker, account)
    attempt(maker, reached, result="ANSWERED")
    ask_back(house, asking, 400, PREPAY)
    assert accounts_of(maker, draft(maker).body) == {silent: 1_000}


@pytest.mark.clause("GZ-8.2", "T7")
def test_run_twice_it_is_one_batch_and_approved_twice_it_is_approved_once(
    house: House, maker: StaffClient, head: StaffClient
) -> None:
    give_up(maker, old_card(house, 1_000, OLD))
    batch = draft(maker).body
    again = draft(maker).body
    assert again == batch
    assert len(maker.get("/v1/turnover/batches")) == 1
    other = draft(maker, reading="TOPUP_LOT")
    assert (other.status, other.code) == (409, "TURNOVER_READING_DIFFERS")
    path = f"/v1/turnover/batches/{batch['id']}/approve"
    approved = head.post(path)
    assert head.post(path) == approved
    assert approved["state"] == "APPROVED"


def test_nobody_approves_the_own_list(house: House, maker: StaffClient) -> None:
    both = house.staff("FINANCE_MAKER", "FINANCE_HEAD", kind="DESK", ward="")
    give_up(maker, old_card(house, 1_000, OLD))
    batch = draft(both).body
    refused = both.try_("POST", f"/v1/turnover/batches/{batch['id']}/approve")
    assert (refused.status, refused.code) == (422, "SAME_PERSON_FORBIDDEN")


@pytest.mark.clause("GZ-8.2", "T8")
def test_the_total_is_the_items_is_the_ledger_and_only_a_receipt_counts(
    house: House, maker: StaffClient, head: StaffClient
) -> None:
    cards = {old_card(house, fen, OLD): fen for fen in (6_230, 1, 99_999)}
    for account in cards:
        give_up(maker, account)
    batch = draft(maker).body
    assert accounts_of(maker, batch) == cards
    early = maker.try_("PUT", f"/v1/turnover/batches/{batch['id']}/receipt", _said(batch))
    assert (early.status, early.code) == (422, "TURNOVER_NOT_APPROVED")
    head.post(f"/v1/turnover/batches/{batch['id']}/approve")
    assert maker.get("/v1/treasury-claims")["turned_over_fen"] == 0
    assert balance(house, AccountKind.TREASURY_HELD, batch["id"]) == 0
    wrong = maker.try_("PUT", f"/v1/turnover/batches/{batch['id']}/receipt", _said(batch, -1))
    assert (wrong.status, wrong.code) == (422, "TURNOVER_AMOUNT_DIFFERS")
    done = receipt(maker, batch)
    assert receipt(maker, batch) == done
    run_jobs(house)
    run_jobs(house)
    assert balance(house, AccountKind.TREASURY_HELD, batch["id"]) == sum(cards.values())
    assert balance(house, AccountKind.CASH, BANK) == -sum(cards.values())
    assert {account: held(house, account, CLAIM) for account in cards} == cards
    assert {held(house, account) for account in cards} == {0}
    assert maker.get("/v1/treasury-claims")["turned_over_fen"] == sum(cards.values())
    final = maker.try_("POST", f"/v1/turnover/batches/{batch['id']}/cancel", {"why": "误操作"})
    assert (final.status, final.code) == (422, "TURNOVER_IS_FINAL")
    assert findings(house.hospital_id) == []


def _said(batch: dict, more: int = 0) -> dict:
    fen = batch["total_fen"] + more
    return {"receipt_no": "财收2025-001", "paid_on": "2026-01-05", "amount_fen": fen}


@pytest.mark.clause("GZ-8.2", "T9")
def test_a_private_institution_turns_nothing_over(house: House, maker: StaffClient) -> None:
    give_up(maker, old_card(house, 1_000, OLD))
    with Session.begin() as db:
        db.get_one(Hospital, house.hospital_id).institution_type = "DESIGNATED"
    refused = draft(maker)
    assert (refused.status, refused.code) == (422, "PUBLIC_ONLY")
    assert (refused.body["clause"], bool(refused.body["next_step"])) == ("GZ-8.2", True)


def test_the_three_readings_stand_side_by_side(house: House, maker: StaffClient) -> None:
    give_up(maker, old_card(house, 1_000, OLD))
    give_up(maker, old_card(house, 300, YOUNG, paid=OLD))  # topped up long ago, used since
    preview = maker.get("/v1/turnover/preview", query={"as_of": AS_OF})
    assert [(row["reading"], row["accounts"], row["total_fen"]) for row in preview] == [
        ("ACCOUNT_ACTIVITY", 1, 1_000),
        ("TOPUP_LOT", 2, 1_300),
        ("FOUND_UNRETURNABLE", 0, 0),
    ]


@pytest.mark.clause("GZ-8.2", "T3")
def test_by_top_up_a_lot_is_old_until_midnight_in_shanghai(
    house: House, maker: StaffClient
) -> None:
    """Of one account: paid a second before the day that is three years ago, and as it began."""
    card = old_card(house, 1_000, OLD)
    for key, fen, seconds in (("before", 70, 59), ("after", 5, 60)):
        paid_at = datetime(2022, 12, 30, 15, 59, tzinfo=UTC) + timedelta(seconds=seconds)
        collect(house.hospital_id, key, str(card), fen, kind=PREPAY, paid_at=paid_at)
    give_up(maker, card)
    batch = draft(maker, reading="TOPUP_LOT").body
    assert accounts_of(maker, batch) == {card: 1_070}


def test_a_list_that_changed_is_not_approved(
    house: House, maker: StaffClient, head: StaffClient
) -> None:
    first, second = (old_card(house, 1_000, OLD) for _ in range(2))
    for account in (first, second):
        give_up(maker, account)
    batch = draft(maker).body
    attempt(maker, first, result="ANSWERED")
    path = f"/v1/turnover/batches/{batch['id']}"
    stale = head.try_("POST", f"{path}/approve")
    assert (stale.status, stale.code) == (409, "TURNOVER_LIST_CHANGED")
    head.post(f"{path}/cancel", {"why": "清单有变化"})
    assert accounts_of(maker, draft(maker).body) == {second: 1_000}


@pytest.mark.parametrize("paid_before_the_receipt", [True, False])
def test_a_holder_who_comes_between_approval_and_receipt_is_paid_once(
    house: House, maker: StaffClient, head: StaffClient, paid_before_the_receipt: bool
) -> None:
    account = old_card(house, 1_000, OLD)
    give_up(maker, account)
    batch = draft(maker).body
    head.post(f"/v1/turnover/batches/{batch['id']}/approve")
    refund = ask_back(house, account, 600, PREPAY)
    if paid_before_the_receipt:
        pay(house, refund)
    receipt(maker, batch)
    run_jobs(house)
    assert held(house, account, CLAIM) == 400
    if not paid_before_the_receipt:
        assert balance(house, AccountKind.HOSPITAL_ADVANCE, account) == 0
        pay(house, refund)
    _complete(house)
    assert balance(house, AccountKind.HOSPITAL_ADVANCE, account) == 600
    assert balance(house, AccountKind.TREASURY_HELD, batch["id"]) == 400
    assert findings(house.hospital_id) == []


def test_a_refund_that_is_rejected_after_the_receipt_goes_over_too(
    house: House, maker: StaffClient, head: StaffClient
) -> None:
    account = old_card(house, 1_000, OLD)
    give_up(maker, account)
    batch = draft(maker).body
    head.post(f"/v1/turnover/batches/{batch['id']}/approve")
    refund = ask_back(house, account, 600, PREPAY)
    receipt(maker, batch)
    run_jobs(house)
    with Session.begin() as db:
        refunds.reject(
            db, Refund.locked(db, refund), by="staff:second", now=house.now(), note="材料不符"
        )
    _complete(house)
    assert (held(house, account), held(house, account, CLAIM)) == (0, 1_000)
    assert balance(house, AccountKind.HOSPITAL_ADVANCE, account) == 0


def _complete(house: House) -> None:
    outside = counterparts(house.simulator, "GZ01", house.code, house.now, "http://127.0.0.1:9")
    complete_turnovers(outside, house.hospital_id)


@pytest.mark.clause("GZ-8.3", "T1")
def test_a_late_holder_is_paid_at_once_and_the_claim_stops_at_the_cap(
    house: House, maker: StaffClient, head: StaffClient
) -> None:
    account = old_card(house, 80_000, OLD)
    rest = old_card(house, 14_920_000, OLD)
    for each in (account, rest):
        give_up(maker, each)
    receipted(house, maker, head)
    with Session.begin() as db:  # claims accepted so far, as an earlier system left them
        db.add(
            ClaimBatch(
                hospital_id=house.hospital_id,
                state="ALLOCATED",
                budget_year=2026,
                amount_fen=14_950_000,
                made_by="staff:before",
                made_at=house.now(),
            )
        )
    assert maker.get("/v1/treasury-claims")["room_fen"] == 50_000
    pay(house, ask_back(house, account, 80_000))
    assert held(house, account, CLAIM) == 0
    assert balance(house, AccountKind.HOSPITAL_ADVANCE, account) == 80_000
    year = house.now().year + 1
    claim = maker.post("/v1/treasury-claims", {"budget_year": year})
    assert (claim["amount_fen"], claim["beyond_cap_fen"]) == (50_000, 30_000)
    assert claim["warnings"] == ["CLAIM_CAP_EXCEEDED"]
    full = maker.try_("POST", "/v1/treasury-claims", {"budget_year": year})
    assert (full.status, full.code) == (422, "CLAIM_CAP_EXCEEDED")
    assert balance(house, AccountKind.HOSPITAL_ADVANCE, account) == 80_000
    assert findings(house.hospital_id) == []


@pytest.mark.clause("GZ-8.3", "T4")
def test_a_batch_without_receipt_adds_nothing_to_the_cap(
    house: House, maker: StaffClient, head: StaffClient
) -> None:
    give_up(maker, old_card(house, 1_000, OLD))
    batch = draft(maker).body
    head.post(f"/v1/turnover/batches/{batch['id']}/approve")
    assert maker.get("/v1/treasury-claims")["room_fen"] == 0
    receipt(maker, batch)
    assert maker.get("/v1/treasury-claims")["room_fen"] == 1_000


def test_nobody_gets_more_than_was_turned_over(
    house: House, maker: StaffClient, head: StaffClient
) -> None:
    account = old_card(house, 6_230, OLD)
    give_up(maker, account)
    receipted(house, maker, head)
    with pytest.raises(Refused):
        ask_back(house, account, 7_000)
    pay(house, ask_back(house, account, 6_230))
    assert balance(house, AccountKind.HOSPITAL_ADVANCE, account) == 6_230


def test_a_claim_is_filed_by_another_person_and_paid_back_once(
    house: House, maker: StaffClient, head: StaffClient
) -> None:
    account = old_card(house, 6_230, OLD)
    give_up(maker, account)
    receipted(house, maker, head)
    pay(house, ask_back(house, account, 6_230))
    year = house.now().year + 1
    claim = maker.post("/v1/treasury-claims", {"budget_year": year})
    path = f"/v1/treasury-claims/{claim['id']}"
    early = maker.try_("PUT", f"{path}/allocation", {"receipt_no": "拨2027-1"})
    assert (early.status, early.code) == (422, "CLAIM_NOT_FILED")
    filed = head.post(f"{path}/file", {"filing_no": "黔卫申〔2027〕3号"})
    assert (filed["state"], filed["filed_by"]) == ("FILED", f"staff:{head.staff_no}")
    for _ in range(2):
        done = maker.put(f"{path}/allocation", {"receipt_no": "拨2027-1"})
        assert done["state"] == "ALLOCATED"
    assert balance(house, AccountKind.HOSPITAL_ADVANCE, account) == 0
    assert balance(house, AccountKind.CASH, BANK) == 0
    paid = maker.try_("PUT", f"{path}/refusal", {"why": "不予安排"})
    assert (paid.status, paid.code) == (422, "CLAIM_IS_PAID")
    none = maker.try_("POST", "/v1/treasury-claims", {"budget_year": year})
    assert (none.status, none.code) == (422, "NOTHING_TO_CLAIM")
    assert findings(house.hospital_id) == []


def test_a_refused_claim_frees_its_room(
    house: House, maker: StaffClient, head: StaffClient
) -> None:
    account = old_card(house, 6_230, OLD)
    give_up(maker, account)
    receipted(house, maker, head)
    pay(house, ask_back(house, account, 6_000))
    year = house.now().year + 1
    claim = maker.post("/v1/treasury-claims", {"budget_year": year})
    assert maker.get("/v1/treasury-claims")["room_fen"] == 230
    maker.put(f"/v1/treasury-claims/{claim['id']}/refusal", {"why": "材料不齐"})
    book = maker.get("/v1/treasury-claims")
    assert (book["room_fen"], book["unclaimed"]) == (
        6_230,
        [{"budget_year": year, "amount_fen": 6_000}],
    )
    assert maker.post("/v1/treasury-claims", {"budget_year": year})["amount_fen"] == 6_000


def test_an_advance_names_the_batch_and_the_budget_year(
    house: House, maker: StaffClient, head: StaffClient
) -> None:
    account = old_card(house, 1_000, OLD, patient=holder(house, phone=False))
    give_up(maker, account)
    batch = receipted(house, maker, head)
    pay(house, ask_back(house, account, 300))
    with Session() as db:
        (advance,) = db.query(HospitalAdvance).filter_by(account_id=account)
    assert (str(advance.batch_id), advance.amount_fen) == (batch["id"], 300)
    assert advance.budget_year == advance.paid_on.year + 1
