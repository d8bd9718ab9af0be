"""A line that is read at one look is judged and written exactly as the careful way does it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policies.charge_rows import read, row_of
from policies.charges import Charge, NotTaken, check
from tests.his_day import line

NOW = datetime(2025, 7, 3, 12, tzinfo=UTC)
SOUND = line("ZY1", "L1")
TEXT = st.text(st.sampled_from("ab 肝\t\n\x00\x7f\x85\u3000\ud800|0"), max_size=4)
NUMBER = st.sampled_from(["0", "1", "2.0000", "0.5", "1.0001", "42.730000", "85.46", "85.465", "x"])
MOMENT = st.sampled_from(["2025-07-03 09:30:00", "2025-07-03T01:30:00Z", "2025-07-05", "then", ""])
CODE = st.sampled_from(["01", "02", "03", "04", "11", "14", "15", "1", " 01", ""])
ANYTHING = st.one_of(
    TEXT, NUMBER, MOMENT, CODE, st.none(), st.integers(), st.floats(), st.just("字" * 65)
)


def carefully(raw: dict[str, Any]) -> tuple[str, str] | list[Any]:
    """The verdict by the careful way, or what stands in the row."""
    try:
        return as_said(f"0\t{row_of(check(raw, NOW))}")
    except NotTaken as refused:
        return (refused.verdict, refused.field)


def as_said(row: str) -> list[Any]:
    """What the set function reads in a row: not the moment and the amount as they were said."""
    place, moment, fen, reverses, _, _, *told = row.split("\t")
    told[5], told[6] = Decimal(told[5]), Decimal(told[6])
    told[9] = Decimal(told[9]) if told[9] else None
    return [place, datetime.fromisoformat(moment), int(fen), reverses, *told]


@given(
    st.dictionaries(st.sampled_from([*SOUND, "remark"]), ANYTHING, max_size=3),
    st.sets(st.sampled_from(list(SOUND)), max_size=2),
)
@example({"self_pay_ratio": ""}, set())
@example({"self_pay_ratio": None, "unit": None}, set())
@example({"insurance_level": "02", "national_code": ""}, set())
@example({"insurance_level": "03", "national_code": ""}, {"unit"})
@example({"occurred_at": "2025-07-05", "quantity": "0"}, set())
@example({"item_name": "a" * 200, "unit": "a" * 32}, set())
@example({"item_name": "a" * 201}, set())
@example({"unit": "a" * 33}, set())
def test_both_ways_agree(changed: dict[str, Any], left_out: set[str]) -> None:
    raw = {name: said for name, said in (SOUND | changed).items() if name not in left_out}
    found = read([raw], NOW)
    assert (found.refused.get(0) or as_said(found.rows[0])) == carefully(raw)
    assert len(found.rows) + len(found.refused) == 1


def test_a_plain_line_is_told_as_it_was_said() -> None:
    (plain,) = read([SOUND], NOW).rows
    assert plain == "0\t2025-07-03T09:30:00+08:00\t8546\t\t" + "\t".join(
        [SOUND["occurred_at"], SOUND["amount"], "L1", "ZY1"]
        + [SOUND[name] for name in list(SOUND)[3:] if name != "amount"]
    )


def test_a_bad_line_does_not_stop_the_others() -> None:
    found = read([SOUND, SOUND | {"amount": "85.48"}, {}, SOUND | {"inpatient_no": "ZY2"}], NOW)
    assert [row.split("\t")[0] for row in found.rows] == ["0", "3"]
    assert found.stays == {"ZY1", "ZY2"}
    assert found.refused == {1: ("AMOUNT_MISMATCH", "amount"), 2: ("MALFORMED", "source_line_id")}


def test_the_content_is_the_same_in_whatever_order_the_members_come() -> None:
    for some in (SOUND, SOUND | {"remark": [1, {"b": 2, "a": 1}]}, {"b": 1, "a": None}):
        turned = dict(reversed(some.items()))
        assert read([turned], NOW).content == read([some], NOW).content


@pytest.mark.parametrize(
    "other",
    [
        [SOUND | {"unit": "支"}],
        [SOUND | {"remark": ""}],
        [SOUND | {"amount": "85.460"}],
        [SOUND | {"quantity": 2}],
        [SOUND, SOUND],
        [SOUND | {"doctor_name": "李示范\nx"}],
        [{}],
    ],
)
def test_other_content_is_other_content(other: list[dict[str, Any]]) -> None:
    assert read(other, NOW).content != read([SOUND], NOW).content


def test_the_content_does_not_depend_on_the_moment() -> None:
    """What is in the future today is not tomorrow: the same event must be known again."""
    lines = [SOUND, SOUND | {"occurred_at": "2025-07-05 00:00:00"}]
    later = NOW.replace(day=6)
    assert read(lines, NOW).content == read(lines, later).content
    assert (len(read(lines, NOW).rows), len(read(lines, later).rows)) == (1, 2)


def test_a_reversal_names_its_line() -> None:
    charge: Charge = check(SOUND, NOW)
    back = row_of(charge._replace(quantity=-charge.quantity, amount_fen=-8546, reverses="L0"))
    assert as_said(f"7\t{back}")[:4] == ["7", charge.occurred_at, -8546, "L0"]
    assert back.split("\t")[10] == "-2.0000"
