"""Eight at once: each thing happens once, and whoever loses is told to come again."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy.exc import IntegrityError

from models.db import Session, new_id
from models.insurance import Encounter, InsuranceCall
from policies.refusals import Busy
from tests.payments.insurance.conftest import BILL_FEN, House
from tests.payments.insurance.counter import Counter
from tests.payments.insurance.small_platform import SmallPlatform
from tests.payments.insurance.test_insurance_line_cut import STEPS, agree


def eight(step: Callable[[], object]) -> list[object]:
    """What each of eight got; Busy is an answer."""

    def one(_: int) -> object:
        try:
            return step()
        except Busy as busy:
            return busy.code

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, range(8)))


@pytest.mark.parametrize("infno", ["2401", "2301", "2304", "2305", "2404"])
def test_eight_presses_do_it_once(
    house: House, platform: SmallPlatform, counter: Counter, infno: str
) -> None:
    begin, step, there = STEPS[infno]
    encounter_id = begin(house)
    answers = eight(lambda: step(house, encounter_id))
    done = step(house, encounter_id)
    assert {repr(each) for each in answers} <= {repr(done), "'INSURANCE_CALL_OPEN'"}
    assert house.encounter(encounter_id).state == there
    assert len(counter.asked(infno)) == 1
    agree(house, platform, encounter_id)


def test_eight_find_out_about_one_lost_settlement(
    house: House, platform: SmallPlatform, counter: Counter
) -> None:
    encounter_id = house.uploaded()
    platform.cut["2304"] = ["after"]
    with pytest.raises(Busy):
        house.settle(encounter_id)
    eight(lambda: house.settle(encounter_id))
    assert house.settle(encounter_id).total == BILL_FEN
    agree(house, platform, encounter_id)
    assert len(counter.asked("2304")) == 2


def test_eight_trials_are_eight_answers(house: House) -> None:
    encounter_id = house.uploaded()
    answers = eight(lambda: house.desk.trial(encounter_id, house.nurse).total)
    assert answers == [BILL_FEN] * 8


def test_eight_open_one_encounter(house: House) -> None:
    stay, card = house.admission()
    person = house.desk.look_up(card, house.nurse)

    def opens() -> UUID:
        with Session.begin() as db:
            return house.desk.open_encounter(
                db,
                admission_id=stay.id,
                patient_id=stay.patient_id,
                person=person,
                cover=house.desk.choose(person),
                by=house.nurse,
            ).id

    assert len(set(eight(opens))) == 1
    with Session() as db:
        assert Encounter.active(db, stay.id) is not None


def test_the_database_itself_keeps_calls_apart(house: House) -> None:
    encounter_id = house.registered()

    def call(**more: object) -> InsuranceCall:
        facts = {
            "hospital_id": house.hospital_id,
            "encounter_id": encounter_id,
            "infno": "2301",
            "msgid": new_id().hex,
            "holds": True,
            "state": "UNKNOWN",
            "digest": "0",
            "by": "x",
            "asked_at": house.clock.now(),
        }
        return InsuranceCall(**(facts | more))

    with pytest.raises(IntegrityError, match="uq_insurance_call_open"), Session.begin() as db:
        db.add_all([call(), call()])
    with pytest.raises(IntegrityError, match="msgid"), Session.begin() as db:
        db.add_all([call(holds=False, msgid="M1"), call(holds=False, msgid="M1")])
    with pytest.raises(IntegrityError, match="human_has_a_task"), Session.begin() as db:
        db.add(call(state="HUMAN"))
