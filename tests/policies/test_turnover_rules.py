"""Evidence, three years, the cap: the pure rules of what cannot be given back (GZ-8)."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.packs import rules_of
from policies.refusals import Refused
from policies.turnover import (
    Attempt,
    ContactChannel,
    Proof,
    Reason,
    Result,
    budget_year,
    check_evidence,
    check_may_turn_over,
    claim_within,
    list_words,
    older_than,
)

RULES = rules_of(["national", "guizhou"])
DAY = date(2025, 12, 31)
PROOF = Proof(attempts=3, channels=2, days=30)
NOON = datetime(2025, 9, 1, 4, tzinfo=UTC)


def tried(*days_and_channels: tuple[int, str], result: str = Result.NO_ANSWER) -> list[Attempt]:
    return [Attempt(NOON + timedelta(days=day), how, result) for day, how in days_and_channels]


ENOUGH = tried((0, "PHONE"), (15, "SMS"), (30, "PHONE"))


@pytest.mark.clause("GZ-8.2", "T3", "T5")
@pytest.mark.parametrize(
    ("last_activity", "as_of", "is_old"),
    [
        (date(2022, 12, 30), DAY, True),
        (date(2022, 12, 31), DAY, False),  # exactly three years is not more than three
        (date(2023, 1, 1), DAY, False),
        (date(2024, 2, 29), date(2026, 12, 31), False),
        (date(2024, 2, 29), date(2027, 12, 31), True),
    ],
)
def test_more_than_three_years(last_activity, as_of, is_old):
    assert (last_activity < older_than(as_of, 3)) is is_old


def test_three_years_before_a_leap_day_end_on_the_first_of_march():
    assert older_than(date(2028, 2, 29), 3) == date(2025, 3, 1)


def test_enough_attempts_prove_it():
    check_evidence(Reason.CONTACT_CHANGED, ENOUGH, True, PROOF)


@pytest.mark.parametrize(
    "attempts",
    [
        [],
        ENOUGH[:2],
        tried((0, "PHONE"), (15, "PHONE"), (30, "PHONE")),
        tried((0, "PHONE"), (15, "SMS"), (29, "PHONE")),
    ],
    ids=["none", "two", "one channel", "29 days"],
)
def test_too_little_does_not(attempts):
    with pytest.raises(Refused) as no:
        check_evidence(Reason.CONTACT_CHANGED, attempts, True, PROOF)
    assert no.value.code == "ATTEMPT_EVIDENCE_REQUIRED"


def test_no_contact_data_is_its_own_proof_unless_there_is_some():
    check_evidence(Reason.NO_CONTACT_DATA, [], False, PROOF)
    with pytest.raises(Refused) as no:
        check_evidence(Reason.NO_CONTACT_DATA, [], True, PROOF)
    assert no.value.code == "ATTEMPT_EVIDENCE_REQUIRED"


def test_a_holder_who_answered_is_not_unreachable():
    with pytest.raises(Refused) as no:
        check_evidence(
            Reason.CONTACT_CHANGED,
            [*ENOUGH, *tried((40, "PHONE"), result=Result.ANSWERED)],
            True,
            PROOF,
        )
    assert no.value.code == "HOLDER_WAS_REACHED"


@pytest.mark.clause("GZ-8.2", "T9")
@pytest.mark.parametrize("institution_type", ["DESIGNATED", "PRIVATE_OTHER", "MILITARY"])
def test_only_public_institutions_turn_over(institution_type):
    with pytest.raises(Refused) as no:
        check_may_turn_over(institution_type, DAY, DAY, RULES)
    assert no.value.code == "PUBLIC_ONLY"


def test_the_years_come_from_the_pack_and_only_for_a_31_december():
    assert check_may_turn_over("PUBLIC", DAY, DAY, RULES) == 3
    with pytest.raises(Refused) as no:
        check_may_turn_over("PUBLIC", date(2025, 12, 30), DAY, RULES)
    assert no.value.code == "TURNOVER_DAY_WRONG"
    with pytest.raises(Refused) as no:
        check_may_turn_over("PUBLIC", date(2024, 12, 31), DAY, RULES)
    assert no.value.code == "RULE_PACK_NOT_APPLICABLE"


@pytest.mark.clause("GZ-8.3", "T3")
def test_an_advance_belongs_to_the_next_years_budget():
    assert budget_year(date(2026, 12, 31)) == 2027
    assert budget_year(date(2027, 1, 1)) == 2028


@given(st.integers(-50, 5_000), st.lists(st.integers(1, 900), max_size=12))
def test_claims_never_exceed_the_room_and_waste_none_of_it(room, advances):
    parts = claim_within(room, advances)
    assert all(0 <= part <= fen for part, fen in zip(parts, advances, strict=True))
    assert sum(parts) == min(max(room, 0), sum(advances))


def test_every_reason_and_channel_has_words():
    words = list_words()
    assert set(words["reasons"]) == set(Reason)
    assert set(words["channels"]) == {*ContactChannel, "PUBLIC_NOTICE"}
    assert len(words["header"]) == 8


def test_no_list_is_made_before_its_day():
    with pytest.raises(Refused) as no:
        check_may_turn_over("PUBLIC", DAY, date(2025, 12, 30), RULES)
    assert no.value.code == "TURNOVER_DAY_WRONG"
