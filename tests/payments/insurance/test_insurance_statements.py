"""A day's settlements beside the platform's, and what is done about the rows that differ."""

from datetime import UTC, date, datetime
from uuid import UUID

import pytest

from payments.insurance.facts import Finding
from policies.refusals import Busy, Refused
from tests.payments.insurance.conftest import House
from tests.payments.insurance.counter import Counter
from tests.payments.insurance.small_platform import SmallPlatform

DAY = date(2025, 7, 5)


def next_day(house: House) -> None:
    house.clock.at = datetime(2025, 7, 6, 1, 0, tzinfo=UTC)


def lost(house: House, platform: SmallPlatform, when: str) -> tuple[UUID, str]:
    encounter_id = house.uploaded()
    platform.cut["2304"] = [when]
    with pytest.raises(Busy):
        house.settle(encounter_id)
    return encounter_id, house.calls(encounter_id, "2304")[-1].msgid


def row(msgid: str = "", setl_id: str = "", rslt: str = "1", memo: str = "") -> str:
    cells = ["P1", "", setl_id, msgid, rslt, "0", memo, "1030.00", "618.00", "0.00"]
    return "\t".join(cell or "null" for cell in cells) + "\n"


def test_a_level_day(house: House, platform: SmallPlatform, counter: Counter) -> None:
    kept, undone = house.settled(), house.settled()
    house.desk.undo_settlement(undone, house.nurse)
    next_day(house)
    assert house.desk.reconcile(DAY, house.nurse) == [Finding("LEVEL", "390")]
    (asked,) = counter.asked("3201")
    data = asked["input"]["data"]
    assert (data["medfee_sumamt"], data["fund_pay_sumamt"]) == ("1030.00", "618.00")
    assert (data["fixmedins_setl_cnt"], data["setl_optins"]) == ("3", "990100")
    assert (data["stmt_begndate"], data["stmt_enddate"]) == ("2025-07-05", "2025-07-05")
    assert counter.asked("3202") == [] and house.encounter(kept).state == "SETTLED"


def test_a_day_without_settlements_asks_nobody(house: House, counter: Counter) -> None:
    next_day(house)
    assert house.desk.reconcile(DAY, house.nurse) == []
    assert counter.asked("3201") == []


def test_a_day_that_is_not_over(house: House) -> None:
    with pytest.raises(Refused) as refusal:
        house.desk.reconcile(DAY, house.nurse)
    assert refusal.value.code == "INSURANCE_DAY_NOT_OVER"


def test_the_file_has_the_settlement_and_its_undo(house: House, platform: SmallPlatform) -> None:
    encounter_id = house.settled()
    setl_id = house.encounter(encounter_id).setl_id
    house.desk.undo_settlement(encounter_id, house.nurse)
    next_day(house)
    platform.level = "1"
    assert house.desk.reconcile(DAY, house.nurse) == []
    first, second = (line.split("\t") for line in platform.sent.splitlines())
    assert first[0] == second[0] == setl_id
    assert (first[3:], second[3:]) == (
        ["1030.00", "618.00", "0.00", "0"],
        ["-1030.00", "-618.00", "0.00", "1"],
    )


def test_a_lost_settlement_that_lies_at_the_centre_is_reversed(
    house: House, platform: SmallPlatform, counter: Counter
) -> None:
    encounter_id, msgid = lost(house, platform, "after")
    next_day(house)
    platform.level, platform.difference = "1", [row(msgid), row("M0", "S0", rslt="0")]
    (finding,) = house.desk.reconcile(DAY, house.nurse)
    assert (finding.kind, finding.msgid, finding.detail) == ("CENTRE_ONLY", msgid, "REVERSED")
    assert platform.now_settled() == []
    assert house.settle(encounter_id).total == 103_000


def test_a_lost_settlement_that_lies_nowhere_may_be_asked_again(
    house: House, platform: SmallPlatform, counter: Counter
) -> None:
    encounter_id, _ = lost(house, platform, "before")
    next_day(house)
    assert house.desk.reconcile(DAY, house.nurse) == [Finding("LEVEL", "390")]
    assert house.states(encounter_id, "2304") == ["REFUSED"]
    assert counter.asked("2601") == []
    assert house.settle(encounter_id).total == 103_000


def test_one_near_midnight_may_lie_in_the_next_days_account(
    house: House, platform: SmallPlatform
) -> None:
    house.clock.at = datetime(2025, 7, 5, 15, 55, tzinfo=UTC)
    encounter_id, _ = lost(house, platform, "before")
    next_day(house)
    house.desk.reconcile(DAY, house.nurse)
    assert house.states(encounter_id, "2304") == ["UNKNOWN"]


def test_nothing_is_concluded_from_a_platform_that_does_not_answer(
    house: House, platform: SmallPlatform
) -> None:
    encounter_id, _ = lost(house, platform, "before")
    next_day(house)
    platform.cut["3201"] = ["before"]
    assert house.desk.reconcile(DAY, house.nurse) == [
        Finding("NO_ANSWER", "390", detail="INSURANCE_NO_ANSWER")
    ]
    assert house.states(encounter_id, "2304") == ["UNKNOWN"]


def test_a_call_that_a_person_has_stays_theirs(opened, platform: SmallPlatform) -> None:
    house = opened(reversible=frozenset())
    encounter_id, msgid = lost(house, platform, "after")
    house.desk.sweep(house.nurse)
    (finding,) = house.desk.resolve_from_difference_file([_read(row(msgid))], house.nurse)
    assert (finding.kind, finding.detail) == ("CENTRE_ONLY", "NOT_REVERSIBLE_ASK_BUREAU")
    assert house.states(encounter_id, "2304") == ["HUMAN"]


def test_a_settlement_declared_never_arrived_that_lies_there_is_reversed(
    house: House, platform: SmallPlatform
) -> None:
    encounter_id, msgid = lost(house, platform, "after")
    honest = platform._2601
    platform._2601 = lambda body, data: {"infcode": -1, "err_msg": "原交易不存在"}
    assert house.desk.sweep(house.nurse) == []
    assert house.states(encounter_id, "2304") == ["REFUSED"]
    platform._2601 = honest
    (finding,) = house.desk.resolve_from_difference_file([_read(row(msgid))], house.nurse)
    assert (finding.kind, finding.detail) == ("CENTRE_ONLY", "REVERSED")
    assert platform.now_settled() == []
    assert house.states(encounter_id, "2304") == ["REVERSED"]


def test_other_differences_are_told(house: House) -> None:
    encounter_id = house.settled()
    (call,) = house.calls(encounter_id, "2304")
    setl_id = house.encounter(encounter_id).setl_id
    rows = [row(call.msgid, setl_id), row("", setl_id), row("M-OF-NOBODY", memo="中心多")]
    found = house.desk.resolve_from_difference_file(map(_read, rows), house.nurse)
    assert [(one.kind, one.insutype) for one in found] == [
        ("AMOUNTS_DIFFER", "390"),
        ("HOSPITAL_ONLY", "390"),
        ("CENTRE_ONLY", ""),
    ]
    assert found[2].detail == "中心多"


def test_bytes_may_go_out_as_numbers(opened, platform: SmallPlatform, counter: Counter) -> None:
    house = opened(file_as="numbers")
    house.settled()
    next_day(house)
    platform.level = "1"
    platform._9101 = lambda body, data: {"infcode": -1, "err_msg": "停"}
    (finding,) = house.desk.reconcile(DAY, house.nurse)
    assert finding.kind == "NO_ANSWER"
    assert counter.asked("9101")[0]["input"]["fsUploadIn"]["in"][:2] == [80, 75]


@pytest.mark.parametrize("carried", ["numbers", "bytes"])
def test_a_file_comes_back_in_any_dress(
    house: House, platform: SmallPlatform, carried: str
) -> None:
    from tests.payments.insurance.counter import Raw, yes

    house.settled()
    next_day(house)
    platform.level, platform.difference = "1", [row("M-OF-NOBODY")]

    def give(body: dict, data: dict) -> object:
        content = platform.files[data["file_qury_no"]]
        return Raw(200, content) if carried == "bytes" else yes(out=list(content))

    platform._9102 = give
    assert [one.kind for one in house.desk.reconcile(DAY, house.nurse)] == ["CENTRE_ONLY"]


def test_a_file_that_is_none(house: House, platform: SmallPlatform) -> None:
    house.settled()
    next_day(house)
    platform.level = "1"
    platform._9102 = lambda body, data: {"infcode": 0, "output": {"x": "A" * 60}}
    assert [one.kind for one in house.desk.reconcile(DAY, house.nurse)] == ["NO_ANSWER"]


def _read(text: str) -> dict[str, str]:
    from payments.insurance.codec import rows_of_text

    return rows_of_text("3202", "file_out", text)[0]
