"""What kind of money it is: the law's examples, and what holds for every answer (GZ-5, GZ-9)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.money_kind import (
    NEEDS_APPROVAL,
    NOT_APPLICABLE,
    NOT_HELD_HERE,
    OUTPATIENT_PREPAY,
    Claim,
    Course,
    Exclusion,
    Money,
    kind_of,
    may_be_taken,
)
from policies.money_words import money_words

ORDERED = ("O-88",)


@pytest.mark.clause("GZ-5", "T1", "T2", "T4")
@pytest.mark.parametrize(
    ("order_ids", "invoice_no", "kind"),
    [
        ((), "", "OUTPATIENT_PREPAY"),
        (ORDERED, "520000012345", "ORDINARY_PAYMENT"),
        (ORDERED, "", "ORDINARY_PAYMENT_PENDING_INVOICE"),
        ((), "520000012345", "ORDINARY_PAYMENT"),  # both conditions are needed (D-03)
    ],
)
def test_orders_and_invoice_decide_together(order_ids, invoice_no, kind):
    assert kind_of(Money(order_ids=order_ids, invoice_no=invoice_no)) == kind


def test_what_the_institution_never_holds_is_no_prepayment():
    assert kind_of(Money(to_institution=False)) == NOT_HELD_HERE


@pytest.mark.clause("GZ-5", "T3")
@pytest.mark.clause("GZ-9", "T1", "T2", "T3", "T4")
@pytest.mark.parametrize(
    ("claim", "kind"),
    [
        (Claim(Exclusion.REGISTRATION_FEE, proof="YY-7"), "NOT_PREPAY:REGISTRATION_FEE"),
        (Claim(Exclusion.REGISTRATION_FEE), NOT_APPLICABLE),
        (Claim(Exclusion.COURSE, course="ORTHODONTICS", units=24), "NOT_PREPAY:COURSE"),
        (Claim(Exclusion.COURSE, course="ORTHODONTICS", units=1), NOT_APPLICABLE),
        (Claim(Exclusion.COURSE, course="DENTAL_FILLING", units=24), NOT_APPLICABLE),
        (Claim(Exclusion.COURSE, course="DENTAL_FILLING", units=1), NOT_APPLICABLE),
        (Claim(Exclusion.GROUP_EXAM, proof="HT-2025-7", units=100), "NOT_PREPAY:GROUP_EXAM"),
        (Claim(Exclusion.GROUP_EXAM, proof=" "), NOT_APPLICABLE),
        (Claim(Exclusion.PRE_SURGERY_TESTS, proof="SS-3"), "NOT_PREPAY:PRE_SURGERY_TESTS"),
        (
            Claim(Exclusion.SPECIAL_OUTPATIENT_DISEASE, proof="MT-12"),
            "NOT_PREPAY:SPECIAL_OUTPATIENT_DISEASE",
        ),
        (Claim(Exclusion.SPECIAL_OUTPATIENT_DISEASE), NOT_APPLICABLE),
        (Claim(Exclusion.OTHER, reason="器械押金"), NEEDS_APPROVAL),
        (Claim(Exclusion.OTHER, reason="器械押金", approved=True), "NOT_PREPAY:OTHER"),
        (Claim(Exclusion.OTHER, approved=True), NOT_APPLICABLE),
    ],
)
def test_an_exclusion_must_be_shown(claim, kind):
    assert kind_of(Money(claim=claim)) == kind
    assert may_be_taken(kind) is kind.startswith("NOT_PREPAY:")


def test_surgery_money_without_an_order_is_what_it_is_without_the_claim():
    """D-11: with an order or appointment article 9, without one article 6."""
    nothing = Claim(Exclusion.PRE_SURGERY_TESTS)
    assert kind_of(Money(claim=nothing)) == OUTPATIENT_PREPAY
    assert kind_of(Money(claim=nothing, order_ids=ORDERED)) == kind_of(Money(order_ids=ORDERED))


CLAIMS = st.builds(
    Claim,
    code=st.sampled_from(Exclusion),
    proof=st.sampled_from(["", "  ", "N-1"]),
    course=st.sampled_from(["", "DENTAL_FILLING", *Course]),
    units=st.integers(0, 30),
    reason=st.sampled_from(["", "因为"]),
    approved=st.booleans(),
)
MONEY = st.builds(
    Money,
    to_institution=st.booleans(),
    order_ids=st.lists(st.sampled_from(["O-1", "O-2"]), max_size=2).map(tuple),
    invoice_no=st.sampled_from(["", "52-1"]),
    claim=st.none() | CLAIMS,
)
ANSWERS = {
    OUTPATIENT_PREPAY,
    "ORDINARY_PAYMENT",
    "ORDINARY_PAYMENT_PENDING_INVOICE",
    NOT_APPLICABLE,
    NEEDS_APPROVAL,
    NOT_HELD_HERE,
    *(f"NOT_PREPAY:{code}" for code in Exclusion),
}


@given(MONEY)
def test_every_answer_is_one_of_the_list_and_a_prepayment_meets_both_conditions(money):
    answer = kind_of(money)
    assert answer in ANSWERS
    if answer == OUTPATIENT_PREPAY:
        assert money.to_institution
        assert (money.order_ids, money.invoice_no) == ((), "")
        assert money.claim is None or money.claim.code is Exclusion.PRE_SURGERY_TESTS
        assert not may_be_taken(answer)


@given(MONEY)
def test_nobody_makes_a_prepayment_ordinary_by_claiming(money):
    """A claim is either shown and named in the answer, or refused; it never opens another door."""
    if money.claim is None:
        return
    answer, without = kind_of(money), kind_of(replace(money, claim=None))
    allowed = {f"NOT_PREPAY:{money.claim.code}", NOT_APPLICABLE, NEEDS_APPROVAL}
    assert answer in allowed | ({without} if not money.claim.proof else set())


@given(MONEY)
def test_other_never_passes_without_a_second_person(money):
    if kind_of(money) == "NOT_PREPAY:OTHER":
        assert money.claim.approved
        assert money.claim.reason


def test_every_answer_has_words():
    assert set(money_words()) == ANSWERS
    assert all(set(words) == {"say", "next"} for words in money_words().values())
