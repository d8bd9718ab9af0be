"""Every way in which a charge line can be wrong, and the exact money of those that are right."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.charge_rows import read, row_of
from policies.charges import NotTaken, Verdict, check, reason

NOW = datetime(2025, 7, 3, 12, tzinfo=UTC)
SOUND = {
    "source_line_id": "L1",
    "inpatient_no": "ZY1",
    "occurred_at": "2025-07-03T09:30:00+08:00",
    "item_name": "肝爽颗粒",
    "quantity": "2",
    "unit_price": "42.73",
    "amount": "85.46",
    "category": "11",
    "insurance_level": "02",
    "national_code": "ZA04",
    "hospital_code": "YP117",
    "department_code": "0301",
}
MISSING = object()


@pytest.mark.parametrize(
    ("field", "value", "verdict"),
    [
        ("source_line_id", MISSING, "MALFORMED"),
        ("source_line_id", "  ", "MALFORMED"),
        ("source_line_id", "x" * 65, "MALFORMED"),
        ("source_line_id", 7, "MALFORMED"),
        ("inpatient_no", None, "MALFORMED"),
        ("item_name", "a\x00b", "MALFORMED"),
        ("item_name", "\ud800", "MALFORMED"),
        ("item_name", "两\n行", "MALFORMED"),
        ("specification", 5, "MALFORMED"),
        ("hospital_code", "", "MALFORMED"),
        ("department_code", "", "MALFORMED"),
        ("occurred_at", "yesterday", "MALFORMED"),
        ("occurred_at", 1751500000, "MALFORMED"),
        ("occurred_at", "0001-01-01T00:00:00", "MALFORMED"),
        ("occurred_at", "2025-07-05T00:00:00+08:00", "IN_THE_FUTURE"),
        ("quantity", 2, "MALFORMED"),
        ("quantity", "0", "MALFORMED"),
        ("quantity", "-2", "MALFORMED"),
        ("quantity", "2.00001", "MALFORMED"),
        ("quantity", "2e0", "MALFORMED"),
        ("quantity", "٢", "MALFORMED"),
        ("unit_price", 42.73, "MALFORMED"),
        ("unit_price", "42.7300001", "MALFORMED"),
        ("unit_price", "NaN", "MALFORMED"),
        ("amount", 85.46, "MALFORMED"),
        ("amount", "85,46", "MALFORMED"),
        ("amount", "-85.46", "MALFORMED"),
        ("amount", "85.465", "NOT_WHOLE_FEN"),
        ("amount", "85.48", "AMOUNT_MISMATCH"),
        ("amount", "85.44", "AMOUNT_MISMATCH"),
        ("category", "15", "UNKNOWN_CATEGORY"),
        ("category", "1", "UNKNOWN_CATEGORY"),
        ("insurance_level", "04", "UNKNOWN_LEVEL"),
        ("self_pay_ratio", "1.0001", "MALFORMED"),
        ("self_pay_ratio", 0.1, "MALFORMED"),
        ("national_code", "", "NATIONAL_CODE_MISSING"),
    ],
)
def test_what_is_wrong_is_named(field: str, value: object, verdict: str) -> None:
    raw = {name: said for name, said in (SOUND | {field: value}).items() if said is not MISSING}
    with pytest.raises(NotTaken) as refused:
        check(raw, NOW)
    assert (refused.value.verdict, refused.value.field) == (verdict, field)


@pytest.mark.parametrize("amount", ["85.45", "85.46", "85.4600", "85.47"])
def test_one_fen_of_rounding_is_allowed(amount: str) -> None:
    assert check(SOUND | {"amount": amount}, NOW).amount_fen == round(Decimal(amount) * 100)


def test_a_time_without_an_offset_is_shanghai_time() -> None:
    charge = check(SOUND | {"occurred_at": "2025-07-03 00:00:00"}, NOW)
    assert charge.occurred_at == datetime(2025, 7, 2, 16, tzinfo=UTC)
    assert row_of(charge).startswith("2025-07-03T00:00:00+08:00\t")


def test_the_shanghai_day_counts_not_the_utc_day() -> None:
    (row,) = read([SOUND | {"occurred_at": "2025-07-02T16:00:00Z"}], NOW).rows
    assert row.startswith("0\t2025-07-03T00:00:00+08:00\t")


def test_what_the_insurance_does_not_know_needs_no_national_code() -> None:
    charge = check(SOUND | {"insurance_level": "03", "national_code": ""}, NOW)
    assert (charge.national_code, charge.self_pay_ratio) == ("", None)


def test_every_verdict_has_a_sentence() -> None:
    for verdict in Verdict:
        assert reason(verdict, "amount").endswith("。")
    assert "amount" in reason(Verdict.MALFORMED, "amount")


@given(
    quantity=st.decimals("0.0001", "9999", places=4),
    price=st.decimals("0", "9999", places=6),
    off=st.integers(-3, 3),
)
def test_the_amount_is_within_one_fen_of_quantity_times_price(
    quantity: Decimal, price: Decimal, off: int
) -> None:
    exact = quantity * price * 100
    fen = max(round(exact) + off, 0)
    raw = SOUND | {
        "quantity": f"{quantity:f}",
        "unit_price": f"{price:f}",
        "amount": f"{Decimal(fen) / 100:.2f}",
    }
    if abs(exact - fen) <= 1:
        assert check(raw, NOW).amount_fen == fen
    else:
        with pytest.raises(NotTaken, match="AMOUNT_MISMATCH"):
            check(raw, NOW)
