"""Who was held up on the way to the insurer undoes nothing that came after them (GZ-20)."""

from collections.abc import Callable

import pytest

from journeys import discharge
from models.admission import Admission
from models.db import Session
from models.ledger import AccountKind
from models.patient import Patient
from payments.insurance.amounts import fen
from payments.insurance.desk import InsuranceDesk
from policies.access import system
from policies.refusals import Busy, Conflict, Refusal, Refused
from tests.journeys.test_discharge import (
    balance,
    look,
    platform_settlements,
    proven,
    ready,
    settle,
)
from tests.stage import Stage


def held_up(monkeypatch: pytest.MonkeyPatch, question: str, meanwhile: Callable[[], None]) -> None:
    """Whoever asks this of the insurance desk first is held up while all this happens."""
    asked = getattr(InsuranceDesk, question)
    todo = [meanwhile]

    def late(self, *given, **named):
        if todo:
            todo.pop()()
        return asked(self, *given, **named)

    monkeypatch.setattr(InsuranceDesk, question, late)


def settled_there(stage: Stage, stay: Admission, fund_fen: int) -> None:
    """The insurer has one settlement of the stay, and owes what our books say."""
    (there,) = platform_settlements(stage, stay)
    assert fen(there["amounts"]["fund_pay_sumamt"]) == fund_fen
    assert balance(stage, AccountKind.FUND_RECEIVABLE, "BASIC") == fund_fen
    assert proven(stage)


def test_a_late_undo_leaves_the_next_settlement_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stay = ready(stage, fen=[900_000], fixed={"hifp_pay": "6000.00"}, deposit=350_000)
    settle(stage, stay)

    def undone_and_settled_anew() -> None:
        discharge.advance(system(stage.hospital_id), stage.outside, stay.id)
        assert look(stage, stay)["state"] == "UNDONE"
        settle(stage, stay)

    held_up(monkeypatch, "undo_settlement", undone_and_settled_anew)
    office = stage.actor("INSURANCE_OFFICE")
    after = discharge.undo_settlement(office, stage.outside, stay.id, reason="漏记费用")
    assert (after["state"], after["round"]) == ("CLOSED", 2)
    settled_there(stage, stay, 600_000)


def test_who_asks_when_it_was_undone_does_not_settle_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stay = ready(stage, fen=[900_000], fixed={"hifp_pay": "6000.00"}, deposit=350_000)

    def settled_and_undone() -> None:
        discharge.advance(system(stage.hospital_id), stage.outside, stay.id)
        assert look(stage, stay)["state"] == "CLOSED"
        office = stage.actor("INSURANCE_OFFICE")
        discharge.undo_settlement(office, stage.outside, stay.id, reason="漏记费用")

    held_up(monkeypatch, "settle", settled_and_undone)
    assert settle(stage, stay)["state"] == "UNDONE"
    assert platform_settlements(stage, stay) == []
    assert settle(stage, stay)["state"] == "CLOSED"
    settled_there(stage, stay, 600_000)


@pytest.mark.parametrize("question", ["settle", "undo_settlement"])
def test_who_asked_by_an_old_agreement_leaves_the_new_one_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    """The insurer pays less than the trial said; one of two who ask by it comes late, when the
    patient has agreed to the higher share.
    """
    stay = ready(stage, fen=[900_000], fixed={"hifp_pay": "6000.00"}, deposit=450_000)
    nurse = stage.actor("NURSE")
    agreed = discharge.try_settlement(nurse, stage.outside, stay.id)["agree_to"]
    with Session() as db:
        patient = db.get_one(Patient, stay.patient_id)
    stage.insured(patient, fixed={"hifp_pay": "5000.00"})

    def agreed_anew() -> None:
        with pytest.raises(Conflict, match="TRIAL_CHANGED"):
            discharge.advance(system(stage.hospital_id), stage.outside, stay.id)
        assert look(stage, stay)["state"] == "TRIAL"
        assert settle(stage, stay)["personal_fen"] == 400_000

    held_up(monkeypatch, question, agreed_anew)
    try:
        discharge.settle_discharge(
            nurse, stage.outside, stay.id, agreed=agreed, signature_sha256=None
        )
    except Refusal as refused:
        assert refused.code == "TRIAL_CHANGED"
    assert look(stage, stay)["state"] == "CLOSED"
    settled_there(stage, stay, 500_000)


def test_a_late_no_to_an_old_agreement_leaves_the_new_one_alone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stay = ready(stage, fen=[900_000], fixed={"hifp_pay": "6000.00"}, deposit=350_000)

    def refused(*_: object, **__: object) -> None:
        raise Refused("INSURANCE_DECLINED", said="not now")

    def refused_and_agreed_anew(*_: object, **__: object) -> None:
        monkeypatch.setattr(InsuranceDesk, "settle", refused)
        with pytest.raises(Refused, match="INSURANCE_DECLINED"):
            discharge.advance(system(stage.hospital_id), stage.outside, stay.id)
        assert look(stage, stay)["state"] == "TRIAL"
        monkeypatch.setattr(InsuranceDesk, "settle", silent)
        assert settle(stage, stay)["state"] == "CONFIRMED"
        refused()

    def silent(*_: object, **__: object) -> None:
        raise Busy("INSURANCE_NO_ANSWER")

    monkeypatch.setattr(InsuranceDesk, "settle", refused_and_agreed_anew)
    with pytest.raises(Refused, match="INSURANCE_DECLINED"):
        settle(stage, stay)
    assert look(stage, stay)["state"] == "CONFIRMED"
