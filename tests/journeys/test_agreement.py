"""Nobody pays more than they agreed to: a settlement that turns out dearer is taken back."""

import pytest

from journeys import discharge
from models.ledger import AccountKind
from policies.refusals import Conflict
from tests.journeys.test_discharge import (
    balance,
    look,
    platform_settlements,
    proven,
    ready,
    settle,
)


@pytest.mark.parametrize("undo_fault", ["", "before", "after"])
def test_a_final_share_above_the_trial_is_undone_and_agreed_anew(stage, undo_fault):
    stay = ready(stage, fen=[900_000], fixed={"hifp_pay": "6000.00"}, deposit=350_000)
    nurse = stage.actor("NURSE")
    agreed = discharge.try_settlement(nurse, stage.outside, stay.id)["agree_to"]
    stage.simulator.fault("insurance", "2304", "fund_zero")
    if undo_fault:
        stage.simulator.fault("insurance", "2305", undo_fault)

    def press():
        discharge.settle_discharge(
            nurse, stage.outside, stay.id, agreed=agreed, signature_sha256=None
        )

    if undo_fault:  # the undoing itself got lost: the run waits, and the sweep ends it
        press()
        assert look(stage, stay)["state"] == "CONFIRMED"
        stage.clock.forward(minutes=2)
        discharge.sweep_settlements(stage.outside, stage.hospital_id)
        stage.clock.forward(minutes=2)
        discharge.sweep_settlements(stage.outside, stage.hospital_id)
    else:
        with pytest.raises(Conflict, match="TRIAL_CHANGED"):
            press()
    done = look(stage, stay)
    if undo_fault != "after":  # there the sweep undid it and settled again as agreed
        assert done["state"] == "TRIAL"
        assert platform_settlements(stage, stay) == []
        assert balance(stage, AccountKind.INPATIENT_DEPOSIT, stay.id) == -350_000
        done = settle(stage, stay)
    assert (done["state"], done["personal_fen"]) == ("CLOSED", 300_000)
    assert len(platform_settlements(stage, stay)) == 1
    assert proven(stage)
