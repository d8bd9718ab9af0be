"""A stay at the desk from card to settlement and back, when everybody answers."""

from datetime import date
from uuid import UUID

import pytest

from models.db import Session, rows
from models.insurance import InsuranceCall, SignIn, UploadedFee
from payments.insurance.facts import Cover, Identity, Person
from policies.access import Actor, Channel
from policies.refusals import Busy, Conflict, NotFound, Refused
from tests.payments.insurance.conftest import BILL_FEN, House, fee, lines
from tests.payments.insurance.counter import Counter
from tests.payments.insurance.small_platform import SmallPlatform


def code_of(refusal: pytest.ExceptionInfo) -> str:
    return refusal.value.code


def test_a_person_is_looked_up_with_the_identities_of_today(house: House) -> None:
    _, card = house.admission()
    person = house.desk.look_up(card, house.nurse)
    assert [cover.insutype for cover in person.covers] == ["310", "510", "390"]
    assert person.identities == (Identity("2303"),)


def test_the_cover_in_force_is_chosen_and_never_simply_the_first(house: House) -> None:
    _, card = house.admission()
    person = house.desk.look_up(card, house.nurse)
    assert house.desk.choose(person).insutype == "390"
    with pytest.raises(Refused) as refusal:
        house.desk.choose(person, "310")
    assert code_of(refusal) == "INSURANCE_COVER_NOT_ACTIVE"


def test_two_regions_must_be_told_apart(house: House) -> None:
    here, there = Cover("390", "15", "990101", "1"), Cover("390", "15", "990102", "1")
    person = Person("P1", (here, there), ())
    with pytest.raises(Refused) as refusal:
        house.desk.choose(person, "390")
    assert code_of(refusal) == "INSURANCE_COVER_AMBIGUOUS"
    assert house.desk.choose(person, "390", "990102") == there


def test_an_admission_has_one_active_encounter(house: House) -> None:
    stay, card = house.admission()
    person = house.desk.look_up(card, house.nurse)
    cover = house.desk.choose(person)
    facts = {"admission_id": stay.id, "patient_id": stay.patient_id, "person": person}
    with Session.begin() as db:
        first = house.desk.open_encounter(db, **facts, cover=cover, by=house.nurse)
    with Session.begin() as db:
        again = house.desk.open_encounter(db, **facts, cover=cover, by=house.nurse)
    assert (again.id, again.psn_no) == (first.id, person.psn_no)
    other = Cover("310", "11", "990101", "1")
    with Session.begin() as db, pytest.raises(Conflict) as refusal:
        house.desk.open_encounter(db, **facts, cover=other, by=house.nurse)
    assert code_of(refusal) == "INSURANCE_ENCOUNTER_OPEN"


def test_registration_asks_benefits_first_and_happens_once(house: House, counter: Counter) -> None:
    encounter_id = house.chosen()
    facts = house.facts(encounter_id)
    first = house.desk.register(encounter_id, facts, house.nurse)
    assert house.desk.register(encounter_id, facts, house.nurse) == first
    assert [body["infno"] for _, _, body in counter.seen] == ["9001", "1101", "2001", "2401"]
    (sent,) = counter.asked("2401")
    assert sent["insuplc_admdvs"] == "990101"
    assert (sent["opter"], sent["opter_type"], sent["sign_no"]) == ("N001", "1", "SIGN-N001")
    assert sent["input"]["mdtrtinfo"]["begntime"] == "2025-07-01 09:00:00"
    assert sent["input"]["diseinfo"][0]["maindiag_flag"] == "1"
    assert house.encounter(encounter_id).state == "REGISTERED"


def test_without_benefit_nothing_is_registered(house: House, platform: SmallPlatform) -> None:
    platform.spoil["benefit"] = "0"
    encounter_id = house.chosen()
    with pytest.raises(Refused) as refusal:
        house.desk.register(encounter_id, house.facts(encounter_id), house.nurse)
    assert (code_of(refusal), refusal.value.facts) == (
        "INSURANCE_NO_BENEFIT",
        {"said": "未到待遇享受期"},
    )
    assert platform.stays == {}


def test_a_patient_on_the_phone_asks_in_the_offices_name(house: House, counter: Counter) -> None:
    patient = Actor(house.hospital_id, "patient:1", frozenset({"PATIENT"}), Channel.PHONE)
    _, card = house.admission()
    house.desk.look_up(card, patient)
    (sent,) = counter.asked("1101")
    assert (sent["opter"], sent["opter_type"]) == ("XZOFFICE", "3")


def test_an_operator_signs_in_once_a_day(house: House, counter: Counter) -> None:
    _, card = house.admission()
    house.desk.look_up(card, house.nurse)
    house.desk.look_up(card, house.nurse)
    house.clock.forward(days=1)
    house.desk.look_up(card, house.nurse)
    assert len(counter.asked("9001")) == 2
    with Session() as db:
        days = {row.day for row in db.query(SignIn).filter_by(hospital_id=house.hospital_id)}
    assert days == {date(2025, 7, 5), date(2025, 7, 6)}


def test_a_profile_may_do_without_sign_in(opened, counter: Counter) -> None:
    house = opened(sign_in=False)
    _, card = house.admission()
    house.desk.look_up(card, house.nurse)
    assert counter.asked("9001") == []
    assert counter.asked("1101")[0]["sign_no"] == ""


def test_msgids_are_the_hospitals_the_times_and_a_number(house: House) -> None:
    house.registered()
    numbers = [call.msgid for call in house.calls(None)]
    assert len(set(numbers)) == len(numbers) == 4
    assert all(number[:26] == "H9901000000120250705100000" for number in numbers)
    assert all(len(number) == 30 for number in numbers)


def test_fees_go_up_once_in_batches_with_a_counter_of_digits(opened, counter: Counter) -> None:
    house = opened(batch_lines=2)
    encounter_id = house.registered()
    assert house.desk.upload(encounter_id, lines(), house.nurse) == BILL_FEN
    assert house.desk.upload(encounter_id, lines(), house.nurse) == BILL_FEN
    sent = [row for body in counter.asked("2301") for row in body["input"]["feedetail"]]
    assert [row["feedetl_sn"] for row in sent] == ["1", "2", "3"]
    assert len(counter.asked("2301")) == 2
    back = sent[2]
    assert (back["init_feedetl_sn"], back["cnt"], back["det_item_fee_sumamt"]) == (
        "2",
        "-1.0000",
        "-4.56",
    )
    assert house.desk.upload(encounter_id, [fee("L3", 100)], house.nurse) == BILL_FEN + 100
    with Session() as db:
        stored = db.query(UploadedFee).filter_by(encounter_id=encounter_id, line="L1").one()
    assert stored.verdict["chrgitm_lv"] == "01"
    assert (stored.verdict["in_scope"], stored.verdict["adds_up"]) == (100_000, True)


def test_an_input_stays_below_the_limit_of_characters(opened, counter: Counter) -> None:
    house = opened(input_chars=3_000)
    encounter_id = house.registered()
    house.desk.upload(encounter_id, [fee(f"L{n}", 100) for n in range(20)], house.nurse)
    sizes = [len(_text(body["input"])) for body in counter.asked("2301")]
    assert max(sizes) <= 3_000
    assert sum(len(body["input"]["feedetail"]) for body in counter.asked("2301")) == 20
    assert len(counter.asked("2301")[0]["input"]["feedetail"]) > 1


def _text(given: object) -> str:
    import json

    return json.dumps(given, ensure_ascii=False, separators=(",", ":"))


def test_input_may_go_out_as_text(opened, counter: Counter, platform: SmallPlatform) -> None:
    house = opened(input_as="string")
    counter.script = {"9001": [{"infcode": -1, "err_msg": "停"}]}
    _, card = house.admission()
    with pytest.raises(Refused):
        house.desk.look_up(card, house.nurse)
    assert isinstance(counter.asked("9001")[0]["input"], str)


def test_a_reversal_of_a_line_that_is_not_there_is_not_sent(house: House) -> None:
    encounter_id = house.registered()
    with pytest.raises(Refused) as refusal:
        house.desk.upload(encounter_id, [fee("X", -100, "-1", reverses="W")], house.nurse)
    assert code_of(refusal) == "INSURANCE_FACT_MISSING"
    assert house.calls(encounter_id, "2301") == []


def test_a_refused_batch_can_be_sent_again_when_it_is_right(house: House) -> None:
    encounter_id = house.registered()
    from dataclasses import replace

    wrong = replace(fee("L1", 100), med_list_codg="UNKNOWN")
    with pytest.raises(Refused) as refusal:
        house.desk.upload(encounter_id, [wrong], house.nurse)
    assert refusal.value.facts["said"] == "目录不存在：H-0001"
    assert house.desk.upload(encounter_id, [fee("L1", 100)], house.nurse) == 100


def test_a_trial_may_be_asked_as_often_as_wanted(house: House, counter: Counter) -> None:
    encounter_id = house.uploaded()
    first = house.desk.trial(encounter_id, house.nurse)
    assert (first.total, first.basic, first.cash) == (103_000, 61_800, 41_200)
    assert house.desk.trial(encounter_id, house.nurse) == first
    assert house.encounter(encounter_id).trial == first.to_json() | {
        "fund_rows": [["BASIC", 61_800]]
    }
    (sent, _) = counter.asked("2303")
    assert sent["input"]["data"]["medfee_sumamt"] == "1030.00"
    assert house.encounter(encounter_id).state == "REGISTERED"


def test_a_trial_of_nothing_is_not_asked(house: House) -> None:
    encounter_id = house.registered()
    with pytest.raises(Refused) as refusal:
        house.desk.trial(encounter_id, house.nurse)
    assert code_of(refusal) == "INSURANCE_NOTHING_UPLOADED"


def test_where_a_trial_needs_the_discharge_it_says_so(opened) -> None:
    house = opened(trial_needs_discharge=True)
    encounter_id = house.uploaded()
    with pytest.raises(Refused) as refusal:
        house.desk.trial(encounter_id, house.nurse)
    assert code_of(refusal) == "INSURANCE_TRIAL_NEEDS_DISCHARGE"


def test_a_settlement_happens_once_and_is_told_twice(house: House, platform: SmallPlatform) -> None:
    encounter_id = house.uploaded()
    first = house.settle(encounter_id)
    assert house.settle(encounter_id) == first
    (there,) = platform.now_settled()
    assert first.setl_id == house.encounter(encounter_id).setl_id
    assert (first.cash, first.funds, first.lines_disagree) == (41_200, 61_800, False)
    assert platform.stays[there["mdtrt_id"]]["place"] == "OUT"
    assert house.states(encounter_id, "2304") == ["SUCCEEDED"]


def test_nothing_is_settled_before_all_fees_are_there(
    house: House, platform: SmallPlatform
) -> None:
    encounter_id = house.uploaded()
    with pytest.raises(Refused) as refusal:
        house.settle(encounter_id, BILL_FEN + 1)
    assert code_of(refusal) == "FEES_NOT_ALL_UPLOADED"
    assert refusal.value.facts == {"uploaded_fen": BILL_FEN, "bill_fen": BILL_FEN + 1}
    assert house.calls(encounter_id, "2402") == []
    assert platform.now_settled() == []


def test_a_settled_stay_is_not_settled_to_another_bill(house: House) -> None:
    encounter_id = house.settled()
    with pytest.raises(Conflict) as refusal:
        house.settle(encounter_id, BILL_FEN + 1)
    assert code_of(refusal) == "INSURANCE_SETTLED_OTHERWISE"


def test_an_undo_gives_the_negative_and_the_stay_can_go_on(house: House) -> None:
    encounter_id = house.settled()
    settled = house.settle(encounter_id)
    undone = house.desk.undo_settlement(encounter_id, house.nurse, reopen_stay=True)
    assert undone is not None and undone.cash == -settled.cash
    assert house.encounter(encounter_id).state == "REGISTERED"
    again = house.desk.undo_settlement(encounter_id, house.nurse, reopen_stay=True)
    assert again == undone
    assert house.states(encounter_id, "2305") == ["SUCCEEDED"]
    house.desk.upload(encounter_id, [fee("L9", 1_000)], house.nurse)
    assert house.settle(encounter_id, BILL_FEN + 1_000).total == BILL_FEN + 1_000


def test_a_late_line_after_the_discharge_opens_the_stay_again(house: House) -> None:
    encounter_id = house.settled()
    assert house.desk.undo_settlement(encounter_id, house.nurse) is not None
    assert house.encounter(encounter_id).state == "DISCHARGED"
    assert house.desk.upload(encounter_id, [fee("L9", 1_000)], house.nurse) == BILL_FEN + 1_000
    assert house.states(encounter_id, "2405") == ["SUCCEEDED"]
    assert house.settle(encounter_id, BILL_FEN + 1_000).total == BILL_FEN + 1_000


def test_a_registration_is_taken_back_with_its_fees(house: House, platform: SmallPlatform) -> None:
    encounter_id = house.uploaded()
    house.desk.cancel_registration(encounter_id, house.nurse)
    house.desk.cancel_registration(encounter_id, house.nurse)
    assert house.encounter(encounter_id).state == "CANCELLED"
    assert [stay["place"] for stay in platform.stays.values()] == ["GONE"]
    assert house.desk.uploaded(encounter_id) == 0


def test_a_choice_is_taken_back_without_asking_anybody(house: House, counter: Counter) -> None:
    encounter_id = house.chosen()
    asked = len(counter.seen)
    house.desk.cancel_registration(encounter_id, house.nurse)
    assert house.encounter(encounter_id).state == "CANCELLED"
    assert len(counter.seen) == asked


def test_a_changed_bed_is_told(house: House, counter: Counter) -> None:
    encounter_id = house.registered()
    house.desk.change(encounter_id, house.facts(encounter_id), house.nurse)
    assert counter.asked("2403")[0]["input"]["adminfo"]["adm_bed"] == "12"


def test_fees_may_be_withdrawn_and_sent_afresh(house: House, counter: Counter) -> None:
    encounter_id = house.uploaded()
    house.desk.withdraw_fees(encounter_id, house.nurse)
    assert house.desk.uploaded(encounter_id) == 0
    assert house.desk.upload(encounter_id, lines(), house.nurse) == BILL_FEN
    rows = counter.asked("2301")[-1]["input"]["feedetail"]
    assert [row["feedetl_sn"] for row in rows] == ["4", "5", "6"]


def test_steps_out_of_order_are_refused_here(house: House) -> None:
    encounter_id = house.chosen()
    for step in (
        lambda: house.settle(encounter_id),
        lambda: house.desk.trial(encounter_id, house.nurse),
        lambda: house.desk.upload(encounter_id, lines(), house.nurse),
        lambda: house.desk.change(encounter_id, house.facts(encounter_id), house.nurse),
        lambda: house.desk.undo_settlement(encounter_id, house.nurse),
    ):
        with pytest.raises(Refused) as refusal:
            step()
        assert code_of(refusal) == "INSURANCE_WRONG_STATE"
    assert [call.infno for call in house.calls(encounter_id)] == []


def test_another_hospital_does_not_see_the_stay(opened) -> None:
    ours, theirs = opened(), opened()
    encounter_id = ours.registered()
    with pytest.raises(NotFound):
        theirs.desk.trial(encounter_id, theirs.nurse)
    call = ours.calls(encounter_id)[0]
    with pytest.raises(NotFound):
        theirs.desk.recover(call.id, theirs.nurse)


def test_the_log_holds_no_personal_data(house: House, platform: SmallPlatform) -> None:
    encounter_id = house.settled()
    mdtrt_id = house.encounter(encounter_id).mdtrt_id
    platform.stays[mdtrt_id]["place"] = "GONE"
    with pytest.raises(Refused) as refusal:
        platform.settlements.clear()
        house.desk.undo_settlement(encounter_id, house.nurse)
    assert refusal.value.facts["said"] == "结算记录不存在或已撤销"
    person = house.encounter(encounter_id).psn_no
    with Session() as db:
        for call in db.query(InsuranceCall).filter_by(hospital_id=house.hospital_id):
            stored = " ".join(str(value) for value in vars(call).values())
            assert person not in stored and "欧阳试" not in stored


def test_the_platforms_words_are_stored_without_the_person(
    house: House, platform: SmallPlatform
) -> None:
    encounter_id = house.uploaded()
    platform._2304 = lambda body, data: {
        "infcode": -1,
        "err_msg": f"{data['psn_name']}({data['certno']})手机13900000000结算失败",
    }
    with pytest.raises(Refused) as refusal:
        house.settle(encounter_id)
    assert refusal.value.facts["said"] == "*(*)手机*结算失败"
    assert house.calls(encounter_id, "2304")[0].err_msg == "*(*)手机*结算失败"


def test_the_platform_names_somebody_whom_we_only_numbered(
    house: House, platform: SmallPlatform
) -> None:
    encounter_id = house.registered()
    platform._2404 = lambda body, data: {"infcode": -1, "err_msg": "欧阳试已办理出院"}
    with pytest.raises(Refused) as refusal:
        house.desk.cancel_registration(encounter_id, house.nurse)
    assert refusal.value.facts["said"] == "*已办理出院"
    (call,) = house.calls(encounter_id, "2404")
    assert call.err_msg == "*已办理出院"
    moves = rows("SELECT why FROM state_move WHERE entity_id = :id ORDER BY at, id", id=call.id)
    assert [move["why"] for move in moves] == ["", "*已办理出院"]


def test_a_gateway_that_turns_away_is_busy_and_the_same_call_goes_on(
    house: House, platform: SmallPlatform
) -> None:
    encounter_id = house.uploaded()
    platform.cut["2402"] = [_gateway()]
    with pytest.raises(Busy) as busy:
        house.settle(encounter_id)
    assert code_of(busy) == "INSURANCE_NOT_NOW"
    assert house.settle(encounter_id).total == BILL_FEN
    assert house.states(encounter_id, "2402") == ["REFUSED", "SUCCEEDED"]


def _gateway():
    from tests.payments.insurance.counter import Raw

    return Raw(401, b'{"code": 401, "message": "x"}')


def test_an_unknown_encounter(house: House) -> None:
    with pytest.raises(NotFound) as refusal:
        house.desk.trial(UUID(int=1), house.nurse)
    assert code_of(refusal) == "INSURANCE_ENCOUNTER_UNKNOWN"
