"""Dated values with a source: the nearest pack wins, and a day without a value is an error."""

from datetime import UTC, date, datetime

import pytest

from policies.packs import NoValue, Value, pack, rules_of

GUIZHOU = rules_of(["guizhou", "national"])
DUE = "settlement.due_working_days"


@pytest.mark.clause("GZ-27", "T1")
def test_the_pack_begins_at_midnight_in_shanghai():
    guizhou = pack("guizhou")
    assert guizhou.in_force(datetime(2025, 6, 29, 15, 59, 59, tzinfo=UTC)) is False
    assert guizhou.in_force(datetime(2025, 6, 29, 16, tzinfo=UTC)) is True


def test_a_day_before_the_first_value_raises():
    with pytest.raises(NoValue, match=f"{DUE} has no value on 2025-06-29 in GZ-2025-06-30"):
        GUIZHOU.value(DUE, date(2025, 6, 29))
    assert GUIZHOU.find(DUE, date(2025, 6, 29)) is None
    assert GUIZHOU.value(DUE, date(2025, 6, 30)) == 3


def test_a_key_that_nobody_decided_raises():
    with pytest.raises(NoValue):
        GUIZHOU.value("weather", date(2025, 7, 1))


def test_the_province_comes_before_the_country_once_it_is_in_force():
    scope = "scope.enforcement"
    assert GUIZHOU.value(scope, date(2025, 6, 29))["DESIGNATED"] == "ADVISE"
    assert GUIZHOU.value(scope, date(2025, 6, 30))["DESIGNATED"] == "BLOCK"


def test_the_order_of_the_names_does_not_matter():
    assert rules_of(["national", "guizhou"]) == GUIZHOU


def test_both_provinces_may_bind_one_system():
    chongqing = rules_of(["chongqing", "national"])
    assert chongqing.value("treat_first.deposit_due_fen", date(2025, 7, 1)) == 0
    assert chongqing.version == "CQ-2017-06+CN-2025-03-31"


@pytest.mark.parametrize("name", ["national", "guizhou", "chongqing"])
def test_every_value_names_its_document_and_article(name):
    for values in pack(name).values.values():
        for value in values:
            assert value.document
            assert value.article
            assert value.valid_from >= pack(name).in_force_from


def test_an_unknown_pack_is_an_error():
    with pytest.raises(KeyError):
        pack("atlantis")


def own(key: str, value: object, since: date = date(2025, 8, 1)) -> Value:
    return Value(key, value, since, "院办〔2025〕7号", "第二条")


def test_a_hospital_may_set_what_its_packs_leave_to_it_from_a_day_on():
    rules = rules_of(["guizhou", "national"], [own("settlement.target_hours", 12)])
    assert rules.value("settlement.target_hours", date(2025, 7, 31)) == 24
    assert rules.value("settlement.target_hours", date(2025, 8, 1)) == 12
    assert rules.version == "OWN-2025-08-01+GZ-2025-06-30+CN-2025-03-31"


def test_a_hospital_cannot_soften_the_law():
    for key in (DUE, "outpatient_prepay.ordinary_top_up", "made.up"):
        with pytest.raises(ValueError, match="not the hospital's to set"):
            rules_of(["guizhou", "national"], [own(key, 30)])


def test_a_decision_records_what_it_rested_on():
    day = date(2025, 7, 1)
    assert GUIZHOU.decision("GZ-2", day, "BLOCK", institution_type="PUBLIC", amount_fen=300) == {
        "clause": "GZ-2",
        "day": "2025-07-01",
        "answer": "BLOCK",
        "packs": ["GZ-2025-06-30", "CN-2025-03-31"],
        "inputs": {"institution_type": "PUBLIC", "amount_fen": 300},
    }
