"""The medical-aid office: signatures, estimates, claims by number, and its faults."""

import time

import pytest
import requests
from sim_insurance_client import identity_number

WRONG_BODIES = [
    {},
    {"certno": "1"},
    {"certno": "1", "personal_fen": "5"},
    {"certno": "1", "personal_fen": True},
    {"certno": "1", "personal_fen": 0},
    {"certno": "", "personal_fen": 5},
    {"certno": "1", "personal_fen": 5, "name": "x"},
    [1],
]


@pytest.fixture
def claim(office):
    """A person of whom the office approves 2,200.00 yuan, and a claim for 3,500.00."""
    certno = identity_number()
    office.seed(certno=certno, approves_fen=220000)
    return {"certno": certno, "personal_fen": 350000}


def number() -> str:
    return f"MA-{time.time_ns()}"


def test_estimate_keeps_nothing(office, claim):
    before = office.control("GET", "/_sim/medical-aid/GZ01/claims")
    wanted = {"state": "APPROVED", "approved_fen": 220000, "reason": ""}
    assert office.ask("POST", "/estimates", claim) == (200, wanted)
    less = claim | {"personal_fen": 1}
    assert office.ask("POST", "/estimates", less)[1]["approved_fen"] == 1
    assert office.control("GET", "/_sim/medical-aid/GZ01/claims") == before


def test_a_claim_may_be_repeated_but_not_changed(office, claim):
    path = f"/claims/{number()}"
    wanted = {
        "claim_no": path.removeprefix("/claims/"),
        "state": "APPROVED",
        "approved_fen": 220000,
        "reason": "",
    }
    assert office.ask("PUT", path, claim) == (201, wanted)
    assert office.ask("PUT", path, claim) == (200, wanted)
    assert office.ask("GET", path) == (200, wanted)
    other = claim | {"personal_fen": 350001}
    assert office.ask("PUT", path, other) == (409, {"error": "CLAIM_HAS_OTHER_BODY"})
    office.seed(certno=claim["certno"], approves_fen=1)
    assert office.ask("GET", path) == (200, wanted)
    assert office.ask("POST", "/estimates", claim)[1]["approved_fen"] == 1


def test_withdrawing(office, claim):
    path = f"/claims/{number()}"
    assert office.ask("DELETE", path) == (404, {"error": "CLAIM_UNKNOWN"})
    office.ask("PUT", path, claim)
    before = office.control("GET", "/_sim/books")["medical_aid"]["GZ01"]
    for _ in range(2):
        status, answered = office.ask("DELETE", path)
        assert (status, answered["state"], answered["approved_fen"]) == (200, "WITHDRAWN", 0)
    after = office.control("GET", "/_sim/books")["medical_aid"]["GZ01"]
    assert before["approved_fen"] - after["approved_fen"] == 220000
    assert office.ask("PUT", path, claim) == (409, {"error": "CLAIM_WITHDRAWN"})
    assert office.ask("GET", path)[1]["state"] == "WITHDRAWN"


def test_pending_until_the_office_decides(office, claim):
    office.seed(certno=claim["certno"], approves_fen=220000, decision="PENDING")
    path = f"/claims/{number()}"
    assert office.ask("PUT", path, claim)[1]["state"] == "PENDING"
    assert office.ask("GET", path)[1] == office.ask("PUT", path, claim)[1]
    office.seed(certno=claim["certno"], approves_fen=220000, decision="APPROVED")
    assert office.ask("GET", path)[1]["approved_fen"] == 220000
    office.seed(certno=claim["certno"], approves_fen=0, decision="REFUSED")
    assert office.ask("GET", path)[1]["approved_fen"] == 220000


def test_refused_and_unknown(office, claim):
    office.seed(certno=claim["certno"], decision="REFUSED")
    assert office.ask("POST", "/estimates", claim)[1]["state"] == "REFUSED"
    stranger = claim | {"certno": identity_number()}
    wanted = {"state": "REFUSED", "approved_fen": 0, "reason": "NOT_ENTITLED"}
    assert office.ask("POST", "/estimates", stranger) == (200, wanted)
    assert office.ask("GET", "/claims/none") == (404, {"error": "CLAIM_UNKNOWN"})


@pytest.mark.parametrize("body", WRONG_BODIES)
def test_wrong_bodies(office, body):
    assert office.ask("POST", "/estimates", body) == (422, {"error": "BODY"})
    assert office.ask("PUT", f"/claims/{number()}", body) == (422, {"error": "BODY"})


def test_wrong_numbers(office, claim):
    assert office.ask("PUT", "/claims/A_B", claim) == (422, {"error": "CLAIM_NUMBER"})
    assert office.ask("PUT", "/claims/" + "1" * 65, claim) == (422, {"error": "CLAIM_NUMBER"})


def test_signatures(office, claim):
    wrong = (401, {"error": "SIGNATURE"})
    assert office.ask("POST", "/estimates", claim, **{"X-Aid-Signature": "00"}) == wrong
    assert office.ask("POST", "/estimates", claim, **{"X-Aid-Timestamp": ""}) == wrong
    later = str(int(time.time()) + 1)
    assert office.ask("POST", "/estimates", claim, **{"X-Aid-Timestamp": later}) == wrong
    try:
        office.control("POST", "/_sim/clock", {"shift_seconds": 400})
        assert office.ask("POST", "/estimates", claim) == wrong
    finally:
        office.control("POST", "/_sim/clock", {"shift_seconds": 0})


def test_other_hospitals_claims_are_not_seen(office, claim, connections):
    path = f"/claims/{number()}"
    office.ask("PUT", path, claim)
    other = type(office)(connections["CQ01"]["medical_aid"])
    assert other.ask("GET", path) == (404, {"error": "CLAIM_UNKNOWN"})
    assert other.ask("POST", "/estimates", claim)[1]["reason"] == "NOT_ENTITLED"
    other.close()


def test_down_and_cut(office, claim):
    path = f"/claims/{number()}"
    office.plan("before", "claim")
    with pytest.raises(requests.ConnectionError):
        office.ask("PUT", path, claim)
    assert office.ask("GET", path)[0] == 404
    office.plan("after", "claim")
    with pytest.raises(requests.ConnectionError):
        office.ask("PUT", path, claim)
    assert office.ask("GET", path)[1]["approved_fen"] == 220000
    assert office.ask("PUT", path, claim)[0] == 200
    office.plan("refuse", "withdraw", word="CLOSED")
    assert office.ask("DELETE", path) == (422, {"error": "CLOSED"})
    office.plan("error500_before", "*")
    assert office.ask("GET", path)[0] == 500
    assert office.ask("GET", path)[1]["state"] == "APPROVED"
