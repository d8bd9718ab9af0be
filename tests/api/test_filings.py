"""Filing an exception, two people and the authority's answer, and what the public sees (GZ-6)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial

import pytest

from models.db import rows
from simulator.clients import Client
from tests.exceptions import APPROVED, ELDERLY, F1, FILINGS, SHOWN, Clinic
from tests.people import House, MovedClock

JULY = date(2025, 7, 1)
DUTIES = "/v1/outpatient-prepay/duties"


@pytest.fixture
def clinic(house: House, clock: MovedClock) -> Clinic:
    return Clinic(house, clock).on(JULY)


def public(clinic: Clinic) -> dict:
    passer_by = Client(clinic.house.wire, clinic.house.code)
    return passer_by.get(f"/v1/hospitals/{clinic.house.code}/outpatient-prepay/filings")


def duties(clinic: Clinic) -> list[tuple[str, str]]:
    return [(each["code"], each["channel"]) for each in clinic.head.get(DUTIES)]


def test_from_draft_to_approval_by_two_people_and_a_document(clinic, house):
    drafted = clinic.maker.post(FILINGS, F1, key="draft-0001")
    assert (drafted["state"], drafted["groups"]) == ("DRAFTED", [ELDERLY | {"min_age": 60}])
    path = f"{FILINGS}/{drafted['id']}"
    assert clinic.maker.try_("PUT", f"{path}/submission").code == "PERMISSION_MISSING"
    early = clinic.head.try_("PUT", f"{path}/answer", APPROVED)
    assert (early.status, early.code) == (409, "STATE_CHANGED")
    submitted = clinic.head.put(f"{path}/submission")
    assert clinic.head.put(f"{path}/submission") == submitted
    approved = clinic.head.put(f"{path}/answer", APPROVED)
    assert clinic.head.put(f"{path}/answer", APPROVED) == approved
    assert (approved["state"], approved["document_no"]) == ("APPROVED", APPROVED["document_no"])
    other = clinic.head.try_("PUT", f"{path}/answer", APPROVED | {"document_no": "X"})
    assert (other.status, other.code) == (409, "STATE_CHANGED")
    moves = rows(
        "SELECT there FROM state_move WHERE entity_id = :id ORDER BY at, id", id=drafted["id"]
    )
    assert [move["there"] for move in moves] == ["DRAFTED", "SUBMITTED", "APPROVED"]
    trail = rows(
        "SELECT what FROM audit_entry WHERE hospital_id = :h AND subject = :s ORDER BY no",
        h=house.hospital_id,
        s=f"prepay-filing:{drafted['id']}",
    )
    assert [row["what"].rpartition(" ")[2] for row in trail] == ["drafted", "submitted", "answered"]


def test_a_draft_is_made_once_for_each_key(clinic):
    with ThreadPoolExecutor(4) as pool:
        press = partial(clinic.maker.try_, "POST", FILINGS, F1, key="draft-0001")
        told = [each.result() for each in [pool.submit(press) for _ in range(4)]]
    assert {answer.status for answer in told} == {200}
    assert [each["id"] for each in clinic.maker.get(FILINGS)] == [told[0].body["id"]]
    for draft in (F1 | {"authority": "另一家"}, F1 | {"scenes": ["EMERGENCY"]}):
        no = clinic.maker.try_("POST", FILINGS, draft, key="draft-0001")
        assert (no.status, no.code) == (409, "IDEMPOTENCY_CONFLICT")
    clinic.maker.post(FILINGS, F1, key="draft-0002")
    assert len(clinic.maker.get(FILINGS)) == 2


def test_who_drafts_does_not_agree_in_any_role(clinic):
    both = clinic.house.staff("FINANCE_MAKER", "FINANCE_HEAD", kind="DESK", ward="")
    path = f"{FILINGS}/{both.post(FILINGS, F1, key='draft-0001')['id']}"
    no = both.try_("PUT", f"{path}/submission")
    assert (no.status, no.code) == (422, "SAME_PERSON_FORBIDDEN")
    assert clinic.head.put(f"{path}/submission")["state"] == "SUBMITTED"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"scenes": [], "groups": []}, "FILING_COVERS_NOTHING"),
        ({"groups": [ELDERLY | {"min_age": 59}]}, "FILING_AGE_TOO_LOW"),
        ({"scenes": ["CLINIC"]}, "FIELDS_INVALID"),
        ({"top_up_limit_fen": 0}, "FIELDS_INVALID"),
    ],
)
def test_a_filing_that_cannot_be_is_refused(clinic, changed, code):
    no = clinic.maker.try_("POST", FILINGS, F1 | changed, key="draft-0001")
    assert (no.status, no.code) == (422, code)
    assert clinic.maker.get(FILINGS) == []


def test_a_higher_age_stands_as_it_was_filed(clinic):
    changed = F1 | {"groups": [ELDERLY | {"min_age": 65}]}
    (group,) = clinic.maker.post(FILINGS, changed, key="draft-0001")["groups"]
    assert group["min_age"] == 65


def test_dates_that_cannot_be_are_refused(clinic):
    path = clinic.submitted()
    for wrong in ({"approved_on": "2025-07-02"}, {"expires_on": "2025-06-19"}):
        no = clinic.head.try_("PUT", f"{path}/answer", APPROVED | wrong)
        assert (no.status, no.code) == (422, "FILING_DATES_WRONG")
    unapproved = clinic.maker.try_("POST", f"{path}/publications", SHOWN)
    assert unapproved.code == "FILING_NOT_APPROVED"
    clinic.head.put(f"{path}/answer", APPROVED)
    for wrong in ({"from_on": "2025-06-19"}, {"to_on": "2025-06-24"}):
        no = clinic.maker.try_("POST", f"{path}/publications", SHOWN | wrong)
        assert (no.status, no.code) == (422, "FILING_DATES_WRONG")
    shown = clinic.maker.post(f"{path}/publications", SHOWN)
    assert clinic.maker.post(f"{path}/publications", SHOWN) == shown
    (publication,) = shown["publications"]
    ending = f"{path}/publications/{publication['id']}"
    assert clinic.maker.try_("PUT", ending, {"to_on": "2025-06-24"}).code == "FILING_DATES_WRONG"


def test_everybody_sees_what_holds_today_and_no_names(clinic):
    clinic.submitted()
    clinic.published()
    shown = public(clinic)
    (filing,) = shown["filings"]
    assert (shown["hospital"], shown["day"]) == ("示范医院", "2025-07-01")
    assert filing["document_no"] == APPROVED["document_no"]
    assert filing["publications"][0]["snapshot_sha256"] == SHOWN["snapshot_sha256"]
    assert not {"drafted_by", "checked_by", "state"} & filing.keys()
    clinic.on(date(2026, 7, 1))
    assert public(clinic)["filings"] == []


def test_what_is_owed_to_the_public_is_listed_until_it_is_done(clinic):
    path = clinic.approved()
    assert duties(clinic) == [("FILING_UNPUBLISHED", "")]
    clinic.maker.post(f"{path}/publications", SHOWN)
    channels = ["MINI_PROGRAM", "SCREEN"]
    assert duties(clinic) == [("FILING_CHANNEL_MISSING", channel) for channel in channels]
    for channel in channels:
        clinic.maker.post(f"{path}/publications", SHOWN | {"channel": channel})
    assert duties(clinic) == []
    clinic.on(date(2026, 5, 31))
    assert duties(clinic) == [("FILING_EXPIRES_SOON", "")]
    clinic.on(date(2026, 7, 1))
    over = [("PUBLICATION_OUTDATED", name) for name in ("MINI_PROGRAM", "SCREEN", "WEBSITE")]
    assert duties(clinic) == over
    for publication in clinic.maker.get(FILINGS)[0]["publications"]:
        clinic.maker.put(f"{path}/publications/{publication['id']}", {"to_on": "2026-06-30"})
    assert duties(clinic) == []


def test_another_hospitals_filing_is_not_there(clinic):
    path = clinic.published()
    stranger = Clinic(
        House(clinic.house.app, clinic.house.base_url, clinic.clock, None), clinic.clock
    )
    for client, method, what, body in (
        (stranger.head, "PUT", "withdrawal", {"reason": "不是我们的"}),
        (stranger.maker, "POST", "publications", SHOWN),
    ):
        no = client.try_(method, f"{path}/{what}", body)
        assert (no.status, no.code) == (404, "FILING_UNKNOWN")
    assert stranger.maker.get(FILINGS) == []
    assert stranger.head.get(DUTIES) == []
