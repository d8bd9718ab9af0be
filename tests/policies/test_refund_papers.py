"""Who may ask for a patient's money with which papers, and whose account it may go to."""

from datetime import date

import pytest

from policies.refund_papers import (
    NEEDED,
    Asker,
    Paper,
    PaperRules,
    PayeeCheck,
    check_payee,
    missing,
    names_of,
    refuse_a_child_alone,
)
from policies.refusals import Refused

RULES = PaperRules({Asker.AGENT: 500_000, Asker.HEIR: 1_000_000}, own_account_only=False)
OWN_ONLY = PaperRules({}, own_account_only=True)
TODAY = date(2026, 1, 15)


@pytest.mark.parametrize("asker", [Asker.AGENT, Asker.GUARDIAN, Asker.HEIR])
def test_every_paper_of_the_list_is_needed(asker):
    needed = NEEDED[asker]
    assert needed
    for paper in needed:
        rest = [each for each in needed if each != paper]
        assert missing(asker, 100, rest, RULES) == (paper,)
    assert missing(asker, 100, needed, RULES) == ()


def test_the_holder_needs_no_paper_whatever_the_amount():
    assert missing(Asker.OWN, 10**9, (), RULES) == ()
    assert missing(Asker.HOSPITAL, 10**9, (), RULES) == ()


@pytest.mark.parametrize(("asker", "limit"), [(Asker.AGENT, 500_000), (Asker.HEIR, 1_000_000)])
def test_above_the_limit_a_notary_or_a_court_too(asker, limit):
    there = NEEDED[asker]
    assert missing(asker, limit, there, RULES) == ()
    assert missing(asker, limit + 1, there, RULES) == (Paper.NOTARISED,)
    assert missing(asker, limit + 1, (*there, Paper.NOTARISED), RULES) == ()


def test_one_paper_about_the_death_is_enough():
    assert NEEDED[Asker.HEIR].count(Paper.DEATH) == 1
    assert "任一种" in names_of([Paper.DEATH])


@pytest.mark.parametrize(
    ("holder", "asker", "rules", "is_"),
    [
        ("张小丰", Asker.OWN, RULES, PayeeCheck.OWN),
        ("张 小丰", Asker.OWN, RULES, PayeeCheck.OWN),
        ("王大力", Asker.OWN, RULES, PayeeCheck.MISMATCH),
        ("王大力", Asker.AGENT, RULES, PayeeCheck.BY_PAPERS),
        ("王大力", Asker.GUARDIAN, RULES, PayeeCheck.BY_PAPERS),
        ("王大力", Asker.HEIR, RULES, PayeeCheck.BY_PAPERS),
        ("李四", Asker.HEIR, RULES, PayeeCheck.MISMATCH),
        ("张小丰", Asker.AGENT, OWN_ONLY, PayeeCheck.OWN),
        ("王大力", Asker.AGENT, OWN_ONLY, PayeeCheck.MISMATCH),
        ("王大力", Asker.GUARDIAN, OWN_ONLY, PayeeCheck.MISMATCH),
        ("王大力", Asker.HEIR, OWN_ONLY, PayeeCheck.BY_PAPERS),
        ("", Asker.OWN, RULES, PayeeCheck.MISMATCH),
    ],
)
def test_whose_account_it_may_go_to(holder, asker, rules, is_):
    assert check_payee(holder, "张小丰", asker, "王大力", rules) == is_


def test_names_that_are_written_apart_are_one():
    assert check_payee("买买提·艾力", "买买提•艾力", Asker.OWN, "", RULES) == PayeeCheck.OWN


@pytest.mark.parametrize(
    ("born_on", "alone"),
    [
        (date(2008, 1, 15), True),
        (date(2008, 1, 16), False),
        (date(1975, 3, 9), True),
        (None, True),
    ],
)
def test_a_child_asks_through_a_guardian(born_on, alone):
    for asker in (Asker.GUARDIAN, Asker.AGENT, Asker.HOSPITAL):
        refuse_a_child_alone(asker, born_on, TODAY)
    if alone:
        refuse_a_child_alone(Asker.OWN, born_on, TODAY)
    else:
        with pytest.raises(Refused, match="GUARDIAN_REQUIRED"):
            refuse_a_child_alone(Asker.OWN, born_on, TODAY)
