"""Telling holders that money is waiting, over HTTP (GZ-7): sent once to each, complete only as the
article asks, never at night, never to a wrong number."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from functools import partial
from itertools import count
from uuid import UUID

import pytest

import jobs
from config import SHANGHAI
from journeys import campaigns as campaigns_journey
from models.db import Session, rows
from models.hospital import Setting
from models.message import Message
from models.patient import Patient
from models.unreturnable import ContactAttempt
from notifications.messages import tell
from policies.expiry import urgency
from simulator.clients import StaffClient
from tests.api.old_cards import holder, old_card
from tests.people import PASSWORD, House, MovedClock
from tests.stage import counterparts

HOTLINE = "0851-80000000"
SINCE = date(2023, 5, 1)
BOARD = {
    "channel": "OFFICIAL_ACCOUNT",
    "place": "示范医院公众号",
    "from_on": "2025-09-01",
    "snapshot_sha256": "a" * 64,
}
_phones, _keys = count(1), count(1)


@pytest.fixture
def by_day(clock: MovedClock) -> None:
    """Noon of tomorrow in Shanghai."""
    tomorrow = datetime.now(SHANGHAI) + timedelta(days=1)
    clock.shift = tomorrow.replace(hour=12, minute=0) - datetime.now(SHANGHAI)


@pytest.fixture
def maker(house: House, by_day: None) -> StaffClient:
    return house.staff("FINANCE_MAKER", kind="DESK", ward="")


@pytest.fixture
def head(house: House, by_day: None) -> StaffClient:
    return house.staff("FINANCE_HEAD", kind="DESK", ward="")


@pytest.fixture
def hotline(house: House) -> str:
    with Session.begin() as db:
        db.add(Setting(hospital_id=house.hospital_id, key="service_phone", value=HOTLINE))
    return HOTLINE


@pytest.fixture
def run(house: House, clock: MovedClock) -> Callable[[], None]:
    """Everything that is due; the simulator has the same clock."""

    def run() -> None:
        house.simulator.shift(clock.shift.total_seconds())
        outside = counterparts(house.simulator, "GZ01", house.code, house.now, "http://127.0.0.1:9")
        jobs.run_due(lambda code: outside, house.now)

    yield run
    house.simulator.shift(0)


def with_phone(house: House, fen: int) -> Patient:
    """A holder whose phone is nobody else's in any test."""
    patient = holder(house)
    with Session.begin() as db:
        there = db.get_one(Patient, patient.id)
        there.phone = f"131{next(_phones):08d}"
        patient.phone = there.phone
    old_card(house, fen, SINCE, patient=patient)
    return patient


def draft(maker: StaffClient, **more) -> str:
    key = f"campaign-{next(_keys):04d}"
    return maker.post("/v1/campaigns", {"name": "第一轮清退通知", **more}, key=key)["id"]


def message_of(patient: Patient) -> Message | None:
    with Session() as db:
        return db.query(Message).filter_by(patient_id=patient.id).one_or_none()


def test_a_draft_is_made_once_for_each_key(maker: StaffClient) -> None:
    wish = {"name": "第一轮清退通知"}
    with ThreadPoolExecutor(4) as pool:
        press = partial(maker.try_, "POST", "/v1/campaigns", wish, key="campaign-0000")
        told = [each.result() for each in [pool.submit(press) for _ in range(4)]]
    assert {answer.status for answer in told} == {200}
    assert [each["id"] for each in maker.get("/v1/campaigns")] == [told[0].body["id"]]
    for other in ({"name": "第二轮清退通知"}, wish | {"least_fen": 2}):
        no = maker.try_("POST", "/v1/campaigns", other, key="campaign-0000")
        assert (no.status, no.code) == (409, "IDEMPOTENCY_CONFLICT")
    draft(maker)
    assert len(maker.get("/v1/campaigns")) == 2


@pytest.mark.clause("GZ-7", "T2")
def test_complete_with_two_channels_and_a_hotline_only(
    house: House, maker: StaffClient, head: StaffClient, run
) -> None:
    patient = with_phone(house, 12_050)
    campaign = draft(maker)
    path = f"/v1/campaigns/{campaign}"
    silent = head.try_("POST", f"{path}/send")
    assert (silent.status, silent.code) == (422, "CAMPAIGN_HOTLINE_MISSING")
    with Session.begin() as db:
        db.add(Setting(hospital_id=house.hospital_id, key="service_phone", value=HOTLINE))
    head.post(f"{path}/send")
    early = maker.try_("POST", f"{path}/complete")
    assert (early.status, early.code) == (422, "CAMPAIGN_STILL_SENDING")
    run()
    one = maker.try_("POST", f"{path}/complete")
    assert (one.status, one.code) == (422, "CAMPAIGN_NEEDS_CHANNELS")
    for _ in range(2):
        maker.post(f"{path}/public-notices", BOARD)
    done = maker.post(f"{path}/complete")
    assert (done["state"], done["channels"]) == ("COMPLETE", ["OFFICIAL_ACCOUNT", "SMS"])
    assert maker.post(f"{path}/complete") == done
    (sms,) = house.simulator.outbox(f"+86{patient.phone}")
    assert "120.50元" in sms["text"]
    assert HOTLINE in sms["text"]
    assert patient.id_no not in sms["text"]


def test_each_holder_is_told_once_about_all_cards(
    house: House, maker: StaffClient, head: StaffClient, hotline: str, run
) -> None:
    holders = [with_phone(house, 5_000) for _ in range(5)]
    old_card(house, 7_050, SINCE, patient=holders[0])
    poor = with_phone(house, 99)
    nobody = holder(house, phone=False)
    old_card(house, 600, SINCE, patient=nobody)
    campaign = draft(maker, least_fen=100)
    head.post(f"/v1/campaigns/{campaign}/send")
    outside = counterparts(house.simulator, "GZ01", house.code, house.now, "http://127.0.0.1:9")
    told = partial(
        campaigns_journey.send_campaign, outside, house.hospital_id, UUID(campaign), at_once=2
    )
    assert [told() for _ in range(4)] == [2, 2, 2, 0]  # two at once, nobody twice
    run()
    head.post(f"/v1/campaigns/{campaign}/send")  # pressed again
    run()
    assert [len(house.simulator.outbox(f"+86{each.phone}")) for each in holders] == [1] * 5
    assert "120.50元" in house.simulator.outbox(f"+86{holders[0].phone}")[0]["text"]
    assert message_of(poor) is None
    told = {row["state"]: row["people"] for row in maker.get(f"/v1/campaigns/{campaign}")["told"]}
    assert told == {"SENT": 5, "FAILED": 1}
    (lost,) = maker.get(f"/v1/campaigns/{campaign}/people", query={"state": "FAILED"})
    assert (UUID(lost["patient_id"]), lost["answer"]) == (nobody.id, "NO_ROUTE")


def test_notices_to_many_keep_nobodys_own_news_waiting(
    house: House, maker: StaffClient, head: StaffClient, hotline: str
) -> None:
    holders = [with_phone(house, 5_000) for _ in range(3)]
    campaign = draft(maker)
    head.post(f"/v1/campaigns/{campaign}/send")
    outside = counterparts(house.simulator, "GZ01", house.code, house.now, "http://127.0.0.1:9")
    assert campaigns_journey.send_campaign(outside, house.hospital_id, UUID(campaign)) == 3
    with Session.begin() as db:
        told = {"amount": "50.00", "route": "微信", "arrival": "1天"}
        tell(
            db,
            hospital_id=house.hospital_id,
            key="own-news",
            patient_id=holders[0].id,
            template="REFUND_SENT",
            values=told,
            at=house.now(),
        )
    waiting = rows(
        "SELECT m.template, j.priority FROM procrastinate_jobs j"
        " JOIN message m ON j.args->>'message_id' = m.id::text"
        " OR j.args->'message_ids' ? m.id::text"
        " WHERE m.hospital_id = :id ORDER BY j.priority DESC, j.id",
        id=house.hospital_id,
    )
    assert [each["template"] for each in waiting] == ["REFUND_SENT", *["CLEARANCE_NOTICE"] * 3]
    assert waiting[-1]["priority"] < urgency(None, house.now()), "money goes first"


def test_nobody_is_told_at_night(
    house: House, maker: StaffClient, head: StaffClient, hotline: str, clock: MovedClock, run
) -> None:
    night = (datetime.now(SHANGHAI) + timedelta(days=1)).replace(hour=22, minute=30)
    clock.shift = night - datetime.now(SHANGHAI)
    for client in (maker, head):
        client.log_in(client.staff_no, PASSWORD)
    patient = with_phone(house, 5_000)
    head.post(f"/v1/campaigns/{draft(maker)}/send")
    run()
    assert house.simulator.outbox(f"+86{patient.phone}") == []
    assert message_of(patient).next_try_at.astimezone(SHANGHAI).hour == 8
    clock.forward(hours=9)
    run()
    assert message_of(patient).next_try_at > clock()  # 07:30
    clock.forward(hours=1)
    run()
    assert len(house.simulator.outbox(f"+86{patient.phone}")) == 1


def test_a_wrong_number_gets_nothing_more(
    house: House, maker: StaffClient, head: StaffClient, hotline: str, run
) -> None:
    desk = house.staff("SERVICE_DESK", kind="DESK", ward="")
    patient = with_phone(house, 5_000)
    for _ in range(2):
        assert desk.post("/v1/wrong-numbers", {"phone": patient.phone}) == {"stopped": True}
    head.post(f"/v1/campaigns/{draft(maker)}/send")
    run()
    assert house.simulator.outbox(f"+86{patient.phone}") == []
    assert message_of(patient).state == "FAILED"
    with Session() as db:
        kept = db.query(ContactAttempt).filter_by(hospital_id=house.hospital_id).all()
    assert [each.result for each in kept] == ["WRONG_NUMBER"]
    stopped = [row for row in _audit(house) if row == "wrong number"]
    assert stopped == ["wrong number"]


def _audit(house: House) -> list[str]:
    auditor = house.staff("AUDITOR", kind="DESK")
    return [entry["what"] for entry in auditor.get("/v1/audit")]


def test_what_nobody_reacted_to_is_evidence(
    house: House, maker: StaffClient, head: StaffClient, hotline: str, run
) -> None:
    with_phone(house, 5_000)
    head.post(f"/v1/campaigns/{draft(maker)}/send")
    run()
    outside = counterparts(house.simulator, "GZ01", house.code, house.now, "http://127.0.0.1:9")
    assert campaigns_journey.note_attempts(outside, house.hospital_id) == 1
    assert campaigns_journey.note_attempts(outside, house.hospital_id) == 0
    with Session() as db:
        (attempt,) = db.query(ContactAttempt).filter_by(hospital_id=house.hospital_id)
    assert (attempt.channel, attempt.result, attempt.by) == ("SMS", "NO_ANSWER", "system")


def unreached(house: House) -> list[tuple[str, int]]:
    """The tasks of the service desk: which campaign, how many people."""
    query = "SELECT subject, facts FROM work_item WHERE hospital_id = :h AND kind = :kind"
    found = rows(query, h=house.hospital_id, kind="CAMPAIGN_UNREACHED")
    return [(row["subject"], row["facts"]["people"]) for row in found]


@pytest.mark.clause("GZ-8.1", "T1")
def test_who_cannot_be_reached_is_a_task_and_the_public_notice_is_the_attempt(
    house: House, maker: StaffClient, head: StaffClient, hotline: str, run
) -> None:
    with_phone(house, 5_000)
    nobody = holder(house, phone=False)
    cards = {old_card(house, fen, SINCE, patient=nobody) for fen in (600, 700)}
    campaign = draft(maker)
    head.post(f"/v1/campaigns/{campaign}/send")
    outside = counterparts(house.simulator, "GZ01", house.code, house.now, "http://127.0.0.1:9")

    def noted() -> int:
        return campaigns_journey.note_attempts(outside, house.hospital_id)

    assert campaigns_journey.send_campaign(outside, house.hospital_id, UUID(campaign)) == 2
    assert (noted(), unreached(house)) == (0, [])  # nothing has left yet
    run()
    later = f"{(house.now() + timedelta(days=3)).astimezone(SHANGHAI).date()}"
    path = f"/v1/campaigns/{campaign}/public-notices"
    maker.post(path, BOARD | {"place": "大厅", "from_on": later})
    noted()
    assert unreached(house) == [(f"campaign:{campaign}", 1)]
    assert public_attempts(house) == []
    for place in ("示范医院公众号", "官网"):
        maker.post(path, BOARD | {"place": place})
    assert (noted(), noted()) == (2, 0)
    assert {each.account_id for each in public_attempts(house)} == cards
    assert {each.result for each in public_attempts(house)} == {"UNDELIVERED"}
    assert len(unreached(house)) == 1
    assert head.get("/v1/prepay/clearance/board")["funnel"]["contacted"] == 1


def public_attempts(house: House) -> list[ContactAttempt]:
    with Session() as db:
        mine = db.query(ContactAttempt).filter_by(hospital_id=house.hospital_id)
        return mine.filter_by(channel="PUBLIC_NOTICE").all()


def test_a_stopped_campaign_tells_nobody_else_and_can_go_on(
    house: House, maker: StaffClient, head: StaffClient, hotline: str, run
) -> None:
    patient = with_phone(house, 5_000)
    path = f"/v1/campaigns/{draft(maker)}"
    head.post(f"{path}/send")
    assert maker.post(f"{path}/stop", {"why": "电话占线"})["state"] == "STOPPED"
    run()
    assert message_of(patient) is None
    head.post(f"{path}/send")
    run()
    assert message_of(patient).state == "SENT"
    assert [row["id"] for row in maker.get("/v1/campaigns")] == [path.rpartition("/")[2]]
