"""The medical-aid office's adapter against the simulator, and against a peer that misbehaves."""

import json
from datetime import timedelta
from itertools import count

import pytest

from config import AgencySettings, Connections
from models.db import Session, TransactionOpen
from payments.agencies.medical_aid import AidAnswer, MedicalAid
from policies.outcome import Declined, NoAnswer, NotNow
from tests.peer import Peer, Says
from tests.stage import id_number

_claims = count(1)


@pytest.fixture
def aid(simulator, now):
    return MedicalAid(Connections.read(simulator.connections("GZ01")).medical_aid, now)


@pytest.fixture
def person(simulator):
    """Somebody for whom the office decides so."""

    def person(approves_fen=220000, decision="APPROVED", id_no=""):
        id_no = id_no or id_number(700 + next(_claims))
        seed = {"certno": id_no, "approves_fen": approves_fen, "decision": decision}
        simulator.post("/_sim/medical-aid/GZ01/persons", seed)
        return id_no

    return person


@pytest.fixture
def claim_no():
    return f"claim-{next(_claims)}"


def test_a_pending_claim_is_claimed_again_and_decided_once(aid, person, claim_no):
    id_no = person(decision="PENDING")
    claim = {"id_no": id_no, "personal_fen": 350000}
    assert aid.claim(claim_no, **claim) == AidAnswer("PENDING", 0)
    assert aid.query(claim_no) == AidAnswer("PENDING", 0)
    person(id_no=id_no)
    assert aid.claim(claim_no, **claim) == AidAnswer("APPROVED", 220000)
    assert aid.claim(claim_no, **claim) == AidAnswer("APPROVED", 220000)


def test_an_estimate_binds_nobody_and_is_never_above_the_share(aid, person, claim_no):
    id_no = person()
    assert aid.estimate(id_no=id_no, personal_fen=350000) == 220000
    assert aid.estimate(id_no=id_no, personal_fen=100) == 100
    assert aid.query(claim_no) is None


def test_somebody_unknown_is_refused(aid, claim_no):
    answer = aid.claim(claim_no, id_no=id_number(999), personal_fen=100)
    assert answer == AidAnswer("REFUSED", 0)


def test_the_same_number_with_another_content_is_declined(aid, person, claim_no):
    id_no = person()
    aid.claim(claim_no, id_no=id_no, personal_fen=100)
    with pytest.raises(Declined) as no:
        aid.claim(claim_no, id_no=id_no, personal_fen=101)
    assert no.value.code == "CLAIM_HAS_OTHER_BODY"


def test_withdrawing_may_be_repeated_and_need_not_find_anything(aid, person, claim_no):
    id_no = person()
    aid.withdraw(claim_no)
    aid.claim(claim_no, id_no=id_no, personal_fen=100)
    aid.withdraw(claim_no)
    aid.withdraw(claim_no)
    assert aid.query(claim_no).state == "WITHDRAWN"
    with pytest.raises(Declined) as no:
        aid.claim(claim_no, id_no=id_no, personal_fen=100)
    assert no.value.code == "CLAIM_WITHDRAWN"


@pytest.mark.parametrize(
    ("fault", "known"),
    [("before", False), ("after", True), ("error500_before", False), ("error500_after", True)],
)
def test_a_lost_answer_is_unknown_and_the_claim_may_be_repeated(
    aid, person, claim_no, simulator, fault, known
):
    claim = {"id_no": person(), "personal_fen": 100}
    simulator.fault("medical_aid", "claim", fault)
    with pytest.raises(NoAnswer):
        aid.claim(claim_no, **claim)
    assert (aid.query(claim_no) is not None) == known
    assert aid.claim(claim_no, **claim) == AidAnswer("APPROVED", 100)


def test_a_wrong_clock_or_key_is_not_now(simulator, now):
    settings = Connections.read(simulator.connections("GZ01")).medical_aid
    slow = MedicalAid(settings, lambda: now() - timedelta(seconds=301))
    stranger = MedicalAid(AgencySettings(settings.base_url, "another secret"), now)
    for adapter in (slow, stranger):
        with pytest.raises(NotNow) as later:
            adapter.query("claim-x")
        assert later.value.code == "SIGNATURE"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>"),
        (200, b"[]"),
        (200, b'{"state": "APPROVED"}'),
        (200, b'{"state": "APPROVED", "approved_fen": 1.5}'),
        (200, b'{"state": "APPROVED", "approved_fen": -1}'),
        (200, b'{"state": "PERHAPS", "approved_fen": 1}'),
        (302, b""),
        (404, b"<html>no such page</html>"),
        (503, b'{"error": "BUSY"}'),
    ],
)
def test_what_cannot_be_read_is_no_answer(now, status, body):
    with Peer().running() as peer:
        peer.answer = lambda _: Says(status, body, {"Location": peer.url})
        adapter = MedicalAid(AgencySettings(f"{peer.url}/medical-aid/GZ01", "secret"), now)
        with pytest.raises(NoAnswer):
            adapter.claim("claim-1", id_no=id_number(1), personal_fen=100)
    (asked,) = peer.asked
    assert (asked.method, asked.path) == ("PUT", "/medical-aid/GZ01/claims/claim-1")
    assert json.loads(asked.body) == {"certno": id_number(1), "personal_fen": 100}


def test_nobody_is_asked_while_a_transaction_is_open(aid, engine):
    with Session.begin(), pytest.raises(TransactionOpen):
        aid.query("claim-x")
