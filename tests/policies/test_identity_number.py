"""Identity numbers are read in one form, or refused."""

import pytest

from policies.identity_number import read_id_no
from policies.refusals import Refused

GOOD = "990101197503090013"
FULL_WIDTH = "９９０１０１１９７５０３０９００１３"


@pytest.mark.parametrize("text", [GOOD, f" {GOOD} ", "990101 19750309 0013", FULL_WIDTH])
def test_a_good_number_has_one_form(text: str) -> None:
    assert read_id_no(text) == GOOD


def test_x_is_a_check_digit_in_either_case() -> None:
    assert read_id_no("99010119750309003x") == read_id_no("99010119750309003X")


@pytest.mark.parametrize(
    "text",
    [
        "",
        GOOD[:-1],
        GOOD + "0",
        GOOD[:-1] + "9",
        "990101197502300013",
        "99010119750309001A",
        "A90101197503090018",
    ],
)
def test_a_bad_number_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="ID_NUMBER_INVALID"):
        read_id_no(text)
