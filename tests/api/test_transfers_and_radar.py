"""A WeChat transfer and the expiry radar over HTTP: who sees what confirms, who takes it back."""

from types import SimpleNamespace

import pytest

from journeys import refunds
from journeys.settings import change_setting
from models.db import Session
from models.refund import Refund
from payments import refunds as paying
from tests import purse, till
from tests.people import House
from tests.stage import Stage


@pytest.fixture
def stage(house: House) -> Stage:
    stage = Stage(house.simulator, SimpleNamespace(now=house.now), None, house.hospital_id, "GZ01")
    change_setting(
        stage.actor("ADMINISTRATOR"), "refund.fallback_order", "TRANSFER,CASH", house.now
    )
    return stage


def sent(house: House, stage: Stage, patient) -> str:
    """A transfer of 5.00 that waits for this patient's tap; the path of its leg."""
    purse.store(stage, patient, 500, "WECHAT", days=500)
    refund_id = purse.ask_back(stage, patient, 500)
    with Session.begin() as db:
        paying.approve(db, Refund.locked(db, refund_id), by="staff:second", now=house.now())
    (leg,) = till.legs_of(refund_id)
    outside = house.app.extensions["surroundings"].counterparts_of(house.code)
    refunds.pay_leg(outside, leg.id)
    return f"/v1/refunds/{refund_id}/legs/{leg.id}"


def test_the_patients_phone_confirms_and_nobody_elses(house, stage):
    phone, patient = house.patient_phone()
    leg = sent(house, stage, patient)
    shown = phone.get(f"{leg}/confirmation")
    assert shown.keys() == {"mchId", "appId", "package"}
    assert house.patient_phone()[0].try_("GET", f"{leg}/confirmation").code == "REFUND_UNKNOWN"
    second, _ = house.patient_phone(patient)  # the same person with another WeChat account
    assert second.try_("GET", f"{leg}/confirmation").code == "NOTHING_TO_CONFIRM"


def test_staff_take_back_what_nobody_confirmed(house, stage):
    phone, patient = house.patient_phone()
    leg = sent(house, stage, patient)
    maker = house.staff("FINANCE_MAKER", kind="DESK")
    done = maker.post(f"{leg}/cancel")
    assert (done["state"], done["legs"][0]["answer"]) == ("STUCK", "CANCELLED")
    assert maker.try_("POST", f"{leg}/cancel").code == "TRANSFER_NOT_OPEN"
    assert phone.try_("GET", f"{leg}/confirmation").code == "NOTHING_TO_CONFIRM"
    again = maker.post(f"/v1/refunds/{done['id']}/reroute")
    assert again["legs"][1]["why"] == "微信转账的5.00元没有退成功，所以到窗口领现金。"


def test_the_radar(house, stage):
    patient = house.patient()
    purse.store(stage, patient, 26_000, "WECHAT", days=364)
    finance = house.staff("FINANCE_CHECKER", kind="DESK")
    shown = finance.get("/v1/expiry-radar?days=7")
    assert [row["unused_fen"] for row in shown["payments"]] == [26_000]
    assert shown["windows"][0] == {
        "days": 1,
        "payments": 1,
        "unused_fen": 26_000,
        "legs": 0,
        "asked_fen": 0,
    }
    assert finance.try_("GET", "/v1/expiry-radar?days=0").status == 422
