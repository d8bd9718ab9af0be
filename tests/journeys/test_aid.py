"""A medical-aid office that is slow, silent or of another mind: resumed, never claimed twice."""

import pytest

from journeys import discharge
from models.db import Session
from models.ledger import AccountKind
from models.patient import Patient
from models.payment_order import Route
from models.settlement import AidClaim
from payments.collection import Payment
from tests.journeys.test_discharge import amount, balance, look, proven, ready, settle

LOW_INCOME = {"psn_idet_type": "2303", "begntime": "2020-01-01 00:00:00"}


def aided(stage, approves_fen, decision="APPROVED", deposit=0, route=Route.CASH):
    """Total 12,000 = resident 7,000 + critical 1,500 + 3,500, of which the agency takes a part."""
    stage.setting("payers.medical_aid_agency", "on")
    fixed = {"hifp_pay": "7000.00", "hifmi_pay": "1500.00", "maf_pay": "0.00"}
    stay = ready(
        stage, fen=[1_200_000], fixed=fixed, deposit=deposit, idetinfo=[LOW_INCOME], route=route
    )
    agency(stage, stay, approves_fen, decision)
    return stay


def agency(stage, stay, approves_fen, decision="APPROVED"):
    with Session() as db:
        certno = db.get_one(Patient, stay.patient_id).id_no
    person = {"certno": certno, "approves_fen": approves_fen, "decision": decision}
    stage.simulator.post("/_sim/medical-aid/GZ01/persons", person)


@pytest.mark.clause("CQ-5.2", "T1")
@pytest.mark.parametrize("approved", [220_000, 200_000, 240_000])
@pytest.mark.parametrize("fault", ["before", "after", "error500_before", "error500_after"])
def test_an_agency_that_is_down_is_resumed_without_a_second_claim(stage, approved, fault):
    stay = aided(stage, 220_000)
    nurse, cashier = stage.actor("NURSE"), stage.actor("CASHIER")
    trial = discharge.try_settlement(nurse, stage.outside, stay.id)
    stage.simulator.fault("medical_aid", "claim", fault)
    done = discharge.settle_discharge(
        nurse, stage.outside, stay.id, agreed=trial["agree_to"], signature_sha256=None
    )
    lines = {line["payer"]: (line["amount_fen"], line["state"]) for line in done["lines"]}
    assert lines["BASIC"] == (700_000, "FINAL")
    assert lines["AID_AGENCY"] == (220_000, "PENDING")
    assert (done["state"], done["due_fen"]) == ("DUE", 130_000)
    discharge.pay_due(cashier, stage.outside, stay.id, Payment(130_000, Route.CASH, "certain-part"))
    assert look(stage, stay)["state"] == "CLOSED"
    arrived = fault in ("after", "error500_after")  # then the agency decided on what it knew
    approved = 220_000 if arrived else approved
    agency(stage, stay, approved)
    assert discharge.sweep_settlements(stage.outside, stage.hospital_id) == 1
    after = look(stage, stay)
    assert amount(after, "AID_AGENCY") == approved
    assert after["personal_fen"] == 350_000 - approved
    assert balance(stage, AccountKind.FUND_RECEIVABLE, "AID_AGENCY") == approved
    if approved < 220_000:
        assert (after["state"], after["due_fen"]) == ("DUE", 220_000 - approved)
    else:
        assert after["state"] == "CLOSED"
        assert sum(r["amount_fen"] for r in after["refunds"]) == approved - 220_000
    assert discharge.sweep_settlements(stage.outside, stage.hospital_id) == (
        1 if approved < 220_000 else 0
    )
    claims = stage.simulator.get("/_sim/medical-aid/GZ01/claims")["claims"]
    with Session() as db:
        claim = AidClaim.of(db, after["id"])
    assert [c["approved_fen"] for c in claims if c["claim_no"] == claim.number] == [approved]
    assert proven(stage)


def test_without_an_estimate_nobody_is_charged_for_what_the_agency_may_pay(stage):
    stay = aided(stage, 220_000, deposit=100_000)
    stage.simulator.fault("medical_aid", "*", "before", times=2)
    done = settle(stage, stay)
    assert (done["state"], done["personal_fen"], done["due_fen"]) == ("CLOSED", 0, 0)
    discharge.sweep_settlements(stage.outside, stage.hospital_id)
    after = look(stage, stay)
    assert (after["state"], after["personal_fen"]) == ("DUE", 130_000)
    assert proven(stage)
