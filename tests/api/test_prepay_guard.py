"""Outpatient money is stored only under a filed, published exception and by wish (GZ-6)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

from models import ledger
from models.db import Session, rows
from models.patient import Patient
from models.prepay_consent import PrepayConsent
from tests.api.test_outpatient import become, decisions
from tests.exceptions import AGREED, OBSERVATION, SIGNED, Clinic, account
from tests.people import House, MovedClock
from tests.sim_process import wait_until

JULY = date(2025, 7, 1)


@pytest.fixture
def clinic(house: House, clock: MovedClock) -> Clinic:
    return Clinic(house, clock).on(JULY)


def no(answer, code: str) -> None:
    assert (answer.status, answer.code, answer.body["clause"]) == (422, code, "GZ-6")
    assert answer.body["next_step"]


@pytest.mark.clause("GZ-6", "T1")
def test_an_ordinary_clinic_visit_may_not_be_topped_up(clinic):
    clinic.published()
    patient = clinic.patient()
    clinic.consent(patient)
    no(clinic.ask(patient), "OUTPATIENT_PREPAY_STOPPED")
    assert clinic.held(patient) == 0


@pytest.mark.clause("GZ-6", "T2")
def test_a_filed_and_published_scene_with_consent_may_be(clinic, house):
    filing = clinic.published().rpartition("/")[2]
    patient = clinic.patient()
    clinic.consent(patient)
    taken = clinic.ask(patient, **OBSERVATION).body
    assert (taken["state"], taken["filing_id"], taken["warnings"]) == ("PAID", filing, [])
    assert (taken["held_fen"], clinic.held(patient)) == (30_000, 30_000)
    (kept,) = rows("SELECT * FROM classification WHERE subject_id = :id", id=taken["id"])
    assert (kept["answer"], kept["version"], str(kept["filing_id"])) == (
        "OUTPATIENT_PREPAY",
        "2025-06.1",
        filing,
    )
    assert kept["consent_id"] is not None
    (decision,) = decisions(house)
    assert decision == kept["rules"]
    assert (decision["clause"], decision["answer"]) == ("GZ-6", "ALLOWED")
    assert decision["packs"] == ["GZ-2025-06-30", "CN-2025-03-31"]
    assert (decision["inputs"]["scene"], decision["inputs"]["age"]) == (OBSERVATION["scene"], 35)


@pytest.mark.clause("GZ-6", "T3")
def test_the_same_without_consent_may_not(clinic):
    clinic.published()
    patient = clinic.patient()
    no(clinic.ask(patient, **OBSERVATION), "CONSENT_REQUIRED")
    unsigned = clinic.cashier.try_("PUT", f"{account(patient)}/consent", AGREED)
    no(unsigned, "CONSENT_REQUIRED")
    old = clinic.cashier.try_("PUT", f"{account(patient)}/consent", SIGNED | {"text_version": "1"})
    no(old, "CONSENT_REQUIRED")
    assert clinic.cashier.get(f"{account(patient)}/consent")["consent"] is None
    no(clinic.ask(patient, **OBSERVATION), "CONSENT_REQUIRED")
    assert clinic.held(patient) == 0


@pytest.mark.clause("GZ-6", "T4")
def test_a_filing_that_is_only_submitted_does_not_help(clinic):
    clinic.submitted()
    patient = clinic.patient()
    clinic.consent(patient)
    no(clinic.ask(patient, **OBSERVATION), "FILING_NOT_APPROVED")


@pytest.mark.clause("GZ-6", "T5")
def test_a_filing_that_is_not_published_does_not_help(clinic):
    path = clinic.approved()
    patient = clinic.patient()
    clinic.consent(patient)
    no(clinic.ask(patient, **OBSERVATION), "PUBLICATION_REQUIRED")
    shown = {"channel": "SCREEN", "place": "门诊大厅1号屏", "snapshot_sha256": "d" * 64}
    filing = clinic.maker.post(f"{path}/publications", shown | {"from_on": "2025-07-02"})
    no(clinic.ask(patient, **OBSERVATION), "PUBLICATION_REQUIRED")
    (publication,) = filing["publications"]
    assert clinic.on(date(2025, 7, 2)).ask(patient, **OBSERVATION).status == 200
    clinic.maker.put(f"{path}/publications/{publication['id']}", {"to_on": "2025-07-02"})
    assert clinic.ask(patient, **OBSERVATION).status == 200
    clinic.on(date(2025, 7, 3))
    no(clinic.ask(patient, **OBSERVATION), "PUBLICATION_REQUIRED")


@pytest.mark.clause("GZ-6", "T6")
def test_the_age_counts_from_the_very_birthday(clinic):
    clinic.published()
    patient = clinic.patient(born_on=date(1965, 7, 2))
    clinic.consent(patient)
    no(clinic.ask(patient), "OUTPATIENT_PREPAY_STOPPED")
    clinic.on(date(2025, 7, 2))
    assert clinic.ask(patient).body["held_fen"] == 30_000


@pytest.mark.clause("GZ-6", "T7")
def test_after_the_filing_ends_nothing_is_added_and_nothing_is_lost(clinic, house):
    clinic.published()
    patient = clinic.patient()
    clinic.consent(patient)
    clinic.on(date(2026, 6, 30))
    assert clinic.ask(patient, **OBSERVATION).status == 200
    clinic.on(date(2026, 7, 1))
    no(clinic.ask(patient, **OBSERVATION), "FILING_EXPIRED")
    assert clinic.held(patient) == 30_000
    withdrawn = clinic.cashier.delete(f"{account(patient)}/consent")["consent"]
    refund = f"/v1/refunds/{withdrawn['refund_id']}"
    clinic.checker.post(f"{refund}/check", {"approve": True})
    (leg,) = clinic.cashier.get(refund)["legs"]
    over = clinic.cashier.post(f"{refund}/legs/{leg['id']}/hand-over", {"proof": "signed-1"})
    assert (over["state"], over["amount_fen"], clinic.held(patient)) == ("PAID", 30_000, 0)
    with Session() as db:
        assert ledger.prove(db, house.hospital_id) == []


@pytest.mark.clause("GZ-6", "T8")
def test_top_ups_after_the_national_stop_are_listed(clinic, house):
    become(house, "DESIGNATED")
    patient = clinic.patient()
    clinic.on(date(2025, 3, 30))
    assert clinic.ask(patient, 10_000).body["warnings"] == []
    clinic.on(date(2025, 4, 10))
    (warning,) = clinic.ask(patient, 20_000).body["warnings"]
    assert warning["code"] == "OUTPATIENT_PREPAY_STOPPED"
    clinic.on(JULY).published()
    clinic.consent(patient)
    assert clinic.ask(patient, 30_000, **OBSERVATION).status == 200
    told = clinic.maker.get("/v1/outpatient-prepay/after-stop")
    assert told["since"] == "2025-03-31"
    assert [(row["amount_fen"], row["after"], row["ground"]) for row in told["top_ups"]] == [
        (20_000, "2025-03-31", "ADVISED"),
        (30_000, "2025-06-30", "FILED"),
    ]
    assert told["by_ground"] == [
        {"ground": "ADVISED", "top_ups": 1, "fen": 20_000},
        {"ground": "FILED", "top_ups": 1, "fen": 30_000},
    ]


def test_what_is_ordered_or_appointed_is_no_prepayment(clinic):
    """D-11: surgery money with an order is for article 9, and orders make it ordinary (GZ-5)."""
    clinic.published()
    patient = clinic.patient()
    clinic.consent(patient)
    surgery = {"scene": "OUTPATIENT_SURGERY"}
    for more in ({"surgery_no": "SS-3"}, {"order_ids": ["O-88"]}):
        answer = clinic.ask(patient, **surgery, **more)
        assert (answer.code, answer.body["clause"]) == ("NOT_AN_OUTPATIENT_PREPAY", "GZ-5")
    assert clinic.ask(patient, **surgery).status == 200


def test_another_group_needs_its_paper(clinic):
    clinic.published(groups=[{"code": "DISABLED", "name": "残疾人"}])
    patient = clinic.patient()
    clinic.consent(patient)
    no(clinic.ask(patient, group="DISABLED"), "GROUP_PAPER_REQUIRED")
    whole = clinic.ask(patient, group="DISABLED", group_proof=f"残疾人证{patient.id_no}43")
    assert (whole.status, whole.code) == (422, "FIELDS_INVALID"), "it begins with the identity"
    assert patient.id_no not in whole.text
    taken = clinic.ask(patient, group="DISABLED", group_proof="残疾人证 5201").body
    (kept,) = rows("SELECT proof FROM classification WHERE subject_id = :id", id=taken["id"])
    assert kept["proof"] == "残疾人证 5201"
    no(clinic.ask(patient, group="ELDERLY", group_proof="身份证"), "OUTPATIENT_PREPAY_STOPPED")


def test_two_at_once_cannot_exceed_the_filings_limit(clinic):
    clinic.published(top_up_limit_fen=60_000, balance_limit_fen=100_000)
    patient = clinic.patient()
    clinic.consent(patient)
    over = clinic.ask(patient, 60_001, **OBSERVATION)
    no(over, "PREPAY_LIMIT_EXCEEDED")
    assert "600.00" in over.body["detail"]
    clinic.cashier  # noqa: B018  logged in before the race
    with ThreadPoolExecutor(4) as people:
        asked = [
            people.submit(clinic.ask, patient, 60_000, f"race-{no:04}", **OBSERVATION)
            for no in range(4)
        ]
        answers = sorted((each.result().status, each.result().code) for each in asked)
    assert answers == [(200, ""), *[(422, "PREPAY_LIMIT_EXCEEDED")] * 3]
    assert clinic.held(patient) == 60_000
    assert clinic.ask(patient, 40_000, **OBSERVATION).body["held_fen"] == 100_000


def test_on_the_phone_age_counts_and_scenes_are_not_chosen(clinic, simulator):
    clinic.now().published()
    patient, openid = clinic.patient(born_on=date(1950, 1, 1)), f"o-{clinic.house.code}-elderly"
    phone = clinic.house.phone(openid)
    phone.bind(patient.name, patient.id_no)
    path, wish = f"{account(patient)}/top-ups", {"amount_fen": 5_000, "route": "MINI_PROGRAM"}
    no(phone.try_("POST", path, wish | OBSERVATION, key="phone-00"), "SCENE_IS_STAFFS_TO_SAY")
    no(phone.try_("POST", path, wish, key="phone-01"), "CONSENT_REQUIRED")
    given = phone.put(f"{account(patient)}/consent", AGREED)["consent"]
    assert (given["channel"], given["signer"], given["witness"]) == ("PHONE", "PATIENT", None)
    waiting = phone.post(path, wish, key="phone-02")
    assert (waiting["state"], waiting["held_fen"]) == ("WAITING", 0)
    pay_with = phone.get(f"/v1/payments/{waiting['id']}")["pay_with"]
    simulator.pay(**pay_with, openid=openid).raise_for_status()
    assert phone.get(f"/v1/payments/{waiting['id']}")["state"] == "PAID"
    assert clinic.held(patient) == 5_000
    assert phone.post(path, wish, key="phone-02")["held_fen"] == 5_000


def test_withdrawing_gives_back_what_is_left_once(clinic, house):
    clinic.published()
    patient = clinic.patient()
    given = clinic.consent(patient, SIGNED | {"signer": "GUARDIAN"})["consent"]
    assert clinic.consent(patient)["consent"] == given
    assert clinic.ask(patient, **OBSERVATION).status == 200
    consent = f"{account(patient)}/consent"
    first = clinic.cashier.delete(consent)["consent"]
    assert clinic.cashier.delete(consent)["consent"] == first
    assert clinic.held(patient) == 0
    no(clinic.ask(patient, **OBSERVATION), "CONSENT_REQUIRED")
    refund = f"/v1/refunds/{first['refund_id']}"
    assert clinic.cashier.get(refund)["amount_fen"] == 30_000
    clinic.checker.post(f"{refund}/check", {"approve": False, "note": "签名不清"})
    assert clinic.held(patient) == 30_000
    again = clinic.cashier.delete(consent)["consent"]
    assert again["refund_id"] != first["refund_id"]
    assert clinic.held(patient) == 0
    with Session() as db:
        assert ledger.prove(db, house.hospital_id) == []


def test_nobody_withdraws_what_was_never_given(clinic):
    patient = clinic.patient()
    answer = clinic.cashier.try_("DELETE", f"{account(patient)}/consent")
    assert (answer.status, answer.code) == (404, "PREPAY_CONSENT_UNKNOWN")
    clinic.consent(patient)
    assert clinic.cashier.delete(f"{account(patient)}/consent")["consent"]["refund_id"] is None


@pytest.mark.parametrize("gone", ["consent", "filing"])
def test_money_that_arrives_when_its_ground_has_gone_is_offered_back(clinic, simulator, gone):
    clinic.now().published()
    patient = clinic.patient()
    clinic.consent(patient)
    waiting = clinic.ask(patient, route="QR", **OBSERVATION).body
    code_url = clinic.cashier.get(f"/v1/payments/{waiting['id']}")["pay_with"]["code_url"]
    simulator.pay(code_url=code_url, openid="o-payer").raise_for_status()
    if gone == "consent":
        clinic.cashier.delete(f"{account(patient)}/consent")
    else:
        (filing,) = clinic.head.get("/v1/outpatient-prepay/filings")
        path = f"/v1/outpatient-prepay/filings/{filing['id']}/withdrawal"
        clinic.head.put(path, {"reason": "备案被撤回"})
    assert clinic.cashier.get(f"/v1/payments/{waiting['id']}")["state"] == "PAID"
    assert clinic.held(patient) == 30_000
    (task,) = clinic.cashier.get("/v1/work-items", query={"kind": "TOP_UP_TO_OFFER_BACK"})
    assert task["subject"] == f"patient:{patient.id}"


def test_money_that_arrives_while_the_consent_is_being_withdrawn_is_not_overlooked(
    clinic, simulator
):
    """The withdrawal has summed up what is left and has not committed yet."""
    clinic.now().published()
    patient = clinic.patient()
    clinic.consent(patient)
    assert clinic.ask(patient, 10_000, **OBSERVATION).status == 200
    waiting = clinic.ask(patient, route="QR", **OBSERVATION).body
    payment = f"/v1/payments/{waiting['id']}"
    code_url = clinic.cashier.get(payment)["pay_with"]["code_url"]
    with ThreadPoolExecutor(1) as phone:
        with Session.begin() as db:
            db.get_one(Patient, patient.id, with_for_update=True)
            consent = PrepayConsent.live(db, patient.id)
            consent.withdrawn_at, consent.withdrawn_by = clinic.clock(), "test"
            db.flush()
            simulator.pay(code_url=code_url, openid="o-payer").raise_for_status()
            arriving = phone.submit(clinic.cashier.get, payment)
            wait_until(lambda: arriving.done() or somebody_waits())
        assert arriving.result()["state"] == "PAID"
    (task,) = clinic.cashier.get("/v1/work-items", query={"kind": "TOP_UP_TO_OFFER_BACK"})
    assert task["subject"] == f"patient:{patient.id}"


def somebody_waits() -> bool:
    return bool(rows("SELECT 1 FROM pg_locks WHERE NOT granted"))
