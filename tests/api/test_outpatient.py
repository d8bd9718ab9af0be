"""Outpatient prepayment over HTTP: stopped where the law binds, moved only with consent."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from config import today
from models import ledger
from models.admission import Admission
from models.db import Session, rows
from models.hospital import Hospital
from models.ledger import AccountKind
from models.patient import Patient
from models.prepay_account import AccountSource, PrepayAccount
from policies.filed_exception import age_on
from policies.money_kind import VERSION
from policies.signed_consent import About, wording
from simulator.clients import StaffClient
from tests.models.stored_money import collect, findings
from tests.people import House

SIGNED = {"text_version": wording(About.TRANSFER)["version"], "signature_sha256": "a" * 64}
AGREED = {"text_version": wording(About.TRANSFER)["version"]}
DAY_BEFORE = date(2025, 3, 29)
DEPOSIT, PREPAY = AccountKind.INPATIENT_DEPOSIT, AccountKind.OUTPATIENT_PREPAY


def become(house: House, institution_type: str, opted_in: bool = False) -> None:
    with Session.begin() as db:
        home = db.get_one(Hospital, house.hospital_id)
        home.institution_type, home.opted_in = institution_type, opted_in


@pytest.fixture
def private(house: House) -> House:
    """A hospital that the rules only advise: the one place that takes outpatient money."""
    become(house, "PRIVATE_OTHER")
    return house


@pytest.fixture
def cashier(house: House) -> StaffClient:
    return house.staff("CASHIER", kind="DESK", ward="", window="3号窗口")


def ask(
    cashier: StaffClient, patient: Patient, fen: int = 12_050, key: str = "top-up-0001", **more
):
    path = f"/v1/patients/{patient.id}/outpatient-prepay/top-ups"
    wish = {"amount_fen": fen, "route": "CASH", **more}
    return cashier.try_("POST", path, wish, key=key)


def top_up(cashier: StaffClient, patient: Patient, fen: int = 12_050, key: str = "top-up-0001"):
    answer = ask(cashier, patient, fen, key)
    assert answer.status == 200, answer.text
    return answer.body


def transfer(client, stay: Admission, fen: int, consent=None, key: str = "transfer-0001"):
    path = f"/v1/admissions/{stay.id}/prepay-transfers"
    wish = {"amount_fen": fen, "consent": consent}
    return client.try_("POST", path, wish, key=key)


def with_quota(stay: Admission, fen: int = 300_000) -> Admission:
    with Session.begin() as db:
        db.get_one(Admission, stay.id).quota_fen = fen
    return stay


def held(house: House, kind: AccountKind, owner: object) -> int:
    with Session() as db:
        return ledger.held(db, house.hospital_id, kind, str(owner))


def decisions(house: House) -> list[dict]:
    return [
        row["facts"]
        for row in rows(
            "SELECT facts FROM audit_entry WHERE hospital_id = :h AND what = :what ORDER BY no",
            h=house.hospital_id,
            what="outpatient top-up asked",
        )
    ]


@pytest.mark.clause("GZ-2", "T1")
@pytest.mark.parametrize(
    ("institution", "opted_in"),
    [("PUBLIC", False), ("DESIGNATED", False), ("PRIVATE_OTHER", True)],
)
def test_an_ordinary_top_up_is_refused_where_the_rules_bind(house, cashier, institution, opted_in):
    become(house, institution, opted_in)
    patient = house.patient()
    no = ask(cashier, patient, 30_000)
    assert (no.status, no.code) == (422, "OUTPATIENT_PREPAY_STOPPED")
    assert no.body["clause"] == "GZ-6"
    assert "2025-06-30" in no.body["detail"]
    assert held(house, PREPAY, patient.id) == 0
    (decision,) = decisions(house)
    assert decision["answer"] == "OUTPATIENT_PREPAY_STOPPED"
    assert decision["packs"] == ["GZ-2025-06-30", "CN-2025-03-31"]
    assert decision["inputs"] == {
        "institution_type": institution,
        "opted_in": opted_in,
        "amount_fen": 30_000,
        "kind": "OUTPATIENT_PREPAY",
        "classifier": VERSION,
        "order_ids": [],
        "surgery_no": "",
        "scene": None,
        "group": None,
        "age": age_on(patient.born_on, today(house.now())),
        "held_fen": 0,
        "consent_id": None,
        "filings": [],
    }


@pytest.mark.clause("GZ-2", "T1")
def test_another_private_institution_is_warned_and_takes_it(private, cashier):
    patient = private.patient()
    taken = top_up(cashier, patient)
    assert (taken["state"], taken["amount_fen"], taken["held_fen"]) == ("PAID", 12_050, 12_050)
    assert taken["receipt_no"]
    (warning,) = taken["warnings"]
    assert warning["code"] == "OUTPATIENT_PREPAY_STOPPED"
    assert warning["say"] == "从2025-06-30起，医院不再收取门诊预交金。"
    assert [decision["answer"] for decision in decisions(private)] == [
        "ALLOWED+OUTPATIENT_PREPAY_STOPPED"
    ]


@pytest.mark.clause("GZ-2", "T2")
def test_a_military_institution_is_told_that_these_rules_are_not_its_own(house, cashier):
    become(house, "MILITARY")
    patient = house.patient()
    no = ask(cashier, patient)
    assert (no.status, no.code) == (422, "RULE_PACK_NOT_APPLICABLE")
    assert held(house, PREPAY, patient.id) == 0


def test_the_same_key_is_one_top_up_with_the_same_answer(private, cashier):
    patient = private.patient()
    once = top_up(cashier, patient)
    assert top_up(cashier, patient) == once
    assert ask(cashier, patient, fen=1).code == "IDEMPOTENCY_CONFLICT"
    assert held(private, PREPAY, patient.id) == 12_050
    assert len(decisions(private)) == 1


def test_only_a_cashier_takes_cash_and_only_for_known_patients(private, cashier):
    patient = private.patient()
    nurse = private.staff("NURSE", wards=("W1",))
    assert ask(nurse, patient).code == "PERMISSION_MISSING"
    assert ask(cashier, patient, route="MINI_PROGRAM").code == "ROUTE_NOT_YOURS"
    assert ask(cashier, patient, route="CARD").code == "CARD_SLIP_REQUIRED"
    assert ask(cashier, patient, route="CARD", slip_no="000123", key="card-0001").status == 200
    become_other = replace(private, code=f"{private.code}-2")
    assert ask(cashier, become_other.patient(), key="stranger-1").code == "PATIENT_UNKNOWN"


@pytest.mark.clause("GZ-3", "T1")
def test_the_clearance_total_counts_outpatient_money_only(private, cashier):
    patient = private.patient()
    stay = with_quota(private.stay(patient))
    top_up(cashier, patient, 12_050)
    cashier.try_(
        "POST",
        f"/v1/admissions/{stay.id}/deposits",
        {"amount_fen": 200_000, "route": "CASH"},
        key="deposit-0001",
    )
    assert held(private, DEPOSIT, stay.id) == 200_000

    account = cashier.get(f"/v1/patients/{patient.id}/outpatient-prepay")
    assert account["held_fen"] == 12_050
    assert [lot["remaining_fen"] for lot in account["lots"]] == [12_050]
    finance = private.staff("FINANCE_MAKER", kind="DESK", ward="")
    assert finance.get("/v1/prepay/clearance") == {
        "accounts": 1,
        "total_fen": 12_050,
        "no_contact": 0,
        "by_channel": [{"channel": "CASH", "accounts": 1, "fen": 12_050}],
    }


def test_a_patient_sees_the_own_account_and_nobody_elses(private, cashier):
    phone, patient = private.patient_phone()
    top_up(cashier, patient)
    assert phone.get(f"/v1/patients/{patient.id}/outpatient-prepay")["held_fen"] == 12_050
    stranger = private.patient()
    no = phone.try_("GET", f"/v1/patients/{stranger.id}/outpatient-prepay")
    assert (no.status, no.code) == (404, "PATIENT_UNKNOWN")


@pytest.mark.clause("GZ-3", "T2")
@pytest.mark.parametrize(
    "consent", [None, AGREED, {"text_version": "1999", "signature_sha256": "a" * 64}]
)
def test_outpatient_money_is_no_deposit_without_recorded_consent(private, cashier, consent):
    """At the window consent is a signature under the present text; anything less is none."""
    patient = private.patient()
    stay = with_quota(private.stay(patient))
    top_up(cashier, patient)
    no = transfer(cashier, stay, 12_000, consent)
    assert (no.status, no.code, no.body["clause"]) == (422, "TRANSFER_CONSENT_REQUIRED", "GZ-3")
    assert (held(private, PREPAY, patient.id), held(private, DEPOSIT, stay.id)) == (12_050, 0)


@pytest.mark.clause("GZ-3", "T2")
def test_with_consent_it_moves_and_keeps_its_way_back(private, cashier):
    patient = private.patient()
    stay = with_quota(private.stay(patient))
    top_up(cashier, patient)
    with Session() as db:
        (before,) = ledger.open_lots(db, private.hospital_id, PREPAY, str(patient.id))
    moved = transfer(cashier, stay, 12_000, SIGNED)
    assert moved.body == {
        "admission_id": str(stay.id),
        "amount_fen": 12_000,
        "outpatient_fen": 50,
        "deposit_fen": 12_000,
    }
    assert transfer(cashier, stay, 12_000, SIGNED).body == moved.body
    assert transfer(cashier, stay, 11_000, SIGNED).code == "IDEMPOTENCY_CONFLICT"

    with Session() as db:
        (after,) = ledger.open_lots(db, private.hospital_id, DEPOSIT, str(stay.id))
        assert after == replace(before, id=after.id, amount_fen=12_000, remaining_fen=12_000)
        assert ledger.prove(db, private.hospital_id) == []
    (kept,) = rows("SELECT * FROM prepay_transfer WHERE admission_id = :id", id=stay.id)
    assert (kept["text_version"], kept["signature_sha256"]) == (SIGNED["text_version"], "a" * 64)
    entries = rows(
        "SELECT a.kind, l.amount_fen FROM ledger_line l JOIN account a ON a.id = l.account_id"
        " WHERE l.transaction_id = :id ORDER BY a.kind",
        id=kept["transaction_id"],
    )
    assert [tuple(entry.values()) for entry in entries] == [(DEPOSIT, -12_000), (PREPAY, 12_000)]


def test_on_the_own_phone_agreeing_is_enough(private, cashier):
    phone, patient = private.patient_phone()
    stay = with_quota(private.stay(patient))
    top_up(cashier, patient)
    assert transfer(phone, stay, 12_050).code == "TRANSFER_CONSENT_REQUIRED"
    assert transfer(phone, stay, 12_050, AGREED).body["deposit_fen"] == 12_050
    assert held(private, PREPAY, patient.id) == 0


def test_a_transfer_obeys_balance_and_quota(private, cashier):
    patient = private.patient()
    stay = with_quota(private.stay(patient), 10_000)
    top_up(cashier, patient)
    over = transfer(cashier, stay, 10_001, SIGNED)
    assert (over.code, "100.00" in over.body["detail"]) == ("DEPOSIT_CAP_EXCEEDED", True)
    with_quota(stay)
    assert transfer(cashier, stay, 12_051, SIGNED).code == "BALANCE_TOO_LOW"
    assert held(private, PREPAY, patient.id) == 12_050


def test_before_the_stop_a_top_up_was_ordinary(house, clock):
    """2025-03-30 is history (GZ-6 T8): taken without a word."""
    clock.shift = timedelta(days=(DAY_BEFORE - clock().date()).days)
    cashier = house.staff("CASHIER", kind="DESK", ward="", window="3号窗口")
    assert top_up(cashier, house.patient())["warnings"] == []


def card(house: House, patient: Patient, card_no: str, fen: int, silent_since: date) -> str:
    """An old card of the patient with money on it; the ledger's owner."""
    with Session.begin() as db:
        account = PrepayAccount(
            hospital_id=house.hospital_id,
            patient_id=patient.id,
            source=AccountSource.CENSUS,
            card_no=card_no,
            last_activity_on=silent_since,
        )
        db.add(account)
        db.flush()
        owner = str(account.id)
    collect(house.hospital_id, f"card-{card_no}", owner, fen, channel="CASH", kind=PREPAY)
    return owner


def test_all_cards_of_a_patient_are_one_purse(house: House, cashier: StaffClient) -> None:
    patient = house.patient()
    old = card(house, patient, "K1", 3_000, date(2022, 5, 1))
    new = card(house, patient, "K2", 9_050, date(2024, 5, 1))
    account = cashier.get(f"/v1/patients/{patient.id}/outpatient-prepay")
    assert account["held_fen"] == 12_050
    stay = with_quota(house.stay(patient))
    short = transfer(cashier, stay, 12_051, SIGNED)
    assert (short.status, short.code) == (422, "BALANCE_TOO_LOW")
    moved = transfer(cashier, stay, 5_000, SIGNED, key="transfer-0002")
    assert (moved.body["outpatient_fen"], moved.body["deposit_fen"]) == (7_050, 5_000)
    assert [held(house, PREPAY, owner) for owner in (old, new)] == [0, 7_050]
    assert findings(house.hospital_id) == []
