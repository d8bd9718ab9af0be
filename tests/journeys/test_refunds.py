"""Money out: two people, limits, the window, and the words to the patient (GZ-4, GZ-7)."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import select, text

from journeys import deposits, discharge, refunds, settlement_view
from models.admission import AdmissionStep
from models.db import Session
from models.ledger import AccountKind
from models.patient import Patient
from models.refund import Refund, RefundLeg
from payments import refunds as money_out
from policies.refusals import Conflict, Forbidden, NotFound, Refused
from tests import till
from tests.journeys.test_aid import agency, aided
from tests.journeys.test_discharge import settle
from tests.sim_process import wait_until
from tests.stage import build

TRANSIT = AccountKind.REFUND_IN_TRANSIT


@pytest.mark.clause("GZ-4", "T1")
def test_without_a_checker_no_refund_is_executed(served):
    house = served.house
    admin, desk = house.staff("ADMINISTRATOR", kind="DESK"), {"kind": "DESK", "window": "3"}
    cashier, maker = house.staff("CASHIER", **desk), house.staff("FINANCE_MAKER", kind="DESK")
    stay = served.stage.stay()
    wish = {"amount_fen": 50_000, "route": "CASH"}
    cashier.post(f"/v1/admissions/{stay.id}/deposits", wish, key="deposit-cash-1")
    back = {"amount_fen": 20_000, "reason": "PATIENT_WISH"}
    path = f"/v1/admissions/{stay.id}/deposit-refunds"
    refund = "/v1/refunds/" + cashier.post(path, back, key="refund-part-1")["refund_id"]
    (leg,) = cashier.get(refund)["legs"]

    def gaps():
        return {gap["code"] for gap in admin.get("/v1/readiness")["gaps"]}

    assert "REFUND_CHECKER_MISSING" in gaps()
    for person in (maker, cashier):
        answer = person.try_("POST", f"{refund}/check", {"approve": True})
        assert (answer.status, answer.code) == (422, "REFUND_CHECKER_MISSING")
        assert answer.body["clause"] == "GZ-4"
    over = f"{refund}/legs/{leg['id']}/hand-over"
    answer = cashier.try_("POST", over, {"proof": "signed-0001"})
    assert (answer.status, answer.code) == (422, "REFUND_NOT_APPROVED")
    assert till.balance(served.stage, AccountKind.CASH, "CASH") == 50_000
    checker = house.staff("FINANCE_CHECKER", kind="DESK")
    assert "REFUND_CHECKER_MISSING" not in gaps()
    assert checker.post(f"{refund}/check", {"approve": True})["state"] == "PAYING"
    assert cashier.post(over, {"proof": "signed-0001"})["state"] == "PAID"
    assert till.balance(served.stage, AccountKind.CASH, "CASH") == 30_000


def test_who_asked_may_not_approve_in_any_role(stage):
    stay = stage.stay()
    till.pay_cash(stage, stay, 50_000)
    refund_id = till.ask_back(stage, stay, 20_000)
    stage.actor("FINANCE_CHECKER")
    for roles in ({"CASHIER", "FINANCE_CHECKER"}, {"FINANCE_CHECKER"}, {"FINANCE_HEAD"}):
        same = replace(stage.actor("CASHIER"), roles=frozenset(roles))
        for approve in (True, False):
            with pytest.raises(Refused, match="SAME_PERSON_FORBIDDEN"):
                refunds.check_refund(same, stage.outside, refund_id, approve=approve, note="")
    with pytest.raises(Forbidden, match="PERMISSION_MISSING"):
        till.check(stage, refund_id, by="FINANCE_MAKER")
    assert till.look(stage, refund_id)["state"] == "REQUESTED"
    with pytest.raises(Refused, match="REFUND_NOT_APPROVED"):
        till.hand_over(stage, refund_id)
    assert till.check(stage, refund_id)["state"] == "PAYING"
    assert till.check(stage, refund_id)["state"] == "PAYING"
    assert till.hand_over(stage, refund_id)["state"] == "PAID"
    assert till.check(stage, refund_id)["state"] == "PAID"


def test_the_database_itself_knows_that_there_are_two(stage):
    stay = stage.stay()
    till.pay_cash(stage, stay, 50_000)
    refund_id = till.ask_back(stage, stay, 20_000)
    with pytest.raises(Exception, match="two_people"), Session.begin() as db:
        row = Refund.locked(db, refund_id)
        row.checked_by = row.requested_by


@pytest.mark.parametrize("limit", [0, 20_000, 19_999])
def test_above_the_limit_only_the_head_of_finance_approves(stage, limit):
    stage.setting("refund_limit_fen", str(limit))
    stay = stage.stay()
    till.pay_cash(stage, stay, 50_000)
    refund_id = till.ask_back(stage, stay, 20_000)
    if limit < 20_000:
        with pytest.raises(Refused, match="REFUND_ABOVE_LIMIT") as no:
            till.check(stage, refund_id)
        assert no.value.facts == {"limit_fen": limit}
        assert till.look(stage, refund_id)["state"] == "REQUESTED"
        assert till.check(stage, refund_id, by="FINANCE_HEAD")["state"] == "PAYING"
    else:
        assert till.check(stage, refund_id)["state"] == "PAYING"


def test_a_rejected_refund_puts_the_lots_back_exactly(stage):
    stay = stage.stay()
    till.pay_cash(stage, stay, 30_000)
    till.pay_qr(stage, stay, 50_000)
    till.pay_qr(stage, stay, 70_000)
    before = till.lots(stage)
    refund_id = till.ask_back(stage, stay, 145_000)
    assert till.held(stage, stay) == 5_000
    assert till.lots(stage) != before
    for _ in range(2):
        assert till.check(stage, refund_id, approve=False)["state"] == "REJECTED"
    assert till.lots(stage) == before
    assert till.held(stage, stay) == 150_000
    till.later(stage, minutes=5)
    assert refunds.sweep_legs(stage.outside, stage.hospital_id) == 0
    till.agree(stage)


def test_a_refund_is_asked_once_for_a_key_and_never_beyond_the_balance(stage):
    stay, cashier = stage.stay(), stage.actor("CASHIER")
    till.pay_cash(stage, stay, 50_000)
    start = Barrier(8)

    def press(_):
        start.wait()
        return deposits.refund_part(
            cashier, stage.outside, stay.id, amount_fen=30_000, key="pressed", reason="EXCESS"
        )

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(press, range(8)))) == 1
    with pytest.raises(Conflict, match="IDEMPOTENCY_CONFLICT"):
        deposits.refund_part(
            cashier, stage.outside, stay.id, amount_fen=30_001, key="pressed", reason="EXCESS"
        )
    with pytest.raises(Refused, match="BALANCE_TOO_LOW"):
        till.ask_back(stage, stay, 20_001)
    with pytest.raises(Refused, match="AMOUNT_NOT_POSITIVE"):
        till.ask_back(stage, stay, 0)
    assert till.held(stage, stay) == 20_000
    with Session() as db:
        steps = select(AdmissionStep.step).where(AdmissionStep.admission_id == stay.id)
        assert db.scalars(steps).all().count("deposit-refund") == 1


def test_one_key_for_two_refunds_at_once_is_a_conflict(stage, monkeypatch):
    stays = [stage.stay() for _ in range(2)]
    for stay in stays:
        till.pay_cash(stage, stay, 10_000)
    looked, known = Barrier(2), money_out._known

    def both_find_nothing(*asked):
        there = known(*asked)
        looked.wait(10)
        return there

    monkeypatch.setattr(money_out, "_known", both_find_nothing)
    cashier, wish = stage.actor("CASHIER"), {"amount_fen": 4_000, "reason": "PATIENT_WISH"}

    def ask(stay):
        try:
            deposits.refund_part(cashier, stage.outside, stay.id, key="one-key", **wish)
        except Conflict as refused:
            return refused.code
        return "ASKED"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(ask, stays)) == ["ASKED", "IDEMPOTENCY_CONFLICT"]
    assert sorted(till.held(stage, stay) for stay in stays) == [6_000, 10_000]
    till.proven(stage)


def test_what_the_window_hands_over_is_handed_over_once(stage):
    stay = stage.stay()
    till.pay_cash(stage, stay, 50_000)
    refund_id = till.ask_back(stage, stay, 20_000)
    till.check(stage, refund_id)
    (leg,) = till.legs_of(refund_id)
    cashier, start = stage.actor("CASHIER"), Barrier(8)

    def hand_over(_):
        start.wait()
        return refunds.hand_over(cashier, stage.outside, refund_id, leg.id, proof="signed-1")

    with ThreadPoolExecutor(8) as pool:
        assert {each["state"] for each in pool.map(hand_over, range(8))} == {"PAID"}
    with pytest.raises(Conflict, match="IDEMPOTENCY_CONFLICT"):
        refunds.hand_over(cashier, stage.outside, refund_id, leg.id, proof="signed-2")
    assert till.balance(stage, AccountKind.CASH, "CASH") == 30_000
    assert till.balance(stage, TRANSIT, refund_id) == 0


def test_a_payment_of_366_days_ago_goes_to_the_window(stage):
    now = stage.clock.now()
    stage.clock.set(now - timedelta(days=366))
    stay = stage.stay()
    till.pay_qr(stage, stay, 80_000)
    stage.clock.set(now - timedelta(days=364))
    till.pay_qr(stage, stay, 20_000)
    stage.clock.set(now)
    refund_id = till.ask_back(stage, stay, 100_000)
    legs = {(leg.route, leg.amount_fen) for leg in till.legs_of(refund_id)}
    assert legs == {("CASH", 80_000), ("WECHAT", 20_000)}
    till.check(stage, refund_id)
    stage.run_jobs()
    till.later(stage, minutes=1)
    assert till.look(stage, refund_id)["state"] == "PAYING"
    assert till.hand_over(stage, refund_id)["state"] == "PAID"
    till.agree(stage)  # the window's cash paid for what lies at WeChat
    assert till.balance(stage, AccountKind.CASH, "CASH") == -80_000


def test_a_wechat_leg_is_not_handed_over_at_the_window(stage):
    stay = stage.stay()
    till.pay_qr(stage, stay, 80_000)
    refund_id = till.ask_back(stage, stay, 80_000)
    till.check(stage, refund_id)
    (leg,) = till.legs_of(refund_id)
    with pytest.raises(Refused, match="LEG_NOT_BY_HAND"):
        refunds.hand_over(
            stage.actor("CASHIER"), stage.outside, refund_id, leg.id, proof="signed-1"
        )


def test_nobody_sees_the_refund_of_another(stage):
    patient, stranger = stage.patient(), stage.patient()
    stay = stage.stay(patient)
    till.pay_cash(stage, stay, 50_000)
    refund_id = till.ask_back(stage, stay, 20_000)
    assert refunds.view_refund(stage.patient_actor(patient), refund_id)["amount_fen"] == 20_000
    other = build(stage.simulator).actor("FINANCE_CHECKER", "staff:elsewhere")
    for actor in (stage.patient_actor(stranger), other):
        with pytest.raises(NotFound, match="REFUND_UNKNOWN"):
            refunds.view_refund(actor, refund_id)
        with pytest.raises(NotFound, match="REFUND_UNKNOWN"):
            refunds.check_refund(actor, stage.outside, refund_id, approve=True, note="")


SMS = ("REFUND_SENT", "REFUND_ARRIVED")


def words_to(stage, stay):
    """Number, name and phone of the stay's patient, and every SMS about a refund."""
    with Session() as db:
        patient = db.get_one(Patient, stay.patient_id)
        facts = (patient.id_no, patient.name, patient.phone)
    outbox = stage.simulator.outbox(f"+86{facts[2]}")
    return facts, {sms["template"]: sms["text"] for sms in outbox if sms["template"] in SMS}


@pytest.mark.parametrize(
    ("way", "route", "told"),
    [
        (till.pay_qr, "原支付渠道", {"REFUND_SENT", "REFUND_ARRIVED"}),
        (till.pay_cash, "窗口现金", {"REFUND_ARRIVED"}),
    ],
)
def test_what_the_sms_of_a_refund_says_and_what_not(stage, way, route, told):
    stage.setting("service_phone", "0851-8800000")
    stay = stage.stay()
    way(stage, stay, 80_000)
    refund_id = till.ask_back(stage, stay, 12_345)
    till.check(stage, refund_id)
    stage.run_jobs()
    till.later(stage, minutes=1)
    assert till.hand_over(stage, refund_id)["state"] == "PAID"
    stage.run_jobs()
    (id_no, name, phone), texts = words_to(stage, stay)
    assert texts.keys() == told
    for said in texts.values():
        for part in (f"{name[0]}*", "123.45元", route, "0851-8800000"):
            assert part in said, (part, said)
        for secret in (id_no, id_no[6:14], phone, name, name[1:], "阑尾"):
            assert secret not in said, (secret, said)
    if "REFUND_SENT" in told:
        assert "1至3个工作日到账" in texts["REFUND_SENT"]


def test_the_rest_of_a_bill_that_aid_paid_wholly_goes_home_too(stage):
    """Two rests of one settlement: when it closed, and when the agency then took all of it."""
    stay = aided(stage, 200_000, deposit=400_000)
    stage.simulator.fault("medical_aid", "claim", "before")
    done = settle(stage, stay)
    assert (done["state"], done["personal_fen"]) == ("CLOSED", 150_000)
    agency(stage, stay, 350_000)
    assert discharge.sweep_settlements(stage.outside, stage.hospital_id) == 1
    after = settlement_view.view_settlement(stage.actor("CASHIER"), stay.id)
    assert (after["state"], after["personal_fen"]) == ("CLOSED", 0)
    assert sorted(refund["amount_fen"] for refund in after["refunds"]) == [150_000, 250_000]
    assert len(after["receipts"]) == 2
    assert (
        till.held(stage, stay),
        till.balance(stage, AccountKind.PATIENT_RECEIVABLE, stay.id),
    ) == (0, 0)
    till.agree(stage)


def test_locks_are_taken_in_one_order(stage):
    """A leg before its refund, by everybody: else the sweep and finance wait for each other."""
    stay = stage.stay()
    till.pay_qr(stage, stay, 80_000)
    stage.simulator.fault("wxpay", "refund", "closed")
    refund_id = till.ask_back(stage, stay, 80_000)
    till.check(stage, refund_id)
    stage.run_jobs()
    till.later(stage, minutes=1)
    assert till.look(stage, refund_id)["state"] == "STUCK"
    (leg,) = till.legs_of(refund_id)
    finance = stage.actor("FINANCE_MAKER")
    with ThreadPoolExecutor(1) as pool:
        with Session.begin() as db:
            RefundLeg.locked(db, leg.id)
            rerouted = pool.submit(refunds.reroute_refund, finance, stage.outside, refund_id)
            someone_waits(db)
            assert Refund.locked(db, refund_id).state == "STUCK"
        assert rerouted.result(timeout=30)["state"] == "REQUESTED"


def someone_waits(db):
    """Return as soon as another session of this database waits for a lock."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )

    def waits():
        with Session() as other:
            return other.scalar(waiting)

    wait_until(waits)
