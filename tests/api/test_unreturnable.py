"""Balances that cannot be given back, over HTTP: evidence, marks, the filed list (GZ-8.1)."""

import csv
import io
from datetime import date, timedelta
from decimal import Decimal

import pytest

from simulator.clients import StaffClient
from tests.api.old_cards import held, holder, old_card
from tests.people import House, MovedClock

LONG_AGO = date(2022, 3, 1)


@pytest.fixture
def maker(house: House) -> StaffClient:
    return house.staff("FINANCE_MAKER", kind="DESK", ward="")


def attempt(client: StaffClient, account, channel="PHONE", result="NO_ANSWER", key="", **more):
    path = f"/v1/prepay-accounts/{account}/contact/attempts"
    wish = {"channel": channel, "result": result, **more}
    return client.try_("POST", path, wish, key=key or f"try-{channel}-{result}-{len(str(more))}")


def mark(client: StaffClient, account, reason="CONTACT_CHANGED"):
    wish = {"reason": reason, "risk_note": "电话停机，微信未绑定"}
    return client.try_("PUT", f"/v1/prepay-accounts/{account}/unreturnable", wish)


def give_up(client: StaffClient, account) -> None:
    """A balance without any contact data."""
    answer = mark(client, account, "NO_CONTACT_DATA")
    assert answer.status == 200, answer.text


@pytest.mark.clause("GZ-8.1", "T1")
def test_no_mark_without_evidence(house: House, maker: StaffClient, clock: MovedClock) -> None:
    account = old_card(house, 80, LONG_AGO, patient=holder(house))
    refused = mark(maker, account)
    assert (refused.status, refused.code) == (422, "ATTEMPT_EVIDENCE_REQUIRED")
    assert refused.body["clause"] == "GZ-8.1"
    assert mark(maker, account, "NO_CONTACT_DATA").code == "ATTEMPT_EVIDENCE_REQUIRED"
    for day, channel in ((0, "PHONE"), (15, "SMS"), (30, "PHONE")):
        at = (clock() - timedelta(days=31 - day)).isoformat()
        assert attempt(maker, account, channel, key=f"attempt-{day:04d}", at=at).status == 200
    done = mark(maker, account)
    assert (done.status, done.body["reason"]) == (200, "CONTACT_CHANGED")
    assert len(done.body["attempts"]) == 3
    assert mark(maker, account).body == done.body  # said again
    assert mark(maker, account, "IDENTITY_UNKNOWN").code == "ALREADY_UNRETURNABLE"


def test_nobody_to_reach_is_its_own_evidence(house: House, maker: StaffClient) -> None:
    account = old_card(house, 80, LONG_AGO)
    assert mark(maker, account, "NO_CONTACT_DATA").status == 200


def test_a_bound_wechat_account_can_be_reached(house: House, maker: StaffClient) -> None:
    patient = holder(house)
    house.patient_phone(patient)
    account = old_card(house, 80, LONG_AGO, patient=patient)
    assert mark(maker, account, "NO_CONTACT_DATA").code == "ATTEMPT_EVIDENCE_REQUIRED"


def test_an_attempt_is_written_once_and_an_answer_lifts_the_mark(
    house: House, maker: StaffClient
) -> None:
    account = old_card(house, 80, LONG_AGO)
    give_up(maker, account)
    for _ in range(2):
        answered = attempt(maker, account, result="ANSWERED", key="attempt-0001")
        assert (answered.status, answered.body["reason"]) == (200, None)
        assert len(answered.body["attempts"]) == 1
    other = attempt(maker, account, result="NO_ANSWER", key="attempt-0001")
    assert (other.status, other.code) == (409, "IDEMPOTENCY_CONFLICT")
    assert mark(maker, account, "NO_CONTACT_DATA").code == "HOLDER_WAS_REACHED"


def test_an_empty_account_is_not_given_up(house: House, maker: StaffClient) -> None:
    account = old_card(house, 80, LONG_AGO)
    give_up(maker, account)
    lifted = maker.post(f"/v1/prepay-accounts/{account}/unreturnable/lift", {"why": "本人来院"})
    assert (lifted["reason"], lifted["held_fen"]) == (None, 80)
    stranger = House(house.app, house.base_url, house.now, house.simulator)
    other = stranger.staff("FINANCE_MAKER", kind="DESK", ward="")
    assert mark(other, account).code == "PREPAY_ACCOUNT_UNKNOWN"


@pytest.mark.clause("GZ-8.1", "T2")
def test_the_filed_list_is_complete_and_equals_the_ledger(house: House, maker: StaffClient) -> None:
    cards = {old_card(house, fen, LONG_AGO): fen for fen in (80, 6_230, 1)}
    for account in cards:
        give_up(maker, account)
    old_card(house, 999, LONG_AGO)  # nobody looked for its holder yet
    filing = maker.post("/v1/unreturnable-filings", {"period": "2026Q4"})
    assert (filing["accounts"], filing["total_fen"]) == (3, 6_311)
    assert filing["total_fen"] == sum(held(house, account) for account in cards)
    assert maker.post("/v1/unreturnable-filings", {"period": "2026Q4"}) == filing
    content = maker.try_("GET", f"/v1/unreturnable-filings/{filing['id']}/export?form=csv")
    header, *lines = csv.reader(io.StringIO(content.text.removeprefix("\ufeff")))
    assert header[:4] == ["姓名", "证件号码", "卡号", "余额（元）"]
    assert sum(Decimal(line[3]) for line in lines) == Decimal("63.11")
    for name, id_no, card_no, _, last, reason, tries, channels in lines:
        assert (name, card_no[0], last, reason) == ("张小丰", "K", "2022-03-01", "没有联系方式")
        assert (id_no[3:-4], len(id_no)) == ("*" * 11, 18)
        assert (tries, channels) == ("0", "")
    empty = maker.try_("POST", "/v1/unreturnable-filings", {"period": "2027Q1"})
    assert (empty.status, empty.code) == (422, "NOTHING_TO_FILE")


def test_the_departments_number_is_kept_once(house: House, maker: StaffClient) -> None:
    give_up(maker, old_card(house, 80, LONG_AGO))
    filing = maker.post("/v1/unreturnable-filings", {"period": "2026Q4"})
    path = f"/v1/unreturnable-filings/{filing['id']}/receipt"
    said = {"filing_no": "黔卫备〔2026〕12号", "authority": "示范县卫生健康局"}
    received = maker.put(path, said)
    assert (received["filing_no"], bool(received["received_at"])) == (said["filing_no"], True)
    assert maker.put(path, said) == received
    assert maker.try_("PUT", path, said | {"filing_no": "别的号"}).status == 409
