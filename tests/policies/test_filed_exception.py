"""Which filing lets a top-up through, and what is said when none does (GZ-6)."""

from dataclasses import replace
from datetime import date
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.filed_exception import (
    ELDERLY,
    Filed,
    Filing,
    Group,
    Scene,
    TopUp,
    age_on,
    filing_that_allows,
    room_fen,
)
from policies.packs import rules_of
from policies.refusals import Refused

JULY = date(2025, 7, 1)
STOP = date(2025, 6, 30)
F1 = Filing(
    id=UUID(int=1),
    state=Filed.APPROVED,
    scenes=frozenset(Scene),
    groups=(Group(ELDERLY, 60), Group("DISABLED")),
    approved_on=date(2025, 6, 20),
    expires_on=date(2026, 6, 30),
    published=True,
)
CHILD = TopUp(30_000, 0, consented=True, born_on=date(2019, 1, 1))
OBSERVED = replace(CHILD, scene=Scene.EMERGENCY_OBSERVATION)


def ask(wish: TopUp, *filings: Filing, day: date = JULY, publish: bool = True) -> Filing:
    return filing_that_allows(filings, wish, day, stopped_since=STOP, require_publication=publish)


def refused(wish: TopUp, *filings: Filing, day: date = JULY) -> str:
    with pytest.raises(Refused) as no:
        ask(wish, *filings, day=day)
    return no.value.code


@pytest.mark.clause("GZ-6", "T1")
def test_what_no_filing_covers_is_stopped():
    assert refused(CHILD, F1) == "OUTPATIENT_PREPAY_STOPPED"
    assert refused(OBSERVED) == "OUTPATIENT_PREPAY_STOPPED"
    over = [replace(F1, state=state) for state in (Filed.REFUSED, Filed.WITHDRAWN)]
    assert refused(OBSERVED, *over) == "OUTPATIENT_PREPAY_STOPPED"


@pytest.mark.clause("GZ-6", "T2")
def test_a_scene_of_the_filing_is_let_through():
    assert ask(OBSERVED, F1) == F1


@pytest.mark.clause("GZ-6", "T3", "T4", "T5", "T7")
@pytest.mark.parametrize(
    ("filing", "wish", "code"),
    [
        (replace(F1, state=Filed.DRAFTED, approved_on=None), OBSERVED, "FILING_NOT_APPROVED"),
        (replace(F1, state=Filed.SUBMITTED, approved_on=None), OBSERVED, "FILING_NOT_APPROVED"),
        (replace(F1, approved_on=date(2025, 7, 2)), OBSERVED, "FILING_NOT_APPROVED"),
        (replace(F1, expires_on=STOP), OBSERVED, "FILING_EXPIRED"),
        (replace(F1, published=False), OBSERVED, "PUBLICATION_REQUIRED"),
        (F1, replace(OBSERVED, consented=False), "CONSENT_REQUIRED"),
        (replace(F1, top_up_limit_fen=29_999), OBSERVED, "PREPAY_LIMIT_EXCEEDED"),
    ],
)
def test_the_first_thing_that_is_missing_is_named(filing, wish, code):
    assert refused(wish, filing) == code
    worse = [replace(F1, state=Filed.DRAFTED, approved_on=None), replace(F1, scenes=frozenset())]
    assert refused(wish, *worse, filing) == code, "the filing that comes nearest speaks"
    assert ask(OBSERVED, filing, F1) == F1, "another filing may allow it"


def test_a_filing_holds_through_its_last_day_and_publication_may_be_waived():
    assert ask(OBSERVED, F1, day=date(2026, 6, 30)) == F1
    assert refused(OBSERVED, F1, day=date(2026, 7, 1)) == "FILING_EXPIRED"
    hidden = replace(F1, published=False)
    assert ask(OBSERVED, hidden, publish=False) == hidden


@pytest.mark.clause("GZ-6", "T6")
@pytest.mark.parametrize(
    ("born_on", "day", "old_enough"),
    [
        (date(1965, 7, 2), date(2025, 7, 1), False),
        (date(1965, 7, 2), date(2025, 7, 2), True),
        (date(1964, 2, 29), date(2024, 2, 28), False),
        (date(1964, 2, 29), date(2024, 2, 29), True),
        (date(1965, 2, 28), date(2025, 2, 28), True),
        (None, JULY, False),
    ],
)
def test_the_age_counts_from_the_very_birthday(born_on, day, old_enough):
    always = replace(F1, approved_on=date(2024, 1, 1))
    wish = replace(CHILD, born_on=born_on)
    if old_enough:
        assert ask(wish, always, day=day) == always
    else:
        assert refused(wish, always, day=day) == "OUTPATIENT_PREPAY_STOPPED"


def test_another_group_needs_to_be_named_and_listed():
    assert ask(replace(CHILD, group="DISABLED"), F1) == F1
    assert refused(replace(CHILD, group="SOLDIERS"), F1) == "OUTPATIENT_PREPAY_STOPPED"
    children = replace(F1, groups=(Group("CHILDREN_OVER", 12),))
    assert refused(replace(CHILD, group="CHILDREN_OVER"), children) == "OUTPATIENT_PREPAY_STOPPED"


def test_naming_the_elderly_makes_nobody_older():
    assert refused(replace(CHILD, group=ELDERLY), F1) == "OUTPATIENT_PREPAY_STOPPED"


def test_the_age_of_the_elderly_is_the_laws_with_its_source():
    value = rules_of(["guizhou", "national"]).find("elderly_min_age", JULY)
    assert (value.value, value.document, value.article) == (
        60,
        "中华人民共和国老年人权益保障法",
        "第二条",
    )


LIMITS = st.none() | st.integers(1, 100_000)


@given(st.integers(1, 100_000), st.integers(0, 100_000), LIMITS, LIMITS)
def test_limits_are_never_exceeded(amount, held, once, balance):
    filing = replace(F1, top_up_limit_fen=once, balance_limit_fen=balance)
    wish = replace(OBSERVED, amount_fen=amount, held_fen=held)
    fits = (once is None or amount <= once) and (balance is None or held + amount <= balance)
    if fits:
        assert ask(wish, filing) == filing
    else:
        with pytest.raises(Refused, match="PREPAY_LIMIT_EXCEEDED") as no:
            ask(wish, filing)
        room = no.value.facts["room_fen"]
        assert room == room_fen(filing, held)
        assert 0 <= room < amount


@given(st.dates(date(1900, 1, 1), date(2030, 1, 1)), st.integers(0, 50_000))
def test_age_grows_by_one_a_year(born_on, days):
    day = date.fromordinal(min(born_on.toordinal() + days, date.max.toordinal()))
    age = age_on(born_on, day)
    assert 0 <= age <= days // 365
    assert age >= (days - 1) // 366 - 1
