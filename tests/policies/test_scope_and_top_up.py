"""Whom the rules bind, and what becomes of an ordinary outpatient top-up (GZ-2)."""

from datetime import date

import pytest

from policies.filed_exception import TopUp
from policies.packs import NoValue, rules_of
from policies.refusals import Refused
from policies.scope import Enforcement, Institution, InstitutionType, enforcement
from policies.top_up import Advice, Yes, may_top_up

RULES = rules_of(["guizhou", "national"])
JULY = date(2025, 7, 1)
ORDINARY = TopUp(30_000, 0, consented=True, born_on=date(1990, 1, 1))
PUBLIC, DESIGNATED, PRIVATE, MILITARY = (Institution(kind) for kind in InstitutionType)


def ordinary_top_up(institution: Institution, day: date) -> Yes:
    """Outside every exception."""
    return may_top_up(institution, day, RULES, ORDINARY, [])


@pytest.mark.clause("GZ-2", "T1")
@pytest.mark.parametrize(
    "institution", [PUBLIC, DESIGNATED, Institution(InstitutionType.PRIVATE_OTHER, opted_in=True)]
)
def test_an_ordinary_top_up_is_refused_where_the_rules_bind(institution):
    with pytest.raises(Refused) as no:
        ordinary_top_up(institution, JULY)
    assert (no.value.code, no.value.facts) == ("OUTPATIENT_PREPAY_STOPPED", {"since": "2025-06-30"})


@pytest.mark.clause("GZ-2", "T1")
def test_another_private_institution_is_only_warned():
    advice = Advice("OUTPATIENT_PREPAY_STOPPED", date(2025, 6, 30))
    assert ordinary_top_up(PRIVATE, JULY) == Yes(advice=(advice,))


@pytest.mark.clause("GZ-2", "T2")
@pytest.mark.parametrize("day", [date(2025, 3, 1), date(2025, 4, 10), JULY])
def test_a_military_institution_gets_no_yes_from_these_rules(day):
    with pytest.raises(Refused, match="RULE_PACK_NOT_APPLICABLE"):
        ordinary_top_up(MILITARY, day)


@pytest.mark.parametrize(
    ("day", "institution", "refused"),
    [
        (date(2025, 3, 30), PUBLIC, False),
        (date(2025, 3, 31), PUBLIC, True),
        (date(2025, 6, 29), DESIGNATED, False),
        (date(2025, 6, 30), DESIGNATED, True),
    ],
)
def test_the_ban_begins_with_its_day(day, institution, refused):
    """The country's notice binds public hospitals, the province's also the designated ones."""
    if refused:
        with pytest.raises(Refused, match="OUTPATIENT_PREPAY_STOPPED"):
            ordinary_top_up(institution, day)
    else:
        assert ordinary_top_up(institution, day).filing is None


def test_before_the_ban_a_top_up_is_history():
    assert ordinary_top_up(PUBLIC, date(2025, 3, 30)) == Yes()


@pytest.mark.parametrize(
    ("institution", "found"),
    [
        (PUBLIC, Enforcement.BLOCK),
        (DESIGNATED, Enforcement.BLOCK),
        (PRIVATE, Enforcement.ADVISE),
        (Institution(InstitutionType.PRIVATE_OTHER, opted_in=True), Enforcement.BLOCK),
    ],
)
def test_enforcement_by_type(institution, found):
    assert enforcement(institution, JULY, RULES) is found


def test_enforcement_knows_its_limits():
    with pytest.raises(Refused, match="RULE_PACK_NOT_APPLICABLE"):
        enforcement(MILITARY, JULY, RULES)
    with pytest.raises(NoValue):
        enforcement(PUBLIC, date(2025, 3, 30), RULES)
