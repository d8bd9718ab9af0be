"""The conformance run on a platform that fits its profile, and on one that does not."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from config import InsuranceSettings
from models.db import new_id
from payments.insurance.conformance import Rehearsal, Seen
from tests.payments.insurance.conftest import Clock, identity_number
from tests.payments.insurance.counter import Counter
from tests.payments.insurance.small_platform import SmallPlatform

CASE = {
    "name": "欧阳试",
    "id_no": identity_number(7),
    "insutype": "390",
    "department_code": "0300",
    "department_name": "外科",
    "bed": "1",
    "doctor_code": "D001",
    "doctor_name": "周医",
    "diagnosis_code": "K35.900",
    "diagnosis_name": "急性阑尾炎",
    "med_list_codg": "XA01",
    "medins_list_codg": "H-1",
    "price_yuan": "12.50",
}


@pytest.fixture
def play(engine: Engine, counter: Counter, platform: SmallPlatform) -> Callable[[], list[Seen]]:
    def run() -> list[Seen]:
        number = f"H{new_id().int % 10**11:011d}"
        told = InsuranceSettings(
            counter.url, "csb-guizhou", "AK", "SK", number, "示范医院", "990100"
        )
        return list(Rehearsal(told, CASE, Clock().now).play())

    return run


def test_a_platform_that_fits(play: Callable, platform: SmallPlatform) -> None:
    seen = play()
    assert [step.passed for step in seen] == [True] * 11
    assert seen[5].what == "BASIC=750 CASH=500"
    assert [stay["place"] for stay in platform.stays.values()] == ["GONE"]
    assert platform.now_settled() == []


def test_words_that_the_profile_does_not_know(play: Callable, platform: SmallPlatform) -> None:
    platform.words_not_found = "冲正失败"
    seen = play()
    assert (seen[8].passed, seen[8].what) == (False, "INSURANCE_DECLINED 冲正失败 2601")
    assert seen[-1].passed and len(seen) == 10
    assert [stay["place"] for stay in platform.stays.values()] == ["GONE"]


def test_a_query_that_does_not_name_the_inpatient_number(
    play: Callable, platform: SmallPlatform
) -> None:
    honest = platform._5303

    def nameless(body: dict, data: dict) -> dict:
        said = honest(body, data)
        return said | {
            "output": {"data": [row | {"ipt_otp_no": ""} for row in said["output"]["data"]]}
        }

    platform._5303 = nameless
    seen = play()
    assert not seen[2].passed and seen[-1].passed
    assert [stay["place"] for stay in platform.stays.values()] == ["GONE"]


def test_a_person_without_cover_is_left_alone(play: Callable, platform: SmallPlatform) -> None:
    platform._1101 = lambda body, data: {"infcode": -1, "err_msg": "人员不存在"}
    seen = play()
    assert [step.passed for step in seen] == [False, True]
    assert platform.stays == {}
