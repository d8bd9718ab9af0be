"""The small form of the scenarios about two at once and a yes that was not heard."""

from tests.prove import lost_yes, twice
from tests.stage import Stage


def test_a_refund_pressed_twice_is_done_once(stage: Stage) -> None:
    found = twice.refund_twice(stage, 10)
    assert found.held, found.figure
    assert found.figure.startswith(
        "0 of 10 pairs not one done and one refused (10 done, 10 refused); cash off by 0 fen; 0 of"
    )


def test_two_cashiers_settle_a_stay_once(stage: Stage) -> None:
    found = twice.settle_twice(stage, 6)
    assert found.held, found.figure
    assert found.figure.startswith("0 of 6 settlements doubled or lost (6 winners); 2 claims")


def test_lost_answers_of_refunds_cost_nothing(stage: Stage) -> None:
    found = lost_yes.lose_answers(stage, 8)
    assert found.held, found.figure
    assert found.figure.startswith("0 of 8 refunds not paid, 0 fen extra")


def test_no_second_claim_after_a_death_with_the_yes_in_hand(stage: Stage) -> None:
    found = lost_yes.die_after_yes(stage, 2)
    assert found.held, found.figure
    assert found.figure.startswith("0 of 2 claims repeated without reversal, 0 too many stand")
