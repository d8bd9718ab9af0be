"""How a lost call is found out, step by step. The cuts are in test_insurance_simulator.py."""

from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy.exc import IntegrityError

from models.db import Session, new_id
from models.insurance import Encounter, InsuranceCall, UploadedFee
from policies.refusals import Busy, Refused
from tests.payments.insurance.conftest import BILL_FEN, House, fee
from tests.payments.insurance.counter import Counter
from tests.payments.insurance.small_platform import SmallPlatform

Step = Callable[[House, UUID], object]


def register(house: House, encounter_id: UUID) -> object:
    return house.desk.register(encounter_id, house.facts(encounter_id), house.nurse)


def upload(house: House, encounter_id: UUID) -> object:
    return house.upload(encounter_id)


def trial(house: House, encounter_id: UUID) -> object:
    return house.desk.trial(encounter_id, house.nurse)


def settle(house: House, encounter_id: UUID) -> object:
    return house.settle(encounter_id)


def undo(house: House, encounter_id: UUID) -> object:
    return house.desk.undo_settlement(encounter_id, house.nurse, reopen_stay=True)


def change(house: House, encounter_id: UUID) -> object:
    return house.desk.change(encounter_id, house.facts(encounter_id), house.nurse)


def cancel(house: House, encounter_id: UUID) -> object:
    return house.desk.cancel_registration(encounter_id, house.nurse)


STEPS: dict[str, tuple[Callable[[House], UUID], Step, str]] = {
    "2001": (House.chosen, register, "REGISTERED"),
    "2401": (House.chosen, register, "REGISTERED"),
    "2403": (House.registered, change, "REGISTERED"),
    "2301": (House.registered, upload, "REGISTERED"),
    "2303": (House.uploaded, trial, "REGISTERED"),
    "2402": (House.uploaded, settle, "SETTLED"),
    "2304": (House.uploaded, settle, "SETTLED"),
    "2305": (House.settled, undo, "REGISTERED"),
    "2405": (House.settled, undo, "REGISTERED"),
    "2302": (House.uploaded, cancel, "CANCELLED"),
    "2404": (House.uploaded, cancel, "CANCELLED"),
}


def agree(house: House, platform: SmallPlatform, encounter_id: UUID) -> None:
    """Both sides' books say the same of this stay."""
    stay = house.encounter(encounter_id)
    theirs = platform.stays[stay.mdtrt_id]
    place = {"REGISTERED": "IN", "DISCHARGED": "OUT", "SETTLED": "OUT", "CANCELLED": "GONE"}
    assert theirs["place"] == place[stay.state]
    assert sum(one["place"] == "IN" for one in platform.stays.values()) <= 1
    assert sum(theirs["fees"].values()) * 100 == house.desk.uploaded(encounter_id)
    live = [each for each in platform.now_settled() if each["mdtrt_id"] == stay.mdtrt_id]
    assert len(live) == (stay.state == "SETTLED")
    if live:
        assert live[0]["reply"]["setlinfo"]["setl_id"] == stay.setl_id


@pytest.mark.parametrize("about", ["2601", "5303", "2302"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_the_question_about_a_lost_call_may_be_lost_too(
    house: House, platform: SmallPlatform, about: str, when: str
) -> None:
    infno = {"2601": "2304", "5303": "2402", "2302": "2301"}[about]
    begin, step, there = STEPS[infno]
    encounter_id = begin(house)
    platform.cut[infno], platform.cut[about] = ["after"], [when]
    for _ in range(2):
        with pytest.raises(Busy):
            step(house, encounter_id)
    step(house, encounter_id)
    assert house.encounter(encounter_id).state == there
    agree(house, platform, encounter_id)
    assert house.states(encounter_id, about)[0] == "LOST"


def test_a_settlement_whose_answer_was_lost_is_reversed_by_its_msgid(
    house: House, platform: SmallPlatform, counter: Counter
) -> None:
    encounter_id = house.uploaded()
    platform.cut["2304"] = ["after"]
    with pytest.raises(Busy):
        house.settle(encounter_id)
    assert house.encounter(encounter_id).state == "DISCHARGED"
    assert len(platform.now_settled()) == 1
    house.settle(encounter_id)
    (reversal,) = counter.asked("2601")
    first, second = counter.asked("2304")
    assert reversal["input"]["data"]["omsgid"] == first["msgid"] != second["msgid"]
    assert house.states(encounter_id, "2304") == ["REVERSED", "SUCCEEDED"]


def test_a_settlement_that_never_arrived_is_asked_again_under_a_new_number(
    house: House, platform: SmallPlatform
) -> None:
    encounter_id = house.uploaded()
    platform.cut["2304"] = ["before"]
    with pytest.raises(Busy):
        house.settle(encounter_id)
    house.settle(encounter_id)
    assert house.states(encounter_id, "2304") == ["REFUSED", "SUCCEEDED"]


def test_a_registration_whose_answer_was_lost_is_adopted(
    house: House, platform: SmallPlatform
) -> None:
    encounter_id = house.chosen()
    platform.cut["2401"] = ["after"]
    with pytest.raises(Busy):
        register(house, encounter_id)
    assert register(house, encounter_id) == next(iter(platform.stays))
    assert house.states(encounter_id, "2401") == ["SUCCEEDED"]
    assert len(platform.stays) == 1


def test_an_undo_whose_answer_was_lost_gives_the_negative(
    house: House, platform: SmallPlatform
) -> None:
    encounter_id = house.uploaded()
    settled = house.settle(encounter_id)
    platform.cut["2305"] = ["after"]
    with pytest.raises(Busy):
        undo(house, encounter_id)
    assert undo(house, encounter_id) == settled.negated()
    assert house.states(encounter_id, "2305") == ["SUCCEEDED"]


def test_lines_of_a_lost_batch_are_sent_again_under_new_serials(
    house: House, platform: SmallPlatform, counter: Counter
) -> None:
    encounter_id = house.registered()
    platform.cut["2301"] = ["after"]
    with pytest.raises(Busy):
        upload(house, encounter_id)
    assert house.desk.uploaded(encounter_id) == 0
    assert upload(house, encounter_id) == BILL_FEN
    taken_back = [body["input"]["data"]["feedetl_sn"] for body in counter.asked("2302")]
    assert taken_back == ["3", "2", "1"]
    assert list(platform.stays[house.encounter(encounter_id).mdtrt_id]["fees"]) == ["4", "5", "6"]


def test_taking_back_a_lost_batch_goes_on_where_the_line_was_cut(
    house: House, platform: SmallPlatform, counter: Counter
) -> None:
    """Begun anew each time, a long batch on a bad line would never be taken back."""
    encounter_id = house.registered()
    platform.cut["2301"], platform.cut["2302"] = ["after"], ["", "after", "before"]
    for _ in range(3):
        with pytest.raises(Busy):
            upload(house, encounter_id)
    assert upload(house, encounter_id) == BILL_FEN
    taken_back = [body["input"]["data"]["feedetl_sn"] for body in counter.asked("2302")]
    assert taken_back == ["3", "2", "2", "2", "1"]
    agree(house, platform, encounter_id)


def test_a_reversal_names_the_serial_under_which_its_line_lies_now(
    house: House, platform: SmallPlatform, counter: Counter
) -> None:
    encounter_id = house.registered()
    platform.cut["2301"] = ["after"]
    with pytest.raises(Busy):
        house.desk.upload(encounter_id, [fee("A", 500)], house.nurse)
    house.desk.upload(encounter_id, [fee("A", 500)], house.nurse)
    house.desk.upload(encounter_id, [fee("B", -500, "-1", reverses="A")], house.nurse)
    assert counter.asked("2301")[-1]["input"]["feedetail"][0]["init_feedetl_sn"] == "2"
    assert house.desk.uploaded(encounter_id) == 0


def test_a_timeout_rests_before_anybody_asks_about_it(opened, platform: SmallPlatform) -> None:
    house = opened(answer_seconds=0.1)
    encounter_id = house.uploaded()
    platform.cut["2304"] = ["late"]
    with pytest.raises(Busy):
        house.settle(encounter_id)
    with pytest.raises(Busy) as busy:
        house.settle(encounter_id)
    assert busy.value.code == "INSURANCE_TOO_EARLY"
    assert house.calls(encounter_id, "2601") == []
    house.clock.forward(seconds=house.profile.rest_seconds)
    assert house.settle(encounter_id).total == BILL_FEN
    assert house.states(encounter_id, "2304") == ["REVERSED", "SUCCEEDED"]


def crash(house: House, encounter_id: UUID, infno: str) -> UUID:
    """Whoever had just committed this call died before sending it."""
    with Session.begin() as db:
        call = InsuranceCall(
            id=new_id(),
            hospital_id=house.hospital_id,
            encounter_id=encounter_id,
            infno=infno,
            msgid=f"H{new_id().hex[:29]}",
            holds=True,
            digest="0" * 64,
            by="staff:N001",
            asked_at=house.clock.now(),
        )
        db.add(call)
    return call.id


def test_a_call_whose_asker_died_is_found_out_after_a_while(house: House) -> None:
    encounter_id = house.uploaded()
    crash(house, encounter_id, "2402")
    with pytest.raises(Busy) as busy:
        house.settle(encounter_id)
    assert busy.value.code == "INSURANCE_CALL_OPEN"
    house.clock.forward(minutes=2)
    assert house.settle(encounter_id).total == BILL_FEN
    assert house.states(encounter_id, "2402") == ["REFUSED", "SUCCEEDED"]


def test_an_answer_after_the_call_was_given_up_changes_nothing(
    opened, platform: SmallPlatform
) -> None:
    """A slow answer arrives when somebody has already had the settlement reversed."""
    house = opened()
    encounter_id = house.uploaded()
    house.desk.trial(encounter_id, house.nurse)
    original = platform._2304

    def slow(body: dict, data: dict) -> object:
        said = original(body, data)
        (call,) = house.calls(encounter_id, "2304")
        house.clock.forward(minutes=2)
        assert house.desk.recover(call.id, house.nurse) == "REVERSED"
        platform._2304 = original
        return said

    platform._2304 = slow
    with pytest.raises(Busy) as busy:
        house.settle(encounter_id)
    assert busy.value.code == "INSURANCE_CALL_OPEN"
    assert house.encounter(encounter_id).state == "DISCHARGED"
    assert platform.now_settled() == []
    house.settle(encounter_id)
    agree(house, platform, encounter_id)


def test_a_trial_that_the_settlement_overtook_is_not_kept(opened, platform: SmallPlatform) -> None:
    house = opened()
    encounter_id = house.uploaded()
    original = platform._2303

    def slow(body: dict, data: dict) -> object:
        said = original(body, data)
        platform._2303 = original
        house.settle(encounter_id)
        return said

    platform._2303 = slow
    with pytest.raises(Busy) as busy:
        trial(house, encounter_id)
    assert busy.value.code == "INSURANCE_CALL_OPEN"
    assert house.states(encounter_id, "2303") == ["SUCCEEDED"]
    assert (house.encounter(encounter_id).state, house.encounter(encounter_id).trial) == (
        "SETTLED",
        None,
    )


def test_an_answer_is_written_down_whole_or_not_at_all(opened, platform: SmallPlatform) -> None:
    """Nothing of ours moves a stay that a call holds; if anything did, the call would stay open."""
    house = opened()
    encounter_id = house.uploaded()
    original = platform._2402

    def meddling(body: dict, data: dict) -> object:
        with Session.begin() as db:
            db.get_one(Encounter, encounter_id).state = "CHOSEN"
        return original(body, data)

    platform._2402 = meddling
    with pytest.raises(IntegrityError, match="has gone on"):
        house.settle(encounter_id)
    assert house.states(encounter_id, "2402") == ["ASKED"]
    assert house.encounter(encounter_id).state == "CHOSEN"


def test_the_sweep_finds_out_what_nobody_waits_for(house: House, platform: SmallPlatform) -> None:
    lost = [house.uploaded() for _ in range(2)]
    platform.cut["2402"] = ["after", "before"]
    for encounter_id in lost:
        with pytest.raises(Busy):
            house.settle(encounter_id)
    crashed = house.registered()
    crash(house, crashed, "2301")
    assert house.desk.sweep(house.nurse) == []
    assert [house.encounter(one).state for one in lost] == ["DISCHARGED", "REGISTERED"]
    assert house.states(crashed, "2301") == ["ASKED"]
    house.clock.forward(minutes=2)
    assert house.desk.sweep(house.nurse) == []
    assert house.states(crashed, "2301") == ["REFUSED"]


def test_a_sign_in_or_a_look_that_got_lost_is_asked_again(
    house: House, platform: SmallPlatform
) -> None:
    _, card = house.admission()
    for infno in ("9001", "1101"):
        for when in ("before", "after"):
            platform.cut[infno] = [when]
            with pytest.raises(Busy):
                house.desk.look_up(card, house.nurse)
    assert house.desk.look_up(card, house.nurse).psn_no
    assert [call.state for call in house.calls(None, "9001")] == ["LOST", "LOST", "SUCCEEDED"]
    assert [call.state for call in house.calls(None, "1101")] == ["LOST", "LOST", "SUCCEEDED"]


def test_no_batch_is_lost_in_a_stay_of_many_lines(opened, platform: SmallPlatform) -> None:
    house = opened(batch_lines=3)
    encounter_id = house.registered()
    many = [fee(f"L{n}", 100 + n) for n in range(10)]
    platform.cut["2301"] = ["", "after", "", "before"]
    for _ in range(2):
        with pytest.raises(Busy):
            house.desk.upload(encounter_id, many, house.nurse)
    whole = sum(line.amount_fen for line in many)
    assert house.desk.upload(encounter_id, many, house.nurse) == whole
    agree(house, platform, encounter_id)
    with Session() as db:
        rows = db.query(UploadedFee).filter_by(encounter_id=encounter_id, state="UPLOADED").all()
    assert sorted(row.line for row in rows) == sorted(line.line for line in many)


def test_a_refused_question_about_a_lost_call_leaves_it_lost(
    house: House, platform: SmallPlatform
) -> None:
    encounter_id = house.registered()
    platform.cut["2301"] = ["after"]
    with pytest.raises(Busy):
        upload(house, encounter_id)
    platform._2302 = lambda body, data: {"infcode": -1, "err_msg": "系统维护"}
    with pytest.raises(Refused) as refusal:
        upload(house, encounter_id)
    assert refusal.value.facts["said"] == "系统维护"
    assert house.states(encounter_id, "2301") == ["UNKNOWN"]
