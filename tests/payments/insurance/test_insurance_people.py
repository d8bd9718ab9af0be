"""What only a person can decide: amounts that disagree, and calls nobody can ask about."""

from uuid import UUID

import pytest

from models.db import Session
from models.insurance import InsuranceCall
from policies.refusals import Busy, Refused
from tests.payments.insurance.conftest import BILL_FEN, House
from tests.payments.insurance.small_platform import SmallPlatform


def refused(step) -> Refused:
    with pytest.raises(Refused) as refusal:
        step()
    return refusal.value


def waiting(house: House) -> list[InsuranceCall]:
    with Session() as db:
        return InsuranceCall.waiting_for_people(db, house.hospital_id)


def lost_settlement(house: House, platform: SmallPlatform, when: str = "after") -> UUID:
    encounter_id = house.uploaded()
    platform.cut["2304"] = [when]
    with pytest.raises(Busy):
        house.settle(encounter_id)
    return encounter_id


@pytest.mark.parametrize(
    ("spoilt", "invariant"),
    [
        ({"psn_part_amt": "413.00", "psn_cash_pay": "413.00"}, "I1"),
        ({"psn_cash_pay": "411.00"}, "I3"),
        ({"inscp_scp_amt": "1029.00"}, "I4"),
        ({"fund_pay_sumamt": "619.00", "psn_part_amt": "411.00", "psn_cash_pay": "411.00"}, "I7"),
        (
            {"medfee_sumamt": "1031.00", "inscp_scp_amt": "1031.00", "hosp_part_amt": "1.00"},
            "I6",
        ),
    ],
)
def test_amounts_that_disagree_stop_all_money(
    house: House, platform: SmallPlatform, spoilt: dict[str, str], invariant: str
) -> None:
    encounter_id = house.uploaded()
    platform.spoil = spoilt
    no = refused(lambda: house.settle(encounter_id))
    assert (no.code, no.facts) == ("INSURANCE_AMOUNTS_DISAGREE", {"invariant": invariant})
    stay = house.encounter(encounter_id)
    assert (stay.state, stay.setl_id, stay.settlement) == ("DISCHARGED", None, None)
    (call,) = waiting(house)
    assert (call.infno, call.task) == ("2304", "AMOUNTS_DISAGREE")
    assert call.facts == {"setl_id": next(iter(platform.settlements))}
    no = refused(lambda: house.settle(encounter_id))
    assert (no.code, no.facts["task"]) == ("INSURANCE_HUMAN_NEEDED", "AMOUNTS_DISAGREE")
    assert len(platform.settlements) == 1


def test_a_person_orders_the_reversal_and_the_stay_can_be_settled(
    house: House, platform: SmallPlatform
) -> None:
    encounter_id = house.uploaded()
    platform.spoil = {"psn_cash_pay": "411.00"}
    refused(lambda: house.settle(encounter_id))
    (call,) = waiting(house)
    assert house.desk.sweep(house.nurse) == []
    assert house.desk.recover(call.id, house.nurse) == "REVERSED"
    platform.spoil = {}
    assert house.settle(encounter_id).total == BILL_FEN


def test_a_trial_that_disagrees_is_refused_and_holds_nothing_up(
    house: House, platform: SmallPlatform
) -> None:
    encounter_id = house.uploaded()
    platform.spoil = {"psn_cash_pay": "411.00"}
    no = refused(lambda: house.desk.trial(encounter_id, house.nurse))
    assert (no.code, no.facts) == ("INSURANCE_AMOUNTS_DISAGREE", {"invariant": "I3"})
    assert house.encounter(encounter_id).trial is None and waiting(house) == []
    platform.spoil = {}
    assert house.desk.trial(encounter_id, house.nurse).total == BILL_FEN


def test_misplaced_funds_are_only_a_warning(house: House, platform: SmallPlatform) -> None:
    encounter_id = house.uploaded()
    platform.spoil = {"hifp_pay": "0.00"}
    settled = house.settle(encounter_id)
    assert settled.funds_misplaced
    assert settled.payer_lines() == [("BASIC", 61_800), ("CASH", 41_200)]


def test_lines_that_do_not_add_up_to_the_head_are_only_a_warning(
    house: House, platform: SmallPlatform
) -> None:
    encounter_id = house.uploaded()
    platform.spoil = {"inscp_scp_amt": "1029.99", "preselfpay_amt": "0.01"}
    assert house.settle(encounter_id).lines_disagree


def test_where_2304_cannot_be_reversed_a_person_is_called(opened, platform: SmallPlatform) -> None:
    house = opened(reversible=frozenset())
    encounter_id = lost_settlement(house, platform)
    assert refused(lambda: house.settle(encounter_id)).code == "INSURANCE_HUMAN_NEEDED"
    (call,) = waiting(house)
    assert call.task == "NOT_REVERSIBLE_ASK_BUREAU"
    setl_id = next(iter(platform.settlements))
    state = house.desk.decide(
        call.id, happened=True, setl_id=setl_id, by=house.nurse, why="电话核实"
    )
    assert state == "SUCCEEDED"
    settled = house.settle(encounter_id)
    assert (settled.setl_id, settled.cash) == (setl_id, 41_200)
    assert len(platform.settlements) == 1


def test_a_person_says_that_it_did_not_happen(opened, platform: SmallPlatform) -> None:
    house = opened(reversible=frozenset())
    encounter_id = lost_settlement(house, platform, "before")
    refused(lambda: house.settle(encounter_id))
    (call,) = waiting(house)
    assert house.desk.decide(call.id, happened=False, by=house.nurse, why="x") == "REFUSED"
    assert house.settle(encounter_id).total == BILL_FEN
    no = refused(lambda: house.desk.decide(call.id, happened=False, by=house.nurse, why="x"))
    assert no.code == "INSURANCE_CALL_DECIDED"


def test_words_that_nobody_told_us_call_a_person(house: House, platform: SmallPlatform) -> None:
    encounter_id = lost_settlement(house, platform, "before")
    platform.words_not_found = "冲正失败"
    assert refused(lambda: house.settle(encounter_id)).code == "INSURANCE_HUMAN_NEEDED"
    (call,) = waiting(house)
    assert call.task == "REVERSAL_REFUSED_ASK_BUREAU"
    platform.words_not_found = "未找到原交易"
    assert house.desk.recover(call.id, house.nurse) == "REFUSED"
    assert house.settle(encounter_id).total == BILL_FEN


def test_a_settlement_already_undone_cannot_be_adopted(opened, platform: SmallPlatform) -> None:
    house = opened(reversible=frozenset())
    encounter_id = lost_settlement(house, platform)
    refused(lambda: house.settle(encounter_id))
    (call,) = waiting(house)
    (setl_id,) = platform.settlements
    platform.settlements[setl_id]["state"] = "UNDONE"
    no = refused(
        lambda: house.desk.decide(call.id, happened=True, setl_id=setl_id, by=house.nurse, why="x")
    )
    assert no.code == "INSURANCE_SETTLEMENT_UNDONE"
    no = refused(lambda: house.desk.decide(call.id, happened=True, by=house.nurse, why="x"))
    assert no.code == "INSURANCE_FACT_MISSING"
    assert waiting(house)[0].id == call.id


def test_an_undo_that_disagrees_stops_and_is_found_out_by_asking(
    house: House, platform: SmallPlatform
) -> None:
    encounter_id = house.settled()
    settled = house.settle(encounter_id)
    honest = platform._2305

    def short(body: dict, data: dict) -> dict:
        said = honest(body, data)
        said["output"]["setlinfo"]["act_pay_dedc"] = "-7.00"
        return said

    platform._2305 = short
    no = refused(lambda: house.desk.undo_settlement(encounter_id, house.nurse))
    assert no.facts == {"invariant": "I8"}
    (call,) = waiting(house)
    assert house.encounter(encounter_id).state == "SETTLED"
    assert house.desk.recover(call.id, house.nurse) == "SUCCEEDED"
    assert house.desk.undo_settlement(encounter_id, house.nurse) == settled.negated()


@pytest.mark.parametrize("profile", ["csb-guizhou", "tif-chongqing"])
def test_a_lost_undo_that_cannot_be_read_is_reversed_where_that_is_allowed(
    opened, platform: SmallPlatform, profile: str
) -> None:
    house = opened(profile)
    encounter_id = house.settled()
    platform.cut["2305"] = ["before"]
    with pytest.raises(Busy):
        house.desk.undo_settlement(encounter_id, house.nurse)
    platform._5203 = lambda body, data: {"infcode": -1, "err_msg": "无权限"}
    if profile == "csb-guizhou":
        no = refused(lambda: house.desk.undo_settlement(encounter_id, house.nurse))
        assert no.facts["task"] == "NOT_REVERSIBLE_ASK_BUREAU"
        (call,) = waiting(house)
        house.desk.decide(call.id, happened=False, by=house.nurse, why="电话核实")
    assert house.desk.undo_settlement(encounter_id, house.nurse).total == -BILL_FEN


def test_a_lost_batch_is_not_for_people(house: House, platform: SmallPlatform) -> None:
    encounter_id = house.registered()
    platform.cut["2301"] = ["before"]
    from tests.payments.insurance.conftest import lines

    with pytest.raises(Busy):
        house.desk.upload(encounter_id, lines(), house.nurse)
    (call,) = house.calls(encounter_id, "2301")
    no = refused(lambda: house.desk.decide(call.id, happened=True, by=house.nurse, why="x"))
    assert no.code == "INSURANCE_NOT_FOR_PEOPLE"


def test_a_settlement_there_that_we_do_not_know_calls_a_person(
    house: House, platform: SmallPlatform
) -> None:
    """It was declared never arrived, and arrived later: the platform refuses the second one."""
    encounter_id = lost_settlement(house, platform)
    platform._2601 = lambda body, data: {"infcode": -1, "err_msg": "原交易不存在"}
    no = refused(lambda: house.settle(encounter_id))
    assert (no.code, no.facts["task"]) == ("INSURANCE_HUMAN_NEEDED", "SETTLED_THERE_ASK_BUREAU")
    assert house.states(encounter_id, "2304") == ["REFUSED", "HUMAN"]
    (call,) = waiting(house)
    (setl_id,) = platform.settlements
    house.desk.decide(call.id, happened=True, setl_id=setl_id, by=house.nurse, why="x")
    assert house.settle(encounter_id).setl_id == setl_id
