"""Charges taken back, whole or in part, and never more than was charged."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from models.db import rows
from tests.his_day import HisDay, line


@pytest.fixture
def day(engine: Engine) -> HisDay:
    return HisDay()


def back(inpatient_no: str, number: str, reverses: str = "A", **changed) -> dict:
    """The whole of line A (two boxes) taken back, unless told otherwise."""
    return {
        "source_line_id": number,
        "inpatient_no": inpatient_no,
        "reverses": reverses,
        "occurred_at": "2025-07-03T10:00:00+08:00",
        "quantity": "2",
        "amount": "85.46",
    } | changed


def test_a_line_is_taken_back_whole(day: HisDay) -> None:
    no = day.admit().inpatient_no
    day.charge(line(no, "A"))
    assert day.reverse(back(no, "R")) == ["ACCEPTED"]
    assert day.charged_fen() == 0
    stored = rows(
        "SELECT quantity::text AS quantity, amount_fen, reverses, item_name, national_code,"
        " department_code FROM charge_line WHERE hospital_id = :h ORDER BY seq DESC LIMIT 1",
        h=day.hospital_id,
    )
    assert stored == [
        {
            "quantity": "-2.0000",
            "amount_fen": -8546,
            "reverses": "A",
            "item_name": "肝爽颗粒",
            "national_code": "ZA04AAG0117010102001",
            "department_code": "0301",
        }
    ]


def test_a_part_is_taken_back_and_then_the_rest_but_no_more(day: HisDay) -> None:
    no = day.admit().inpatient_no
    day.charge(line(no, "A"))
    half = {"quantity": "1", "amount": "42.73"}
    assert day.reverse(back(no, "R1", **half)) == ["ACCEPTED"]
    assert day.reverse(back(no, "R2")) == ["REVERSES_TOO_MUCH"]
    assert day.reverse(back(no, "R3", **half), back(no, "R4", **half)) == [
        "ACCEPTED",
        "REVERSES_TOO_MUCH",
    ]
    assert day.charged_fen() == 0


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({"amount": "85.45"}, "AMOUNT_MISMATCH"),
        ({"amount": "85.47"}, "REVERSES_TOO_MUCH"),
        ({"quantity": "2.0001"}, "REVERSES_TOO_MUCH"),
        ({"quantity": "1", "amount": "42.75"}, "AMOUNT_MISMATCH"),
        ({"quantity": "0"}, "MALFORMED"),
        ({"quantity": "-2"}, "MALFORMED"),
        ({"quantity": 2}, "MALFORMED"),
        ({"amount": "42.735"}, "NOT_WHOLE_FEN"),
        ({"reverses": "Z"}, "REVERSES_UNKNOWN"),
        ({"inpatient_no": "ZY-nobody"}, "UNKNOWN_ADMISSION"),
        ({"occurred_at": "2025-07-05 10:00:00"}, "IN_THE_FUTURE"),
    ],
)
def test_what_cannot_be_taken_back(day: HisDay, changed: dict, verdict: str) -> None:
    no = day.admit().inpatient_no
    day.charge(line(no, "A"))
    assert day.reverse(back(no, "R") | changed) == [verdict]
    assert day.charged_fen() == 8546


def test_a_line_of_another_stay_cannot_be_taken_back(day: HisDay) -> None:
    mine, other = day.admit().inpatient_no, day.admit().inpatient_no
    day.charge(line(mine, "A"), line(other, "B"))
    assert day.reverse(back(mine, "R1", "B"), back(other, "R2", "B")) == [
        "REVERSES_UNKNOWN",
        "ACCEPTED",
    ]


def test_a_reversal_cannot_be_reversed(day: HisDay) -> None:
    no = day.admit().inpatient_no
    day.charge(line(no, "A"))
    assert day.reverse(back(no, "R")) == ["ACCEPTED"]
    assert day.reverse(back(no, "RR", "R")) == ["REVERSES_UNKNOWN"]


def test_a_reversal_said_again_is_a_duplicate(day: HisDay) -> None:
    no = day.admit().inpatient_no
    day.charge(line(no, "A"))
    assert day.reverse(back(no, "R"), back(no, "R")) == ["ACCEPTED", "DUPLICATE"]
    assert day.reverse(back(no, "R", quantity="2.00")) == ["DUPLICATE"]
    assert day.reverse(back(no, "R", quantity="1", amount="42.73")) == ["CONFLICT"]
    assert day.charged_fen() == 0


@pytest.mark.parametrize("quantity", ["3", "1", "10", "11"])
@pytest.mark.parametrize("said_again", ["first", "last", "of another line"])
def test_beside_a_reversal_said_again_no_more_goes_back_than_is_left(
    day: HisDay, said_again: str, quantity: str
) -> None:
    """What R1 took stays taken, whatever its number says now: 3 of 10 are gone, 8 cannot follow."""
    no = day.admit().inpatient_no
    ten = {"quantity": "10", "unit_price": "1", "amount": "10.00"}
    day.charge(line(no, "A", **ten), line(no, "B", **ten))
    assert day.reverse(back(no, "R1", quantity="3", amount="3.00")) == ["ACCEPTED"]
    again = back(no, "R1", quantity=quantity, amount=f"{quantity}.00")
    eight = back(no, "R2", quantity="8", amount="8.00")
    if said_again == "of another line":
        again["reverses"] = "B"
    batch = [eight, again] if said_again == "last" else [again, eight]
    numbers = [each["source_line_id"] for each in batch]
    verdicts = dict(zip(numbers, day.reverse(*batch), strict=True))
    assert verdicts["R2"] == "REVERSES_TOO_MUCH"
    same = quantity == "3" and said_again != "of another line"
    assert verdicts["R1"] in (["DUPLICATE"] if same else ["CONFLICT", "REVERSES_TOO_MUCH"])
    assert day.charged_fen() == 2_000 - 300
    seven = back(no, "R3", quantity="7", amount="7.00")
    assert day.reverse(again, seven)[1] == "ACCEPTED"
    assert day.charged_fen() == 1_000


def test_many_at_once_take_a_line_back_once(day: HisDay) -> None:
    no = day.admit().inpatient_no
    day.charge(line(no, "A"))
    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(lambda n: day.reverse(back(no, f"R{n}")), range(6)))
    assert sorted(told) == [["ACCEPTED"]] + [["REVERSES_TOO_MUCH"]] * 5
    assert day.charged_fen() == 0


def test_an_odd_fen_goes_back_with_the_rest(day: HisDay) -> None:
    """Three at 3.333: 10.00 was charged; one by one, 3.33 and 3.33 and then 3.34 come back."""
    no = day.admit().inpatient_no
    day.charge(line(no, "A", quantity="3", unit_price="3.333", amount="10.00"))
    parts = [back(no, f"R{n}", quantity="1", amount="3.33") for n in (1, 2)]
    assert day.reverse(*parts, back(no, "R3", quantity="1", amount="3.33")) == [
        "ACCEPTED",
        "ACCEPTED",
        "AMOUNT_MISMATCH",
    ]
    assert day.reverse(back(no, "R4", quantity="1", amount="3.34")) == ["ACCEPTED"]
    assert day.charged_fen() == 0
