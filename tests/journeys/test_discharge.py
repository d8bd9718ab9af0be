"""Settling a discharge: who pays what, once, whatever is cut, and all of it back (GZ-10)."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from journeys import admission as admissions
from journeys import (
    deposits,
    discharge,
    documents,
    insurance_office,
    refunds,
    settlement_view,
)
from models import ledger
from models.db import Session
from models.insurance import Encounter
from models.ledger import AccountKind
from models.payment_order import Route
from payments.collection import Payment
from policies.refusals import Busy, Conflict, Refused
from tests.stage import build


def ready(stage, *, fen, fixed=None, deposit=0, idetinfo=(), route=Route.CASH):
    """An insured stay with charges and a deposit, about to leave."""
    patient = stage.patient()
    if fixed is not None:
        stage.insured(patient, fixed=fixed, idetinfo=list(idetinfo))
    stay = stage.stay(patient, quota_fen=10_000_000)
    if fixed is not None:
        stage.register_insurance(stay)
    stage.charge(stay, *fen)
    if deposit:
        pay(stage, stay, deposit, route)
    stage.leaving(stay)
    return stay


def pay(stage, stay, fen, route=Route.CASH, key="deposit-key"):
    actor = stage.actor("CASHIER")
    order = deposits.collect_deposit(actor, stage.outside, stay.id, Payment(fen, route, key))
    if route == Route.QR:
        code_url = order["pay_with"]["code_url"]
        stage.simulator.pay(code_url=code_url, openid="o-payer").raise_for_status()
        deposits.look_at_payment(actor, stage.outside, order["id"])


def settle(stage, stay, actor=None):
    """Trial and agreement, as at the bed."""
    nurse = actor or stage.actor("NURSE")
    trial = discharge.try_settlement(nurse, stage.outside, stay.id)
    return discharge.settle_discharge(
        nurse, stage.outside, stay.id, agreed=trial["agree_to"], signature_sha256=None
    )


def look(stage, stay):
    return settlement_view.view_settlement(stage.actor("CASHIER"), stay.id)


def amount(view, payer):
    return next((line["amount_fen"] for line in view["lines"] if line["payer"] == payer), 0)


def balance(stage, kind, owner):
    with Session() as db:
        return ledger.balance(db, stage.hospital_id, kind, str(owner))


def proven(stage):
    with Session() as db:
        return ledger.prove(db, stage.hospital_id) == []


def platform_settlements(stage, stay):
    with Session() as db:
        encounter = Encounter.active(db, stay.id)
    found = stage.simulator.get(f"/_sim/insurance/{stage.world_code}/settlements")["settlements"]
    return [
        each
        for each in found
        if each["mdtrt_id"] == encounter.mdtrt_id
        and each["state"] == "ACTIVE"
        and not each["undoes"]
    ]


@pytest.mark.clause("GZ-10", "T1")
def test_the_deposit_pays_the_personal_share_and_the_rest_goes_home(stage):
    stay = ready(stage, fen=[900_000], fixed={"hifp_pay": "6000.00"}, deposit=350_000)
    done = settle(stage, stay)
    assert (done["state"], done["total_fen"], done["personal_fen"]) == ("CLOSED", 900_000, 300_000)
    assert (amount(done, "BASIC"), amount(done, "DEPOSIT"), done["due_fen"]) == (
        600_000,
        300_000,
        0,
    )
    assert [(r["amount_fen"], r["state"]) for r in done["refunds"]] == [(50_000, "REQUESTED")]
    assert balance(stage, AccountKind.FUND_RECEIVABLE, "BASIC") == 600_000
    assert balance(stage, AccountKind.PATIENT_RECEIVABLE, stay.id) == 0
    assert sum(line["amount_fen"] for line in done["lines"]) == 900_000
    assert proven(stage)


def test_a_province_with_another_transport_settles_and_undoes_alike(engine, outside_world):
    stage = build(outside_world, "CQ01")
    stay = ready(stage, fen=[900_000], fixed={"hifp_pay": "6000.00"}, deposit=350_000)
    assert settle(stage, stay)["personal_fen"] == 300_000
    office = stage.actor("INSURANCE_OFFICE")
    undone = discharge.undo_settlement(office, stage.outside, stay.id, reason="漏记费用")
    assert undone["state"] == "UNDONE"
    assert platform_settlements(stage, stay) == []
    assert balance(stage, AccountKind.INPATIENT_DEPOSIT, stay.id) == -350_000
    assert proven(stage)


@pytest.mark.clause("GZ-10", "T2")
def test_what_the_deposit_does_not_cover_is_due(stage):
    stay = ready(stage, fen=[900_000], fixed={"hifp_pay": "6000.00"}, deposit=200_000)
    done = settle(stage, stay)
    assert (done["state"], done["due_fen"]) == ("DUE", 100_000)
    cashier = stage.actor("CASHIER")
    with pytest.raises(Refused, match="AMOUNT_IS_NOT_WHAT_IS_DUE"):
        discharge.pay_due(
            cashier, stage.outside, stay.id, Payment(99_999, Route.CASH, "too-little")
        )
    paid = discharge.pay_due(
        cashier, stage.outside, stay.id, Payment(100_000, Route.CASH, "just-right")
    )
    assert (paid["state"], paid["due_fen"], paid["refunds"]) == ("CLOSED", 0, [])
    assert proven(stage)


@pytest.mark.clause("GZ-10", "T3")
def test_the_deposit_never_covers_a_fund_that_pays_late(stage):
    stay = ready(stage, fen=[900_000], fixed={"hifp_pay": "6000.00"}, deposit=900_000)
    done = settle(stage, stay)
    assert amount(done, "DEPOSIT") == 300_000
    assert sum(r["amount_fen"] for r in done["refunds"]) == 600_000
    assert balance(stage, AccountKind.FUND_RECEIVABLE, "BASIC") == 600_000


@pytest.mark.clause("CQ-3.2", "T1")
def test_all_payers_in_one_run_and_the_papers_go_back(stage):
    fixed = {"hifp_pay": "7000.00", "hifmi_pay": "1500.00", "maf_pay": "2200.00"}
    stay = ready(stage, fen=[700_000, 500_000], fixed=fixed)
    nurse, cashier = stage.actor("NURSE"), stage.actor("CASHIER")
    admissions.hand_in_document(
        nurse, stage.outside, stay.id, kind="ID_CARD", form="COPY", sha256="a" * 64
    )
    done = settle(stage, stay)
    shares = {line["payer"]: line["amount_fen"] for line in done["lines"]}
    assert shares == {
        "BASIC": 700_000,
        "CRITICAL": 150_000,
        "MEDICAL_AID": 220_000,
        "DEPOSIT": 0,
        "PATIENT": 130_000,
    }
    done = discharge.pay_due(
        cashier, stage.outside, stay.id, Payment(130_000, Route.CASH, "rest-13")
    )
    assert done["state"] == "CLOSED"
    (task,) = documents.list_work(cashier, "RETURN_DOCUMENTS")
    assert task["subject"] == f"admission:{stay.id}"
    assert task["due_at"].astimezone().date() >= done["closed_at"].astimezone().date()
    documents.return_documents(nurse, stage.outside, stay.id, signature_sha256="b" * 64)
    assert documents.list_work(cashier, "RETURN_DOCUMENTS") == []
    assert proven(stage)


def test_an_original_is_not_kept(stage):
    with pytest.raises(Refused, match="ORIGINAL_RETENTION_FORBIDDEN"):
        admissions.hand_in_document(
            stage.actor("NURSE"),
            stage.outside,
            stage.stay().id,
            kind="ID_CARD",
            form="ORIGINAL",
            sha256="a" * 64,
        )


def test_a_bill_without_insurance(stage):
    stay = ready(stage, fen=[123_456], deposit=200_000)
    done = settle(stage, stay)
    assert (done["state"], amount(done, "DEPOSIT"), done["insured"]) == ("CLOSED", 123_456, False)
    assert balance(stage, AccountKind.REVENUE, "INPATIENT") == -123_456


def test_a_stay_that_cost_nothing_gives_everything_back(stage):
    stay = ready(stage, fen=[], deposit=5_000)
    done = settle(stage, stay)
    assert (done["state"], done["total_fen"]) == ("CLOSED", 0)
    assert sum(r["amount_fen"] for r in done["refunds"]) == 5_000


def test_eight_presses_at_once_settle_once(stage):
    stay = ready(stage, fen=[900_000], fixed={"hifp_pay": "6000.00"}, deposit=350_000)
    nurse = stage.actor("NURSE")
    agreed = discharge.try_settlement(nurse, stage.outside, stay.id)["agree_to"]
    start = Barrier(8)

    def press(_):
        start.wait()
        return discharge.settle_discharge(
            nurse, stage.outside, stay.id, agreed=agreed, signature_sha256=None
        )["total_fen"]

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(press, range(8))) == {900_000}
    stage.clock.forward(minutes=2)
    stage.run_jobs()
    assert look(stage, stay)["state"] == "CLOSED"
    assert len(platform_settlements(stage, stay)) == 1
    assert len(look(stage, stay)["refunds"]) == 1
    assert balance(stage, AccountKind.REVENUE, "INPATIENT") == -900_000
    assert proven(stage)


@pytest.mark.parametrize("deposit", [350_000, 200_000])
@pytest.mark.parametrize("fault", ["before", "after", "error500_before", "error500_after"])
@pytest.mark.parametrize("infno", ["2301", "2303", "2402", "2304"])
def test_the_line_cut_at_every_question_to_the_insurer(stage, infno, fault, deposit):
    stay = ready(stage, fen=[500_000, 400_000], fixed={"hifp_pay": "6000.00"}, deposit=deposit)
    nurse = stage.actor("NURSE")
    stage.simulator.fault("insurance", infno, fault)
    for _ in range(6):  # the same call, as a nurse would press again
        try:
            done = settle(stage, stay)
        except (Busy, Conflict):
            done = {"state": "BUSY"}
        if done["state"] in ("CLOSED", "DUE"):
            break
        stage.clock.forward(minutes=2)
    assert done["state"] == ("CLOSED" if deposit > 300_000 else "DUE")
    if done["state"] == "DUE":
        payment = Payment(100_000, Route.QR, "the-due-part")
        discharge.pay_due(nurse, stage.outside, stay.id, payment)
        stage.simulator.pay(
            code_url=deposits.look_at_payment(nurse, stage.outside, last_order(stage, stay))[
                "pay_with"
            ]["code_url"],
            openid="o-payer",
        ).raise_for_status()
        stage.clock.forward(seconds=10)
        deposits.sweep_orders(stage.outside, stage.hospital_id)
        stage.run_jobs()
    after = look(stage, stay)
    assert (after["state"], after["personal_fen"]) == ("CLOSED", 300_000)
    assert len(platform_settlements(stage, stay)) == 1
    assert balance(stage, AccountKind.FUND_RECEIVABLE, "BASIC") == 600_000
    assert proven(stage)


def last_order(stage, stay):
    from sqlalchemy import select

    from models.payment_order import PaymentOrder

    with Session() as db:
        query = select(PaymentOrder.id).where(PaymentOrder.subject_id == stay.id)
        return db.scalars(query.order_by(PaymentOrder.id.desc())).first()


def test_undo_puts_everything_back_and_the_stay_can_be_settled_again(stage):
    stay = ready(stage, fen=[900_000], fixed={"hifp_pay": "6000.00"}, deposit=350_000)
    assert settle(stage, stay)["state"] == "CLOSED"
    office = stage.actor("INSURANCE_OFFICE")
    undone = discharge.undo_settlement(office, stage.outside, stay.id, reason="漏记费用")
    assert undone["state"] == "UNDONE"
    assert balance(stage, AccountKind.INPATIENT_DEPOSIT, stay.id) == -350_000
    for kind, owner in [
        (AccountKind.FUND_RECEIVABLE, "BASIC"),
        (AccountKind.PATIENT_RECEIVABLE, stay.id),
        (AccountKind.REVENUE, "INPATIENT"),
    ]:
        assert balance(stage, kind, owner) == 0
    stage.charge(stay, 100_000)
    again = settle(stage, stay)
    assert (again["state"], again["round"], again["total_fen"]) == ("DUE", 2, 1_000_000)
    assert again["due_fen"] == 50_000
    assert proven(stage)


@pytest.mark.parametrize("fault", ["before", "after", "error500_before", "error500_after"])
@pytest.mark.parametrize("infno", ["2305", "2405"])
def test_the_line_cut_while_undoing(stage, infno, fault):
    stay = ready(stage, fen=[900_000], fixed={"hifp_pay": "6000.00"}, deposit=350_000)
    settle(stage, stay)
    office = stage.actor("INSURANCE_OFFICE")
    stage.simulator.fault("insurance", infno, fault)
    for _ in range(5):
        state = discharge.undo_settlement(office, stage.outside, stay.id, reason="漏记费用")[
            "state"
        ]
        if state == "UNDONE":
            break
        stage.clock.forward(minutes=2)
    assert state == "UNDONE"
    assert balance(stage, AccountKind.INPATIENT_DEPOSIT, stay.id) == -350_000
    assert platform_settlements(stage, stay) == []
    assert proven(stage)


def test_a_changed_bill_needs_a_new_agreement(stage):
    stay = ready(stage, fen=[900_000], fixed={"hifp_pay": "6000.00"}, deposit=350_000)
    nurse = stage.actor("NURSE")
    agreed = discharge.try_settlement(nurse, stage.outside, stay.id)["agree_to"]
    stage.charge(stay, 1_000)
    with pytest.raises(Conflict, match="TRIAL_CHANGED"):
        discharge.settle_discharge(
            nurse, stage.outside, stay.id, agreed=agreed, signature_sha256=None
        )
    assert settle(stage, stay)["total_fen"] == 901_000


def test_nothing_is_settled_before_the_discharge_order(stage):
    stay = stage.stay()
    with pytest.raises(Refused, match="DISCHARGE_NOT_ORDERED"):
        discharge.try_settlement(stage.actor("NURSE"), stage.outside, stay.id)
    with pytest.raises(Refused, match="TRIAL_FIRST"):
        discharge.settle_discharge(
            stage.actor("NURSE"), stage.outside, stay.id, agreed="c" * 64, signature_sha256=None
        )


def test_amounts_that_disagree_stop_the_money(stage):
    stay = ready(stage, fen=[900_000], fixed={"hifp_pay": "6000.00"}, deposit=350_000)
    stage.simulator.fault("insurance", "2303", "wrong_amounts")
    with pytest.raises(Refused, match="INSURANCE_AMOUNTS_DISAGREE"):
        discharge.try_settlement(stage.actor("NURSE"), stage.outside, stay.id)
    assert balance(stage, AccountKind.INPATIENT_DEPOSIT, stay.id) == -350_000


def test_the_rest_goes_back_to_wechat_when_a_second_person_agrees(stage):
    stay = ready(
        stage, fen=[900_000], fixed={"hifp_pay": "6000.00"}, deposit=350_000, route=Route.QR
    )
    done = settle(stage, stay)
    (refund,) = done["refunds"]
    checker = stage.actor("FINANCE_CHECKER")
    refunds.check_refund(checker, stage.outside, refund["id"], approve=True, note="")
    stage.run_jobs()
    stage.clock.forward(minutes=1)
    stage.run_jobs()
    refunds.sweep_legs(stage.outside, stage.hospital_id)
    paid = refunds.view_refund(checker, refund["id"])
    assert paid["state"] == "PAID"
    assert balance(stage, AccountKind.CASH, "WECHAT") == 300_000
    assert balance(stage, AccountKind.REFUND_IN_TRANSIT, refund["id"]) == 0
    assert proven(stage)


def test_a_settlement_with_impossible_amounts_waits_for_a_person(stage):
    stay = ready(stage, fen=[900_000], fixed={"hifp_pay": "6000.00"}, deposit=350_000)
    nurse, office = stage.actor("NURSE"), stage.actor("INSURANCE_OFFICE")
    agreed = discharge.try_settlement(nurse, stage.outside, stay.id)["agree_to"]
    stage.simulator.fault("insurance", "2304", "wrong_amounts")
    with pytest.raises(Refused, match="INSURANCE_AMOUNTS_DISAGREE"):
        discharge.settle_discharge(
            nurse, stage.outside, stay.id, agreed=agreed, signature_sha256=None
        )
    waiting = look(stage, stay)
    assert (waiting["state"], waiting["waiting_for"]) == ("CONFIRMED", "INSURANCE")
    assert balance(stage, AccountKind.INPATIENT_DEPOSIT, stay.id) == -350_000
    insurance_office.sweep_insurance(stage.outside, stage.hospital_id)
    (task,) = documents.list_work(office, "INSURANCE_CALL")
    (call,) = insurance_office.list_calls(office)
    assert task["subject"] == f"insurance-call:{call['id']}"
    (theirs,) = platform_settlements(stage, stay)
    insurance_office.decide_call(
        office,
        stage.outside,
        call["id"],
        happened=True,
        why="与医保中心核实，已结算",
        setl_id=theirs["setl_id"],
    )
    assert documents.list_work(office, "INSURANCE_CALL") == []
    discharge.sweep_settlements(stage.outside, stage.hospital_id)
    assert look(stage, stay)["state"] == "CLOSED"
    assert len(platform_settlements(stage, stay)) == 1
    assert proven(stage)
