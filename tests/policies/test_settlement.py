"""Who pays what of one stay: to the fen, and the deposit only the patient's part (GZ-10)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.refusals import Refused
from policies.settlement import Share, split

amounts = st.integers(0, 10**9)


@pytest.mark.clause("GZ-10", "T1")
def test_the_deposit_covers_the_personal_share_and_the_rest_goes_back():
    bill = split(900_000, [Share("BASIC", 600_000)], 350_000)
    assert bill.personal_fen == 300_000
    assert (bill.applied_fen, bill.rest_fen, bill.due_fen) == (300_000, 50_000, 0)


@pytest.mark.clause("GZ-10", "T2")
def test_what_the_deposit_does_not_cover_is_due():
    bill = split(900_000, [Share("BASIC", 600_000)], 200_000)
    assert (bill.applied_fen, bill.rest_fen, bill.due_fen) == (200_000, 0, 100_000)


@pytest.mark.clause("GZ-10", "T3")
def test_the_deposit_never_covers_a_payer_who_is_late():
    late = split(900_000, [Share("BASIC", 600_000, "PENDING")], 900_000)
    assert (late.personal_fen, late.applied_fen, late.rest_fen) == (300_000, 300_000, 600_000)
    assert late == split(900_000, [Share("BASIC", 600_000, "PENDING")], 900_000)
    assert [share.state for share in late.shares] == ["PENDING"]


def test_a_stay_of_several_payers():
    """CQ-3.2 T1's figures."""
    payers = [Share("BASIC", 700_000), Share("CRITICAL", 150_000), Share("MEDICAL_AID", 220_000)]
    assert split(1_200_000, payers, 0).due_fen == 130_000


def test_payers_who_take_nothing_have_no_line():
    assert split(100, [Share("BASIC", 0), Share("CRITICAL", 40)], 0).shares == (
        Share("CRITICAL", 40),
    )


def test_payers_cannot_take_more_than_there_is():
    with pytest.raises(Refused, match="SHARES_EXCEED_TOTAL"):
        split(100, [Share("BASIC", 60), Share("CRITICAL", 41)], 0)


@pytest.mark.parametrize(("total", "share", "deposit"), [(-1, 0, 0), (1, -1, 0), (1, 0, -1)])
def test_negative_amounts_are_no_bill(total, share, deposit):
    with pytest.raises(ValueError, match="never negative"):
        split(total, [Share("BASIC", share)], deposit)


@given(
    amounts,
    st.lists(st.tuples(amounts, st.sampled_from(["FINAL", "PENDING"])), max_size=7),
    amounts,
)
def test_everything_adds_up_to_the_fen(personal, payers, deposit):
    shares = [Share(f"P{n}", fen, state) for n, (fen, state) in enumerate(payers)]
    total = personal + sum(share.amount_fen for share in shares)
    bill = split(total, shares, deposit)
    assert bill.personal_fen == personal
    assert sum(share.amount_fen for share in bill.shares) + bill.personal_fen == total
    assert bill.applied_fen + bill.due_fen == bill.personal_fen
    assert bill.applied_fen + bill.rest_fen == deposit
    assert min(bill.applied_fen, bill.due_fen, bill.rest_fen) >= 0
    assert not (bill.due_fen and bill.rest_fen)
